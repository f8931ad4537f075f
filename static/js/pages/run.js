// One run: its arguments, result, logs and times, followed until it is done; run again and cancel.
import * as api from '../api.js';
import * as router from '../router.js';
import { breakable, button, copyButton, emptyState, errorState, fill, h, linkButton, pageHead, setText, skeleton } from '../parts/dom.js';
import { confirm, openDialog } from '../parts/dialog.js';
import { field } from '../parts/field.js';
import { formDialog } from '../parts/form-dialog.js';
import { canRunAgain, errorBox, fact, isDone, isFlowJob, jobBadge, jobName, logView, resultView, retriesIn, runAgain, showOnce, startedBy, startsLater, timingBar, watchJob } from '../parts/job.js';
import { flowGraph } from '../parts/flow-graph.js';
import { jsonView } from '../parts/json-tree.js';
import { schemaForm } from '../parts/schema-form.js';
import { moment } from '../parts/time.js';
import { toast, toastError } from '../parts/toast.js';

/** A run that ended within this time may still be owed its reply's moment. */
const JUST_ENDED_MS = 30_000;
/** It is written down once a second. */
const REPLY_WAIT_MS = 1000;
const REPLY_LOOKS = 3;
/** Of many retries the last are listed. */
const RETRIES_SHOWN = 5;
const CRUMBS = [['Runs', '/runs']];
/** Kinds of jobs whose path is that of something saved; other steps of flows have names of their own. */
const SAVED = /^(unassigned_)?(script|flow|singlestepflow)$/;

