// Login form: exchanges a token, or an address and a password, for a cookie; on the login page, and over a page whose
// changes would be lost on the way there.
import * as api from '../api.js';
import { openDialog } from './dialog.js';
import { button, fill, h } from './dom.js';
import { field, radioGroup, setFieldError } from './field.js';

/** How one logged in last in this browser. */
const KEY = 'windsock.login';

/** The form; `done()` is called when somebody is logged in. */
export function loginForm(done) {
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
    focus();
  } });
  const form = h('form', { class: 'stack', novalidate: true, onsubmit: logIn }, choice.element, fields, submit, note);
  show();

  function show() {
    fill(fields, way === 'token' ? tokenField : [emailField, passwordField]);
    fill(note, way === 'token' ? ['No token? Run ', h('code', {}, 'windsock login-link'), ' on the machine where windsock runs and open the link it prints.'] : 'No password? An admin sets one under Settings, Users & groups.');
  }

  function focus() {
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
      await done();
    } catch (failure) {
      const unknown = way === 'token' ? 'this token is not known here, or it has ended' : failure.message || 'this is not known';
      say(way === 'token' ? tokenField : passwordField, failure.status === 401 ? unknown : failure.message);
    } finally {
      submit.disabled = false;
    }
    return undefined;
  }

  function say(at, text) {
    setFieldError(at, text);
    at.querySelector('input').focus();
  }
  return { element: form, focus };
}

/** Asks for a login over the page, which stays as it is: true when somebody is logged in, false to leave it, null to look at it first. */
export function loginAgain() {
  return openDialog({
    title: 'Your login has ended',
    body: (close) => {
      const form = loginForm(() => close(true));
      queueMicrotask(form.focus);
      return h('div', { class: 'stack' }, h('p', {}, 'Log in again to go on: what stands on this page is kept.'), form.element);
    },
    actions: (close) => [button({ text: 'Leave the page', onclick: () => close(false) })],
  });
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
