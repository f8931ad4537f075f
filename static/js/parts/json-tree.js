// JSON tree: a value as foldable lines with copy and download. Large arrays and texts are shown in steps, so that
// a result of many megabytes does not freeze the page.
import { isNested, numberText, parse } from '../json.js';
import { button, copyButton, h, icon } from './dom.js';

const CHILDREN_AT_ONCE = 100;
const TEXT_AT_ONCE = 2000;
const OPEN_CHILDREN_MAX = 30;
/** Longer texts are not looked into. */
const INNER_CHARS_MAX = 1_000_000;

/** The tree with its tools; `name` is the file's name for a download. */
export function jsonView(value, { name = 'value', open = 2, onpick } = {}) {
  const text = () => (typeof value === 'string' ? value : JSON.stringify(value, null, 2));
  return h('div', { class: 'json-view' },
    h('div', { class: 'json-tools' }, onpick && h('span', { class: 'help grow pick-hint', 'aria-hidden': 'true' }), copyButton(text), button({ text: 'Download', iconName: 'download', kind: 'small ghost', onclick: () => download(text(), `${name}.${typeof value === 'string' ? 'txt' : 'json'}`) })),
    h('div', { class: 'json-tree mono' }, node(null, value, open, '', onpick)));
}

/** Saves text as a file. */
export function download(text, name) {
  const url = URL.createObjectURL(new Blob([text], { type: 'application/octet-stream' }));
  const link = h('a', { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

const labelOf = (key) => (key === null ? null : h('span', { class: 'json-key' }, typeof key === 'number' ? `${key}` : key, h('span', { class: 'muted' }, ': ')));

function node(key, value, depth, place, onpick) {
  const inner = typeof value === 'string' ? jsonIn(value) : null;
  if (inner) return jsonText(key, value, inner, depth, place, onpick);
  const label = labelOf(key);
  if (!isNested(value)) return leaf(label, value, place, onpick);
  const array = Array.isArray(value);
  const entries = array ? value.map((item, index) => [index, item]) : Object.entries(value);
  const size = array ? `[${entries.length}]` : `{${entries.length}}`;
  if (entries.length === 0) return h('div', { class: 'json-line' }, label, h('span', { class: 'muted' }, array ? '[]' : '{}'));
  const children = h('div', { class: 'json-children' });
  const details = h('details', { class: 'json-node', open: depth > 0 && (entries.length <= OPEN_CHILDREN_MAX || key === null) },
    h('summary', {}, icon('chevron'), label, h('span', { class: 'muted' }, size), h('span', { class: 'json-peek muted', 'data-peek': peek(value) })), children);
  let shown = 0;
  const more = () => {
    children.querySelector(':scope > .json-more')?.remove();
    for (const [childKey, child] of entries.slice(shown, shown + CHILDREN_AT_ONCE)) {
      children.append(node(childKey, child, depth - 1, place === null || array ? null : join(place, childKey), onpick));
    }
    shown += CHILDREN_AT_ONCE;
    if (shown < entries.length) children.append(h('button', { type: 'button', class: 'btn small json-more', onclick: more }, `Show more (${entries.length - shown} left)`));
  };
  if (details.open) more();
  else details.addEventListener('toggle', more, { once: true });
  return details;
}

/** The dotted path of a key, or null where a filter's path could not reach. */
const join = (place, key) => (String(key).includes('.') ? null : place ? `${place}.${key}` : String(key));

function leaf(label, value, place, onpick) {
  const number = numberText(value);
  const kind = value === null ? 'null' : number ? 'number' : typeof value;
  const text = number ?? (kind === 'string' ? JSON.stringify(value) : String(value));
  const content = h('span', { class: `json-${kind}` }, text.slice(0, TEXT_AT_ONCE));
  const line = h('div', { class: 'json-line' }, label, label && ' ', content);
  if (text.length > TEXT_AT_ONCE) {
    const all = h('button', { type: 'button', class: 'btn small' }, `Show all ${text.length} characters`);
    all.addEventListener('click', () => {
      content.textContent = text;
      all.remove();
    });
    line.append(all);
  }
  if (onpick && place) {
    line.append(h('button', { type: 'button', class: 'btn small ghost json-pick', title: `Filter on ${place} = ${text.slice(0, 60)}`, onclick: () => onpick(place, value) }, 'Filter on this'));
  }
  return line;
}

/** A text that is JSON, as `msg` often is: as the value it stands for, or as it is. */
function jsonText(key, text, inner, depth, place, onpick) {
  const shown = h('div', {});
  const other = h('button', { type: 'button', class: 'btn small ghost json-inner', onclick: () => show(!asText) });
  let asText = false;
  function show(next) {
    asText = next;
    other.textContent = asText ? 'Show as JSON' : 'Show as text';
    shown.replaceChildren(asText ? leaf(labelOf(key), text, place, onpick) : node(key, inner, depth, null));
  }
  show(false);
  return h('div', { class: 'json-text' }, shown, other);
}

/** The object or array a text holds as JSON; else null. */
function jsonIn(text) {
  if (text.length > INNER_CHARS_MAX || !/^\s*[{[]/.test(text)) return null;
  try {
    return parse(text);
  } catch {
    return null;
  }
}

/** A folded object's first keys, so that one need not open it to know it. */
function peek(value) {
  if (Array.isArray(value)) return '';
  const keys = Object.keys(value);
  return keys.slice(0, 4).join(', ') + (keys.length > 4 ? ', …' : '');
}
