// Shell: marks where one is in the navigation of index.html, adds theme and user menu, tells when windsock is out of reach,
// and knows the way to the login page. Starts the router; pages never touch the shell.
import * as api from './api.js';
import * as live from './live.js';
import * as router from './router.js';
import { button, fill, h, icon } from './parts/dom.js';
import { loginAgain } from './parts/login-form.js';
import { menuButton } from './parts/menu.js';
import { moment } from './parts/time.js';
import { toast, toastError } from './parts/toast.js';

/** Losses shorter than this are not worth a word. */
const BANNER_AFTER_MS = 800;

const side = document.getElementById('side');
const foot = document.getElementById('side-foot');
const banner = document.getElementById('banner');

/** Somebody was logged in since the page was opened. */
let wasIn = false;

async function before(page) {
  const outside = page === 'login';
  window.windsockTheme.bare(outside);
  if (outside) {
    live.stop();
    return;
  }
  await enterSession();
}

async function enterSession() {
  await api.loadSession();
  wasIn = true;
  if (!foot.hasChildNodes()) fill(foot, workspaceSelect(), themeMenu(), userMenu());
  live.start();
}

function after() {
  for (const link of side.querySelectorAll('nav a')) {
    const here = location.pathname === link.pathname || (link.pathname !== '/' && location.pathname.startsWith(`${link.pathname}/`));
    if (here) {
      link.setAttribute('aria-current', 'page');
      // on a narrow window the places are a row that scrolls
      link.parentElement.scrollLeft = link.offsetLeft - link.parentElement.clientWidth / 2;
    }
    else link.removeAttribute('aria-current');
  }
}

function workspaceSelect() {
  const known = api.currentSession()?.workspaces ?? [];
  if (known.length < 2) return null;
  return h('select', {
    class: 'input small workspace',
    'aria-label': 'Workspace',
    value: api.currentWorkspace(),
    onchange: (event) => {
      api.chooseWorkspace(event.target.value);
      live.stop();
      router.go('/');
    },
  }, known.map((one) => h('option', { value: one.id }, one.name ?? one.id)));
}

function themeMenu() {
  const choices = [['system', 'system', 'Like the system'], ['light', 'sun', 'Light'], ['dark', 'moon', 'Dark']];
  return menuButton({
    label: 'Theme',
    iconName: 'sun',
    items: () => choices.map(([value, iconName, text]) => ({
      text, iconName, checked: window.windsockTheme.get() === value, onselect: () => window.windsockTheme.set(value),
    })),
  });
}

function userMenu() {
  const email = api.currentSession()?.email ?? '';
  return menuButton({
    label: `User ${api.username()}`,
    text: api.username(),
    iconName: 'user',
    items: () => [{ text: email ? `Log out ${email}` : 'Log out', onselect: logOut }],
  });
}

async function logOut() {
  try {
    await api.auth.logout();
  } catch (error) {
    toastError(error);
    return;
  }
  leaveSession();
  router.go('/login', { force: true });
}

function leaveSession() {
  api.forgetSession();
  live.stop();
  foot.replaceChildren();
  wasIn = false;
}

let asking = false;
document.addEventListener('windsock:unauthorized', async () => {
  if (location.pathname === '/login' || asking) return;
  if (router.isDirty()) {
    asking = true;
    const ended = wasIn;
    leaveSession();
    const answer = await loginAgain();
    asking = false;
    if (answer) {
      await enterSession().catch(toastError);
      toast('Logged in again; nothing on this page was lost');
    }
    wasIn ||= ended;
    if (answer !== false) return;
  }
  const query = new URLSearchParams();
  if (wasIn) query.set('ended', '');
  leaveSession();
  const back = location.pathname + location.search;
  if (back !== '/') query.set('next', back);
  router.go(query.size > 0 ? `/login?${query}` : '/login', { replace: true, force: true });
});

let bannerTimer = 0;
let bannerShown = false;
/** When the connection was lost; 0 while it is not. */
let lostAt = 0;
live.on('connection', ({ state, nextAttemptAt, stopping }) => {
  clearTimeout(bannerTimer);
  if (state === 'lost') {
    lostAt ||= Date.now();
    bannerTimer = setTimeout(() => showLost(nextAttemptAt, stopping), Math.max(0, lostAt + BANNER_AFTER_MS - Date.now()));
    return;
  }
  lostAt = 0;
  if (state === 'open' && bannerShown) toast('Connected to windsock again');
  bannerShown = false;
  banner.replaceChildren();
});

function showLost(nextAttemptAt, stopping) {
  const due = new Date(nextAttemptAt).toISOString();
  const time = banner.querySelector('ws-time');
  const what = stopping ? 'windsock is being stopped' : 'The connection to windsock is lost';
  if (bannerShown && time && banner.textContent.startsWith(what)) {
    time.setAttribute('datetime', due); // the same banner, so that it is read out once
    return;
  }
  bannerShown = true;
  fill(banner, h('div', { class: 'banner' }, icon('plug'),
    h('p', {}, what, '; what you see may be old. Next attempt ', h('span', { 'aria-hidden': 'true' }, moment(due)), '.'),
    button({ text: 'Try now', kind: 'small', onclick: live.tryNow })));
}

document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault();
  document.getElementById('main').focus();
});

router.start(document.getElementById('main'), { before, after });
