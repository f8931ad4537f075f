// Triggers page: every trigger with its live state; search and filters live in the address. Rows are virtual,
// so that thousands of triggers stay smooth; the counters come over the live socket.
import * as api from '../api.js';
import * as live from '../live.js';
import * as router from '../router.js';
import { bulkBar } from '../parts/bulk.js';
import { button, emptyState, errorState, fill, h, icon, linkButton, pageHead, setText, skeleton } from '../parts/dom.js';
import { Rows } from '../parts/rows.js';
import { stateOf } from '../parts/status.js';
import { full } from '../parts/time.js';
import { toastError } from '../parts/toast.js';
import { deleteTriggers, importYaml } from '../parts/trigger-actions.js';
import { triggerRow } from '../parts/trigger-row.js';

/** Many changes at once are fetched as one list instead of one by one. */
const SINGLE_FETCHES_MAX = 10;
const CHANGES_WAIT_MS = 150;

const STATES = [
  ['', 'Any state'], ['listening', 'Listening'], ['backoff', 'Not connected'], ['connecting', 'Connecting'],
  ['suspended', 'Suspended'], ['disabled', 'Disabled'],
];

export async function render(root, { query, signal, loaded }) {
  const all = new Map();
  const view = {
    q: query.get('q') ?? '', state: query.get('state') ?? '', folder: query.get('folder') ?? '', runnable: query.get('runnable') ?? '', label: query.get('label') ?? '',
  };
  const chosen = new Set();
  let shown = [];
  const search = h('input', { class: 'input', type: 'search', 'aria-label': 'Search triggers', placeholder: 'Search by URL, path or runnable', value: view.q });
  const state = h('select', { class: 'input', 'aria-label': 'State', value: view.state }, STATES.map(([value, text]) => h('option', { value, selected: value === view.state }, text)));
  const folder = h('select', { class: 'input', 'aria-label': 'Folder or user' });
  const runnable = h('select', { class: 'input', 'aria-label': 'Runnable' });
  const label = h('select', { class: 'input', 'aria-label': 'Label' });
  const count = h('p', { class: 'count-line muted', role: 'status' });
  const chooseAll = h('input', { type: 'checkbox', class: 'tickbox', 'aria-label': 'Select all shown triggers', onchange: () => {
    chosen.clear();
    if (chooseAll.checked) for (const one of shown) chosen.add(one.path);
    selectionChanged();
  } });
  const bulk = bulkBar({ what: 'trigger', actions: [
    ['Enable', 'play', () => setAll('enabled')], ['Suspend', 'pause', () => setAll('suspended')], ['Disable', 'stop', () => setAll('disabled')], ['Delete', 'trash', deleteAll],
  ], onclear: () => { chosen.clear(); selectionChanged(); } });
  const body = h('div', { role: 'rowgroup', class: 'rows trigger-rows' });
  const table = h('div', { role: 'table', class: 'grid-table trigger-table', 'aria-label': 'WebSocket triggers' },
    h('div', { role: 'rowgroup' }, h('div', { role: 'row', class: 'row head', 'aria-rowindex': '1' },
      h('span', { role: 'columnheader', class: 'cell c-choose' }, chooseAll),
      ['State', 'Trigger', 'Messages', 'Rate', 'Mode'].map((text, index) => h('span', { role: 'columnheader', class: `cell h-${index}` }, text)),
      h('span', { role: 'columnheader', class: 'cell' }, h('span', { class: 'visually-hidden' }, 'Actions')))),
    body);
  const none = h('div', { hidden: true });
  const holder = h('div', {}, skeleton(6));
  fill(root,
    pageHead({
      title: 'WebSocket triggers',
      lead: 'Each one listens on a WebSocket and runs a script or a flow for the messages that match.',
      actions: [button({ text: 'Import', iconName: 'up', onclick: importYaml }), linkButton({ text: 'New trigger', href: '/triggers/new', iconName: 'plus', kind: 'primary' })],
    }),
    h('div', { class: 'toolbar', role: 'search' }, h('div', { class: 'with-icon grow' }, icon('search'), search), state, folder, runnable, label),
    count, bulk.element, holder);

  const rows = new Rows({ body, signal, keyOf: (trigger) => trigger.path, make: (trigger) => triggerRow(trigger, { onDeleted, onRestored: load, onChoose, isChosen: (path) => chosen.has(path) }) });

  function onDeleted(trigger) {
    all.delete(trigger.path);
    chosen.delete(trigger.path);
    refresh();
  }

  function onChoose(path, yes) {
    if (yes) chosen.add(path);
    else chosen.delete(path);
    selectionChanged();
  }

  function selectionChanged() {
    bulk.set(chosen.size);
    chooseAll.checked = chosen.size > 0 && shown.every((one) => chosen.has(one.path));
    chooseAll.indeterminate = chosen.size > 0 && !chooseAll.checked;
    rows.later();
  }

  /** One request after another: hundreds at once would only wait in the server's queue. */
  async function setAll(mode) {
    try {
      await bulk.each([...chosen], async (path) => {
        await api.triggers.setMode(path, mode);
        if (all.has(path)) all.set(path, { ...all.get(path), mode });
      });
    } catch (error) {
      toastError(error);
    }
    refresh();
  }

  async function deleteAll() {
    const gone = await deleteTriggers([...chosen], load);
    for (const path of gone) {
      all.delete(path);
      chosen.delete(path);
    }
    refresh();
  }

  function matches(trigger) {
    const words = view.q.toLowerCase().split(/\s+/).filter(Boolean);
    const text = `${trigger.url} ${trigger.path} ${trigger.script_path}`.toLowerCase();
    const now = stateOf(trigger, live.statusOf(trigger.path));
    return words.every((word) => text.includes(word))
      && (!view.state || now === view.state || (view.state === 'connecting' && now === 'handshaking') || (view.state === 'suspended' && trigger.mode === 'suspended'))
      && (!view.folder || trigger.path.startsWith(`${view.folder}/`))
      && (!view.runnable || trigger.script_path === view.runnable)
      && (!view.label || (trigger.labels ?? []).includes(view.label));
  }

  let more = false;
  function refresh() {
    if (!table.isConnected && !none.isConnected) return;
    shown = [...all.values()].filter(matches);
    for (const path of chosen) if (!all.has(path)) chosen.delete(path);
    selectionChanged();
    setText(count, all.size === 0 ? '' : more ? 'Loading the rest…' : shown.length === all.size ? `${full(all.size)} trigger${all.size === 1 ? '' : 's'}` : `${full(shown.length)} of ${full(all.size)} triggers`);
    table.setAttribute('aria-rowcount', String(shown.length + 1));
    table.hidden = shown.length === 0;
    none.hidden = shown.length > 0;
    if (shown.length === 0) fill(none, all.size === 0 ? firstSteps() : nothingFound());
    rows.setItems(shown);
  }

  function nothingFound() {
    return emptyState({
      iconName: 'search', title: 'No trigger fits', text: 'No trigger fits the search and the filters above.',
      actions: [h('button', { class: 'btn', type: 'button', onclick: clear }, 'Show all triggers')],
    });
  }

  function clear() {
    search.value = state.value = folder.value = runnable.value = label.value = '';
    changed();
  }

  function changed() {
    Object.assign(view, { q: search.value.trim(), state: state.value, folder: folder.value, runnable: runnable.value, label: label.value });
    const next = new URLSearchParams(Object.entries(view).filter(([, value]) => value));
    router.setQuery(next);
    refresh();
  }
  search.addEventListener('input', changed);
  for (const select of [state, folder, runnable, label]) select.addEventListener('change', changed);

  function options() {
    const triggers = [...all.values()];
    choices(folder, 'Any folder', triggers.map((one) => one.path.split('/', 2).join('/')), view.folder);
    choices(runnable, 'Any runnable', triggers.map((one) => one.script_path), view.runnable);
    choices(label, 'Any label', triggers.flatMap((one) => one.labels ?? []), view.label);
  }

  async function load() {
    try {
      const list = await api.triggers.list({ signal, onFirst: (some) => all.size === 0 && take(some, true) });
      take(list);
      loaded();
    } catch (error) {
      if (!signal.aborted) fill(holder, errorState(error, load));
    }
  }

  function take(list, partly = false) {
    more = partly;
    all.clear();
    for (const trigger of list) all.set(trigger.path, trigger);
    if (!table.isConnected) fill(holder, table, none);
    options();
    refresh();
  }

  const changes = new Map();
  let changesTimer = 0;
  async function applyChanges() {
    changesTimer = 0;
    const now = [...changes];
    changes.clear();
    if (now.length > SINGLE_FETCHES_MAX) return load();
    await Promise.all(now.map(async ([path, op]) => {
      if (op === 'deleted') all.delete(path);
      else await api.triggers.get(path, signal).then((trigger) => all.set(path, trigger), () => all.delete(path));
    }));
    if (signal.aborted) return undefined;
    options();
    return refresh();
  }
  live.on('trigger', ({ path, op }) => {
    changes.set(path, op);
    changesTimer ||= setTimeout(applyChanges, CHANGES_WAIT_MS);
  }, signal);
  live.on('resync', load, signal);
  // the state filter can change its answer with every status; otherwise only the rows in sight are touched
  let refreshTimer = 0;
  live.on('status', () => {
    if (!view.state) rows.later();
    else refreshTimer ||= setTimeout(() => { refreshTimer = 0; refresh(); }, 500);
  }, signal);

  table.addEventListener('keydown', (event) => moveBetweenRows(event, rows));
  document.addEventListener('keydown', (event) => {
    if (event.key !== '/' || event.target.closest('input, textarea, select, [role=menu], dialog')) return;
    event.preventDefault();
    search.focus();
  }, { signal });

  await load();
}

