// Test run beside the script editor: arguments in, then the run's state, result and logs as they come.
import * as api from '../api.js';
import { button, fill, h } from './dom.js';
import { menuButton } from './menu.js';
import { jobBadge, logView, resultView, showOnce, watchJob } from './job.js';
import { schemaForm } from './schema-form.js';
import { duration } from './time.js';
import { toastError } from './toast.js';

/** Names longer than this are cut in the menu. */
const NAME_CHARS = 60;

/**
 * The pane; `samples` are the kept messages that arguments can be taken from; `launch(args)` starts what stands in the editor and answers the run's id. `run()` starts from outside,
 * `tryWith(values, asJson)` with other arguments, `use(schema)` makes the form of the arguments.
 */
export function testRun({ launch, samples, signal, onDone, value = { msg: 'hello' } }) {
  const args = schemaForm({ name: 'args', label: 'Arguments', help: 'What it gets. A trigger passes the message as msg.', value });
  let kept = [];
  const pick = menuButton({ label: 'Take a kept sample', text: 'Samples', iconName: 'copy', kind: 'small', items: () => kept.map(({ name, text }) => ({ text: name.slice(0, NAME_CHARS), onselect: () => args.set({ msg: text }) })) });
  pick.hidden = true;
  const start = button({ text: 'Run', iconName: 'play', kind: 'primary', title: 'Ctrl+Enter', onclick: run });
  const stop = button({ text: 'Cancel run', iconName: 'stop', hidden: true, onclick: cancel });
  const state = h('div', { class: 'cluster', role: 'status' });
  const result = h('div', { role: 'region', 'aria-label': 'Result' }, h('p', { class: 'muted' }, 'Run it to see the result here. It need not be saved.'));
  const logs = h('div', { role: 'region', 'aria-label': 'Log output' });
  const logsHead = h('h3', { hidden: true }, 'Logs');
  let current = null;

  async function run() {
    if (args.problem()) return;
    current?.abort.abort();
    const mine = { abort: new AbortController(), id: null };
    current = mine;
    const until = AbortSignal.any([signal, mine.abort.signal]);
    const view = logView();
    start.disabled = true;
    fill(state, h('span', { class: 'muted' }, 'Starting…'));
    delete result.dataset.shown;
    fill(result, h('p', { class: 'muted' }, 'Waiting for a worker…'));
    fill(logs, view.element);
    logsHead.hidden = false;
    try {
      mine.id = await launch(args.value);
      stop.hidden = false;
      const done = await watchJob(mine.id, {
        signal: until,
        onLogs: view.add,
        onJob: (job) => {
          fill(state, jobBadge(job), job.duration_ms !== undefined && h('span', { class: 'muted' }, duration(job.duration_ms)), h('a', { href: `/runs/${job.id}` }, 'Open run'));
          showOnce(result, `${job.type} ${Boolean(job.started_at)}`, () => resultView(job));
        },
      });
      if (done) {
        view.done();
        onDone?.(done);
      }
    } catch (error) {
      if (until.aborted) return;
      fill(state);
      fill(result, h('p', { class: 'field-error' }, error.message));
      onDone?.({ failure: error });
    } finally {
      if (current === mine) {
        start.disabled = false;
        stop.hidden = true;
      }
    }
  }

  async function cancel() {
    if (!current?.id) return;
    try {
      await api.jobs.cancel(current.id, 'cancelled on the page');
    } catch (error) {
      toastError(error);
    }
  }

  const element = h('section', { class: 'card test-run', 'aria-label': 'Test run' }, h('div', { class: 'card-head' }, h('h2', {}, 'Test run')),
    args.element, h('div', { class: 'cluster' }, start, stop, pick, state), h('h3', {}, 'Result'), result, logsHead, logs);
  async function loadSamples() {
    kept = await samples.list(signal).catch(() => []); // only an offer: a message can be typed
    pick.hidden = kept.length === 0;
  }
  if (samples) {
    document.addEventListener('windsock:samples', loadSamples, { signal });
    loadSamples();
  }

  function tryWith(values, asJson) {
    args.set(values, asJson);
    element.scrollIntoView({ block: 'nearest' });
    return run();
  }
  return { element, run, tryWith, use: (schema) => args.use(schema) };
}
