// Chart: one series over time as a small area chart with its newest value; the figures are also told in words.
import { h, setText } from './dom.js';
import { clockTime } from './time.js';

const NS = 'http://www.w3.org/2000/svg';
const WIDTH = 300;
const HEIGHT = 72;
/** More points than this are joined: a chart has no more pixels. */
const POINTS_MAX = 150;
/** What stands below a chart that has no line yet. */
const WAITS = 'No data yet';

function svg(tag, attributes) {
  const element = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/** At most `POINTS_MAX` points, each the mean of its neighbours. */
function thinned(points) {
  const step = Math.ceil(points.length / POINTS_MAX);
  if (step <= 1) return points;
  const mean = (some) => ({ at: some.at(-1).at, value: some.reduce((sum, one) => sum + one.value, 0) / some.length });
  return Array.from({ length: Math.ceil(points.length / step) }, (_, index) => mean(points.slice(index * step, (index + 1) * step)));
}

/** How far back the points reach: an hour, or less where windsock has not run so long. */
function reach(from, to) {
  const minutes = Math.round((to - from) / 60_000);
  return minutes > 57 ? 'the last hour' : minutes > 1 ? `the last ${minutes} min` : `the last ${Math.max(1, Math.round((to - from) / 1000))} s`;
}

/** `{element, set(points, text?)}` for points `{at, value}`, oldest first; `format(value)` writes a value, `per` says what it is counted for. */
export function chart({ title, format, per = '', href }) {
  const value = h('strong', { class: 'chart-value' }, '–');
  const line = svg('path', { class: 'spark-line' });
  const area = svg('path', { class: 'spark-area' });
  const picture = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' });
  const mark = svg('path', { class: 'chart-mark' });
  picture.append(svg('path', { class: 'spark-base', d: `M0 ${HEIGHT - 1}H${WIDTH}` }), area, line, mark);
  const foot = h('p', { class: 'muted chart-note' }, WAITS);
  const element = h('section', { class: 'card chart', 'aria-label': title }, h('div', { class: 'card-head' }, h('h2', {}, href ? h('a', { href }, title) : title), value),
    h('div', { class: 'chart-picture', onpointermove: point, onpointerleave: unpoint }, picture), foot);
  let drawn = [];
  let rest = WAITS;
  let pointed = false;

  /** The value below the pointer, in place of the note. */
  function point(event) {
    if (drawn.length < 2) return;
    const { left, width } = picture.getBoundingClientRect();
    const [from, to] = [drawn[0].at, drawn.at(-1).at];
    const at = from + ((event.clientX - left) / width) * (to - from);
    const nearest = drawn.reduce((best, one) => (Math.abs(one.at - at) < Math.abs(best.at - at) ? one : best));
    pointed = true;
    mark.setAttribute('d', `M${(((nearest.at - from) / (to - from || 1)) * WIDTH).toFixed(1)} 0V${HEIGHT}`);
    setText(foot, `${format(nearest.value)}${per} at ${clockTime(nearest.at).slice(0, 8)}`);
  }

  function unpoint() {
    pointed = false;
    mark.removeAttribute('d');
    setText(foot, rest);
  }
  function set(all, text) {
    const points = thinned(all);
    setText(value, text ?? (points.length > 0 ? format(points.at(-1).value) : '–'));
    const most = all.reduce((top, one) => Math.max(top, one.value), 0);
    const top = Math.max(...points.map((one) => one.value), 0);
    const back = points.length > 1 ? reach(points[0].at, points.at(-1).at) : WAITS;
    rest = points.length > 1 && most > 0 ? `Most ${format(most)}${per} · ${back}` : back[0].toUpperCase() + back.slice(1);
    drawn = points;
    if (!pointed) setText(foot, rest);
    if (points.length < 2) return;
    const [from, to] = [points[0].at, points.at(-1).at];
    const spots = points.map((one) => `${(((one.at - from) / (to - from || 1)) * WIDTH).toFixed(1)} ${(HEIGHT - 2 - (one.value / (top || 1)) * (HEIGHT - 8)).toFixed(1)}`);
    line.setAttribute('d', `M${spots.join('L')}`);
    area.setAttribute('d', `M${spots.join('L')}L${WIDTH} ${HEIGHT}L0 ${HEIGHT}Z`);
  }
  return { element, set };
}