export async function render(root, params) {
  const { id, signal } = params;
  fill(root, pageHead({ title: 'Run', crumbs: CRUMBS }), skeleton(4));
  const state = h('span', { role: 'status' });
  const facts = h('dl', { class: 'facts' });
  const times = h('div', {});
  const retries = h('div', {});
  const args = h('div', {});
  const result = h('div', {});
  const failure = h('div', { class: 'stack-small' });
  const logs = logView({ name: `run-${id}` });
  const cancel = button({ text: 'Cancel run', iconName: 'stop', hidden: true, onclick: cancelRun });
  const again = button({ text: 'Run again', iconName: 'refresh', kind: 'primary', hidden: true, onclick: () => start() });
  const other = button({ text: 'Run with other arguments', iconName: 'edit', hidden: true, onclick: runOther });
  const card = (title, name, ...content) => h('section', { class: `card ${name}`, 'aria-label': title }, h('div', { class: 'card-head' }, h('h2', {}, title)), content);
  const flow = h('div', {});
  const flowCard = card('Steps', 'flow-card', flow);
  flowCard.hidden = true;
  let job = null;
  let shown = false;

  function show(next) {
    job = next;
    if (!shown) {
      shown = true;
      const head = pageHead({ title: jobName(job), crumbs: CRUMBS, actions: [cancel, other, again] });
      head.querySelector('h1').after(h('p', { class: 'lead cluster' }, state, h('span', { class: 'mono muted wrap' }, job.id), copyButton(() => job.id, 'Copy id')));
      fill(root, head, h('div', { class: 'run-grid' }, card('Time', 'times', times, retries, facts), card('Arguments', 'args', args), card('Result', 'result', failure, result), flowCard, card('Logs', 'logs-card', logs.element)));
      document.title = `${jobName(job)} · run · windsock`;
      fill(args, jsonView(job.args ?? {}, { name: `arguments-${id}` }));
    }
    const badge = jobBadge(job);
    if (state.textContent !== badge.textContent) fill(state, badge);
    fill(times, timingBar(job));
    fill(facts, fact('Created', moment(job.created_at)), job.started_at && fact('Started', moment(job.started_at)), startsLater(job) && fact('Next start', moment(job.scheduled_for), 'a retry, or a run that was asked for later'),
      fact(job.trigger ? 'Trigger' : 'Asked for', job.trigger ? h('a', { class: 'mono', href: `/triggers/view/${api.encodePath(job.trigger)}` }, breakable(job.trigger)) : startedBy(job)),
      job.script_path && fact(isFlowJob(job) ? 'Flow' : 'Script', scriptLink()),
      fact('Run as', h('span', { class: 'mono' }, job.permissioned_as ?? '–')), job.worker && fact('Worker', h('span', { class: 'mono' }, job.worker)),
      job.parent_job && fact('Part of', h('a', { class: 'mono', href: `/runs/${job.parent_job}` }, job.flow_step_id ? `step ${job.flow_step_id}` : job.parent_job)));
    showFlow();
    showFailure();
    showOnce(result, `${job.type} ${Boolean(job.started_at)} ${startsLater(job)}`, () => resultView(job));
    cancel.hidden = isDone(job);
    again.hidden = other.hidden = !canRunAgain(job);
    if (isDone(job)) logs.done();
    if (isDone(job) && job.received_at && !job.replied_at && !looked) {
      looked = true;
      lookForReply();
    }
  }

  /** The reply goes out just after the result is committed: looks for it a few times more. */
  let looked = false;
  async function lookForReply() {
    if (Date.now() - Date.parse(job.completed_at ?? '') > JUST_ENDED_MS) return;
    for (let look = 0; look < REPLY_LOOKS && !signal.aborted; look += 1) {
      await new Promise((resolve) => { setTimeout(resolve, REPLY_WAIT_MS); });
      const now = signal.aborted ? null : await api.jobs.get(id, signal).catch(() => null);
      if (now?.replied_at) {
        show(now);
        return;
      }
    }
  }

  /** The steps of a flow with their states; its definition is asked for once. */
  let definition = null;
  async function showFlow() {
    const status = job.flow_status;
    if (!status && !isFlowJob(job)) return;
    definition ??= job.raw_flow ?? (await api.flows.get(job.script_path, signal).then((flow) => flow.value, () => ({ modules: status?.modules ?? [] })));
    if (signal.aborted) return;
    showOnce(flow, JSON.stringify([job.flow_status ?? null, isDone(job)]), () => flowGraph(definition, job.flow_status, { ended: isDone(job), restart: isDone(job) && canRunAgain(job) ? restartFrom : null }));
    flowCard.hidden = false;
  }

  /** What failed in a flow whose failure step has answered in its place. */
  async function showFailure() {
    const failed = (job.flow_status?.modules ?? []).find((one) => one.type === 'Failure' && one.job);
    if (!failed || !isDone(job) || job.success || job.result?.error || failure.dataset.shown) return;
    failure.dataset.shown = 'yes';
    const step = await api.jobs.get(failed.job, signal).catch(() => null); // then the graph alone tells
    if (signal.aborted || !step?.result?.error) return;
    fill(failure, h('p', {}, 'Step ', h('a', { href: `/runs/${failed.job}` }, failed.id), ' failed:'), errorBox(step.result.error), h('h3', {}, 'What the failure step returned'));
  }

  function addLogs(text, whole) {
    logs.add(text, whole);
    const all = retriesIn(logs.text());
    showOnce(retries, String(all.length), () => all.length > 0 && [h('h3', {}, all.length === 1 ? 'One run failed before' : `${all.length} runs failed before`),
      h('ol', { class: 'retries' }, all.length > RETRIES_SHOWN && h('li', { class: 'muted' }, `${all.length - RETRIES_SHOWN} earlier ones: see the logs`),
        all.slice(-RETRIES_SHOWN).map(({ run, next }) => h('li', {}, `Run ${run} failed, the next one was set for `, moment(next))))]);
  }

  function scriptLink() {
    if (!SAVED.test(job.job_kind)) return h('span', { class: 'mono' }, job.script_path);
    return h('a', { class: 'mono', href: `/${isFlowJob(job) ? 'flows' : 'scripts'}/edit/${api.encodePath(job.script_path)}` }, breakable(job.script_path));
  }

  async function start(values) {
    again.disabled = true;
    try {
      const next = await runAgain(job, values);
      toast('Started');
      await router.go(`/runs/${next}`);
    } catch (error) {
      toastError(error);
    } finally {
      again.disabled = false;
    }
  }

  /** Asks from where in a loop, and starts the flow anew from a step on. */
  async function restartFrom(step, status) {
    const turns = step.value?.type === 'branchone' ? 0 : status.flow_jobs?.length ?? 0;
    const from = h('select', { class: 'input' }, h('option', { value: '' }, 'its beginning'), Array.from({ length: turns }, (_, index) => h('option', { value: index }, `#${index}`)));
    const done = await formDialog({
      title: `Run again from step ${step.id}?`, action: 'Run again',
      fields: [h('p', {}, 'What the steps before it came to is taken over; it and what follows run again, with the flow as it is saved now.'), turns > 1 && field({ name: 'branch_or_iteration_n', label: 'From', control: from })],
      send: () => api.jobs.restart(job.id, step.id, from.value === '' ? undefined : Number(from.value)),
    });
    if (!done) return;
    toast('Started');
    await router.go(`/runs/${done}`);
  }

  async function runOther() {
    const found = job.script_path ? await (isFlowJob(job) ? api.flows : api.scripts).get(job.script_path, signal).catch(() => null) : null; // then the arguments are edited as JSON
    const form = schemaForm({ schema: found?.schema ?? null, value: job.args ?? {} });
    const values = await openDialog({
      title: `Run ${jobName(job)}`, wide: true, body: form.element,
      actions: (close) => [button({ text: 'Back', onclick: () => close() }), button({ text: 'Run', iconName: 'play', kind: 'primary', onclick: () => !form.problem() && close(form.value) })],
    });
    if (values) await start(values);
  }

  async function cancelRun() {
    const sure = await confirm({ title: 'Cancel this run?', text: 'What it has done so far is not undone.', action: 'Cancel run', danger: true });
    if (!sure) return;
    cancel.disabled = true;
    try {
      await api.jobs.cancel(id, 'cancelled on the page');
    } catch (error) {
      toastError(error);
    } finally {
      cancel.disabled = false;
    }
  }

  try {
    await new Promise((resolve, reject) => {
      watchJob(id, { signal, onLogs: addLogs, onJob: (next) => { show(next); resolve(); } }).catch((error) => (shown ? lost(error) : reject(error)));
      signal.addEventListener('abort', resolve, { once: true });
    });
  } catch (error) {
    if (signal.aborted) return;
    fill(root, pageHead({ title: 'Run', crumbs: CRUMBS }), error.status === 404
      ? emptyState({ iconName: 'search', title: 'There is no run with this id', text: 'Runs are deleted after their retention time.', actions: [linkButton({ text: 'All runs', href: '/runs' })] })
      : errorState(error, () => render(root, params)));
  }

  /** The server went away while the run was followed: say so, and look again soon. */
  function lost(error) {
    if (signal.aborted || error.status === 401) return;
    setText(state, 'not up to date');
    setTimeout(() => !signal.aborted && watchJob(id, { signal, onLogs: addLogs, onJob: show }).catch(lost), 2000);
  }
}
