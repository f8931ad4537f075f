// How the server keeps and was started: how long ended jobs stay, which super admins choose, and what its flags say, to be
// read. Only admins see it.
import * as api from '../api.js';
import { confirm } from './dialog.js';
import { button, errorState, fill, h, skeleton } from './dom.js';
import { field } from './field.js';
import { formDialog } from './form-dialog.js';
import { badge } from './status.js';
import { full } from './time.js';
import { toast, toastError } from './toast.js';

const SPANS = [['day', 86_400], ['hour', 3600], ['minute', 60], ['second', 1]];
/** The rows that are chosen on this page. */
const AGE = '--job-retention-secs';
const COUNT = '--job-retention-count';

const spanOf = (seconds) => SPANS.find(([, size]) => seconds % size === 0);

/** A setting's value in words. */
function words({ value, unit, none }) {
  if (value === null || value === undefined || (value === 0 && none)) return none ?? 'not set';
  if (unit === 'seconds') {
    const [name, size] = spanOf(value);
    return `${full(value / size)} ${name}${value === size ? '' : 's'}`;
  }
  return typeof value === 'number' ? `${full(value)}${unit ? ` ${unit}` : ''}` : String(value);
}

const row = (one, more) => h('div', {}, h('dt', {}, one.about), h('dd', {}, h('strong', {}, words(one)), more));
const flags = (one) => h('span', { class: 'muted flags' }, h('code', {}, one.flag), ' or ', h('code', {}, one.env));

function card(title, about) {
  const body = h('div', {}, skeleton(2, 'low'));
  const actions = h('div', { class: 'cluster' });
  const element = h('section', { class: 'card', 'aria-label': title }, h('div', { class: 'card-head' }, h('div', {}, h('h2', {}, title), h('p', { class: 'muted' }, about)), actions), body);
  return { element, body, actions };
}

/** Two cards, for how long jobs are kept and for the flags; they are hidden from who may not see them. */
export function serverSettingsCards({ signal, mayChange }) {
  const kept = card('Retention', 'Jobs that ended go after this time, oldest first, with their logs. What has not ended is never deleted.');
  const server = card('Server', 'What this server was started with. A change needs its flag, or its variable in the environment, and a restart.');

  async function load() {
    try {
      const settings = await api.serverSettings(signal);
      const [age, count] = [AGE, COUNT].map((flag) => settings.find((one) => one.flag === flag));
      const from = (one) => (one.chosen ? badge('chosen here') : flags(one));
      fill(kept.body, h('dl', { class: 'settings-list' }, row(age, from(age)), row(count, from(count))));
      fill(server.body, h('dl', { class: 'settings-list' }, settings.filter((one) => one !== age && one !== count).map((one) => row(one, flags(one)))));
      if (await mayChange()) {
        fill(kept.actions, age.chosen && button({ text: 'As started', 'aria-label': 'Keep jobs as the server was started', kind: 'small ghost', onclick: asStarted }),
          button({ text: 'Change', iconName: 'edit', kind: 'small', 'aria-label': 'Change the retention', onclick: () => change(age.value, count.value) }));
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error.status === 403 || error.status === 404) kept.element.hidden = server.element.hidden = true;
      else {
        fill(kept.body, errorState(error, load));
        fill(server.body);
      }
    }
  }

  async function change(secs, count) {
    const [unit, size] = spanOf(secs || SPANS[0][1]);
    const number = h('input', { class: 'input', type: 'number', min: '1', step: 'any', value: secs ? String(secs / size) : '', placeholder: 'for ever' });
    const units = h('select', { class: 'input', 'aria-label': 'Unit', value: unit }, SPANS.map(([name]) => h('option', { value: name }, `${name}s`)));
    const most = h('input', { class: 'input', type: 'number', min: '1', step: '1', value: count ? String(count) : '', placeholder: 'no bound' });
    const send = () => {
      const chosen = SPANS.find(([name]) => name === units.value)[1];
      return api.retention.choose({ job_retention_secs: number.value === '' ? null : Math.round(Number(number.value) * chosen), job_retention_count: most.value === '' ? null : Number(most.value) });
    };
    const done = await formDialog({
      title: 'How long ended jobs are kept', action: 'Save', send,
      fields: [h('div', { class: 'with-unit' }, field({ name: 'job_retention_secs', label: 'Keep ended jobs for', help: 'Empty: for ever. What is past it is deleted within a minute and does not come back.', control: number }), units),
        field({ name: 'job_retention_count', label: 'Keep at most', help: 'Ended jobs in all, the newest. Empty: no bound.', control: most })],
    });
    if (!done) return;
    toast('The retention is saved; all servers follow it within half a minute');
    await load();
  }

  async function asStarted() {
    const sure = await confirm({ title: 'Keep jobs as the server was started?', text: 'What was chosen here is forgotten, and the flags count again.', action: 'As started' });
    if (!sure) return;
    try {
      await api.retention.asStarted();
      toast('Jobs are kept as the server was started');
    } catch (error) {
      toastError(error);
    }
    await load();
  }

  load();
  return [kept.element, server.element];
}
