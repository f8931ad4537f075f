// Fields from a description: builds the control for each kind and reads its value back; an untouched, empty field
// reads as undefined, so that only what the user set is sent.
import { isObject, parse } from '../json.js';
import { codeEditor } from './code.js';
import { h } from './dom.js';
import { conversationEditor } from './conversation.js';
import { checkField, field, groupField } from './field.js';
import { filterEditor } from './filters.js';
import { pairsEditor } from './pairs.js';
import { runnablePicker } from './runnables.js';
import { runnableArgs } from './schema-form.js';

/**
 * `{element, name, read(), problem()}` for `{name, kind, label, help, …}` and the value saved before; `around` holds
 * `onchange`, and `runnables` and `signal` for the fields that pick one. `problems()`, where there is one, names places inside.
 */
export function specField(spec, value, around) {
  return { name: spec.name, ...KINDS[spec.kind](spec, value, around.onchange, around) };
}

function labelled(spec, control, wide = false) {
  return field({ name: spec.name, label: spec.label, help: spec.help, control, wide: wide || spec.wide });
}

const KINDS = {
  text(spec, value, onchange) {
    const control = h('input', { class: spec.mono ? 'input mono' : 'input', value: value ?? '', placeholder: spec.placeholder, spellcheck: 'false', autocomplete: 'off', oninput: onchange });
    return { element: labelled(spec, control), read: () => control.value.trim() || undefined, problem: () => '' };
  },
  area(spec, value, onchange) {
    const control = h('textarea', { class: 'input mono', rows: '3', value: value ?? '', placeholder: spec.placeholder, spellcheck: 'false', autocomplete: 'off', oninput: onchange });
    return { element: labelled(spec, control, true), read: () => (control.value.trim() ? control.value : undefined), problem: () => '' };
  },
  number(spec, value, onchange) {
    const control = h('input', { class: 'input', type: 'number', min: spec.min ?? 0, max: spec.max, step: spec.step ?? 1, value: value ?? '', placeholder: spec.placeholder, oninput: onchange });
    return {
      element: labelled(spec, control),
      read: () => (control.value === '' ? undefined : Number(control.value)),
      problem: () => (control.validity.badInput ? 'enter a number' : control.validity.valid ? '' : control.validationMessage.toLowerCase().replace(/\.$/, '')),
    };
  },
  list(spec, value, onchange) {
    const control = h('input', { class: spec.mono ? 'input mono' : 'input', value: (value ?? []).join(', '), placeholder: spec.placeholder, spellcheck: 'false', autocomplete: 'off', oninput: onchange });
    const read = () => {
      const items = control.value.split(',').map((item) => item.trim()).filter(Boolean);
      return items.length > 0 ? items : undefined;
    };
    return { element: labelled(spec, control), read, problem: () => '' };
  },
  select(spec, value, onchange) {
    const control = h('select', { class: 'input', value: value ?? '', onchange }, spec.options.map(([one, text]) => h('option', { value: one, selected: one === (value ?? '') }, text)));
    return { element: labelled(spec, control), read: () => control.value || undefined, problem: () => '' };
  },
  check(spec, value, onchange) {
    const { element, control } = checkField({ ...spec, checked: value === true, onchange });
    return { element, read: () => (control.checked ? true : value === undefined ? undefined : false), problem: () => '' };
  },
  pairs(spec, value, onchange) {
    const pairs = pairsEditor({ label: spec.label, value: value ?? {}, names: spec.names, choices: spec.choices, addText: spec.addText, onchange });
    return { element: groupField({ ...spec, body: pairs.element }), read: () => pairs.value, problem: () => '' };
  },
  /** A condition with a time limit: which message is expected, and within how long. */
  expect(spec, value, onchange) {
    const filters = filterEditor({ filters: value?.filters ?? [], logic: value?.filter_logic ?? 'and', verb: 'Waits', every: 'No answer is expected.', place: `${spec.name}.filters`, onchange });
    const timeout = h('input', { class: 'input', type: 'number', min: '1', value: value?.timeout_secs ?? '', placeholder: 'such as 10', oninput: onchange });
    const limit = field({ name: `${spec.name}.timeout_secs`, label: 'Within (seconds)', help: 'After a heartbeat, such a message has to come in this time.', control: timeout });
    return {
      element: groupField({ ...spec, body: h('div', { class: 'stack-small' }, filters.element, limit) }),
      read: () => (filters.filters.length === 0 ? undefined : {
        filters: filters.filters, ...(filters.logic === 'or' ? { filter_logic: 'or' } : {}), ...(timeout.value === '' ? {} : { timeout_secs: Number(timeout.value) }),
      }),
      problem: () => (filters.filters.length > 0 && timeout.value === '' ? 'say within how many seconds the message has to come' : ''),
      problems: () => filters.problems(),
    };
  },
  conversation(spec, value, onchange, { runnables, signal }) {
    const rules = conversationEditor({ value: value ?? [], runnables, signal, onchange });
    return {
      element: groupField({ ...spec, body: rules.element }),
      read: () => (rules.value.length > 0 ? rules.value : undefined),
      problem: () => '',
      problems: () => rules.problems(),
    };
  },
  /** A script's path; its arguments are the field named in `args`. */
  runnable(spec, value, onchange, { runnables, signal, from }) {
    const scripts = runnables.then((all) => all.filter((one) => !one.isFlow));
    scripts.catch(() => {});
    const args = runnableArgs({ name: spec.args, label: spec.argsLabel, help: spec.argsHelp, value: valueAt(from, spec.args) ?? {}, signal, onchange });
    const picker = runnablePicker({ name: spec.name, label: spec.label, help: spec.help, path: value ?? '', runnables: scripts, template: spec.template, signal, onchange: () => { show(); onchange?.(); } });
    const show = () => { args.element.hidden = !picker.path; };
    show();
    const given = () => picker.path && Object.keys(args.value).length > 0;
    return {
      element: h('div', { class: 'wide stack-small' }, picker.element, args.element),
      read: () => picker.path || undefined,
      problem: () => '',
      problems: () => (picker.path && args.problem() ? [[spec.args, args.problem()]] : []),
      others: [{ name: spec.args, read: () => (given() ? args.value : undefined) }],
    };
  },
  json(spec, value, onchange) {
    const code = codeEditor({ value: value === undefined || value === null ? '' : JSON.stringify(value, null, 2), rows: 2 });
    code.control.placeholder = spec.placeholder ?? '';
    code.control.addEventListener('input', onchange);
    const problem = () => {
      if (code.value.trim() === '') return '';
      try {
        const parsed = parse(code.value);
        if (spec.shape === 'object' && !isObject(parsed)) return 'this has to be a JSON object';
        if (spec.shape === 'array' && !Array.isArray(parsed)) return 'this has to be a JSON array';
        return '';
      } catch (error) {
        return `this is not valid JSON: ${error.message}`;
      }
    };
    return { element: labelled(spec, code, true), read: () => (code.value.trim() === '' || problem() ? undefined : parse(code.value)), problem };
  },
};

/** The value at a dotted name, or undefined. */
export const valueAt = (object, name) => name.split('.').reduce((inner, key) => inner?.[key] ?? undefined, object);

/** Sets a dotted name, making the objects on the way. */
export function setAt(object, name, value) {
  const keys = name.split('.');
  const last = keys.pop();
  const inner = keys.reduce((at, key) => (at[key] ??= {}), object);
  inner[last] = value;
}

/**
 * The fields' values as a body. A top-level field the saved object had and nobody filled in any more is sent as null
 * (`labels` as an empty list), because absent would mean unchanged.
 */
export function readFields(fields, saved) {
  const body = {};
  const every = fields.flatMap((one) => [one, ...(one.others ?? [])]);
  for (const one of every) {
    const value = one.read();
    if (value !== undefined) setAt(body, one.name, value);
  }
  for (const top of new Set(every.map((one) => one.name.split('.')[0]))) {
    const before = saved?.[top];
    if (!(top in body) && before !== undefined && before !== null && before.length !== 0) body[top] = Array.isArray(before) && top === 'labels' ? [] : null;
  }
  return body;
}
