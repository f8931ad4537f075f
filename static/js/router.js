// Router: which page module shows which path, links and the back button, the guard for unsaved changes.
// A page gets `render(root, params)`: the parts of its path, `query`, an abort `signal`, `guard` and `loaded`.
import { errorState, fill, skeleton } from './parts/dom.js';

/** Path pattern → page module; a group is `name` of the params. `login` pages show without the shell. */
const ROUTES = [
  [/^\/$/, 'home'],
  [/^\/login$/, 'login'],
  [/^\/triggers$/, 'triggers'],
  [/^\/triggers\/new$/, 'trigger-edit'],
  [/^\/triggers\/edit\/(?<path>.+)$/, 'trigger-edit'],
  [/^\/triggers\/view\/(?<path>.+)$/, 'trigger-view'],
  [/^\/scripts$/, 'scripts'],
  [/^\/scripts\/new$/, 'script-edit'],
  [/^\/scripts\/edit\/(?<path>.+)$/, 'script-edit'],
  [/^\/flows$/, 'flows'],
  [/^\/flows\/new$/, 'flow-edit'],
  [/^\/flows\/edit\/(?<path>.+)$/, 'flow-edit'],
  [/^\/runs$/, 'runs'],
  [/^\/runs\/(?<id>[^/]+)$/, 'run'],
  [/^\/variables$/, 'variables'],
  [/^\/resources$/, 'resources'],
  [/^\/settings$/, 'settings'],
  [/^\/settings\/people$/, 'people'],
  [/^\/settings\/audit$/, 'audit'],
];

let root;
let beforeEach;
let afterEach;
let current = null;
let shownUrl = '';

/** Starts routing into `element`; `before(name)` may refuse by throwing, `after(name)` marks the navigation. */
export function start(element, { before, after }) {
  root = element;
  beforeEach = before;
  afterEach = after;
  history.scrollRestoration = 'manual';
  document.addEventListener('click', followLink);
  window.addEventListener('popstate', onPopState);
  window.addEventListener('beforeunload', (event) => {
    if (current?.isDirty?.()) event.preventDefault();
  });
  show();
}

/** Goes to a path of the page, asking first where changes would be lost. */
export async function go(url, { replace = false, force = false } = {}) {
  if (!force && !(await mayLeave())) return;
  if (!replace) rememberScroll();
  history[replace ? 'replaceState' : 'pushState']({}, '', url);
  await show();
}

/** Whether leaving the present page would lose changes. */
export const isDirty = () => Boolean(current?.isDirty?.());

/** Changes the query of the present page without rendering it again. */
export function setQuery(query) {
  const text = query.toString();
  shownUrl = location.pathname + (text ? `?${text}` : '');
  history.replaceState(history.state, '', shownUrl);
}

function rememberScroll() {
  history.replaceState({ ...history.state, scroll: window.scrollY }, '');
}

async function mayLeave() {
  if (!current?.isDirty?.()) return true;
  const { confirm } = await import('./parts/dialog.js');
  return confirm({ title: 'Leave without saving?', text: 'The changes on this page are lost.', action: 'Leave', danger: true });
}

function followLink(event) {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.target.closest?.('a[href]');
  if (!link || link.target || link.hasAttribute('download') || link.origin !== location.origin) return;
  if (link.pathname.startsWith('/api/') || (link.hash && link.pathname === location.pathname)) return;
  event.preventDefault();
  go(link.pathname + link.search);
}

async function onPopState() {
  if (location.pathname + location.search === shownUrl) return; // a jump to an anchor
  if (await mayLeave()) {
    await show();
    return;
  }
  history.pushState({}, '', shownUrl); // the browser has gone back already: come forward again
}

async function show() {
  const { pathname, search } = location;
  const found = match(pathname);
  current?.abort.abort();
  const abort = new AbortController();
  const visit = { abort, isDirty: null };
  current = visit;
  shownUrl = pathname + search;
  const scroll = history.state?.scroll ?? 0;
  const params = {
    ...found.params,
    query: new URLSearchParams(search),
    signal: abort.signal,
    /** Registers a function that tells whether leaving would lose changes. */
    guard: (isDirty) => {
      visit.isDirty = isDirty;
    },
    /** To be called when the page has its full height: goes back to where the visitor was. */
    loaded: () => {
      if (current === visit && scroll > 0) window.scrollTo(0, scroll);
    },
  };
  try {
    fill(root, skeleton(4));
    const loading = import(`./pages/${found.page}.js`); // while the session is asked for
    loading.catch(() => {}); // told below, unless the session's failure comes first
    await beforeEach(found.page);
    const module = await loading;
    if (current !== visit) return;
    root.replaceChildren();
    if (scroll === 0) window.scrollTo(0, 0);
    afterEach(found.page);
    await module.render(root, params);
    if (current === visit) focusHeading();
  } catch (error) {
    if (current !== visit || abort.signal.aborted || error?.status === 401) return;
    fill(root, errorState(error, show));
  }
}

/** A screen reader hears where it is, and the next Tab starts in the new page. */
function focusHeading() {
  if (root.contains(document.activeElement) && document.activeElement !== root) return;
  root.querySelector('h1')?.focus({ preventScroll: true });
}

function match(pathname) {
  const path = pathname.length > 1 ? pathname.replace(/\/+$/, '') : pathname;
  for (const [pattern, page] of ROUTES) {
    const hit = pattern.exec(path || '/');
    if (!hit) continue;
    try {
      const params = Object.fromEntries(Object.entries(hit.groups ?? {}).map(([name, value]) => [name, decodeURIComponent(value)]));
      return { page, params };
    } catch {
      break; // a path that is not valid percent-encoding
    }
  }
  return { page: 'not-found', params: {} };
}
