// Why a message matches or not: the server's verdict of each filter, with the value it found and the one it wants.
import { h } from './dom.js';
import { explain, leafText } from './filter-model.js';
import { badge } from './status.js';

const GROUPS = { any_of: 'any of', all_of: 'all of', none_of: 'none of' };
const FOUND_CHARS = 160;

/** The filter that stands at a place such as `filters[1].any_of[0]`. */
function filterAt(filters, place) {
  return [...place.matchAll(/([a-z_]+)\[(\d+)\]/g)].reduce((inner, [, list, index]) => (list === 'filters' ? filters : inner?.[list])?.[Number(index)], null);
}

const verdict = (matched) => badge(matched ? 'fits' : 'does not fit', matched ? 'ok' : 'idle', matched ? 'check' : 'close');

function item(one, filters) {
  if (one.kind in GROUPS) return h('li', {}, verdict(one.matched), ' ', GROUPS[one.kind], h('ul', {}, (one.filters ?? []).map((inner) => item(inner, filters))));
  const wanted = filterAt(filters, one.place);
  return h('li', {}, verdict(one.matched), ' ', h('code', {}, wanted ? leafText(wanted) : one.at),
    one.matched ? '' : h('span', { class: 'muted' }, one.found === undefined ? ' not in the message' : ` found ${one.found.slice(0, FOUND_CHARS)}`));
}

/** The explanation that came with a message; without one, the page's own. */
export function whyView({ why, text }, filters, logic) {
  if (why) {
    const reason = why.reason ?? (why.filters.length === 0 ? 'no filters: every message matches' : why.matched ? 'the filters match' : 'the filters do not match');
    return h('div', { class: 'why' }, h('p', {}, h('strong', {}, 'Why: '), reason), why.filters.length > 0 && h('ul', {}, why.filters.map((one) => item(one, filters))));
  }
  const { reason, leaves } = explain(filters, logic, text);
  return h('div', { class: 'why' }, h('p', {}, h('strong', {}, 'Why: '), reason),
    leaves.length > 0 && h('ul', {}, leaves.map(({ filter, found, present, matches }) => h('li', {}, verdict(matches), ' ', h('code', {}, leafText(filter)),
      matches ? '' : h('span', { class: 'muted' }, present ? ` found ${JSON.stringify(found).slice(0, FOUND_CHARS)}` : ' not in the message')))));
}
