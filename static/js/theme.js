// Theme: applies the stored choice before the first paint, and leaves the navigation out where nobody is logged in; elsewhere
// it has the browser ask who is, for api.js. Owns the attributes `data-theme` and `data-bare` and the storage key.
// A classic script on purpose: a module would run after the first paint and flash the other theme.
'use strict';
window.windsockTheme = {
  /** 'system', 'light' or 'dark'. */
  get() {
    try {
      const stored = localStorage.getItem('windsock.theme');
      return stored === 'light' || stored === 'dark' ? stored : 'system';
    } catch {
      return 'system'; // storage may be blocked
    }
  },
  set(choice) {
    try {
      localStorage.setItem('windsock.theme', choice);
    } catch {
      // the choice then lasts until the page is left
    }
    this.apply(choice);
    document.dispatchEvent(new CustomEvent('windsock:theme', { detail: choice }));
  },
  apply(choice) {
    if (choice === 'system') document.documentElement.removeAttribute('data-theme');
    else document.documentElement.setAttribute('data-theme', choice);
  },
  /** Shows the page without its navigation, or with it. */
  bare(yes) {
    document.documentElement.toggleAttribute('data-bare', yes);
  },
};
window.windsockTheme.apply(window.windsockTheme.get());
window.windsockTheme.bare(/^\/login\/*$/.test(location.pathname));
// not on the login page: the answer that nobody is would be taken for the one after the login
if (!document.documentElement.hasAttribute('data-bare')) {
  const ask = document.createElement('link');
  Object.assign(ask, { rel: 'preload', as: 'fetch', crossOrigin: 'anonymous', href: '/api/workspaces/users' });
  document.head.append(ask);
}
