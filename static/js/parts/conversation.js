// Conversation: the rules that answer messages at once or store values from them, as cards in their order.
import { codeEditor } from './code.js';
import { h } from './dom.js';
import { checkField, field, groupField } from './field.js';
import { filterEditor } from './filters.js';
import { orderedList } from './ordered-list.js';
import { pairsEditor } from './pairs.js';
import { runnablePicker } from './runnables.js';
import { runnableArgs } from './schema-form.js';

/** `{element, value, problems()}`; `value` is the API's array. */
export const conversationEditor = ({ value = [], runnables, signal, onchange }) => orderedList({
  place: 'conversation', value, onchange,
  adders: [['Add rule', { on: { filters: [{ key: '' }] } }]],
  make: (rule) => ruleEditor(rule, { runnables, signal, onchange }),
});

function ruleEditor(rule, { runnables, signal, onchange }) {
  const on = filterEditor({ filters: rule.on?.filters ?? [], logic: rule.on?.filter_logic ?? 'and', verb: 'Applies', onchange });
  const send = codeEditor({ value: rule.send ?? '', rows: 2, label: 'Answer' });
  send.control.placeholder = '{"op": "pong", "id": {{msg.id}}}';
  send.control.addEventListener('input', onchange);
  const answer = field({ name: '', label: 'Answer with this text', help: 'A template: {{msg.a.b}}, {{vars.name}}, {{counter()}}, {{now_ms()}}. Sent at once, without a job. Default: no answer.', control: send, wide: true });
  const args = runnableArgs({ name: '', label: 'Arguments', help: 'The message is added as msg.', value: rule.send_runnable?.args ?? {}, signal, onchange });
  const picker = runnablePicker({
    name: '', label: 'Answer with a runnable’s result', help: 'It runs as a job; later messages do not wait for it. Default: none.', path: rule.send_runnable?.path ?? '', isFlow: rule.send_runnable?.is_flow ?? false, runnables, signal,
    onchange: () => {
      showArgs();
      onchange?.();
    },
  });
  const showArgs = () => {
    args.element.hidden = !picker.path;
    args.of(picker.path, picker.isFlow);
  };
  showArgs();
  const set = pairsEditor({ label: 'Stored value', value: rule.set ?? {}, names: { key: 'session_id', value: 'd.session_id' }, addText: 'Add stored value', onchange });
  const setField = groupField({ name: '', label: 'Store from the message', help: 'Name and dotted path; used as {{vars.name}}. Kept over restarts. Default: none.', body: set.element });
  const once = checkField({ name: '', label: 'Only the first time', help: 'Once for each connection. Default: off.', checked: rule.once, onchange });
  const away = checkField({ name: '', label: 'Keep it from the filters', help: 'The message runs no job: for acknowledgements and heartbeats. Default: off.', checked: rule.trigger === false, onchange });
  const read = () => ({
    on: { filters: on.filters, ...(on.logic === 'or' ? { filter_logic: 'or' } : {}) },
    ...(send.value === '' ? {} : { send: send.value }),
    ...(picker.path ? { send_runnable: { path: picker.path, args: args.value, is_flow: picker.isFlow } } : {}),
    ...(set.value ? { set: set.value } : {}),
    ...(once.control.checked ? { once: true } : {}),
    ...(away.control.checked ? { trigger: false } : {}),
  });
  return {
    title: 'Rule',
    element: h('div', { class: 'stack-small' }, h('h3', {}, 'For a message that matches'), on.element, answer, picker.element, args.element, setField,
      h('div', { class: 'field-grid' }, once.element, away.element)),
    get value() { return read(); },
    problem() {
      const filters = on.problems()[0]?.[1] ?? (on.filters.length === 0 ? 'say which messages the rule is for' : '');
      if (filters) return filters;
      const { send: text, send_runnable: runnable, set: stored, trigger } = read();
      if (text === undefined && !runnable && !stored && trigger !== false) return 'the rule does nothing yet: give it an answer, a value to store, or keep the message from the filters';
      return runnable ? args.problem() : '';
    },
    place(name) {
      on.place(`${name}.on.filters`);
      answer.dataset.field = `${name}.send`;
      picker.element.dataset.field = `${name}.send_runnable`;
      args.element.dataset.field = `${name}.send_runnable.args`;
      setField.dataset.field = `${name}.set`;
      once.element.dataset.field = `${name}.once`;
      away.element.dataset.field = `${name}.trigger`;
    },
  };
}
