// Theme: applies the stored choice before the first paint. Owns the `data-theme` attribute and its storage key.
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
  },
  apply(choice) {
    if (choice === 'system') document.documentElement.removeAttribute('data-theme');
    else document.documentElement.setAttribute('data-theme', choice);
  },
};
window.windsockTheme.apply(window.windsockTheme.get());
