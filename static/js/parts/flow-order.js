// The order in which people write a flow. The server keeps the order that was saved; a flow that came sorted by name, as
// tools and earlier versions left it, is shown in this one. Pure.

/** What tells a step apart comes first, what it does then, its text last. Names that are not here keep their order behind these. */
const ORDER = [
  'id', 'summary', 'description', 'type', 'language', 'path', 'expr', 'value', 'hash', 'tag', 'iterator', 'parallel', 'parallelism', 'skip_failures', 'branches', 'modules', 'default',
  'content', 'input_transforms', 'stop_after_if', 'stop_after_all_iters_if', 'skip_if', 'sleep', 'timeout', 'retry', 'continue_on_error',
  'preprocessor_module', 'failure_module', 'schema',
];
/** The names within are somebody's own. */
const OWN = 'input_transforms';
/** What stands in an argument is none of a flow's words. */
const DATA = 'static';

const place = new Map(ORDER.map((name, index) => [name, index]));
const rank = (name) => place.get(name) ?? ORDER.length;

function isSorted(value) {
  if (Array.isArray(value)) return value.every(isSorted);
  if (value === null || typeof value !== 'object') return true;
  const names = Object.keys(value);
  return names.every((name, index) => index === 0 || names[index - 1] < name) && Object.values(value).every(isSorted);
}

function arranged(value, within) {
  if (Array.isArray(value)) return value.map((one) => arranged(one));
  if (value === null || typeof value !== 'object') return value;
  const names = Object.keys(value);
  if (within !== OWN) names.sort((one, other) => rank(one) - rank(other));
  return Object.fromEntries(names.map((name) => [name, value.type === DATA && name === 'value' ? value[name] : arranged(value[name], name)]));
}

/** A flow's `value` as people write it: in the order it has, or in the usual one where it is merely sorted by name. */
export const inOrder = (value) => (isSorted(value) ? arranged(value) : value);
