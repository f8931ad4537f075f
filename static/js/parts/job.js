// Jobs: their state in words, watching one until it is done, its logs and its result. Shared by runs and test runs.
import * as api from '../api.js';
import * as live from '../live.js';
import { copyButton, button, fill, h, setText } from './dom.js';
import { download, jsonView } from './json-tree.js';
import { badge } from './status.js';
import { clockTime, duration, exact } from './time.js';

const FIRST_WAIT_MS = 150;
const LONGEST_WAIT_MS = 2000;
/** Past this the page keeps only the end of the logs; all of them can be downloaded. */
const LOG_CHARS_SHOWN = 500_000;
const FOLLOW_SLACK_PX = 24;

export const isDone = (job) => job.type === 'CompletedJob';

/** Whether a job ran a saved flow. */
export const isFlowJob = (job) => ['flow', 'unassigned_flow'].includes(job.job_kind);

/** Whether a job can be started anew as it was: steps inside a flow cannot. */
export function canRunAgain(job) {
  if (job.job_kind === 'preview') return Boolean(job.raw_code);
  if (job.job_kind === 'flowpreview') return Boolean(job.raw_flow);
  return ['script', 'flow', 'singlestepflow', 'unassigned_script', 'unassigned_flow', 'unassigned_singlestepflow'].includes(job.job_kind) && Boolean(job.script_path);
}

/** Starts a job anew, with its own arguments or others: a test run with the text it had. Answers the new id. */
export function runAgain(job, args = job.args ?? {}) {
  const path = job.script_path || undefined;
  if (job.job_kind === 'preview') return api.jobs.preview({ content: job.raw_code, language: job.language, path, args });
  if (job.job_kind === 'flowpreview') return api.jobs.previewFlow({ value: job.raw_flow, path, args });
  return api.jobs.run(path, isFlowJob(job), args);
}

/** Whether a job waits for its time: a retry after a failed attempt, or a run that was asked for later. */
export const startsLater = (job) => !isDone(job) && !job.running && Date.parse(job.scheduled_for ?? '') > Date.now();

/** `{tone, text, iconName}` of a job. */
export function jobState(job) {
  if (isDone(job)) {
    if (job.canceled) return { tone: 'warn', text: 'Cancelled', iconName: 'stop' };
    return job.success ? { tone: 'ok', text: 'Succeeded', iconName: 'check' } : { tone: 'bad', text: 'Failed', iconName: 'alert' };
  }
  if (String(job.job_kind ?? '').startsWith('unassigned')) return { tone: 'warn', text: 'Held', iconName: 'pause' };
  return job.running || job.started_at ? { tone: 'busy', text: 'Running', iconName: 'play' } : { tone: 'idle', text: 'Queued', iconName: 'clock' };
}

export function jobBadge(job) {
  const { tone, text, iconName } = jobState(job);
  return badge(text, tone, iconName);
}

/** What a job ran, in words. */
export function jobName(job) {
  return job.script_path || (String(job.job_kind ?? '').includes('preview') ? 'test run' : job.job_kind ?? 'run');
}

/** Follows a job to its end: `onJob(job)` at each change, `onLogs(text, whole)` with new or all logs. */
export async function watchJob(id, { signal, onJob, onLogs }) {
  let wait = FIRST_WAIT_MS;
  let offset = 0;
  const wake = wakerFor(id, signal);
  while (!signal.aborted) {
    const job = await api.jobs.get(id, signal);
    // after the job itself, so that the logs of a finished job are whole
    const logs = await api.jobs.logsSince(id, offset, signal);
    if (signal.aborted) return null;
    offset = logs.offset;
    onJob(job);
    onLogs?.(logs.text, logs.whole === true);
    if (isDone(job)) return job;
    await wake(wait);
    wait = Math.min(LONGEST_WAIT_MS, wait * 1.5);
  }
  return null;
}

/** A wait that ends early when the live socket tells of the job. */
function wakerFor(id, signal) {
  let resolve = null;
  live.on('job', (event) => event.id === id && resolve?.(), signal);
  signal.addEventListener('abort', () => resolve?.(), { once: true });
  return (ms) => new Promise((done) => {
    const timer = setTimeout(done, ms);
    resolve = () => {
      clearTimeout(timer);
      done();
    };
  });
}

/** What the server writes into the logs when a run has failed and another one follows. */
const RETRIED = /^\[windsock: run (\d+) has failed; the job runs again at (\S+)\]$/gm;

/** The failed runs that were followed by another, as the logs tell: `[{run, next}]` with the moment of the next one. */
export const retriesIn = (logs) => [...logs.matchAll(RETRIED)].map(([, run, next]) => ({ run: Number(run), next }));

/** Logs that follow their end while the reader is there. `{element, add(text, whole), text()}`. */
export function logView({ name = 'logs' } = {}) {
  const lines = h('pre', { class: 'logs mono', tabindex: '0', role: 'log', 'aria-label': 'Logs', 'aria-live': 'off' });
  const none = h('p', { class: 'muted' }, 'No logs yet.');
  const tools = h('div', { class: 'json-tools', hidden: true }, copyButton(() => all), button({ text: 'Download', iconName: 'download', kind: 'small ghost', onclick: () => download(all, `${name}.log`) }));
  let all = '';
  lines.hidden = true;
  function add(text, whole) {
    const next = whole ? text : all + text;
    if (next === all) return;
    const follows = lines.scrollHeight - lines.scrollTop - lines.clientHeight < FOLLOW_SLACK_PX;
    if (!whole && text && all.length + text.length <= LOG_CHARS_SHOWN) lines.append(text);
    else setText(lines, next.length > LOG_CHARS_SHOWN ? `… the beginning is left out, download the logs to see it\n${next.slice(-LOG_CHARS_SHOWN)}` : next);
    all = next;
    lines.hidden = tools.hidden = all === '';
    none.hidden = all !== '';
    if (follows) lines.scrollTop = lines.scrollHeight;
  }
  return { element: h('div', {}, tools, none, lines), add, text: () => all, done: () => setText(none, 'This run wrote no logs.') };
}

