// DOM helpers: builds elements, icons, page heads, and the empty, loading and error states every page shares.
// Text always goes in as text nodes; nothing in windsock's page parses HTML from data.

const PROPERTIES = new Set(['checked', 'disabled', 'hidden', 'selected', 'open', 'readOnly', 'required', 'indeterminate']);

/** Builds an element: `h('a', {href, class, onclick}, 'text', child)`. Absent values are left out. */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || name === 'value') continue;
    if (name === 'class') element.className = value;
    else if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (PROPERTIES.has(name)) element[name] = value;
    else if (name.startsWith('aria-')) element.setAttribute(name, String(value));
    else if (value !== false) element.setAttribute(name, value === true ? '' : value);
  }
  put(element, ...children);
  // after the children, as a select takes only a value that one of its options has
  if (props?.value !== undefined && props.value !== null) element.value = props.value;
  return element;
}

/** Appends children, skipping absent ones. */
export function put(element, ...children) {
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Replaces all children. */
export function fill(element, ...children) {
  element.replaceChildren();
  return put(element, ...children);
}

let lastId = 0;

/** A fresh element id. */
export function uid(prefix = 'id') {
  lastId += 1;
  return `${prefix}-${lastId}`;
}

/** Sets text only where it differs, so that nothing is laid out again for equal text. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const ICONS = {
  triggers: 'M3 13a8 8 0 0 1 0-10M13 3a8 8 0 0 1 0 10M5.5 11a4.5 4.5 0 0 1 0-6M10.5 5a4.5 4.5 0 0 1 0 6M8 8h.01',
  scripts: 'm5 4.5-3.5 3.5L5 11.5M11 4.5 14.5 8 11 11.5M9.2 3 6.8 13',
  runs: 'M2.5 3.5h7M2.5 8h5M2.5 12.5h5M10.5 8.2v5l4-2.5z',
  variables: 'M5.5 2.5c-3 0-1 5-3.5 5.5 2.5.5.5 5.5 3.5 5.5M10.5 2.5c3 0 1 5 3.5 5.5-2.5.5-.5 5.5-3.5 5.5',
  flows: 'M2 3h4v3H2zM10 10h4v3h-4zM10 3h4v3h-4zM6 4.5h4M8 4.5v7h2',
  home: 'M2.5 7.5 8 3l5.5 4.5M4 6.5V13h8V6.5M6.8 13V9.5h2.4V13',
  resources: 'M8 2 2.5 4.8v6.4L8 14l5.5-2.8V4.8zM2.5 4.8 8 7.6l5.5-2.8M8 7.6V14',
  settings: 'M2.5 4.5h6M11.5 4.5h2M2.5 11.5h2M7.5 11.5h6M10 3v3M6 10v3',
  bell: 'M4 11V7a4 4 0 0 1 8 0v4l1 1.5H3zM6.8 14h2.4',
  key: 'M6 10.5a3.5 3.5 0 1 1 3.2-4.9H14v2.6h-1.6v1.6H10V8.4h-.8A3.5 3.5 0 0 1 6 10.5zM5.8 7h.01',
  health: 'M1.5 8.5H5l1.5-4 3 7.5 1.5-3.5h3.5',
  eye: 'M1.5 8S4 3.5 8 3.5 14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8zM8 10a2 2 0 1 0 0-4 2 2 0 0 0 0 4z',
  plus: 'M8 3v10M3 8h10',
  search: 'M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10zM10.8 10.8 14 14',
  more: 'M8 2.9a.6.6 0 1 0 0 1.2.6.6 0 0 0 0-1.2zM8 7.4a.6.6 0 1 0 0 1.2.6.6 0 0 0 0-1.2zM8 11.9a.6.6 0 1 0 0 1.2.6.6 0 0 0 0-1.2z',
  sun: 'M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1',
  moon: 'M13.5 9.5A6 6 0 0 1 6.5 2.5a6 6 0 1 0 7 7z',
  system: 'M2 3h12v8H2zM6 14h4',
  user: 'M8 8a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM2.5 14c.5-3 2.5-4.5 5.5-4.5s5 1.5 5.5 4.5',
  close: 'm3.5 3.5 9 9M12.5 3.5l-9 9',
  check: 'm3 8.5 3.5 3.5L13 4.5',
  chevron: 'm6 3.5 4.5 4.5L6 12.5',
  play: 'M4.5 3v10l8-5z',
  pause: 'M5 3v10M11 3v10',
  stop: 'M3.5 3.5h9v9h-9z',
  copy: 'M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3',
  download: 'M8 2v8M4.5 7 8 10.5 11.5 7M2.5 13.5h11',
  trash: 'M2.5 4.5h11M6 4.5v-2h4v2M4 4.5l.7 9h6.6l.7-9',
  edit: 'm9.5 3.5 3 3-7 7h-3v-3z',
  up: 'M8 13V3M4 7l4-4 4 4',
  down: 'M8 3v10M4 9l4 4 4-4',
  refresh: 'M13 3v3.5H9.5M13 6.5A5.5 5.5 0 1 0 13.3 9.5',
  alert: 'M8 2 1.5 13.5h13zM8 6.5v3M8 11.5v.01',
  plug: 'M5.5 1.5v3M10.5 1.5v3M3.5 4.5h9V7a4.5 4.5 0 0 1-9 0zM8 11.5v3',
  clock: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 4.5V8l2.5 1.5',
};

/** A decorative 16-pixel line icon in the current text colour. */
export function icon(name) {
  const ns = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(ns, 'svg');
  for (const [key, value] of [['viewBox', '0 0 16 16'], ['class', 'icon'], ['aria-hidden', 'true'], ['focusable', 'false']]) {
    svg.setAttribute(key, value);
  }
  const path = document.createElementNS(ns, 'path');
  path.setAttribute('d', ICONS[name] ?? '');
  svg.append(path);
  return svg;
}

/** A button with an icon before its text; `label` alone makes an icon button with that accessible name. */
export function button({ text, label, iconName, kind = '', type = 'button', ...props }) {
  const classes = `btn ${kind} ${text ? '' : 'icon-only'}`.trim();
  return h('button', { class: classes, type, 'aria-label': label, title: text ? undefined : label, ...props },
    iconName && icon(iconName), text && h('span', {}, text));
}

/** A link that looks like a button. */
export function linkButton({ text, href, iconName, kind = '' }) {
  return h('a', { class: `btn ${kind}`.trim(), href }, iconName && icon(iconName), h('span', {}, text));
}

/** A path's text, to be broken after its slashes and underscores before it is broken within a word. */
export const breakable = (text) => text.split(/(?<=[/_])/).flatMap((part, index) => (index > 0 ? [h('wbr'), part] : [part]));

/** The head of a page: its only `h1`, a line below it, and actions at the right. Sets the window's title. */
export function pageHead({ title, lead, crumbs = [], actions = [] }) {
  document.title = `${title} · windsock`;
  return h('div', { class: 'page-head' },
    h('div', { class: 'page-title' },
      crumbs.length > 0 && h('nav', { class: 'crumbs', 'aria-label': 'Breadcrumb' },
        crumbs.map(([text, href]) => [h('a', { href }, breakable(text)), h('span', { 'aria-hidden': 'true' }, '/')])),
      h('h1', { tabindex: '-1' }, breakable(title)),
      lead && h('p', { class: 'lead' }, lead)),
    actions.length > 0 && h('div', { class: 'actions' }, actions));
}

/** What a list without rows says: what it is for and what to do next. */
export function emptyState({ iconName, title, text, actions = [] }) {
  return h('div', { class: 'empty' }, iconName && icon(iconName), h('h2', {}, title), h('p', {}, text),
    actions.length > 0 && h('div', { class: 'cluster center' }, actions));
}

/** What stands where something could not be loaded. */
export function errorState(error, retry) {
  return h('div', { class: 'empty bad', role: 'alert' }, icon('alert'), h('h2', {}, 'This could not be loaded'),
    h('p', {}, error?.message ?? String(error)),
    retry && h('div', { class: 'cluster center' }, button({ text: 'Try again', iconName: 'refresh', onclick: retry })));
}

/** Grey bars in the place of rows that are on their way. */
export function skeleton(rows = 5, height = 'row') {
  return h('div', { class: 'skeletons', 'aria-busy': 'true', role: 'status' }, h('span', { class: 'visually-hidden' }, 'Loading'),
    Array.from({ length: rows }, () => h('div', { class: `skeleton ${height}` })));
}

/** Copies text and says so on the button for a moment. */
export function copyButton(getText, label = 'Copy') {
  const element = button({ text: label, iconName: 'copy', kind: 'small ghost' });
  element.addEventListener('click', async () => {
    const span = element.querySelector('span');
    try {
      await navigator.clipboard.writeText(getText());
      setText(span, 'Copied');
    } catch {
      setText(span, 'Copying is blocked');
    }
    setTimeout(() => setText(span, label), 1500);
  });
  return element;
}