/** Arrows, Home, End and Page keys go from row to row, staying in the column. */
function moveBetweenRows(event, rows) {
  const row = event.target.closest('.trigger-row');
  const page = Math.max(1, Math.floor(window.innerHeight / (row?.offsetHeight || 1)) - 1);
  const by = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[event.key];
  if (!row || by === undefined || event.altKey || event.ctrlKey || event.metaKey || event.target.getAttribute('aria-haspopup')) return;
  event.preventDefault();
  const stops = (element) => [...element.querySelectorAll('a, button, input')];
  const column = stops(row).indexOf(event.target);
  const next = rows.reveal(row.dataset.path, by);
  if (next) (stops(next)[column] ?? stops(next)[0]).focus({ preventScroll: true });
}

function choices(select, any, values, chosen) {
  const distinct = [...new Set(values.filter(Boolean))].sort();
  if (chosen && !distinct.includes(chosen)) distinct.push(chosen);
  fill(select, h('option', { value: '' }, any), distinct.map((value) => h('option', { value }, value)));
  select.value = chosen;
  select.hidden = distinct.length === 0;
}

function firstSteps() {
  return emptyState({
    iconName: 'triggers',
    title: 'No trigger yet',
    text: 'A trigger connects to a WebSocket, keeps the connection up, and runs a script for each message that matches its filters. You can write that script while making the trigger.',
    actions: [
      linkButton({ text: 'New trigger', href: '/triggers/new', iconName: 'plus', kind: 'primary' }),
      linkButton({ text: 'Write a script first', href: '/scripts/new', iconName: 'scripts' }),
    ],
  });
}
