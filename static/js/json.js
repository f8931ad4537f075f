// JSON without loss: a whole number that a double would round stays as it was written, in what is shown, edited and
// saved again. Browsers without JSON.rawJSON (before Chromium 114, Firefox 135, Safari 18.4) round it.

const keeps = typeof JSON.rawJSON === 'function';

/** No number of fewer digits is rounded. */
const LONG = /\d{16}/;

/** Reads JSON; a number that would be rounded becomes one that JSON.stringify writes as it was. */
export const parse = (text) => (keeps && LONG.test(text) ? JSON.parse(text, kept) : JSON.parse(text));

/** The text of a number that was kept as it was written; undefined for every other value. */
export const numberText = (value) => (keeps && JSON.isRawJSON(value) ? value.rawJSON : undefined);

/** Whether a value has keys or elements. */
export const isNested = (value) => value !== null && typeof value === 'object' && numberText(value) === undefined;

/** Whether a value is an object with keys. */
export const isObject = (value) => isNested(value) && !Array.isArray(value);

function kept(key, value, context) {
  const rounded = typeof value === 'number' && !Number.isSafeInteger(value);
  return rounded && /^-?\d+$/.test(context?.source) ? JSON.rawJSON(context.source) : value;
}
