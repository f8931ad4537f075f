// Login page: exchanges a token, or an address and a password, for a cookie and goes back to where the visitor wanted to go.
import * as api from '../api.js';
import * as router from '../router.js';
import { fill, h } from '../parts/dom.js';
import { field, radioGroup, setFieldError } from '../parts/field.js';

/** How one logged in last in this browser. */
const KEY = 'windsock.login';

export function render(root, { query }) {
  document.title = 'Log in · windsock';
  const input = (more) => h('input', { class: 'input', required: true, ...more });
  const token = input({ class: 'input mono', name: 'token', type: 'password', autocomplete: 'current-password' });
  const email = input({ name: 'email', type: 'email', autocomplete: 'username' });
  const password = input({ name: 'password', type: 'password', autocomplete: 'current-password' });
  const tokenField = field({ name: 'token', label: 'Token', help: 'A token made by an admin, or the value of SUPERADMIN_SECRET.', control: token });
  const emailField = field({ name: 'email', label: 'E-mail', control: email });
  const passwordField = field({ name: 'password', label: 'Password', control: password });
  const fields = h('div', { class: 'stack-small' });
  const note = h('p', { class: 'muted' });
  const submit = h('button', { class: 'btn primary block', type: 'submit' }, 'Log in');
  let way = read() === 'password' ? 'password' : 'token';
  const choice = radioGroup({ label: 'Log in with', options: [['password', 'E-mail and password'], ['token', 'Token']], value: way, onchange: (next) => {
    way = next;
    show();
  } });
  const form = h('form', { class: 'card login', novalidate: true, onsubmit: logIn },
    h('img', { src: '/logo.svg', alt: '', width: '44', height: '44' }), h('h1', { tabindex: '-1' }, 'Log in to windsock'), choice.element, fields, submit, note);
  fill(root, h('div', { class: 'login-page' }, form));
  show();

  function show() {
    fill(fields, way === 'token' ? tokenField : [emailField, passwordField]);
    fill(note, way === 'token' ? ['No token? Run ', h('code', {}, 'windsock login-link'), ' on the machine where windsock runs and open the link it prints.'] : 'No password? An admin sets one under Settings, Users & groups.');
    fields.querySelector('input').focus();
  }

  async function logIn(event) {
    event.preventDefault();
    for (const one of [tokenField, emailField, passwordField]) setFieldError(one, '');
    if (way === 'token' && !token.value.trim()) return say(tokenField, 'enter a token');
    if (way === 'password' && !email.value.trim()) return say(emailField, 'enter your e-mail address');
    if (way === 'password' && !password.value) return say(passwordField, 'enter your password');
    submit.disabled = true;
    try {
      if (way === 'token') await api.auth.login(token.value.trim());
      else await api.auth.loginWithPassword(email.value.trim(), password.value);
      remember(way);
      api.forgetSession();
      await router.go(safeNext(query.get('next')), { replace: true, force: true });
    } catch (failure) {
      say(way === 'token' ? tokenField : passwordField, failure.message || 'this is not known');
    } finally {
      submit.disabled = false;
    }
    return undefined;
  }

  function say(at, text) {
    setFieldError(at, text);
    at.querySelector('input').focus();
  }
}

function read() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function remember(way) {
  try {
    localStorage.setItem(KEY, way);
  } catch {
    // then the choice is made anew each time
  }
}

/** Only a path of this page: a link must not be able to lead elsewhere after the login. */
function safeNext(next) {
  return next && /^\/(?![/\\])/.test(next) && !next.startsWith('/login') ? next : '/triggers';
}
