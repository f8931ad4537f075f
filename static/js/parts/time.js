// <ws-time>: a moment as relative text ("3 min ago", "in 4 s") with the exact time in its title, kept up to date by
// one clock for all of them. Also the formatting of durations, counts, bytes and rates.
import { h, setText } from './dom.js';

/** Asked once: asking is slow, and every row of a list shows it. */
const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;
const shown = new Set();
let clock = 0;

class WsTime extends HTMLElement {
  static observedAttributes = ['datetime'];

  connectedCallback() {
    if (!this.time) {
      this.time = h('time');
      this.append(this.time);
    }
    this.describe();
    shown.add(this);
    clock ||= setInterval(() => shown.forEach((one) => one.tick()), 1000);
  }

  disconnectedCallback() {
    shown.delete(this);
    if (shown.size > 0) return;
    clearInterval(clock);
    clock = 0;
  }

  attributeChangedCallback() {
    if (this.time) this.describe();
  }

  describe() {
    const value = this.getAttribute('datetime');
    this.moment = Date.parse(value ?? '');
    if (Number.isNaN(this.moment)) {
      setText(this.time, this.getAttribute('none') ?? '–');
      this.time.removeAttribute('title');
      this.time.removeAttribute('datetime');
      return;
    }
    this.time.setAttribute('datetime', value);
    this.time.title = exact(this.moment);
    this.tick();
  }

  tick() {
    if (!Number.isNaN(this.moment)) setText(this.time, relative(this.moment - Date.now(), this.getAttribute('style-of')));
  }
}
customElements.define('ws-time', WsTime);

/** A `<ws-time>`; `none` is shown where there is no moment. `bare` leaves "ago" out. */
export function moment(datetime, { none = '–', bare = false } = {}) {
  return h('ws-time', { datetime: datetime ?? '', none, 'style-of': bare ? 'bare' : undefined });
}

/** Local time to the millisecond with the zone. */
export function exact(epochMs) {
  const date = new Date(epochMs);
  const two = (number, width = 2) => String(number).padStart(width, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} `
    + `${clockTime(epochMs)} ${ZONE}`;
}

/** `14:03:22.120`, local. */
export function clockTime(epochMs) {
  const date = new Date(epochMs);
  const two = (number, width = 2) => String(number).padStart(width, '0');
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${two(date.getMilliseconds(), 3)}`;
}

function relative(offsetMs, style) {
  const future = offsetMs > 0;
  const seconds = future ? Math.ceil(offsetMs / 1000) : Math.floor(-offsetMs / 1000);
  if (seconds < 1) return future ? 'now' : style === 'bare' ? '0 s' : 'now';
  const text = seconds < 60 ? `${seconds} s`
    : seconds < 3600 ? `${Math.floor(seconds / 60)} min`
      : seconds < 86_400 ? `${Math.floor(seconds / 3600)} h`
        : `${Math.floor(seconds / 86_400)} d`;
  if (style === 'bare') return text;
  return future ? `in ${text}` : `${text} ago`;
}

/** `340 ms`, `2.4 s`, `3 min 4 s`. */
export function duration(ms) {
  if (ms === null || ms === undefined || Number.isNaN(ms)) return '–';
  if (ms < 1) return '< 1 ms';
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
  return `${Math.floor(ms / 3_600_000)} h ${Math.round((ms % 3_600_000) / 60_000)} min`;
}

const COMPACT = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
const PLAIN = new Intl.NumberFormat('en');

/** Short: `1.2K`. */
export const compact = (number) => (Math.abs(number ?? 0) < 10_000 ? PLAIN.format(number ?? 0) : COMPACT.format(number));

/** All digits: `1,234,567`. */
export const full = (number) => PLAIN.format(number ?? 0);

export function bytes(count) {
  if (!count) return '0 B';
  const power = Math.min(4, Math.floor(Math.log2(count) / 10));
  const value = count / 1024 ** power;
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${['B', 'KiB', 'MiB', 'GiB', 'TiB'][power]}`;
}

/** Messages per second: `0/s`, `0.5/s`, `1.2K/s`. */
export function rate(perSecond) {
  if (!perSecond) return '0/s';
  return perSecond < 10 ? `${perSecond.toFixed(1)}/s` : `${compact(Math.round(perSecond))}/s`;
}
