// Flow editor: OpenFlow as YAML or JSON with its graph beside it, read by the server while one types; a test run, versions.
import * as api from '../api.js';
import { parse } from '../json.js';
import * as router from '../router.js';
import { captureCard } from '../parts/capture.js';
import { codeEditor, lineOf, lineOfStep } from '../parts/code.js';
import { button, emptyState, errorState, fill, h, linkButton, pageHead, skeleton } from '../parts/dom.js';
import { clearErrors, field, radioGroup, setFieldError, showServerError } from '../parts/field.js';
import { flowGraph } from '../parts/flow-graph.js';
import { inOrder } from '../parts/flow-order.js';
import { pathField } from '../parts/path-field.js';
import { samplesOf } from '../parts/samples.js';
import { shareButton } from '../parts/share.js';
import { testRun } from '../parts/test-run.js';
import { toast } from '../parts/toast.js';
import { usedBy } from '../parts/used-by.js';
import { versionsDialog } from '../parts/versions.js';

const CRUMBS = [['Flows', '/flows']];
/** The flow is read when the typing pauses. */
const TYPING_MS = 500;
const START = {
  value: {
    modules: [{ id: 'a', summary: 'Read the message', value: { type: 'rawscript', language: 'nativets', content: 'export function main(msg: string) {\n  return JSON.parse(msg);\n}\n', input_transforms: { msg: { type: 'javascript', expr: 'flow_input.msg' } } } }],
  },
  schema: { $schema: 'https://json-schema.org/draft/2020-12/schema', type: 'object', properties: { msg: { type: 'string' } }, required: ['msg'] },
};

