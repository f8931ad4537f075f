// Pairs editor: an object of texts as rows of name and value; a value may be one of fixed choices.
import { button, h } from './dom.js';

/** `{element, value}`; `value` is the object, undefined when no row is filled in. */
export function pairsEditor({ label, value = {}, names = {}, choices, addText = 'Add', onchange }) {
  const list = h('div', { class: 'pairs' });
  const element = h('div', { class: 'stack-small' }, list,
    h('div', {}, button({ text: addText, iconName: 'plus', kind: 'small', onclick: () => add('', choices?.[0]?.[0] ?? '', true) })));

  function add(name, text, focus = false) {
    const number = list.childElementCount + 1;
    const key = h('input', { class: 'input mono', value: name, placeholder: names.key, 'aria-label': `${label} ${number} name`, spellcheck: 'false', autocomplete: 'off', oninput: onchange });
    const content = choices
      ? h('select', { class: 'input', 'aria-label': `${label} ${number} value`, value: text, onchange }, choices.map(([one, words]) => h('option', { value: one, selected: one === text }, words)))
      : h('input', { class: 'input mono', value: text, placeholder: names.value, 'aria-label': `${label} ${number} value`, spellcheck: 'false', autocomplete: 'off', oninput: onchange });
    const row = h('div', { class: 'pair' }, key, content, button({
      label: `Remove ${label.toLowerCase()} ${number}`, iconName: 'close', kind: 'ghost small',
      onclick: () => {
        row.remove();
        element.querySelector('.pair:last-child input, .btn')?.focus();
        onchange?.();
      },
    }));
    list.append(row);
    if (focus) key.focus();
  }
  for (const [name, text] of Object.entries(value ?? {})) add(name, text);
  return {
    element,
    get value() {
      const rows = [...list.children].map((row) => [...row.querySelectorAll('input, select')].map((one) => one.value));
      const filled = rows.filter(([name]) => name.trim() !== '').map(([name, text]) => [name.trim(), text]);
      return filled.length > 0 ? Object.fromEntries(filled) : undefined;
    },
  };
}
