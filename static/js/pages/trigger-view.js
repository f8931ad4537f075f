// One trigger: what it does now, its counters, its messages live, its newest runs and its settings.
import * as api from '../api.js';
import * as live from '../live.js';
import * as router from '../router.js';
import { breakable, button, emptyState, errorState, fill, h, icon, linkButton, pageHead, setText, skeleton } from '../parts/dom.js';
import { connectionLog } from '../parts/connection-log.js';
import { triggerHistory } from '../parts/trigger-history.js';
import { filterSummary } from '../parts/filters.js';
import { fact } from '../parts/job.js';
import { jsonView } from '../parts/json-tree.js';
import { runOnMessage } from '../parts/message-args.js';
import { menuButton } from '../parts/menu.js';
import { modeSwitch } from '../parts/mode.js';
import { runTable } from '../parts/run-table.js';
import { keepSample, samplesOf } from '../parts/samples.js';
import { spark } from '../parts/spark.js';
import { badge, stateOf, statusView } from '../parts/status.js';
import { tailView } from '../parts/tail.js';
import { bytes, full, moment } from '../parts/time.js';
import { toast, toastError } from '../parts/toast.js';
import { changeMode, discardHeld, resumeHeld, runnableHref, triggerMenu, urlText } from '../parts/trigger-actions.js';

/** Held jobs are counted this often while there may be some. */
const HELD_EVERY_MS = 3000;
const COUNTERS = [
  ['received', 'Received', 'all messages'], ['unmatched', 'No match', 'the filters did not match'], ['handled', 'Handled', 'kept away by conversation rules'],
  ['matched', 'Matched', 'the filters matched'], ['pending', 'Pending', 'matched, not committed yet'], ['enqueued', 'Enqueued', 'jobs committed'],
  ['replied', 'Replied', 'results sent back'], ['reply_undeliverable', 'Undeliverable', 'the connection was gone'], ['reply_failed', 'Replies failed', 'could not be sent'],
];
/** Left out while they are zero: they say something only when they happen. */
const RARE = new Set(['handled', 'replied', 'reply_undeliverable', 'reply_failed']);

