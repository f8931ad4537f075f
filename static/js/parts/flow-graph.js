// Flow graph: the steps of a flow from the top to the bottom, branches side by side, loops as frames; in a run, each
// with its state and a link to its job.
import { button, h, icon } from './dom.js';
import { badge } from './status.js';
import { languageName } from './templates.js';

const STATES = {
  WaitingForPriorSteps: ['idle', 'waits'], WaitingForEvents: ['warn', 'waits for events'], WaitingForExecutor: ['busy', 'queued'],
  InProgress: ['busy', 'running'], Success: ['ok', 'done'], Failure: ['bad', 'failed'],
};
/** What still waits when its flow has ended. */
const NOT_RUN = ['idle', 'not run'];
/** The step that makes the arguments: they are there already when a flow runs again. */
const PREPROCESSOR = 'preprocessor';
/** Jobs of a loop that are linked one by one. */
const LOOP_JOBS_MAX = 20;

const KINDS = { rawscript: 'Script', script: 'Script', flow: 'Flow', forloopflow: 'For each', whileloopflow: 'While', branchone: 'First branch that fits', branchall: 'All branches', identity: 'Identity' };

function about(value) {
  if (value.type === 'rawscript') return languageName(value.language);
  if (value.type === 'script' || value.type === 'flow') return value.path ?? '';
  if (value.type === 'forloopflow') return value.iterator?.expr ?? JSON.stringify(value.iterator?.value ?? '');
  return '';
}

/** One iteration or branch: its number, and by a mark and a word whether it failed. */
function loopJob(id, index, success) {
  const failed = success === false;
  return h('a', { href: `/runs/${id}`, class: failed ? 'failed' : undefined, 'aria-label': failed ? `#${index}, failed` : undefined }, failed && icon('alert'), `#${index}`);
}

/** `{type, job, flow_jobs…}` of every module of a `flow_status`, by its id, with the words for it. */
function statesOf(status, ended) {
  const all = [status?.preprocessor_module, ...(status?.modules ?? []), status?.failure_module];
  const words = ({ type }) => (ended && type.startsWith('WaitingFor') ? NOT_RUN : STATES[type] ?? []);
  return new Map(all.filter((one) => one?.id).map((one) => [one.id, { ...one, words: words(one) }]));
}

function module(one, states, restart) {
  const value = one.value ?? {};
  const state = states.get(one.id);
  const [tone, word] = state?.words ?? [];
  const extras = [one.retry && 'retries', one.sleep && 'sleeps', one.skip_if && 'may be skipped', one.stop_after_if && 'may stop the flow', one.continue_on_error && 'goes on after errors', one.timeout && 'timeout'].filter(Boolean);
  const jobs = (state?.flow_jobs ?? []).slice(0, LOOP_JOBS_MAX);
  const node = h('div', { class: 'flow-node', 'data-tone': tone, 'data-type': value.type },
    h('div', { class: 'flow-node-head' }, h('code', {}, one.id ?? '?'), h('strong', {}, one.summary || (KINDS[value.type] ?? value.type ?? 'Step')), word && badge(word, tone),
      state?.job && !state.flow_jobs && h('a', { href: `/runs/${state.job}`, 'aria-label': `Run of step ${one.id}` }, 'run'),
      restart && one.id !== PREPROCESSOR && ['Success', 'Failure'].includes(state?.type) && button({ text: 'Run again from this step', iconName: 'refresh', kind: 'ghost small restart', 'aria-label': `Run again from step ${one.id}`, onclick: () => restart(one, state) })),
    h('div', { class: 'muted ellipsis', title: about(value) }, about(value)),
    extras.length > 0 && h('div', { class: 'flow-extras' }, extras.map((text) => badge(text))),
    jobs.length > 0 && h('div', { class: 'flow-jobs' }, jobs.map((id, index) => loopJob(id, index, state.flow_jobs_success?.[index])), state.flow_jobs.length > jobs.length && h('span', { class: 'muted' }, `and ${state.flow_jobs.length - jobs.length} more`)));
  return h('li', {}, node, inner(value, states, state));
}

function inner(value, states, state) {
  if (value.type === 'forloopflow' || value.type === 'whileloopflow') return h('div', { class: 'flow-frame' }, steps(value.modules, states));
  if (value.type !== 'branchone' && value.type !== 'branchall') return null;
  const chosen = state?.branch_chosen;
  const branch = (title, modules, taken) => h('div', { class: `flow-branch${taken ? ' taken' : ''}` }, h('p', { class: 'muted ellipsis', title }, taken && icon('check'), taken && ' ', title), steps(modules, states));
  return h('div', { class: 'flow-branches' },
    (value.branches ?? []).map((one, index) => branch(one.summary || one.expr || `Branch ${index + 1}`, one.modules, chosen?.branch === index)),
    value.type === 'branchone' && branch('otherwise', value.default, chosen?.type === 'default'));
}

const steps = (modules, states, restart) => ((modules ?? []).length > 0
  ? h('ol', { class: 'flow-steps' }, modules.map((one) => module(one, states, restart)))
  : h('p', { class: 'muted' }, 'no step'));

/** The graph of an OpenFlow `value`; `status` is the `flow_status` of a run that may have `ended`, `restart(module, state)` runs it again from there. */
export function flowGraph(value, status, { ended = false, restart = null } = {}) {
  const states = statesOf(status, ended);
  const modules = value?.modules ?? [];
  const all = [value?.preprocessor_module && { ...value.preprocessor_module, summary: value.preprocessor_module.summary || 'Preprocessor' }, ...modules].filter(Boolean);
  return h('div', { class: 'flow-graph', role: 'group', 'aria-label': 'Steps of the flow' }, all.length > 0 ? steps(all, states, restart) : h('p', { class: 'muted' }, 'This flow has no step yet.'),
    value?.failure_module && h('div', { class: 'flow-failure' }, h('p', { class: 'muted' }, 'When a step fails'), steps([value.failure_module], states)));
}
