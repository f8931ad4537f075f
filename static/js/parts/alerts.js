// Alerts: what has been wrong for too long, until somebody acknowledges it, and all of them to look back at. Not there for
// those who may not see them.
import * as api from '../api.js';
import { confirm } from './dialog.js';
import { button, errorState, fill, h, icon, skeleton } from './dom.js';
import { badge } from './status.js';
import { full, moment } from './time.js';
import { toast, toastError } from './toast.js';

const AGAIN_MS = 30_000;
/** Alerts to look back at. */
const PAST = 50;

const isOver = (alert) => alert.alert_type.startsWith('recovered');

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
      fill(list, alerts.map((alert) => h('li', {}, icon(isOver(alert) ? 'check' : 'alert'),
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

/** A card with the newest alerts, acknowledged or not; it is hidden from who may not see it. */
export function pastAlertsCard({ signal }) {
  const body = h('div', {}, skeleton(2, 'low'));
  const actions = h('div', { class: 'cluster' });
  const element = h('section', { class: 'card', 'aria-label': 'Alerts' }, h('div', { class: 'card-head' }, h('div', {}, h('h2', {}, 'Alerts'), h('p', { class: 'muted' }, 'Triggers that could not connect for too long. The overview shows those that nobody has acknowledged.')), actions), body);

  async function load() {
    try {
      const { alerts, total_rows: total, muted } = await api.alerts.all(PAST, signal);
      fill(actions, muted ? button({ text: 'Raise alerts again', iconName: 'bell', kind: 'small', onclick: () => mute(false) }) : button({ text: 'Mute alerts', iconName: 'bell', kind: 'small', onclick: () => mute(true) }));
      fill(body, muted && h('p', { class: 'notice' }, 'Alerts are muted: no new one is raised in this workspace.'), alerts.length === 0 ? h('p', { class: 'muted' }, 'There was no alert yet.') : h('ul', { class: 'lined' }, alerts.map(row)),
        total > alerts.length && h('p', { class: 'muted' }, `The newest ${alerts.length} of ${full(total)}.`));
    } catch (error) {
      if (signal.aborted) return;
      if (error.status === 403) element.hidden = true;
      else fill(body, errorState(error, load));
    }
  }

  function row(alert) {
    const where = alert.trigger_path && h('a', { href: `/triggers/view/${api.encodePath(alert.trigger_path)}` }, 'Show the trigger');
    return h('li', {}, h('div', { class: 'grow' }, alert.message, h('p', { class: 'muted' }, moment(alert.created_at), where && ' · ', where)),
      alert.is_open ? badge('ongoing', 'bad') : badge(isOver(alert) ? 'connected again' : 'over', 'ok'),
      alert.acknowledged ? badge('acknowledged') : button({ text: 'Acknowledge', kind: 'small', 'aria-label': `Acknowledge: ${alert.message}`, onclick: () => acknowledge(alert) }));
  }

  async function mute(muted) {
    const sure = !muted || await confirm({ title: 'Mute alerts?', text: 'Nobody is told any more when a trigger of this workspace cannot connect, until alerts are raised again. Those that stand stay here.', action: 'Mute' });
    if (!sure) return;
    try {
      await api.alerts.mute(muted);
      toast(muted ? 'Alerts are muted' : 'Alerts are raised again');
    } catch (error) {
      toastError(error);
    }
    await load();
  }

  async function acknowledge(alert) {
    try {
      await api.alerts.acknowledge(alert.id);
    } catch (error) {
      toastError(error);
    }
    await load();
  }
  load();
  return element;
}
