// Login page: exchanges a token for a cookie and goes back to where the visitor wanted to go.
import * as api from '../api.js';
import * as router from '../router.js';
import { fill, h } from '../parts/dom.js';

export function render(root, { query }) {
  document.title = 'Log in · windsock';
  const input = h('input', {
    class: 'input mono', id: 'token', name: 'token', type: 'password', required: true, autocomplete: 'current-password',
    'aria-describedby': 'token-help token-error',
  });
  const error = h('p', { class: 'field-error', id: 'token-error', role: 'alert' });
  const submit = h('button', { class: 'btn primary block', type: 'submit' }, 'Log in');
  const form = h('form', { class: 'card login', novalidate: true, onsubmit: logIn },
    h('img', { src: '/logo.svg', alt: '', width: '44', height: '44' }),
    h('h1', { tabindex: '-1' }, 'Log in to windsock'),
    h('div', { class: 'field' }, h('label', { for: 'token' }, 'Token'), input,
      h('p', { class: 'help', id: 'token-help' }, 'A token made by an admin, or the value of SUPERADMIN_SECRET.'), error),
    submit,
    h('p', { class: 'muted' }, 'No token? Run ', h('code', {}, 'windsock login-link'), ' on the machine where windsock runs and open the link it prints.'));
  fill(root, h('div', { class: 'login-page' }, form));
  input.focus();

  async function logIn(event) {
    event.preventDefault();
    const token = input.value.trim();
    if (!token) return show('enter a token');
    submit.disabled = true;
    try {
      await api.auth.login(token);
      api.forgetSession();
      await router.go(safeNext(query.get('next')), { replace: true, force: true });
    } catch (failure) {
      show(failure.status === 401 ? failure.message || 'this token is not known' : failure.message);
    } finally {
      submit.disabled = false;
    }
    return undefined;
  }

  function show(text) {
    error.textContent = text;
    input.setAttribute('aria-invalid', 'true');
    input.focus();
  }
}

/** Only a path of this page: a link must not be able to lead elsewhere after the login. */
function safeNext(next) {
  return next && /^\/(?![/\\])/.test(next) && !next.startsWith('/login') ? next : '/triggers';
}
