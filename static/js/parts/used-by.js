// Where a script or a flow is used: the triggers that run it, with their state.
import * as api from '../api.js';
import * as live from '../live.js';
import { fill, h } from './dom.js';
import { statusView } from './status.js';
import { urlText } from './trigger-actions.js';

const SHOWN_MAX = 50;

/** A card that lists the triggers of a runnable. */
export function usedBy({ path, isFlow, signal }) {
  const body = h('div', {}, h('p', { class: 'muted' }, 'Loading…'));
  const rows = new Map();
  api.triggers.of(path, isFlow, signal).then((triggers) => {
    if (triggers.length === 0) {
      fill(body, h('p', { class: 'muted' }, 'No trigger runs it yet. ', h('a', { href: `/triggers/new?${isFlow ? 'flow' : 'script'}=${encodeURIComponent(path)}` }, 'Make one')));
      return;
    }
    fill(body, h('ul', { class: 'used' }, triggers.slice(0, SHOWN_MAX).map((trigger) => {
      const status = statusView();
      status.update(trigger, live.statusOf(trigger.path));
      rows.set(trigger.path, () => status.update(trigger, live.statusOf(trigger.path)));
      return h('li', {}, h('a', { class: 'mono', href: `/triggers/view/${api.encodePath(trigger.path)}`, title: urlText(trigger) }, trigger.path), status.element);
    })), triggers.length > SHOWN_MAX && h('a', { href: `/triggers?runnable=${encodeURIComponent(path)}` }, `All ${triggers.length} triggers`));
  }, (error) => !signal.aborted && fill(body, h('p', { class: 'field-error' }, error.message)));
  live.on('status', (event) => rows.get(event.path)?.(), signal);
  return h('section', { class: 'card used-by', 'aria-label': 'Where it is used' }, h('div', { class: 'card-head' }, h('h2', {}, 'Where it is used')), body);
}
