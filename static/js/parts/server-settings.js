// How the server was started: what its flags say, to be read. Only admins see it.
import * as api from '../api.js';
import { errorState, fill, h, skeleton } from './dom.js';
import { full } from './time.js';

const SPANS = [['day', 86_400], ['hour', 3600], ['minute', 60], ['second', 1]];

/** A setting's value in words. */
function words({ value, unit, none }) {
  if (value === null || value === undefined || (value === 0 && none)) return none ?? 'not set';
  if (unit === 'seconds') {
    const [name, size] = SPANS.find(([, seconds]) => value % seconds === 0);
    return `${full(value / size)} ${name}${value === size ? '' : 's'}`;
  }
  return typeof value === 'number' ? `${full(value)}${unit ? ` ${unit}` : ''}` : String(value);
}

/** A card with the settings; it is hidden from who may not see it. */
export function serverSettingsCard({ signal }) {
  const body = h('div', {}, skeleton(3, 'low'));
  const element = h('section', { class: 'card', 'aria-label': 'Server' },
    h('div', { class: 'card-head' }, h('div', {}, h('h2', {}, 'Server'), h('p', { class: 'muted' }, 'What this server was started with. A change needs its flag, or its variable in the environment, and a restart.'))), body);
  async function load() {
    try {
      const settings = await api.serverSettings(signal);
      fill(body, h('dl', { class: 'settings-list' }, settings.map((one) => h('div', {}, h('dt', {}, one.about), h('dd', {}, h('strong', {}, words(one)), h('span', { class: 'muted' }, h('code', {}, one.flag), ' or ', h('code', {}, one.env)))))));
    } catch (error) {
      if (signal.aborted) return;
      if (error.status === 403 || error.status === 404) element.hidden = true;
      else fill(body, errorState(error, load));
    }
  }
  load();
  return element;
}
