// Initial messages: the ordered list of what is sent or awaited right after connecting. Each item is a raw message, a
// runnable's result, or a wait for a message.
import { codeEditor } from './code.js';
import { h } from './dom.js';
import { field } from './field.js';
import { filterEditor } from './filters.js';
import { orderedList } from './ordered-list.js';
import { runnablePicker } from './runnables.js';
import { runnableArgs } from './schema-form.js';

const KINDS = [['raw_message', 'Raw message'], ['runnable_result', 'Result of a runnable'], ['await_message', 'Wait for a message']];

/** `{element, value, problems()}`; `value` is the API's array. */
export function initialMessages({ value = [], runnables, signal, onchange }) {
  const kindOf = (item) => KINDS.map(([kind]) => kind).find((kind) => kind in item) ?? 'raw_message';
  return orderedList({
    place: 'initial_messages', value, onchange,
    adders: KINDS.map(([kind, text]) => [`Add ${text.toLowerCase()}`, { [kind]: undefined }]),
    make(item) {
      const kind = kindOf(item);
      const editor = EDITORS[kind](item[kind], { runnables, signal, onchange });
      return {
        title: KINDS.find(([one]) => one === kind)[1],
        element: editor.element,
        focus: editor.focus,
        problem: editor.problem,
        place: (name) => editor.place?.(`${name}.${kind}`),
        get value() { return { [kind]: editor.value }; },
      };
    },
  });
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
    const args = runnableArgs({ name: 'args', label: 'Arguments', value: value.args ?? {}, signal, onchange });
    const picker = runnablePicker({
      name: 'path', label: 'Runnable', help: 'Its result is sent: a text as it is, anything else as JSON.', path: value.path ?? '', isFlow: value.is_flow ?? false, runnables, signal,
      onchange: () => {
        args.of(picker.path, picker.isFlow);
        onchange?.();
      },
    });
    args.of(picker.path, picker.isFlow);
    return {
      element: h('div', { class: 'stack-small' }, picker.element, args.element),
      get value() { return { path: picker.path, args: args.value, is_flow: picker.isFlow }; },
      problem: () => (!picker.path ? 'choose a runnable' : args.problem()),
      place(name) {
        picker.element.dataset.field = `${name}.path`;
        args.element.dataset.field = `${name}.args`;
      },
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
      place: (name) => filters.place(`${name}.filters`),
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
