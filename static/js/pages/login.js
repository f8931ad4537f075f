// Login page: goes back to where the visitor wanted to go.
import * as router from '../router.js';
import { fill, h } from '../parts/dom.js';
import { loginForm } from '../parts/login-form.js';

export function render(root, { query }) {
  document.title = 'Log in · windsock';
  const form = loginForm(() => router.go(safeNext(query.get('next')), { replace: true, force: true }));
  fill(root, h('div', { class: 'login-page' }, h('div', { class: 'card login' },
    h('img', { src: '/logo.svg', alt: '', width: '44', height: '44' }), h('h1', { tabindex: '-1' }, 'Log in to windsock'),
    query.has('ended') && h('p', { role: 'status' }, 'Your login has ended. Log in again to go on where you were.'), form.element)));
  form.focus();
}

/** Only a path of this page: a link must not be able to lead elsewhere after the login. */
function safeNext(next) {
  return next && /^\/(?![/\\])/.test(next) && !next.startsWith('/login') ? next : '/';
}
