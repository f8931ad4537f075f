// Path field: owner kind, owner and name of a script, trigger or variable, joined to `u/<user>/<name>` or `f/<folder>/<name>`.
import * as api from '../api.js';
import { breakable, fill, h, uid } from './dom.js';

const WORD = /^[\w-]+$/;

/**
 * `{element, value}`; `value` is the whole path as typed. `taken` are paths whose folders are offered.
 */
export function pathField({ value = '', defaultName = '', help, signal, taken = [], onchange }) {
  const [kind0, owner0, ...rest] = value ? value.split('/') : ['u', api.username(), defaultName];
  const ids = { kind: uid('path'), owner: uid('path'), name: uid('path'), list: uid('path'), whole: uid('path') };
  const kind = h('select', { class: 'input', id: ids.kind, value: kind0, 'aria-label': 'Owner kind' },
    [['u', 'User'], ['f', 'Folder'], ['g', 'Group']].filter(([one]) => one !== 'g' || kind0 === 'g').map(([one, text]) => h('option', { value: one, selected: one === kind0 }, text)));
  const owners = h('datalist', { id: ids.list });
  const owner = h('input', { class: 'input', id: ids.owner, value: owner0, list: ids.list, 'aria-label': 'Owner', autocomplete: 'off', spellcheck: 'false' });
  const name = h('input', { class: 'input', id: ids.name, value: rest.join('/'), 'aria-label': 'Name', autocomplete: 'off', spellcheck: 'false' });
  const whole = h('code', { id: ids.whole });
  const error = h('p', { class: 'field-error', id: `${ids.name}-error`, 'aria-live': 'polite' });
  name.setAttribute('aria-describedby', `${ids.whole} ${ids.name}-error`);
  const element = h('fieldset', { class: 'field wide path-field', 'data-field': 'path' },
    h('legend', {}, 'Path'),
    h('div', { class: 'path-parts' }, kind, h('span', { 'aria-hidden': 'true' }, '/'), owner, h('span', { 'aria-hidden': 'true' }, '/'), name),
    h('p', { class: 'help' }, help, ' ', whole), error, owners);

  const folders = new Set(taken.filter((path) => path.startsWith('f/')).map((path) => path.split('/')[1]));
  const offer = () => owners.replaceChildren(...(kind.value === 'f' ? [...folders].sort() : [api.username()]).map((one) => h('option', { value: one })));
  api.folders.list(signal).then((list) => {
    for (const folder of list) folders.add(folder.name);
    offer();
  }, () => {}); // only an offer: without it the folder is typed

  const current = () => `${kind.value}/${owner.value.trim()}/${name.value.trim()}`;
  const update = () => {
    fill(whole, breakable(current()));
    onchange?.(current());
  };
  kind.addEventListener('change', () => {
    owner.value = kind.value === 'u' ? api.username() : [...folders][0] ?? '';
    offer();
    update();
  });
  owner.addEventListener('input', update);
  name.addEventListener('input', update);
  offer();
  fill(whole, breakable(current()));
  return {
    element,
    get value() { return current(); },
    /** What is wrong with the path, or an empty text. */
    problem() {
      if (!owner.value.trim()) return kind.value === 'f' ? 'name a folder' : 'name the user who owns it';
      if (!name.value.trim()) return 'give it a name';
      const words = [owner.value.trim(), ...name.value.trim().split('/')];
      return words.every((word) => WORD.test(word)) ? '' : 'only letters, digits, _ and - are allowed between the slashes';
    },
  };
}
