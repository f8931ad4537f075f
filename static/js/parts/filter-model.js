// Filters as data: between the API's shape and the editor's, in plain words, and whether a message matches.
// Pure. An editor leaf keeps its value as text, because half-typed JSON must survive.
import { isNested, isObject, numberText, parse } from '../json.js';

const GROUPS = { any_of: 'any of', all_of: 'all of', none_of: 'none of' };
export const GROUP_KINDS = Object.keys(GROUPS);

/** API filter → editor node. */
export function toNode(filter) {
  const group = GROUP_KINDS.find((kind) => Array.isArray(filter?.[kind]));
  if (group) return { kind: group, children: filter[group].map(toNode) };
  const by = filter && 'path' in filter ? 'path' : 'key';
  return { kind: 'leaf', by, name: filter?.[by] ?? '', text: filter && 'value' in filter ? JSON.stringify(filter.value) : '' };
}

/** Editor node → API filter. A value that is no JSON counts as text, as `completed` shows. */
export function toFilter(node) {
  if (node.kind !== 'leaf') return { [node.kind]: node.children.map(toFilter) };
  return { [node.by]: node.name, value: parsed(node.text) };
}

function parsed(text) {
  try {
    return parse(text);
  } catch {
    return text;
  }
}

/** What a value field shows after it was left: a bare word becomes the JSON text it was meant to be. */
export function completed(text) {
  const trimmed = text.trim();
  if (trimmed === '') return text;
  try {
    JSON.parse(trimmed);
    return trimmed;
  } catch {
    return /^["{[]/.test(trimmed) ? text : JSON.stringify(trimmed);
  }
}

/** `[place, text]` of each mistake the editor can see, places as the server writes them. */
export function problems(nodes, place = 'filters') {
  return nodes.flatMap((node, index) => {
    const here = `${place}[${index}]`;
    if (node.kind !== 'leaf') {
      if (node.children.length === 0) return [[here, 'add a filter to this group or remove the group']];
      return problems(node.children, `${here}.${node.kind}`);
    }
    if (node.by === 'path' && node.name.split('.').includes('')) return [[here, 'a path is keys joined by dots, none of them empty']];
    if (node.text.trim() === '') return [[here, 'enter a value as JSON']];
    if (/^\s*["{[]/.test(node.text) && parsed(node.text) === node.text) return [[here, 'this value is not valid JSON']];
    return [];
  });
}

/** The filters in one plain sentence that begins with `verb`; `every` is the one for no filters. */
export function inWords(nodes, logic, verb = 'Runs', every = `${verb} for every message.`) {
  if (nodes.length === 0) return every;
  const clauses = nodes.map((node) => `${isSentence(node) ? 'for which' : 'whose'} ${phrase(node)}`);
  return `${verb} for a message ${clauses.join(logic === 'or' ? ', or ' : ', and ')}.`;
}

/** Whether the words of a node do not begin with what is looked at. */
const isSentence = (node) => node.kind === 'none_of' && !isOneLeaf(node);
const isOneLeaf = (node) => node.children.length === 1 && node.children[0].kind === 'leaf';

function phrase(node) {
  if (node.kind === 'leaf') return leafPhrase(node, true);
  const inner = node.children.map(phrase);
  if (inner.length === 0) return '(empty group)';
  if (node.kind !== 'none_of') return inner.length === 1 ? inner[0] : `(${inner.join(node.kind === 'any_of' ? ' or ' : ' and ')})`;
  if (isOneLeaf(node)) return leafPhrase(node.children[0], false);
  return inner.length === 1 ? `not ${inner[0]}` : `neither ${inner.join(' nor ')}`;
}

function leafPhrase({ name, text }, holds) {
  const value = parsed(text);
  const verb = isNested(value) ? (holds ? 'contains' : 'does not contain') : holds ? 'is' : 'is not';
  return `${name || '…'} ${verb} ${text.trim() === '' ? '…' : JSON.stringify(value)}`;
}

/** One leaf in short, as a chip. */
export const leafText = (filter) => `${filter.path ?? filter.key} = ${JSON.stringify(filter.value)}`;

/**
 * How a message fares with API filters: `{matches, reason, leaves: [{filter, found, present, matches}]}`. The server
 * decides; this explains a verdict in the page, where other spellings of integers past 2^53 may differ.
 */
export function explain(filters, logic, text) {
  if (filters.length === 0) return { matches: true, reason: 'no filters: every message matches', leaves: [] };
  let message;
  try {
    message = parse(text);
  } catch {
    return { matches: false, reason: 'the message is not valid JSON', leaves: [] };
  }
  if (!isObject(message)) return { matches: false, reason: 'the message is not a JSON object', leaves: [] };
  const leaves = [];
  const results = filters.map((filter) => decide(filter, message, leaves));
  const matches = logic === 'or' ? results.some(Boolean) : results.every(Boolean);
  return { matches, reason: matches ? 'the filters match' : 'the filters do not match', leaves };
}

function decide(filter, message, leaves) {
  if (filter.any_of) return filter.any_of.map((one) => decide(one, message, leaves)).some(Boolean);
  if (filter.all_of) return filter.all_of.map((one) => decide(one, message, leaves)).every(Boolean);
  if (filter.none_of) return !filter.none_of.map((one) => decide(one, message, leaves)).some(Boolean);
  const keys = filter.path === undefined ? [filter.key] : filter.path.split('.');
  let found = message;
  let present = true;
  for (const key of keys) {
    present = present && isObject(found) && Object.hasOwn(found, key);
    found = present ? found[key] : undefined;
  }
  const matches = present && contains(found, filter.value);
  leaves.push({ filter, found, present, matches });
  return matches;
}

/** The message's value equals or contains the wanted one (contract: objects by key, arrays by element). */
export function contains(found, wanted) {
  if (Array.isArray(wanted)) return Array.isArray(found) && wanted.every((item) => found.some((one) => contains(one, item)));
  if (isObject(wanted)) {
    return isObject(found)
      && Object.entries(wanted).every(([key, value]) => Object.hasOwn(found, key) && contains(found[key], value));
  }
  return (numberText(found) ?? found) === (numberText(wanted) ?? wanted);
}
