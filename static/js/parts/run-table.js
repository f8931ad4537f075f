// Table of runs: newest first, live, with older ones on demand. The filter is the API's query.
import * as api from '../api.js';
import * as live from '../live.js';
import { bulkBar } from './bulk.js';
import { button, errorState, fill, h, icon, skeleton } from './dom.js';
import { canRunAgain, jobBadge, jobName, jobState, runAgain, startedBy } from './job.js';
import { duration, exact, full, moment } from './time.js';
import { toast, toastError } from './toast.js';

/** At most one look at the server in this time, however many jobs finish. */
const REFRESH_MS = 1000;

/**
 * `{element, load(query)}`; `empty()` makes what is shown without rows, `onload(rows)` hears of each answer. With
 * `selectable`, rows can be chosen to be run again or cancelled together.
 */
export function runTable({ signal, perPage = 50, older = true, selectable = false, empty, concerns = () => true, onload }) {
  const body = h('div', { role: 'rowgroup', class: 'rows' });
  const head = ['State', 'Runnable', 'Trigger', 'Created', 'Waited', 'Ran'];
  const chosen = new Set();
  const chooseAll = h('input', { type: 'checkbox', class: 'tickbox', 'aria-label': 'Select all shown runs', onchange: () => {
    chosen.clear();
    if (chooseAll.checked) for (const id of rows.keys()) chosen.add(id);
    selectionChanged();
  } });
  const bulk = bulkBar({ what: 'run', actions: [['Run again', 'refresh', () => againAll([...chosen])], ['Cancel runs', 'stop', () => cancelAll([...chosen])]], onclear: () => { chosen.clear(); selectionChanged(); } });
  const onChoose = selectable ? (id, yes) => {
    if (yes) chosen.add(id);
    else chosen.delete(id);
    selectionChanged();
  } : null;
  const table = h('div', { role: 'table', class: `grid-table run-table${selectable ? ' selectable' : ''}`, 'aria-label': 'Runs' },
    h('div', { role: 'rowgroup' }, h('div', { role: 'row', class: 'row head' }, selectable && h('span', { role: 'columnheader', class: 'cell c-choose' }, chooseAll), head.map((text, index) => h('span', { role: 'columnheader', class: `cell r-${index}` }, text)))), body);
  const more = button({ text: 'Show older runs', onclick: loadOlder, kind: 'small' });
  const foot = h('div', { class: 'cluster center table-foot' }, more);
  const element = h('div', {}, skeleton(5, 'low'));
  const rows = new Map();
  let query = {};
  let pages = 1;
  let timer = 0;
  let round = 0;

  function selectionChanged() {
    for (const id of chosen) if (!rows.has(id)) chosen.delete(id);
    for (const row of rows.values()) row.choose(chosen.has(row.job.id));
    bulk.set(chosen.size);
    chooseAll.checked = chosen.size > 0 && chosen.size === rows.size;
    chooseAll.indeterminate = chosen.size > 0 && !chooseAll.checked;
  }

  /** Starts each of the chosen runs anew with its arguments. */
  async function againAll(ids) {
    let started = 0;
    try {
      await bulk.each(ids, async (id) => {
        const job = await api.jobs.get(id, signal);
        if (!canRunAgain(job)) return;
        await runAgain(job);
        started += 1;
      });
      const left = ids.length - started;
      toast(`Started ${full(started)} ${started === 1 ? 'run' : 'runs'} again${left > 0 ? `; ${full(left)} cannot run alone, as steps of a flow` : ''}`);
      chosen.clear();
    } catch (error) {
      toastError(error);
    }
    selectionChanged();
    later();
  }

  async function cancelAll(ids) {
    try {
      const ended = await api.jobs.cancelMany(ids);
      const count = Array.isArray(ended) ? ended.length : ids.length;
      toast(`Cancelled ${full(count)} of ${full(ids.length)}${count < ids.length ? '; the others had ended' : ''}`);
      chosen.clear();
    } catch (error) {
      toastError(error);
    }
    selectionChanged();
    later();
  }

  async function load(next) {
    query = next;
    pages = 1;
    rows.clear();
    body.replaceChildren();
    if (!table.isConnected) fill(element, skeleton(5, 'low'));
    await refresh();
  }

  async function refresh() {
    round += 1;
    const mine = round;
    try {
      const jobs = await api.jobs.list({ ...query, page: 1, per_page: perPage }, signal);
      if (mine !== round) return;
      show(jobs, true);
    } catch (error) {
      if (!signal.aborted && mine === round && rows.size === 0) fill(element, errorState(error, () => load(query)));
    }
  }

  /** Older rows by page: new runs shift the pages, so a row may come twice; the id keeps it single. */
  async function loadOlder() {
    more.disabled = true;
    try {
      pages += 1;
      show(await api.jobs.list({ ...query, page: pages, per_page: perPage }, signal), false);
    } catch (error) {
      if (!signal.aborted) pages -= 1;
    }
    more.disabled = false;
  }

  function show(jobs, first) {
    const known = new Set(jobs.map((job) => job.id));
    if (first) {
      for (const [id, row] of rows) {
        // a row of the first page that is no longer in the answer has left the filter
        if (known.has(id) || (pages > 1 && jobs.length === perPage)) continue;
        row.element.remove();
        rows.delete(id);
      }
    }
    jobs.forEach((job) => {
      const row = rows.get(job.id) ?? runRow(job, onChoose);
      rows.set(job.id, row);
      row.update(job);
    });
    const sorted = [...rows.values()].sort((one, other) => (one.job.created_at < other.job.created_at ? 1 : -1));
    sorted.forEach((row, index) => {
      if (body.children[index] !== row.element) body.insertBefore(row.element, body.children[index] ?? null);
    });
    if (selectable) selectionChanged();
    more.hidden = !older || jobs.length < perPage;
    if (rows.size === 0) fill(element, empty());
    else if (!table.isConnected) fill(element, selectable && bulk.element, table, foot);
    onload?.(rows.size);
  }

  function later() {
    timer ||= setTimeout(() => {
      timer = 0;
      if (!signal.aborted && !document.hidden) refresh();
    }, REFRESH_MS);
  }
  live.on('job', (event) => concerns(event) && later(), signal);
  live.on('resync', later, signal);
  document.addEventListener('visibilitychange', () => !document.hidden && later(), { signal });
  return { element, load };
}

