// Runs page: all runs, newest first and live; the filters live in the address.
import * as api from '../api.js';
import * as router from '../router.js';
import { emptyState, fill, h, icon, linkButton, pageHead } from '../parts/dom.js';
import { runTable } from '../parts/run-table.js';

/** What each outcome asks the API for. */
const OUTCOMES = {
  '': ['Any outcome', {}],
  queued: ['Queued', { running: false }],
  running: ['Running', { running: true }],
  succeeded: ['Succeeded', { success: true }],
  failed: ['Failed', { success: false }],
};
const TYPING_MS = 300;

export async function render(root, { query, signal, loaded }) {
  const view = { trigger: query.get('trigger') ?? '', runnable: query.get('runnable') ?? '', outcome: query.get('outcome') in OUTCOMES ? query.get('outcome') : '' };
  const suggest = (id) => h('datalist', { id });
  const triggerList = suggest('known-triggers');
  const runnableList = suggest('known-runnables');
  const trigger = h('input', { class: 'input mono', type: 'search', 'aria-label': 'Trigger', placeholder: 'Trigger path', list: 'known-triggers', value: view.trigger, spellcheck: 'false', autocomplete: 'off' });
  const runnable = h('input', { class: 'input mono', type: 'search', 'aria-label': 'Runnable', placeholder: 'Runnable path', list: 'known-runnables', value: view.runnable, spellcheck: 'false', autocomplete: 'off' });
  const outcome = h('select', { class: 'input', 'aria-label': 'Outcome' }, Object.entries(OUTCOMES).map(([value, [text]]) => h('option', { value, selected: value === view.outcome }, text)));
  const table = runTable({
    signal,
    concerns: (event) => (!view.trigger || event.trigger_path === undefined || event.trigger_path === view.trigger) && (!view.runnable || event.script_path === view.runnable),
    empty: () => (Object.values(view).some(Boolean)
      ? emptyState({ iconName: 'search', title: 'No run fits', text: 'No run fits the filters above. New ones show up here by themselves.', actions: [h('button', { class: 'btn', type: 'button', onclick: clear }, 'Show all runs')] })
      : emptyState({ iconName: 'runs', title: 'No run yet', text: 'Each message that matches a trigger becomes a run, and so does each test of a script.', actions: [linkButton({ text: 'To the triggers', href: '/triggers', kind: 'primary' }), linkButton({ text: 'To the scripts', href: '/scripts' })] })),
  });
  fill(root, pageHead({ title: 'Runs', lead: 'Each run is one job of a script or a flow, newest first.' }),
    h('div', { class: 'toolbar', role: 'search' }, h('div', { class: 'with-icon grow' }, icon('triggers'), trigger), h('div', { class: 'with-icon grow' }, icon('scripts'), runnable), outcome, triggerList, runnableList),
    table.element);

  function load() {
    return table.load({ trigger_path: view.trigger, script_path_exact: view.runnable, ...OUTCOMES[view.outcome][1] });
  }
  function clear() {
    trigger.value = runnable.value = outcome.value = '';
    changed();
  }
  let typing = 0;
  function changed() {
    Object.assign(view, { trigger: trigger.value.trim(), runnable: runnable.value.trim(), outcome: outcome.value });
    router.setQuery(new URLSearchParams(Object.entries(view).filter(([, value]) => value)));
    clearTimeout(typing);
    typing = setTimeout(load, TYPING_MS);
  }
  signal.addEventListener('abort', () => clearTimeout(typing));
  trigger.addEventListener('input', changed);
  runnable.addEventListener('input', changed);
  outcome.addEventListener('change', changed);
  const offer = (list, paths) => list.replaceChildren(...[...new Set(paths)].sort().map((path) => h('option', { value: path })));
  api.triggers.list({ signal }).then((all) => {
    offer(triggerList, all.map((one) => one.path));
    offer(runnableList, all.map((one) => one.script_path));
  }, () => {}); // only an offer: paths can be typed
  await load();
  loaded();
}
