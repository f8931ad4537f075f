// Runs page: all runs, newest first and live; the filters live in the address.
import * as api from '../api.js';
import * as router from '../router.js';
import { emptyState, fill, h, icon, linkButton, pageHead } from '../parts/dom.js';
import { runTable } from '../parts/run-table.js';

/** What each outcome asks the API for. */
const OUTCOMES = {
  '': ['Any outcome', {}],
  queued: ['Queued', { running: false, job_kinds: 'script,flow,singlestepflow,preview,flowpreview' }],
  running: ['Running', { running: true }],
  succeeded: ['Succeeded', { success: true }],
  failed: ['Failed', { success: false, canceled: false }],
  cancelled: ['Cancelled', { canceled: true }],
  held: ['Held', { running: false, job_kinds: 'unassigned_script,unassigned_flow,unassigned_singlestepflow' }],
};
/** Spans of time, in minutes. */
const SPANS = { '': ['Any time'], 5: ['Last 5 minutes'], 60: ['Last hour'], 1440: ['Last 24 hours'], 10080: ['Last 7 days'], own: ['Between…'] };
const TYPING_MS = 300;
/** Steps of flows are runs too; they are many, and belong to the run of their flow. */
const LEVELS = { '': ['Without flow steps', { has_null_parent: true }], steps: ['With flow steps', {}] };
const FIELDS = ['trigger', 'runnable', 'text', 'outcome', 'level', 'time', 'from', 'to'];

export async function render(root, { query, signal, loaded }) {
  const view = Object.fromEntries(FIELDS.map((name) => [name, query.get(name) ?? '']));
  if (!(view.outcome in OUTCOMES)) view.outcome = '';
  if (!(view.time in SPANS)) view.time = '';
  if (!(view.level in LEVELS)) view.level = '';
  const suggest = (id) => h('datalist', { id });
  const triggerList = suggest('known-triggers');
  const runnableList = suggest('known-runnables');
  const word = (name, label, placeholder, list) => h('input', { class: 'input mono', type: 'search', 'aria-label': label, placeholder, list, value: view[name], spellcheck: 'false', autocomplete: 'off' });
  const select = (name, label, choices) => h('select', { class: 'input', 'aria-label': label, value: view[name] }, Object.entries(choices).map(([value, [text]]) => h('option', { value, selected: value === view[name] }, text)));
  const edge = (name, label) => h('input', { class: 'input', type: 'datetime-local', step: '1', 'aria-label': label, value: view[name] });
  const controls = {
    trigger: word('trigger', 'Trigger', 'Trigger path', 'known-triggers'),
    runnable: word('runnable', 'Runnable', 'Runnable path', 'known-runnables'),
    text: word('text', 'Text in the arguments', 'In arguments'),
    outcome: select('outcome', 'Outcome', OUTCOMES),
    level: select('level', 'Steps', LEVELS),
    time: select('time', 'Time', SPANS),
    from: edge('from', 'From'),
    to: edge('to', 'To'),
  };
  const edges = h('div', { class: 'cluster', hidden: view.time !== 'own' }, h('span', { class: 'muted' }, 'from'), controls.from, h('span', { class: 'muted' }, 'to'), controls.to);
  const wanted = (place, have) => !view[place] || have === undefined || have === view[place];
  const table = runTable({
    signal, selectable: true,
    concerns: (event) => wanted('trigger', event.trigger_path) && (!view.runnable || event.script_path === view.runnable),
    empty: () => (Object.values(view).some(Boolean)
      ? emptyState({ iconName: 'search', title: 'No run fits', text: 'No run fits the filters above. New ones show up here by themselves.', actions: [h('button', { class: 'btn', type: 'button', onclick: clear }, 'Show all runs')] })
      : emptyState({ iconName: 'runs', title: 'No run yet', text: 'Each message that matches a trigger becomes a run, and so does each test of a script.', actions: [linkButton({ text: 'To the triggers', href: '/triggers', kind: 'primary' }), linkButton({ text: 'To the scripts', href: '/scripts' })] })),
  });
  const field = (name, iconName) => h('div', { class: 'with-icon grow' }, icon(iconName), controls[name]);
  fill(root, pageHead({ title: 'Runs', lead: 'Each run is one job of a script or a flow, newest first.' }),
    h('div', { class: 'toolbar runs-toolbar', role: 'search' }, field('trigger', 'triggers'), field('runnable', 'scripts'), field('text', 'search'), controls.outcome, controls.level, controls.time, edges, triggerList, runnableList),
    table.element);

  /** The edges of the chosen time; those of a span move with the clock. */
  function times() {
    const iso = (text) => (text && !Number.isNaN(Date.parse(text)) ? new Date(text).toISOString() : undefined);
    if (view.time === 'own') return { created_after: iso(view.from), created_before: iso(view.to) };
    return view.time ? { created_after: new Date(Date.now() - view.time * 60_000).toISOString() } : {};
  }
  function load() {
    return table.load({ trigger_path: view.trigger, script_path_exact: view.runnable, args_text: view.text, ...OUTCOMES[view.outcome][1], ...LEVELS[view.level][1], ...times() });
  }
  function clear() {
    for (const control of Object.values(controls)) control.value = '';
    changed();
  }
  let typing = 0;
  function changed() {
    for (const name of FIELDS) view[name] = controls[name].value.trim();
    edges.hidden = view.time !== 'own';
    if (edges.hidden) view.from = view.to = '';
    router.setQuery(new URLSearchParams(Object.entries(view).filter(([, value]) => value)));
    clearTimeout(typing);
    typing = setTimeout(load, TYPING_MS);
  }
  signal.addEventListener('abort', () => clearTimeout(typing));
  for (const control of Object.values(controls)) control.addEventListener(control.tagName === 'SELECT' ? 'change' : 'input', changed);
  const offer = (list, paths) => list.replaceChildren(...[...new Set(paths)].sort().map((path) => h('option', { value: path })));
  api.triggers.list({ signal }).then((all) => {
    offer(triggerList, all.map((one) => one.path));
    offer(runnableList, all.map((one) => one.script_path));
  }, () => {}); // only an offer: paths can be typed
  await load();
  loaded();
}
