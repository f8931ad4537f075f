// Home: what goes on now, as small charts, and what needs somebody: triggers that are not connected, runs that failed.
import * as api from '../api.js';
import * as live from '../live.js';
import { alertsCard } from '../parts/alerts.js';
import { chart } from '../parts/chart.js';
import { breakable, errorState, fill, h, linkButton, pageHead, skeleton } from '../parts/dom.js';
import { runTable } from '../parts/run-table.js';
import { stateOf, statusView } from '../parts/status.js';
import { duration, full, rate } from '../parts/time.js';

const QUEUE_EVERY_MS = 5000;
/** The server adds to the last hour this often. */
const PAST_EVERY_MS = 10_000;
const HOUR_MS = 3_600_000;
/** Triggers shown as not connected; the list has them all. */
const TROUBLES_MAX = 8;
const POINTS_MAX = HOUR_MS / QUEUE_EVERY_MS;

/** Samples of the queue outlast a visit of another page. */
const queue = [];

/** What somebody does first who has no trigger yet. */
function firstSteps() {
  const step = (title, ...text) => h('li', {}, h('strong', {}, title), h('p', { class: 'muted' }, text));
  return h('section', { class: 'card welcome', 'aria-label': 'First steps' },
    h('div', { class: 'card-head' }, h('div', {}, h('h2', {}, 'No trigger yet'), h('p', { class: 'muted' }, 'Make the first one: it connects to a WebSocket and runs a script for each message that matches.')), linkButton({ text: 'New trigger', href: '/triggers/new', iconName: 'plus', kind: 'primary' })),
    h('ol', { class: 'first-steps' },
      step('Connect', 'Enter a ws:// or wss:// address and press Test connection: its messages show as they come.'),
      step('Choose', 'Click values of a message to make filters from them, or run for every message.'),
      step('Run', 'Create a script from a template, save, and watch each message become a run.')));
}