function runRow(first, onChoose) {
  const cells = ['state', 'name', 'trigger', 'created', 'waited', 'ran'].map((name, index) => h('div', { role: 'cell', class: `cell r-${index} run-${name}` }));
  const [state, name, trigger, created, waited, ran] = cells;
  const link = h('a', { class: 'row-link mono', href: `/runs/${first.id}` });
  name.append(link);
  created.append(moment(first.created_at));
  const tick = onChoose && h('input', { type: 'checkbox', class: 'tickbox', 'aria-label': `Select the run of ${jobName(first)} at ${exact(Date.parse(first.created_at))}`, onchange: () => onChoose(first.id, tick.checked) });
  const element = h('div', { role: 'row', class: 'row', 'data-job': first.id }, tick && h('div', { role: 'cell', class: 'cell c-choose' }, tick), cells);
  const view = { element, job: null, update, choose: (yes) => { tick.checked = yes; } };
  function update(job) {
    const before = view.job;
    view.job = job;
    const text = jobState(job).text;
    if (before && jobState(before).text === text && before.duration_ms === job.duration_ms) return;
    fill(state, jobBadge(job));
    fill(link, jobName(job));
    link.title = `${job.id}, ${exact(Date.parse(job.created_at))}`;
    link.setAttribute('aria-label', `${jobName(job)}, ${text.toLowerCase()}`);
    fill(trigger, job.trigger ? [icon('triggers'), h('span', { class: 'ellipsis', title: job.trigger }, job.trigger)] : h('span', { class: 'muted' }, startedBy(job)));
    waited.textContent = job.started_at ? duration(Date.parse(job.started_at) - Date.parse(job.created_at)) : '–';
    ran.textContent = job.duration_ms === undefined || job.duration_ms === null ? '–' : duration(job.duration_ms);
  }
  return view;
}