export async function render(root, params) {
  const { path, signal } = params;
  const crumbs = [['Triggers', '/triggers']];
  fill(root, pageHead({ title: path, crumbs }), skeleton(4));
  let trigger;
  try {
    trigger = await api.triggers.get(path, signal);
  } catch (error) {
    if (signal.aborted) return;
    fill(root, pageHead({ title: path, crumbs }), error.status === 404
      ? emptyState({ iconName: 'search', title: 'There is no trigger at this path', text: 'It may have been renamed or deleted.', actions: [linkButton({ text: 'All triggers', href: '/triggers' })] })
      : errorState(error, () => render(root, params)));
    return;
  }
  let status = live.statusOf(path);
  if (!status) status = await api.triggers.status(path, signal).catch(() => null); // the live socket brings it later
  if (signal.aborted) return;

  const mode = modeSwitch({ label: `Mode of ${path}`, value: trigger.mode, texts: true, onchange: (next) => changeMode(trigger, next).then(show) });
  const menu = menuButton({ label: 'More actions', items: () => triggerMenu(trigger, { own: true, onDeleted: () => router.go('/triggers'), onRestored: () => router.go(`/triggers/view/${api.encodePath(path)}`), onMode: () => show() }), kind: '' });
  const edit = linkButton({ text: 'Edit', href: `/triggers/edit/${api.encodePath(path)}`, iconName: 'edit', kind: 'primary' });
  const connection = statusView();
  const facts = h('dl', { class: 'facts' });
  const tiles = COUNTERS.map(([key, text, title]) => {
    const value = h('dd', {});
    return { key, value, element: h('div', { class: 'tile', title }, h('dt', {}, text), value) };
  });
  const dropped = h('p', { class: 'warn-line', hidden: true });
  const about = h('div', { class: 'stack-small' });
  const missing = h('p', { class: 'help warn', role: 'status', hidden: true });
  const settings = h('div', {});
  const card = (title, name, ...content) => h('section', { class: `card ${name}`, 'aria-label': title }, h('div', { class: 'card-head' }, h('h2', {}, title)), content);
  const runs = runTable({
    signal, perPage: 10, older: false, concerns: (event) => event.trigger_path === path,
    empty: () => h('p', { class: 'muted' }, 'No run yet. The first message that matches makes one.'),
  });
  const runsCard = card('Recent runs', 'recent', runs.element);
  runsCard.querySelector('.card-head').append(h('a', { href: `/runs?trigger=${encodeURIComponent(path)}` }, 'All runs of this trigger'));

  const heldNotice = h('div', { role: 'status' });
  fill(root, pageHead({ title: path, crumbs, actions: [mode.element, edit, menu] }), heldNotice,
    h('div', { class: 'view-grid' },
      card('Connection', 'connection', connection.element, facts),
      card('Messages', 'numbers', h('div', { class: 'big-spark' }, spark(path)), h('dl', { class: 'tiles' }, tiles.map((one) => one.element)), dropped),
      card('What it runs', 'about', about),
      card('Live messages', 'live', tailView({
        trigger, signal, none: waitsFor,
        actions: (message) => [button({ text: 'Run on this message', iconName: 'play', kind: 'small', onclick: () => runOn(message) }), button({ text: 'Keep as a sample', iconName: 'plus', kind: 'small', onclick: () => keepSample(samplesOf('trigger', () => path), message.text, { text: 'Try the filters', onselect: () => router.go(`/triggers/edit/${api.encodePath(path)}`) }) })],
        onpick: (place, value) => router.go(`/triggers/edit/${api.encodePath(path)}?filter=${encodeURIComponent(JSON.stringify(place.includes('.') ? { path: place, value } : { key: place, value }))}`),
      })),
      runsCard,
      connectionLog({ path, signal }), triggerHistory({ path, signal }),
      h('section', { class: 'card settings', 'aria-label': 'Settings' }, h('details', { class: 'fold' }, h('summary', {}, icon('chevron'), h('span', { class: 'fold-title' }, 'Settings as JSON')), settings))));

  /** What the tail waits for; of a trigger that does not listen nothing comes. */
  function waitsFor() {
    const state = stateOf(trigger, status);
    if (state === 'disabled') return 'No message comes while the trigger is disabled.';
    return state === 'listening' || state === 'suspended' ? 'Waiting for the next message. Messages show here as they arrive; nothing is stored.' : 'Not connected. Messages show here as they arrive once it listens; nothing is stored.';
  }

  /** Jobs a suspended trigger holds, and what to do with them; asked again when the trigger or its jobs change. */
  async function showHeld() {
    const count = await api.triggers.held(path, signal).catch(() => 0);
    if (signal.aborted || heldNotice.dataset.count === String(count)) return;
    heldNotice.dataset.count = count;
    fill(heldNotice, count > 0 && h('div', { class: 'notice cluster' }, h('p', { class: 'grow' }, `${full(count)} ${count === 1 ? 'job is' : 'jobs are'} held.`),
      button({ text: 'Run held jobs', iconName: 'play', kind: 'small', onclick: () => resumeHeld(trigger).then(showHeld) }),
      button({ text: 'Discard held jobs', kind: 'small', onclick: () => discardHeld(trigger).then(showHeld) })));
  }

  async function runOn(message) {
    try {
      const id = await runOnMessage({ path: trigger.script_path, isFlow: trigger.is_flow, text: message.text, trigger: path, url: trigger.url }, signal);
      toast(`${trigger.script_path} runs on this message`, 'ok', { text: 'Show the run', onselect: () => router.go(`/runs/${id}`) });
    } catch (error) {
      toastError(error);
    }
  }

  function show() {
    mode.set(trigger.mode);
    connection.update(trigger, status);
    fill(facts, fact('URL', h('span', { class: 'mono' }, urlText(trigger))),
      status?.connected_at && fact('Connected', moment(status.connected_at)),
      fact('Last message', moment(status?.last_message_at, { none: 'none yet' })),
      fact('Attempts', full(status?.attempts)),
      (status?.server_id ?? trigger.server_id) && fact('Server', h('span', { class: 'mono' }, status?.server_id ?? trigger.server_id)),
      fact('Data received', bytes(status?.bytes_received ?? 0)));
    showCounters();
  }

  function showCounters() {
    for (const { key, value, element } of tiles) {
      setText(value, full(status?.[key]));
      element.hidden = RARE.has(key) && !status?.[key];
    }
    const lost = status?.dropped ?? {};
    const words = [lost.binary > 0 && `${full(lost.binary)} binary`, lost.too_large > 0 && `${full(lost.too_large)} too large`].filter(Boolean);
    dropped.hidden = words.length === 0;
    setText(dropped, words.length > 0 ? `Dropped by a rule: ${words.join(', ')}` : '');
  }

  function showAbout() {
    const href = runnableHref(trigger);
    fill(about,
      h('p', { class: 'runs-what' }, icon(trigger.is_flow ? 'flows' : 'scripts'), h('a', { class: 'mono', href }, breakable(trigger.script_path))), missing,
      filterSummary(trigger.filters, trigger.filter_logic),
      h('div', { class: 'cluster' },
        (trigger.initial_messages?.length ?? 0) > 0 && badge(`${trigger.initial_messages.length} initial message${trigger.initial_messages.length === 1 ? '' : 's'}`),
        trigger.can_return_message && badge('sends results back'), trigger.heartbeat && badge(`heartbeat every ${trigger.heartbeat.interval_secs} s`),
        trigger.ordered && badge('keeps the order'), trigger.retry && badge('retries'), trigger.error_handler_path && badge('error handler'),
        (trigger.labels ?? []).map((label) => badge(label))),
      h('p', { class: 'muted' }, 'Runs as ', h('span', { class: 'mono' }, trigger.permissioned_as ?? '–'), ', edited by ', trigger.edited_by ?? '–', ' ', moment(trigger.edited_at)));
    const { server_id, last_server_ping, error, ...own } = trigger;
    fill(settings, jsonView(own, { name: path.replaceAll('/', '_'), open: 1 }));
    lookForRunnable();
  }

  /** A trigger may be made before what it runs; until then its messages become failed runs, but where a Windmill runs them. */
  async function lookForRunnable() {
    const kind = trigger.is_flow ? 'flow' : 'script';
    const lost = await (trigger.is_flow ? api.flows : api.scripts).get(trigger.script_path, signal).then(() => false, (error) => error.status === 404);
    const elsewhere = lost && await api.remote.get(signal).catch(() => null);
    if (signal.aborted) return;
    missing.hidden = !lost || Boolean(elsewhere);
    setText(missing, missing.hidden ? '' : `There is no ${kind} at this path yet: until there is, each message becomes a failed run.`);
  }

  let due = false;
  live.on('status', (event) => {
    if (event.path !== path) return;
    status = event.status;
    if (due) return;
    due = true;
    requestAnimationFrame(() => { due = false; if (!signal.aborted) show(); });
  }, signal);
  live.on('trigger', async (event) => {
    if (event.path !== path) return;
    try {
      Object.assign(trigger, await api.triggers.get(path, signal));
      show();
      showAbout();
    } catch (error) {
      if (!signal.aborted && error.status === 404) render(root, params);
    }
  }, signal);
  show();
  showAbout();
  showHeld();
  const heldTimer = setInterval(() => (trigger.mode === 'suspended' || Number(heldNotice.dataset.count) > 0) && !document.hidden && showHeld(), HELD_EVERY_MS);
  signal.addEventListener('abort', () => clearInterval(heldTimer), { once: true });
  await runs.load({ trigger_path: path });
}
