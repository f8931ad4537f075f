// Initial messages: the ordered list of what is sent or awaited right after connecting. Items are moved by buttons
// or by dragging their handle; each is a raw message, a runnable's result, or a wait for a message.
import { codeEditor } from './code.js';
import { button, h, icon, setText } from './dom.js';
import { field } from './field.js';
import { filterEditor } from './filters.js';
import { runnablePicker } from './runnables.js';

const KINDS = [['raw_message', 'Raw message'], ['runnable_result', 'Result of a runnable'], ['await_message', 'Wait for a message']];

/** `{element, value, problems()}`; `value` is the API's array. */
export function initialMessages({ value = [], runnables, signal, onchange }) {
  const list = h('ol', { class: 'items' });
  const said = h('p', { class: 'visually-hidden', role: 'status' });
  const element = h('div', { class: 'stack-small' }, list, said,
    h('div', { class: 'cluster' }, KINDS.map(([kind, text]) => button({ text: `Add ${text.toLowerCase()}`, iconName: 'plus', kind: 'small', onclick: () => add({ [kind]: undefined }, true) }))));
  let dragged = null;

  function add(item, focus = false) {
    const kind = KINDS.map(([one]) => one).find((one) => one in item) ?? 'raw_message';
    const editor = EDITORS[kind](item[kind], { runnables, signal, onchange });
    const head = h('span', { class: 'item-title' });
    const up = button({ label: 'Move up', iconName: 'up', kind: 'ghost small', onclick: () => move(row, -1, up) });
    const down = button({ label: 'Move down', iconName: 'down', kind: 'ghost small', onclick: () => move(row, 1, down) });
    const remove = button({ label: 'Remove', iconName: 'trash', kind: 'ghost small', onclick: () => {
      row.remove();
      element.querySelector('.items li:last-child button, .cluster .btn')?.focus();
      renumber();
    } });
    const row = h('li', { class: 'item' },
      h('div', { class: 'item-head', draggable: 'true', title: 'Drag to change the order' }, icon('more'), head, h('span', { class: 'grow' }), up, down, remove),
      editor.element, h('p', { class: 'field-error' }));
    Object.assign(row, { editor, kind, head });
    const handle = row.firstElementChild;
    handle.addEventListener('dragstart', (event) => {
      dragged = row;
      event.dataTransfer.effectAllowed = 'move';
      event.dataTransfer.setDragImage(row, 10, 10);
    });
    handle.addEventListener('dragend', () => { dragged = null; });
    row.addEventListener('dragover', (event) => {
      if (!dragged || dragged === row) return;
      event.preventDefault();
      const { top, height } = row.getBoundingClientRect();
      if (event.clientY < top + height / 2) row.before(dragged);
      else row.after(dragged);
      renumber();
    });
    list.append(row);
    renumber();
    if (focus) (editor.focus ?? row.querySelector('textarea, input'))?.focus();
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
      row.dataset.field = `initial_messages[${index}]`;
      setText(row.head, `${index + 1}. ${KINDS.find(([kind]) => kind === row.kind)[1]}`);
    });
    onchange?.();
  }

  for (const item of value ?? []) add(item);
  return {
    element,
    get value() { return [...list.children].map((row) => ({ [row.kind]: row.editor.value })); },
    problems: () => [...list.children].flatMap((row) => {
      const problem = row.editor.problem();
      return problem ? [[row.dataset.field, problem]] : [];
    }),
  };
}

const EDITORS = {
  raw_message(value = '', { onchange }) {
    const code = codeEditor({ value, language: 'json', label: 'Raw message', rows: 2 });
    const warning = h('p', { class: 'help warn', hidden: true }, 'This is not JSON. It is sent as it stands, which may be what you want.');
    const check = () => {
      warning.hidden = code.value.trim() === '' || isJson(code.value) || code.value.includes('{{');
    };
    code.control.addEventListener('input', () => {
      check();
      onchange?.();
    });
    check();
    return { element: h('div', {}, code, warning), get value() { return code.value; }, problem: () => '', focus: code.control };
  },
  runnable_result(value = {}, { runnables, signal, onchange }) {
    const picker = runnablePicker({ name: '', label: 'Runnable', help: 'Its result is sent: a text as it is, anything else as JSON.', path: value.path ?? '', isFlow: value.is_flow ?? false, runnables, signal, onchange });
    const args = codeEditor({ value: JSON.stringify(value.args ?? {}, null, 2), rows: 2 });
    args.control.addEventListener('input', onchange);
    return {
      element: h('div', { class: 'stack-small' }, picker.element, field({ name: '', label: 'Arguments (JSON object)', control: args })),
      get value() { return { path: picker.path, args: parse(args.value), is_flow: picker.isFlow }; },
      problem: () => (!picker.path ? 'choose a runnable' : isJson(args.value) ? '' : 'the arguments are not valid JSON'),
    };
  },
  await_message(value = {}, { onchange }) {
    const filters = filterEditor({ filters: value.filters ?? [{ key: '' }], logic: value.filter_logic ?? 'and', verb: 'Waits', onchange });
    const timeout = h('input', { class: 'input', type: 'number', min: '1', value: value.timeout_secs ?? '', placeholder: '30', oninput: onchange });
    return {
      element: h('div', { class: 'stack-small' }, filters.element, field({ name: '', label: 'Give up after (seconds)', help: 'Default 30. Without the message the connection counts as failed and is tried again.', control: timeout })),
      get value() {
        return {
          filters: filters.filters,
          ...(filters.logic === 'or' ? { filter_logic: 'or' } : {}),
          ...(timeout.value === '' ? {} : { timeout_secs: Number(timeout.value) }),
        };
      },
      problem: () => filters.problems()[0]?.[1] ?? (filters.filters.length === 0 ? 'say which message to wait for' : ''),
    };
  },
};

function isJson(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

const parse = (text) => (text.trim() === '' ? {} : JSON.parse(text));
