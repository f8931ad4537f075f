// <ws-spark path>: messages/s of one trigger over the last minute, as a line with its newest value beside it.
import * as live from '../live.js';
import { h, setText } from './dom.js';
import { rate } from './time.js';

const NS = 'http://www.w3.org/2000/svg';
const WIDTH = 100;
const HEIGHT = 24;

class WsSpark extends HTMLElement {
  connectedCallback() {
    this.abort = new AbortController();
    if (!this.label) this.build();
    live.on('rates', () => this.draw(), this.abort.signal);
    this.draw();
  }

  disconnectedCallback() {
    this.abort.abort();
  }

  build() {
    const svg = document.createElementNS(NS, 'svg');
    svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
    svg.setAttribute('preserveAspectRatio', 'none');
    svg.setAttribute('aria-hidden', 'true');
    this.area = document.createElementNS(NS, 'path');
    this.area.setAttribute('class', 'spark-area');
    this.line = document.createElementNS(NS, 'path');
    this.line.setAttribute('class', 'spark-line');
    const base = document.createElementNS(NS, 'path');
    base.setAttribute('class', 'spark-base');
    base.setAttribute('d', `M0 ${HEIGHT - 1}H${WIDTH}`);
    svg.append(base, this.area, this.line);
    this.label = h('span', { class: 'spark-value', title: 'messages per second, over the last minute' });
    this.append(svg, this.label);
  }

  draw() {
    const points = live.ratesOf(this.getAttribute('path'));
    setText(this.label, points.length > 0 ? rate(points.at(-1)) : '–');
    const top = Math.max(1, ...points);
    const step = WIDTH / (live.RATE_POINTS - 1);
    const start = WIDTH - (points.length - 1) * step;
    const spots = points.map((value, index) => `${(start + index * step).toFixed(1)} ${(HEIGHT - 1.5 - (value / top) * (HEIGHT - 4)).toFixed(1)}`);
    const path = spots.length > 1 ? `M${spots.join('L')}` : '';
    this.line.setAttribute('d', path);
    this.area.setAttribute('d', spots.length > 1 ? `${path}L${WIDTH} ${HEIGHT}L${start.toFixed(1)} ${HEIGHT}Z` : '');
  }
}
customElements.define('ws-spark', WsSpark);

/** A sparkline of the trigger at `path`. */
export const spark = (path) => h('ws-spark', { path });
