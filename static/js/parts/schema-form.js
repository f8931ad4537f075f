// Schema form: fields made from a JSON Schema object, for the arguments of a script or a flow. The same values can be
// edited as JSON; what the form cannot show (no schema, unknown types) is edited as JSON from the start.
import * as api from '../api.js';
import { isObject, parse } from '../json.js';
import { codeEditor } from './code.js';
import { fill, h } from './dom.js';
import { checkField, field, groupField, radioGroup, setFieldError } from './field.js';

/** Nested objects deeper than this are edited as JSON. */
const DEPTH_MAX = 3;

/** A path is typed letter by letter; its schema is asked for when the typing pauses. */
const TYPING_MS = 200;

const typeOf = (schema) => (Array.isArray(schema?.type) ? schema.type.find((one) => one !== 'null') : schema?.type);
const optional = (schema) => Array.isArray(schema?.type) && schema.type.includes('null');

/** Names in the schema's own order, else the required ones first. */
function namesOf(schema) {
  const names = Object.keys(schema?.properties ?? {});
  const order = schema?.order ?? schema?.required ?? [];
  const rank = (name) => (order.includes(name) ? order.indexOf(name) : order.length);
  return names.sort((one, other) => rank(one) - rank(other));
}

/** Whether a schema says enough for a form. */
export const hasFields = (schema) => namesOf(schema).length > 0;

function helpOf(schema, required) {
  const words = [schema.description?.trim(), schema.default !== undefined && `Default ${JSON.stringify(schema.default)}.`, !required && schema.default === undefined && 'May be left out.'];
  return words.filter(Boolean).join(' ') || undefined;
}

/** `{element, read(), problem(), empty()}` of one property; an untouched empty field reads as undefined, and is empty. */
function property(name, schema, value, { required, depth, onchange }) {
  const type = typeOf(schema);
  const label = schema.title ?? name;
  const help = helpOf(schema, required);
  const hint = [schema.originalType && schema.originalType !== 'enum' ? schema.originalType : type, schema.format].filter(Boolean).join(', ');
  const labelled = (control, wide = false) => field({ name, label, help, hint, control, wide });
  if (Array.isArray(schema.enum)) {
    const texts = schema.enum.map((one) => [JSON.stringify(one), typeof one === 'string' ? one : JSON.stringify(one)]);
    const control = h('select', { class: 'input', onchange, value: value === undefined ? '' : JSON.stringify(value) }, h('option', { value: '' }, required ? 'Choose…' : 'Not set'), texts.map(([one, text]) => h('option', { value: one }, text)));
    return { element: labelled(control), read: () => (control.value === '' ? undefined : parse(control.value)), problem: () => '', empty: () => control.value === '' };
  }
  if (type === 'boolean' && !optional(schema)) {
    const { element, control } = checkField({ name, label, help, checked: value ?? schema.default, onchange });
    return { element, read: () => control.checked, problem: () => '', empty: () => value === undefined && control.checked === Boolean(schema.default) };
  }
  if (type === 'number' || type === 'integer') {
    const control = h('input', { class: 'input', type: 'number', step: type === 'integer' ? '1' : 'any', min: schema.minimum, max: schema.maximum, value: value ?? '', placeholder: schema.default ?? '', oninput: onchange });
    return {
      element: labelled(control), read: () => (control.value === '' ? undefined : Number(control.value)),
      problem: () => (control.validity.badInput ? 'enter a number' : control.validity.valid ? '' : control.validationMessage.toLowerCase().replace(/\.$/, '')),
      empty: () => control.value === '' && !control.validity.badInput,
    };
  }
  if (type === 'string') {
    const long = schema.format === 'textarea' || String(value ?? '').includes('\n') || String(value ?? '').length > 60 || name === 'msg';
    const control = long
      ? h('textarea', { class: 'input mono', rows: '3', spellcheck: 'false', oninput: onchange, value: value ?? '' })
      : h('input', { class: 'input', type: schema.format === 'password' ? 'password' : 'text', autocomplete: 'off', spellcheck: 'false', value: value ?? '', placeholder: schema.default ?? '', oninput: onchange });
    // a text that was there stays there when it is emptied; one that never was is left out
    const touched = value !== undefined || required;
    return { element: labelled(control, long), read: () => (control.value === '' && !touched ? undefined : control.value), problem: () => '', empty: () => control.value === '' && value === undefined };
  }
  if (type === 'object' && hasFields(schema) && depth < DEPTH_MAX) {
    const inner = fields(schema, isObject(value) ? value : {}, depth + 1, onchange);
    const empty = () => value === undefined && inner.empty();
    const leftOut = () => !required && empty();
    return {
      element: groupField({ name, label, help, body: h('div', { class: 'field-grid nested' }, inner.elements) }),
      read: () => (leftOut() ? undefined : inner.read()), problem: () => (leftOut() ? inner.clear() : inner.problem()), empty,
    };
  }
  const control = codeEditor({ value: value === undefined ? '' : JSON.stringify(value, null, 2), rows: 2 });
  control.control.placeholder = type === 'array' ? '[]' : type === 'object' ? '{}' : 'JSON';
  control.control.addEventListener('input', onchange);
  const element = field({ name, label, help, hint: hint ? `${hint}, JSON` : 'JSON', control, wide: true });
  const problem = () => {
    if (control.value.trim() === '') return '';
    try {
      const parsed = parse(control.value);
      if (type === 'array' && !Array.isArray(parsed)) return 'this has to be a JSON array';
      if (type === 'object' && !isObject(parsed)) return 'this has to be a JSON object';
      return '';
    } catch (error) {
      return `this is not valid JSON: ${error.message}`;
    }
  };
  return { element, read: () => (control.value.trim() === '' || problem() ? undefined : parse(control.value)), problem, empty: () => control.value.trim() === '' };
}

