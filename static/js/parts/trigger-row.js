// One row of the triggers list.
import * as api from '../api.js';
import * as live from '../live.js';
import { h, icon, setText } from './dom.js';
import { menuButton } from './menu.js';
import { modeSwitch } from './mode.js';
import { spark } from './spark.js';
import { badge, statusView } from './status.js';
import { compact, full, moment } from './time.js';
import { changeMode, triggerMenu, urlText } from './trigger-actions.js';

const path = (text) => api.encodePath(text);
/** Of more labels the row tells how many; the trigger's own page shows them all. */
const LABELS_SHOWN = 2;

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
export function triggerRow(first, { onDeleted, onRestored, isChosen, onChoose }) {
  let trigger = first;
  const status = statusView();
  const link = h('a', { class: 'row-title mono', href: `/triggers/view/${path(trigger.path)}` });
  const url = h('span', { class: 'row-url mono' });
  const runnable = h('span', { class: 'row-runnable' });
  const labels = h('span', { class: 'row-labels' });
  const received = counter('received', 'messages received');
  const matched = counter('matched', 'messages matched the filters');
  const enqueued = counter('enqueued', 'jobs committed');
  const last = moment(null, { none: 'no message yet' });
  const mode = modeSwitch({ label: `Mode of ${trigger.path}`, value: trigger.mode, onchange: (next) => changeMode(trigger, next) });
  const menu = menuButton({ label: `Actions for ${trigger.path}`, items: () => triggerMenu(trigger, { onDeleted: () => onDeleted(trigger), onRestored, onMode: () => update(trigger) }) });
  const choose = h('input', { type: 'checkbox', class: 'tickbox', 'aria-label': `Select ${trigger.path}`, onchange: () => onChoose(trigger.path, choose.checked) });
  const cell = (name, ...content) => h('div', { role: 'cell', class: `cell ${name}` }, content);
  const element = h('div', { role: 'row', class: 'row trigger-row', 'data-path': trigger.path },
    cell('c-choose', choose),
    cell('c-status', status.element),
    cell('c-main', link, url, h('span', { class: 'row-line' }, runnable, labels)),
    cell('c-counts', received.element, matched.element, enqueued.element),
    cell('c-rate', spark(trigger.path), h('span', { class: 'row-last', title: 'last message' }, last)),
    cell('c-mode', mode.element),
    cell('c-menu', menu));

  let shown = null;
  function update(next) {
    trigger = next;
    const now = live.statusOf(trigger.path);
    if (shown !== trigger) {
      shown = trigger;
      setText(link, trigger.path);
      link.title = trigger.path;
      setText(url, urlText(trigger));
      url.title = urlText(trigger);
      runnable.replaceChildren(icon(trigger.is_flow ? 'flows' : 'scripts'), h('span', { class: 'ellipsis' }, trigger.script_path ?? ''));
      runnable.title = `runs the ${trigger.is_flow ? 'flow' : 'script'} ${trigger.script_path}`;
      const all = trigger.labels ?? [];
      labels.title = all.join(', ');
      labels.replaceChildren(...all.slice(0, LABELS_SHOWN).map((label) => badge(label)), ...(all.length > LABELS_SHOWN ? [badge(`+${all.length - LABELS_SHOWN}`)] : []));
    }
    choose.checked = isChosen(trigger.path);
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
