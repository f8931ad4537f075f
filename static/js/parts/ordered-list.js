// Ordered list: cards that are moved by buttons, by dragging their head, or removed; each knows its place as the
// server names it (`initial_messages[1]`), so that an error finds its card after it was moved.
import { button, h, icon, setText } from './dom.js';

/**
 * `{element, value, problems()}`. `make(item)` gives `{title, element, value, problem(), place?(name), focus?}`;
 * `adders` are `[text, item]`: a button each that adds such an item.
 */
export function orderedList({ place, value, adders, make, onchange }) {
  const list = h('ol', { class: 'items' });
  const said = h('p', { class: 'visually-hidden', role: 'status' });
  const element = h('div', { class: 'stack-small' }, list, said,
    h('div', { class: 'cluster' }, adders.map(([text, item]) => button({ text, iconName: 'plus', kind: 'small', onclick: () => add(item, true) }))));
  let dragged = null;

  function add(item, focus = false) {
    const editor = make(item);
    const head = h('span', { class: 'item-title' });
    const up = button({ label: 'Move up', iconName: 'up', kind: 'ghost small', onclick: () => move(row, -1, up) });
    const down = button({ label: 'Move down', iconName: 'down', kind: 'ghost small', onclick: () => move(row, 1, down) });
    const remove = button({ label: 'Remove', iconName: 'trash', kind: 'ghost small', onclick: () => {
      row.remove();
      (list.querySelector('li:last-child button') ?? element.querySelector('.cluster .btn'))?.focus();
      renumber();
    } });
    const row = h('li', { class: 'item' },
      h('div', { class: 'item-head', draggable: 'true', title: 'Drag to change the order' }, icon('more'), head, h('span', { class: 'grow' }), up, down, remove),
      editor.element, h('p', { class: 'field-error' }));
    Object.assign(row, { editor, head });
    dragging(row);
    list.append(row);
    renumber();
    if (focus) (editor.focus ?? row.querySelector('textarea, input'))?.focus();
  }

  function dragging(row) {
    const handle = row.firstElementChild;
    handle.addEventListener('dragstart', (event) => {
      dragged = row;
      event.dataTransfer.effectAllowed = 'move';
      event.dataTransfer.setDragImage(row, 10, 10);
    });
    handle.addEventListener('dragend', () => { dragged = null; });
    row.addEventListener('dragover', (event) => {
      if (!dragged || dragged === row || dragged.parentElement !== list) return;
      event.preventDefault();
      const { top, height } = row.getBoundingClientRect();
      if (event.clientY < top + height / 2) row.before(dragged);
      else row.after(dragged);
      renumber();
    });
  }

  function move(row, by, control) {
    const other = by < 0 ? row.previousElementSibling : row.nextElementSibling;
    if (!other) return;
    if (by < 0) other.before(row);
    else other.after(row);
    renumber();
    control.focus();
    setText(said, `moved to place ${[...list.children].indexOf(row) + 1} of ${list.childElementCount}`);
  }

  function renumber() {
    [...list.children].forEach((row, index) => {
      row.dataset.field = `${place}[${index}]`;
      row.editor.place?.(row.dataset.field);
      setText(row.head, `${index + 1}. ${row.editor.title}`);
    });
    onchange?.();
  }

  for (const item of value ?? []) add(item);
  return {
    element,
    get value() { return [...list.children].map((row) => row.editor.value); },
    problems: () => [...list.children].flatMap((row) => {
      const problem = row.editor.problem();
      return problem ? [[row.dataset.field, problem]] : [];
    }),
  };
}
