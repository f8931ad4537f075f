// History of a trigger: who changed what of it and when, newest first. Loaded when it is unfolded.
import * as api from '../api.js';
import * as live from '../live.js';
import { deedText } from './audit-words.js';
import { errorState, fill, h, icon } from './dom.js';
import { badge } from './status.js';
import { moment } from './time.js';

/** The newest are enough: the audit log has the others. */
const SHOWN = 50;

/** A card for the trigger's page. */
export function triggerHistory({ path, signal }) {
  const body = h('div', { class: 'fold-body' }, h('p', { class: 'muted' }, 'Loading…'));
  const fold = h('details', { class: 'fold' }, h('summary', {}, icon('chevron'), h('span', { class: 'fold-title' }, 'History')), body);

  async function load() {
    try {
      const changes = await api.audit.ofTrigger(path, SHOWN, signal);
      fill(body, changes.length === 0 ? h('p', { class: 'muted' }, 'No change is known.') : h('ol', { class: 'log-events' }, changes.map((one) => h('li', {},
        h('span', { class: 'muted' }, moment(one.created_at)), badge(deedText(one.operation)), h('span', { class: 'wrap' }, `by ${one.username}`, one.changes.length > 0 && h('span', { class: 'muted' }, `: ${one.changes.join(', ')}`))))));
    } catch (error) {
      if (!signal.aborted) fill(body, errorState(error, load));
    }
  }
  fold.addEventListener('toggle', () => fold.open && load());
  live.on('trigger', (event) => event.path === path && fold.open && load(), signal);
  return h('section', { class: 'card settings', 'aria-label': 'History' }, fold);
}
