// Connection log of a trigger: connects, failures, closes and edits, newest first. Loaded when it is unfolded.
import * as api from '../api.js';
import * as live from '../live.js';
import { button, errorState, fill, h, icon } from './dom.js';
import { badge } from './status.js';
import { full, moment } from './time.js';

const TONES = { connected: 'ok', failed: 'bad', disabled: 'bad', closed: 'warn' };

/** A card for the trigger's page; it takes itself away where the server keeps no log. */
export function connectionLog({ path, signal }) {
  const body = h('div', { class: 'fold-body' }, h('p', { class: 'muted' }, 'Loading…'));
  const fold = h('details', { class: 'fold' }, h('summary', {}, icon('chevron'), h('span', { class: 'fold-title' }, 'Connection log')), body);
  const element = h('section', { class: 'card settings', 'aria-label': 'Connection log' }, fold);

  async function load() {
    try {
      const events = await api.triggers.log(path, signal);
      if (events === null) {
        element.remove();
        return;
      }
      fill(body, events.length === 0 ? h('p', { class: 'muted' }, 'Nothing has happened yet.') : h('ol', { class: 'log-events' }, events.map((event) => h('li', {},
        h('span', { class: 'muted' }, moment(event.at)), badge(event.event, TONES[event.event]), h('span', { class: 'wrap' }, event.text, event.times > 1 && h('span', { class: 'muted' }, ` · ${full(event.times)} times since `, moment(event.first_at)))))),
      h('div', {}, button({ text: 'Look again', iconName: 'refresh', kind: 'small', onclick: load })));
    } catch (error) {
      if (!signal.aborted) fill(body, errorState(error, load));
    }
  }
  let state = '';
  fold.addEventListener('toggle', () => fold.open && load());
  live.on('status', (event) => {
    if (event.path !== path || event.status.state === state) return;
    state = event.status.state;
    if (fold.open) load();
  }, signal);
  return element;
}
