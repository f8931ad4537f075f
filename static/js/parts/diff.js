// Line diff: what changed between two texts. Pure but for `diffView`. The longest common part is found line by line;
// texts too long for that are shown as replaced as a whole.
import { h } from './dom.js';

/** Lines of the two texts multiplied, past which the table of the search would be too large. */
const CELLS_MAX = 4_000_000;
/** Equal lines shown around a change. */
const CONTEXT = 3;

/** `[[' ' | '-' | '+', line]]`. */
export function diffLines(before, after) {
  const [old, now] = [before.split('\n'), after.split('\n')];
  let start = 0;
  while (start < old.length && start < now.length && old[start] === now[start]) start += 1;
  let end = 0;
  while (end < old.length - start && end < now.length - start && old.at(-1 - end) === now.at(-1 - end)) end += 1;
  const [a, b] = [old.slice(start, old.length - end), now.slice(start, now.length - end)];
  return [...old.slice(0, start).map((line) => [' ', line]), ...middle(a, b), ...old.slice(old.length - end).map((line) => [' ', line])];
}

function middle(a, b) {
  if (a.length * b.length > CELLS_MAX) return [...a.map((line) => ['-', line]), ...b.map((line) => ['+', line])];
  const width = b.length + 1;
  const common = new Uint32Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      common[i * width + j] = a[i] === b[j] ? common[(i + 1) * width + j + 1] + 1 : Math.max(common[(i + 1) * width + j], common[i * width + j + 1]);
    }
  }
  const found = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      found.push([' ', a[i]]);
      i += 1;
      j += 1;
    } else if (j >= b.length || (i < a.length && common[(i + 1) * width + j] >= common[i * width + j + 1])) {
      found.push(['-', a[i]]);
      i += 1;
    } else {
      found.push(['+', b[j]]);
      j += 1;
    }
  }
  return found;
}

const WORDS = { '-': 'removed: ', '+': 'added: ', ' ': '' };

/** The changes with some lines around them. */
export function diffView(before, after) {
  const lines = diffLines(before, after);
  if (lines.every(([kind]) => kind === ' ')) return h('p', { class: 'muted' }, 'The two are the same.');
  const near = new Set(lines.flatMap(([kind], index) => (kind === ' ' ? [] : Array.from({ length: 2 * CONTEXT + 1 }, (_, at) => index - CONTEXT + at))));
  const rows = [];
  lines.forEach(([kind, text], index) => {
    if (near.has(index)) rows.push(h('div', { class: 'diff-line', 'data-kind': kind }, h('span', { 'aria-hidden': 'true' }, kind), kind !== ' ' && h('span', { class: 'visually-hidden' }, WORDS[kind]), text));
    else if (rows.at(-1)?.className !== 'diff-gap') rows.push(h('div', { class: 'diff-gap' }, '⋯'));
  });
  return h('div', { class: 'diff mono', tabindex: '0', role: 'region', 'aria-label': 'Changes' }, rows);
}
