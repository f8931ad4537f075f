// One row of the triggers list and the actions on a trigger that the list and its own page share.
import * as api from '../api.js';
import * as live from '../live.js';
import * as router from '../router.js';
import { h, icon, setText } from './dom.js';
import { confirm } from './dialog.js';
import { menuButton } from './menu.js';
import { modeSwitch } from './mode.js';
import { spark } from './spark.js';
import { badge, statusView } from './status.js';
import { compact, full, moment } from './time.js';
import { toast, toastError } from './toast.js';

const path = (text) => api.encodePath(text);

/** The address a trigger connects to, in words. */
export function urlText(trigger) {
  const dynamic = /^\$(script|flow):(.+)$/.exec(trigger.url ?? '');
  return dynamic ? `URL: result of ${dynamic[1]} ${dynamic[2]}` : trigger.url ?? '';
}

/** Where a runnable is shown. Flows have no page yet. */
export const runnableHref = (trigger) => (trigger.is_flow ? false : `/scripts/edit/${path(trigger.script_path)}`);

/** Changes the mode and says so; rejects when the server refuses. */
export async function changeMode(trigger, mode) {
  try {
    await api.triggers.setMode(trigger.path, mode);
    trigger.mode = mode;
    toast(`${trigger.path} is ${mode}`);
  } catch (error) {
    toastError(error);
    throw error;
  }
}

/** Asks, deletes, and says so; true when it is gone. */
export async function deleteTrigger(trigger) {
  const sure = await confirm({
    title: 'Delete this trigger?',
    text: `${trigger.path} stops listening at once. Its past runs stay.`,
    action: 'Delete',
    danger: true,
  });
  if (!sure) return false;
  try {
    await api.triggers.remove(trigger.path);
    toast(`${trigger.path} is deleted`);
    return true;
  } catch (error) {
    toastError(error);
    return false;
  }
}

/** The items of a trigger's menu; `view` leaves out what the trigger's own page shows as buttons. */
export function triggerMenu(trigger, { onDeleted, own = false }) {
  const runnable = runnableHref(trigger);
  return [
    !own && { text: 'View', iconName: 'eye', href: `/triggers/view/${path(trigger.path)}` },
    !own && { text: 'Edit', iconName: 'edit', href: `/triggers/edit/${path(trigger.path)}` },
    { text: 'View runs', iconName: 'runs', href: `/runs?trigger=${encodeURIComponent(trigger.path)}` },
    runnable && { text: 'View runnable', iconName: 'scripts', href: runnable },
    { text: 'Duplicate', iconName: 'copy', onselect: () => router.go(`/triggers/new?from=${encodeURIComponent(trigger.path)}`) },
    null,
    {
      text: 'Delete',
      iconName: 'trash',
      danger: true,
      onselect: async () => {
        if (await deleteTrigger(trigger)) onDeleted();
      },
    },
  ].filter((item) => item !== false && item !== undefined);
}

function counter(label, title) {
  const value = h('span', { class: 'count-value' });
  const element = h('span', { class: 'count', title }, value, h('span', { class: 'count-label' }, label));
  const set = (number) => {
    setText(value, number === undefined ? '–' : compact(number));
    element.title = `${full(number)} ${title}`;
  };
  return { element, set };
}

/** `{element, update(trigger)}` for the virtual list. */
export function triggerRow(first, { onDeleted }) {
  let trigger = first;
  const status = statusView();
  const url = h('a', { class: 'row-title mono', href: `/triggers/view/${path(trigger.path)}` });
  const where = h('span', { class: 'row-path' });
  const runnable = h('span', { class: 'row-runnable' });
  const labels = h('span', { class: 'row-labels' });
  const received = counter('received', 'messages received');
  const matched = counter('matched', 'messages matched the filters');
  const enqueued = counter('enqueued', 'jobs committed');
  const last = moment(null, { none: 'no message yet' });
  const mode = modeSwitch({ label: `Mode of ${trigger.path}`, value: trigger.mode, onchange: (next) => changeMode(trigger, next) });
  const menu = menuButton({ label: `Actions for ${trigger.path}`, items: () => triggerMenu(trigger, { onDeleted: () => onDeleted(trigger) }) });
  const cell = (name, ...content) => h('div', { role: 'cell', class: `cell ${name}` }, content);
  const element = h('div', { role: 'row', class: 'row trigger-row', 'data-path': trigger.path },
    cell('c-status', status.element),
    cell('c-main', url, h('span', { class: 'row-line' }, where, runnable, labels)),
    cell('c-counts', received.element, matched.element, enqueued.element),
    cell('c-rate', spark(trigger.path), h('span', { class: 'row-last' }, last)),
    cell('c-mode', mode.element),
    cell('c-menu', menu));

  let shown = null;
  function update(next) {
    trigger = next;
    const now = live.statusOf(trigger.path);
    if (shown !== trigger) {
      shown = trigger;
      setText(url, urlText(trigger));
      url.title = urlText(trigger);
      setText(where, trigger.path);
      runnable.replaceChildren(icon(trigger.is_flow ? 'runs' : 'scripts'), h('span', { class: 'ellipsis' }, trigger.script_path ?? ''));
      runnable.title = `runs the ${trigger.is_flow ? 'flow' : 'script'} ${trigger.script_path}`;
      labels.replaceChildren(...(trigger.labels ?? []).map((label) => badge(label)));
    }
    if (mode.element.getAttribute('aria-busy') !== 'true') mode.set(trigger.mode);
    status.update(trigger, now);
    received.set(now?.received);
    matched.set(now?.matched);
    enqueued.set(now?.enqueued);
    const at = now?.last_message_at ?? '';
    if (last.getAttribute('datetime') !== at) last.setAttribute('datetime', at);
  }
  update(trigger);
  return { element, update };
}
