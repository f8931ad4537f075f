// Test run beside the script editor: arguments in, then the run's state, result and logs as they come.
import * as api from '../api.js';
import { codeEditor } from './code.js';
import { button, fill, h } from './dom.js';
import { field, setFieldError } from './field.js';
import { jobBadge, logView, resultView, showOnce, watchJob } from './job.js';
import { duration } from './time.js';
import { toastError } from './toast.js';

/** The pane; `script()` answers `{content, language, path}` as they stand in the editor. `run()` starts from outside. */
export function testRun({ script, signal, onDone }) {
  const args = codeEditor({ value: '{\n  "msg": "hello"\n}', rows: 4 });
  const argsField = field({ name: 'args', label: 'Arguments (JSON)', help: 'What main gets. A trigger passes the message as msg.', control: args, wide: true });
  const start = button({ text: 'Run', iconName: 'play', kind: 'primary', title: 'Ctrl+Enter', onclick: run });
  const stop = button({ text: 'Cancel run', iconName: 'stop', hidden: true, onclick: cancel });
  const state = h('div', { class: 'cluster', role: 'status' });
  const result = h('div', { role: 'region', 'aria-label': 'Result' }, h('p', { class: 'muted' }, 'Run the script to see its result here. It need not be saved.'));
  const logs = h('div', { role: 'region', 'aria-label': 'Log output' });
  let current = null;

  async function run() {
    setFieldError(argsField, '');
    let values;
    try {
      values = args.value.trim() === '' ? {} : JSON.parse(args.value);
    } catch (error) {
      setFieldError(argsField, `this is not valid JSON: ${error.message}`);
      return;
    }
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
    try {
      mine.id = await api.jobs.preview({ ...script(), args: values });
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
    argsField, h('div', { class: 'cluster' }, start, stop, state), h('h3', {}, 'Result'), result, h('h3', {}, 'Logs'), logs);
  return { element, run };
}