export async function render(root, params) {
  const { path, signal, guard } = params;
  let saved = null;
  fill(root, pageHead({ title: path ?? 'New flow', crumbs: CRUMBS }), skeleton(3));
  let text;
  try {
    if (path) saved = await api.flows.get(path, signal);
    text = await api.yaml.fromJson(shown(saved ?? START));
  } catch (error) {
    if (signal.aborted) return;
    fill(root, pageHead({ title: path ?? 'New flow', crumbs: CRUMBS }), error.status === 404
      ? emptyState({ iconName: 'search', title: 'There is no flow at this path', text: 'It may have been archived or not made yet.', actions: [linkButton({ text: 'New flow', href: '/flows/new', kind: 'primary' }), linkButton({ text: 'All flows', href: '/flows' })] })
      : errorState(error, () => render(root, params)));
    return;
  }
  let dirty = false;
  let form = 'yaml';
  let good = shown(saved ?? START);
  const touched = () => { dirty = true; };
  guard(() => dirty);
  const where = saved ? null : pathField({ defaultName: 'my_flow', help: 'Where the flow is kept:', signal, onchange: touched });
  const summary = h('input', { class: 'input', value: saved?.summary ?? '', placeholder: 'What it does, in a few words', oninput: touched });
  const code = codeEditor({ language: 'yaml', value: text, rows: 20 });
  const codeField = field({ name: 'value', label: 'Flow', help: 'value is OpenFlow, schema the JSON Schema of its arguments. Tab indents; press Escape, then Tab to leave the editor.', control: code, wide: true });
  const choice = radioGroup({ label: 'Edit as', options: [['yaml', 'YAML'], ['json', 'JSON']], value: 'yaml', onchange: change });
  const graph = h('div', {});
  const alert = h('p', { class: 'form-alert', role: 'alert', hidden: true });
  const save = button({ text: 'Save', kind: 'primary', type: 'submit' });
  const test = testRun({ signal, samples: samplesOf('flow', () => saved?.path ?? where.value), launch: async (args) => api.jobs.previewFlow({ value: (await parsed()).value, path: saved?.path, args }) });
  const element = h('form', { class: 'card form-card', novalidate: true, onsubmit: onSave }, where?.element,
    field({ name: 'summary', label: 'Summary', control: summary, wide: true }), choice.element, codeField,
    h('div', { class: 'save-bar inner' }, alert, h('div', { class: 'cluster end' }, linkButton({ text: 'Cancel', href: '/flows' }), save)));
  const capture = captureCard({
    path: () => saved?.path ?? where.value, problem: () => where?.problem() ?? '', isFlow: true, preprocessor: () => preprocessor, onrun: test.tryWith, signal,
  });
  const actions = saved ? [button({ text: 'Versions', iconName: 'clock', onclick: showVersions }), shareButton('flow', saved.path), linkButton({ text: 'View runs', href: `/runs?runnable=${encodeURIComponent(saved.path)}`, iconName: 'runs' }), linkButton({ text: 'New trigger', href: `/triggers/new?flow=${encodeURIComponent(saved.path)}`, iconName: 'triggers' })] : [];
  fill(root, pageHead({ title: saved ? saved.path : 'New flow', crumbs: CRUMBS, actions }),
    h('div', { class: 'script-grid' }, element, h('div', { class: 'stack side-stack' },
      h('section', { class: 'card', 'aria-label': 'Graph' }, h('div', { class: 'card-head' }, h('h2', {}, 'Graph')), graph), test.element, saved && usedBy({ path: saved.path, isFlow: true, signal })), capture));
  draw(good);

  /** What stands in the editor as `{value, schema}`; throws what is wrong with it. */
  async function parsed() {
    const read = form === 'yaml' ? await api.yaml.toJson(code.value) : parse(code.value);
    if (read === null || typeof read !== 'object' || typeof read.value !== 'object') throw new Error('value: the flow needs a field value, which is OpenFlow');
    return read;
  }

  async function change(next) {
    try {
      const read = await parsed();
      code.value = next === 'yaml' ? await api.yaml.fromJson(read) : JSON.stringify(read, null, 2);
      code.language = next;
      form = next;
    } catch (error) {
      choice.set(form);
      mark(error);
    }
  }

  function draw(flow) {
    good = flow;
    fill(graph, flowGraph(flow.value));
    if (flow.schema) test.use(flow.schema);
  }

  function mark(error) {
    const line = lineOf(error.message) ?? lineOfStep(error.message, code.value) ?? 0;
    code.markError(line, error.message);
    return line;
  }

  let timer = 0;
  let round = 0;
  let preprocessor = null;
  check();
  code.control.addEventListener('input', () => {
    touched();
    clearTimeout(timer);
    timer = setTimeout(check, TYPING_MS);
  });
  signal.addEventListener('abort', () => clearTimeout(timer));
  async function check() {
    round += 1;
    const mine = round;
    try {
      const flow = await parsed();
      if (mine !== round || signal.aborted) return;
      draw(flow);
      const facts = await api.flows.check({ value: flow.value }, signal);
      if (mine !== round) return;
      preprocessor = facts.preprocessor;
      code.markError(0);
    } catch (error) {
      if (mine === round && !signal.aborted && error.status !== 401) mark(error);
    }
  }

  async function showVersions() {
    const content = await versionsDialog({
      list: () => api.flows.history(saved.path, signal),
      text: async (id) => {
        const version = shown(await api.flows.version(id, signal));
        return form === 'yaml' ? api.yaml.fromJson(version) : JSON.stringify(version, null, 2);
      },
      present: () => code.value,
    });
    if (content === null || content === code.value) return;
    code.value = content;
    touched();
    await check();
    toast('The version stands in the editor; save to make it the newest');
  }

  async function onSave(event) {
    event.preventDefault();
    clearErrors(element);
    code.markError(0);
    alert.hidden = true;
    const problem = where?.problem();
    if (problem) {
      setFieldError(where.element, problem);
      where.element.querySelector('[aria-label="Name"]').focus();
      return;
    }
    save.disabled = true;
    try {
      const { value, schema } = await parsed();
      const body = { path: saved ? saved.path : where.value, summary: summary.value.trim(), description: saved?.description ?? '', value, schema };
      if (saved) await api.flows.update(saved.path, { ...kept(saved), ...body });
      else await api.flows.create(body);
      dirty = false;
      draw({ value, schema });
      toast(`${body.path} is saved`);
      if (!saved) await router.go(`/flows/edit/${api.encodePath(body.path)}`, { replace: true });
    } catch (error) {
      if (error.status === 401) return;
      if (!error.field?.startsWith('value') && error.status !== undefined && showServerError(element, error)) return;
      mark(error);
      alert.textContent = 'The flow is not saved yet: see the message below the editor.';
      alert.hidden = false;
    } finally {
      save.disabled = false;
    }
  }
}

/** The part of a flow that is edited as text. */
const shown = (flow) => ({ value: inOrder(flow.value), ...(flow.schema ? { schema: flow.schema } : {}) });

/** Settings a new version takes over that this page does not show. */
const kept = (flow) => Object.fromEntries(['tag', 'timeout', 'priority', 'labels', 'dedicated_worker'].filter((name) => flow[name] !== undefined && flow[name] !== null).map((name) => [name, flow[name]]));