/** An error with its stack. */
export const errorBox = (error) => h('div', { class: 'job-error' },
  h('div', { class: 'cluster' }, h('strong', { class: 'grow' }, error.name ?? 'Error'), copyButton(() => [`${error.name ?? 'Error'}: ${error.message ?? ''}`, error.stack].filter(Boolean).join('\n'))),
  h('p', {}, error.message ?? ''), error.stack && h('pre', { class: 'mono' }, error.stack));

/** Whether a failed job's result says more than the error's name, message and stack. */
const hasMore = ({ error, ...rest }) => Object.keys(rest).length > 0 || Object.keys(error).some((key) => !['name', 'message', 'stack', 'step_id'].includes(key));

/** A job's result: an error with its stack, or a value as a tree; a word while it is not there yet. */
export function resultView(job) {
  if (!isDone(job)) return h('p', { class: 'muted' }, jobState(job).text === 'Running' ? 'Running…' : jobState(job).text === 'Held' ? 'Held until its trigger is enabled again.' : startsLater(job) ? 'Waiting for its next start; the logs below tell what happened so far.' : 'Waiting for a worker…');
  const error = job.success ? null : job.result?.error;
  return h('div', { class: 'stack-small' },
    error && errorBox(error),
    error && !hasMore(job.result) ? null : jsonView(job.result ?? null, { name: `result-${job.id}` }));
}

/** The moments of a job that are known, in order: `[name, epochMs]`. Those of a message's way only of triggered jobs. */
function momentsOf(job) {
  const at = (text) => Date.parse(text ?? '');
  const started = at(job.started_at);
  const done = job.completed_at ? at(job.completed_at) : isDone(job) ? started + (job.duration_ms ?? 0) : NaN;
  const all = [['Received', at(job.received_at)], ['Committed', at(job.created_at)], ['Started', started], ['Done', done], ['Replied', at(job.replied_at)]];
  return all.filter(([, moment]) => !Number.isNaN(moment));
}

/** What lies between two moments: its name, its colour, and what it means. */
const STRETCHES = {
  Committed: ['Taken in', 'commit', 'from the filters to the committed job'],
  Started: ['Waited', 'wait', 'for a worker, its turn or its time'],
  Done: ['Ran', 'run', 'from the start to the committed result'],
  Replied: ['Sent back', 'reply', 'from the result to the reply on the connection'],
};

/** A job's way as a bar: received → committed → started → done → replied, as far as it has come. */
export function timingBar(job) {
  const moments = momentsOf(job);
  const going = isDone(job) ? null : job.started_at ? 'Done' : 'Started';
  const ends = going ? [...moments, [going, Math.max(Date.now(), moments.at(-1)[1])]] : moments;
  const stretches = ends.slice(1).map(([name, end], index) => ({ name, ms: Math.max(0, end - ends[index][1]) }));
  const total = Math.max(ends.at(-1)[1] - ends[0][1], 1);
  const part = ({ name, ms }) => {
    const element = h('span', { class: `timing-${STRETCHES[name][1]}`, title: `${STRETCHES[name][0]} ${duration(ms)}` });
    element.style.setProperty('flex-grow', String(Math.max(ms / total, 0.001)));
    return element;
  };
  const term = ({ name, ms }) => {
    const [text, kind, title] = STRETCHES[name];
    return h('div', { title, class: `timing-term ${kind}` }, h('dt', {}, text), h('dd', {}, duration(ms), name === going && h('span', { class: 'muted' }, ' so far')));
  };
  const first = moments[0][1];
  return h('div', { class: 'timing' },
    h('div', { class: 'timing-bar', role: 'img', 'aria-label': stretches.map(({ name, ms }) => `${STRETCHES[name][0].toLowerCase()} ${duration(ms)}`).join(', ') }, stretches.map(part)),
    h('dl', { class: 'facts' }, stretches.map(term), h('div', {}, h('dt', {}, 'In all'), h('dd', {}, duration(total)))),
    h('ol', { class: 'timing-points', 'aria-label': 'Moments' }, moments.map(([name, moment], index) => h('li', { title: exact(moment) }, h('span', {}, name), ' ', h('time', { class: 'mono', datetime: new Date(moment).toISOString() }, index === 0 || moment - first >= 1000 ? clockTime(moment) : `+${moment - first} ms`)))));
}

/** The API's words for who starts jobs that no trigger started. */
const STARTERS = { webhook: 'by the API', ui: 'on the page' };

/** How a job without a trigger was started. */
export const startedBy = (job) => STARTERS[job.trigger_kind] ?? job.trigger_kind ?? '–';

/** One term of a `dl.facts`. */
export const fact = (term, value, title) => h('div', { title }, h('dt', {}, term), h('dd', {}, value));

/** Replaces the content of `slot` only when `key` changed, so that what was unfolded or selected stays. */
export function showOnce(slot, key, make) {
  if (slot.dataset.shown === key) return;
  slot.dataset.shown = key;
  fill(slot, make());
}