function fields(schema, values, depth, onchange) {
  const required = new Set(schema.required ?? []);
  const all = namesOf(schema).map((name) => [name, property(name, schema.properties[name] ?? {}, values[name], { required: required.has(name), depth, onchange })]);
  // values the schema does not know are kept as they are
  const others = Object.fromEntries(Object.entries(values).filter(([name]) => !Object.hasOwn(schema.properties ?? {}, name)));
  const read = () => ({ ...others, ...Object.fromEntries(all.map(([name, one]) => [name, one.read()]).filter(([, value]) => value !== undefined)) });
  const problem = () => {
    let first = '';
    for (const [name, one] of all) {
      const text = one.problem() || (required.has(name) && one.read() === undefined && schema.properties[name]?.default === undefined ? 'enter a value' : '');
      setFieldError(one.element, text);
      first ||= text && `${name}: ${text}`;
    }
    return first;
  };
  /** Takes back what was said of the fields; there is no problem then. */
  const clear = () => {
    for (const [, one] of all) setFieldError(one.element, '');
    return '';
  };
  return { elements: all.map(([, one]) => one.element), read, problem, clear, empty: () => all.every(([, one]) => one.empty()) };
}

/**
 * `{element, value, problem(), use(schema, value?), set(value)}`: the arguments as a form or as JSON. `use` takes another schema
 * and keeps what was entered.
 */
export function schemaForm({ name = 'args', label = 'Arguments', help, schema = null, value = {}, onchange }) {
  let present = schema;
  let inner = null;
  let code = null;
  const body = h('div', {});
  const choice = radioGroup({ label: `${label} as`, options: [['form', 'Form'], ['json', 'JSON']], value: 'form', onchange: (kind) => {
    if (kind === 'form' && problem()) choice.set('json'); // what is half typed is not thrown away
    else show(kind, read());
  } });
  const element = groupField({ name, label, help, body: h('div', { class: 'stack-small' }, choice.element, body) });
  element.classList.add('schema-form');

  function show(kind, values) {
    choice.element.hidden = !hasFields(present);
    inner = code = null;
    if (kind === 'form' && hasFields(present)) {
      inner = fields(present, values, 0, onchange);
      fill(body, h('div', { class: 'field-grid' }, inner.elements));
      return;
    }
    code = codeEditor({ value: Object.keys(values).length === 0 ? '' : JSON.stringify(values, null, 2), rows: 3, label: `${label} (JSON)` });
    code.control.placeholder = '{}';
    code.control.addEventListener('input', onchange);
    fill(body, code);
  }

  function read() {
    if (inner) return inner.read();
    try {
      const parsed = code.value.trim() === '' ? {} : parse(code.value);
      return isObject(parsed) ? parsed : {};
    } catch {
      return {};
    }
  }

  function problem() {
    if (inner) return inner.problem();
    let text = '';
    try {
      if (code.value.trim() !== '' && !isObject(parse(code.value))) text = 'this has to be a JSON object';
    } catch (error) {
      text = `this is not valid JSON: ${error.message}`;
    }
    setFieldError(element, text);
    return text;
  }

  show('form', value);
  return {
    element,
    problem,
    get value() { return read(); },
    /** Puts other values in; `asJson` where the form does not fit them. */
    set(values, asJson = false) {
      if (asJson) choice.set('json');
      show(choice.value, values);
    },
    use(next, values = read()) {
      if (JSON.stringify(next) === JSON.stringify(present) && values === undefined) return;
      present = next;
      if (!code || !problem()) show(choice.value, values);
      else choice.element.hidden = !hasFields(present);
    },
  };
}

/** A schema form for the runnable at a path: `of(path, isFlow)` loads its schema; without one, JSON is edited. */
export function runnableArgs({ signal, ...options }) {
  const form = schemaForm(options);
  let latest = '';
  let timer = 0;
  return {
    element: form.element,
    problem: form.problem,
    of(path, isFlow) {
      const wanted = `${isFlow}:${path}`;
      if (wanted === latest) return;
      latest = wanted;
      clearTimeout(timer);
      timer = setTimeout(async () => {
        const found = path ? await (isFlow ? api.flows : api.scripts).get(path, signal).catch(() => null) : null;
        if (latest === wanted && !signal?.aborted) form.use(found?.schema ?? null);
      }, TYPING_MS);
    },
    get value() { return form.value; },
  };
}
