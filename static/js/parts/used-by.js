// Where a script or a flow is used: the triggers that run it, with their state and what they run it for, and the flows of
// which it is a step.
import * as api from '../api.js';
import * as live from '../live.js';
import { breakable, fill, h } from './dom.js';
import { badge, statusView } from './status.js';
import { urlText } from './trigger-actions.js';

const SHOWN_MAX = 50;
/** What a trigger runs it for, by the field that names it; for its messages is the rule and goes without a word. */
const PURPOSES = { url: 'gives the URL', initial_messages: 'initial message', conversation: 'answers', error_handler_path: 'error handler' };

/** What uses a runnable, as `api.scripts.usedBy` tells it, in one line; empty when nothing does. */
export function usesText({ triggers, flows }) {
  const count = (list, one) => (list.length === 0 ? null : `${list.length} ${one}${list.length === 1 ? '' : 's'}`);
  return [count(triggers, 'trigger'), count(flows, 'flow')].filter(Boolean).join(' and ');
}

/** A card that lists what uses a runnable. */
export function usedBy({ path, isFlow, signal }) {
  const body = h('div', {}, h('p', { class: 'muted' }, 'Loading…'));
  const rows = new Map();

  function trigger(one) {
    const status = statusView();
    const update = () => status.update(one, live.statusOf(one.path));
    update();
    rows.set(one.path, update);
    const purposes = new Set(one.fields.map((field) => PURPOSES[field.replace(/\[.*$/, '')]).filter(Boolean));
    return h('li', {}, h('span', { class: 'cluster' }, h('a', { class: 'mono', href: `/triggers/view/${api.encodePath(one.path)}`, title: urlText(one) }, breakable(one.path)), [...purposes].map((text) => badge(text))), status.element);
  }

  (isFlow ? api.flows : api.scripts).usedBy(path, signal).then(({ triggers, flows }) => {
    const none = triggers.length === 0 && h('p', { class: 'muted' }, 'No trigger runs it yet. ', h('a', { href: `/triggers/new?${isFlow ? 'flow' : 'script'}=${encodeURIComponent(path)}` }, 'Make one'));
    fill(body, none, triggers.length > 0 && h('ul', { class: 'used' }, triggers.slice(0, SHOWN_MAX).map(trigger)),
      triggers.length > SHOWN_MAX && h('a', { href: `/triggers?runnable=${encodeURIComponent(path)}` }, `All ${triggers.length} triggers`),
      flows.length > 0 && [h('h3', {}, 'Flows with it as a step'), h('ul', { class: 'used' }, flows.map((one) => h('li', {}, h('a', { class: 'mono', href: `/flows/edit/${api.encodePath(one.path)}` }, breakable(one.path)), one.summary && h('span', { class: 'muted' }, ` ${one.summary}`))))]);
  }, (error) => !signal.aborted && fill(body, h('p', { class: 'field-error' }, error.message)));
  live.on('status', (event) => rows.get(event.path)?.(), signal);
  return h('section', { class: 'card used-by', 'aria-label': 'Where it is used' }, h('div', { class: 'card-head' }, h('h2', {}, 'Where it is used')), body);
}
