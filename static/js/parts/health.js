// Health: whether the server can do its work, and where its listeners are; asked again while it is shown.
import * as api from '../api.js';
import { fill, h, icon } from './dom.js';
import { fact } from './job.js';
import { badge } from './status.js';
import { full } from './time.js';

const AGAIN_MS = 5000;
/** The server's words for what its triggers do, as the page says them. */
const STATES = { listening: 'listening', suspended: 'with jobs held', connecting: 'connecting', handshaking: 'handshaking', backoff: 'not connected', disabled: 'disabled' };
/** In the order of these words, others after them. */
const rank = (state) => (state in STATES ? Object.keys(STATES).indexOf(state) : Infinity);

const yes = (well, text) => badge(text, well ? 'ok' : 'bad', well ? 'check' : 'alert');

/** A card with the health of the server that answers. */
export function healthCard({ signal }) {
  const body = h('div', { 'aria-live': 'polite' }, h('p', { class: 'muted' }, 'Asking…'));
  async function look() {
    try {
      const health = await api.health(signal);
      const listeners = Object.entries(health.listeners ?? {}).sort(([one], [other]) => rank(one) - rank(other));
      const shown = JSON.stringify(health);
      if (body.dataset.shown === shown) return;
      body.dataset.shown = shown;
      fill(body, h('dl', { class: 'facts' },
        fact('Server', yes(health.status === 'healthy', health.status)),
        fact('Database', yes(health.database_healthy, health.database_healthy ? 'answers' : 'does not answer')),
        health.queue_healthy !== undefined && fact('Job queue', yes(health.queue_healthy, health.queue_healthy ? 'commits' : 'cannot commit')),
        fact('Version', health.version ?? '–'),
        listeners.map(([state, count]) => fact(`Triggers ${STATES[state] ?? state}`, full(count), 'on this server'))));
    } catch (error) {
      delete body.dataset.shown;
      if (!signal.aborted) fill(body, h('p', { class: 'field-error' }, icon('alert'), ' ', error.message));
    }
  }
  look();
  const timer = setInterval(look, AGAIN_MS);
  signal.addEventListener('abort', () => clearInterval(timer), { once: true });
  return h('section', { class: 'card', 'aria-label': 'Health' }, h('div', { class: 'card-head' }, h('h2', {}, 'Health')), body);
}
