// Alerts: what has been wrong for too long, until somebody acknowledges it. Not there while there is none, and for those
// who may not see them.
import * as api from '../api.js';
import { button, fill, h, icon } from './dom.js';
import { full, moment } from './time.js';
import { toast, toastError } from './toast.js';

const AGAIN_MS = 30_000;

/** A card that shows itself when there are alerts. */
export function alertsCard({ signal }) {
  const list = h('ul', { class: 'lined' });
  const count = h('h2', {}, 'Alerts');
  const element = h('section', { class: 'card alerts', 'aria-label': 'Alerts', hidden: true },
    h('div', { class: 'card-head' }, count, button({ text: 'Acknowledge all', iconName: 'check', kind: 'small', onclick: () => done(api.alerts.acknowledgeAll()) })), list);

  async function done(promise) {
    try {
      await promise;
      toast('Acknowledged');
    } catch (error) {
      toastError(error);
    }
    await look();
  }

  async function look() {
    try {
      const { alerts, total_rows: total } = await api.alerts.open(signal);
      element.hidden = alerts.length === 0;
      count.textContent = total > alerts.length ? `Alerts (the newest ${alerts.length} of ${full(total)})` : `Alerts (${full(alerts.length)})`;
      fill(list, alerts.map((alert) => h('li', {}, icon(alert.alert_type.startsWith('recovered') ? 'check' : 'alert'),
        h('div', { class: 'grow' }, alert.message, h('p', { class: 'muted' }, moment(alert.created_at))),
        button({ text: 'Acknowledge', kind: 'small', 'aria-label': `Acknowledge: ${alert.message}`, onclick: () => done(api.alerts.acknowledge(alert.id)) }))));
    } catch {
      element.hidden = true; // no rights, or out of reach: then the banner says so
    }
  }
  look();
  const timer = setInterval(() => !document.hidden && look(), AGAIN_MS);
  signal.addEventListener('abort', () => clearInterval(timer), { once: true });
  return element;
}