export async function render(root, { signal, loaded }) {
  const charts = {
    connected: chart({ title: 'Connections', format: full, href: '/triggers' }),
    received: chart({ title: 'Messages a second', format: rate }),
    jobs: chart({ title: 'Jobs a second', format: rate, href: '/runs' }),
    waiting: chart({ title: 'Jobs waiting', format: (count) => full(Math.round(count)), href: '/runs?outcome=queued' }),
    age: chart({ title: 'Oldest waiting job', format: (ms) => (ms === 0 ? 'none' : duration(ms)), href: '/runs?outcome=queued' }),
    failed: chart({ title: 'Failed runs in the last hour', format: (count) => full(Math.round(count)), per: ' in 10 s', href: '/runs?outcome=failed&time=60' }),
  };
  const welcome = h('div', {});
  const troubles = h('div', {}, skeleton(2, 'low'));
  const held = h('p', { class: 'muted' });
  const failures = runTable({
    signal, perPage: 5, older: false, concerns: (event) => event.state === 'completed' && event.success === false,
    empty: () => h('p', { class: 'muted' }, 'No run has failed.'),
  });
  const card = (title, name, href, link, ...content) => h('section', { class: `card ${name}`, 'aria-label': title }, h('div', { class: 'card-head' }, h('h2', {}, title), h('a', { href }, link)), content);
  fill(root, pageHead({ title: 'Overview', actions: [linkButton({ text: 'New trigger', href: '/triggers/new', iconName: 'plus', kind: 'primary' })] }),
    alertsCard({ signal }), welcome,
    h('div', { class: 'charts' }, Object.values(charts).map((one) => one.element)),
    h('div', { class: 'half-grid' }, card('Needs attention', 'troubles', '/triggers?state=backoff', 'All not connected', troubles, held), card('Latest failures', 'recent', '/runs?outcome=failed', 'All failed runs', failures.element)));

  /** What windsock has kept of the last hour, from before this page was opened. */
  let past = { connected: [], received: [], jobs: [], waiting: [], age: [], failed: [] };
  const joined = (name, points) => [...past[name].filter((one) => points.length === 0 || one.at < points[0].at), ...points];
  async function loadPast() {
    if (document.hidden && past.failed.length > 0) return;
    try {
      const { step_secs: step, points } = await api.stats(signal);
      const of = (value) => points.map((one) => ({ at: Date.parse(one.at) + step * 1000, value: value(one) }));
      past = { connected: of((one) => one.connections), received: of((one) => one.messages / step), jobs: of((one) => one.jobs / step), waiting: of((one) => one.jobs_waiting), age: of((one) => one.queue_age_ms), failed: of((one) => one.failures) };
      drawLive();
      drawPast();
    } catch {
      // the charts then begin now
    }
  }

  /** What is counted when jobs end comes with the server's steps alone. */
  function drawPast() {
    charts.jobs.set(past.jobs);
    charts.failed.set(past.failed, queue.length > 0 ? full(queue.at(-1).failed) : undefined);
  }

  const triggers = new Map();
  function drawLive() {
    const sums = live.totals();
    for (const name of ['received', 'connected']) {
      const points = joined(name, sums.map((one) => ({ at: one.at, value: one[name] })));
      const wanted = [...triggers.values()].filter((one) => one.mode !== 'disabled').length;
      charts[name].set(points, name === 'connected' && points.length > 0 && triggers.size > 0 ? `${full(points.at(-1).value)} of ${full(wanted)}` : undefined);
    }
    drawTroubles();
  }

  let shownTroubles = '';
  const views = new Map();
  function drawTroubles() {
    if (!signal.aborted && triggers.size === 0) return;
    const bad = [...triggers.values()].filter((one) => ['backoff', 'connecting', 'handshaking'].includes(stateOf(one, live.statusOf(one.path))) && (live.statusOf(one.path)?.error ?? one.error)).slice(0, TROUBLES_MAX);
    const key = bad.map((one) => one.path).join();
    if (key !== shownTroubles || !troubles.dataset.drawn) {
      shownTroubles = key;
      troubles.dataset.drawn = 'yes';
      views.clear();
      fill(troubles, bad.length === 0 ? h('p', { class: 'muted' }, 'Every enabled trigger is connected or connecting.') : h('ul', { class: 'used' }, bad.map((one) => {
        const view = statusView();
        views.set(one.path, view);
        return h('li', {}, h('a', { class: 'mono', href: `/triggers/view/${api.encodePath(one.path)}` }, breakable(one.path)), view.element);
      })));
    }
    for (const one of bad) views.get(one.path)?.update(one, live.statusOf(one.path));
  }

  async function sampleQueue() {
    if (document.hidden && queue.length > 0) return;
    try {
      const created_after = new Date(Date.now() - HOUR_MS).toISOString();
      const [count, oldest, failed] = await Promise.all([api.jobs.waiting(signal), api.jobs.oldestWaiting(signal), api.jobs.countFailed({ created_after }, signal)]);
      if (signal.aborted) return;
      queue.push({ at: Date.now(), waiting: count.database_length, age: oldest ? Math.max(0, Date.now() - Date.parse(oldest.created_at)) : 0, failed: failed.database_length });
      if (queue.length > POINTS_MAX) queue.shift();
      const samples = (name) => queue.map((one) => ({ at: one.at, value: one[name] }));
      charts.age.set(joined('age', samples('age')));
      charts.waiting.set(joined('waiting', samples('waiting')));
      drawPast();
      if (held.dataset.count !== String(count.suspended)) {
        held.dataset.count = count.suspended;
        fill(held, count.suspended > 0 && [`${full(count.suspended)} ${count.suspended === 1 ? 'job is' : 'jobs are'} held by `, h('a', { href: '/triggers?state=suspended' }, 'suspended triggers'), '.']);
      }
    } catch {
      // the next sample tells; the banner says when windsock is out of reach
    }
  }

  async function load() {
    try {
      const list = await api.triggers.list({ signal });
      triggers.clear();
      for (const one of list) triggers.set(one.path, one);
      if (list.length === 0) fill(troubles, h('p', { class: 'muted' }, 'Nothing: there is no trigger yet.'));
      fill(welcome, list.length === 0 && firstSteps());
      drawLive();
    } catch (error) {
      if (!signal.aborted) fill(troubles, errorState(error, load));
    }
  }
  live.on('rates', drawLive, signal);
  live.on('trigger', load, signal);
  live.on('resync', load, signal);
  const timer = setInterval(sampleQueue, QUEUE_EVERY_MS);
  const pastTimer = setInterval(loadPast, PAST_EVERY_MS);
  signal.addEventListener('abort', () => { clearInterval(timer); clearInterval(pastTimer); }, { once: true });
  await Promise.all([load(), loadPast(), sampleQueue(), failures.load({ success: false, canceled: false, has_null_parent: true })]);
  loaded();
}
