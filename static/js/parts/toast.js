// Toasts: short notices at the corner, read out by screen readers. Errors stay until closed.
import { button, h, icon } from './dom.js';

const SHOWN_MS = 5000;
const MOST_AT_ONCE = 4;

/** With something to press, a notice stays long enough to read, decide and reach it by keyboard. */
const SHOWN_WITH_ACTION_MS = 15_000;

/** Shows a notice; `tone` is 'ok' or 'bad'; `action` is `{text, onselect}` for a button in it. */
export function toast(text, tone = 'ok', action = null) {
  const region = document.getElementById('toasts');
  const close = () => element.remove();
  const element = h('div', { class: `toast ${tone}`, role: tone === 'bad' ? 'alert' : undefined },
    icon(tone === 'bad' ? 'alert' : 'check'), h('p', {}, text),
    action && button({ text: action.text, kind: 'small', onclick: () => { close(); action.onselect(); } }), button({ label: 'Dismiss', iconName: 'close', kind: 'ghost small', onclick: close }));
  region.append(element);
  while (region.childElementCount > MOST_AT_ONCE) region.firstElementChild.remove();
  if (tone !== 'bad') setTimeout(close, action ? SHOWN_WITH_ACTION_MS : SHOWN_MS);
}

/** Shows why something failed; an abandoned request is not a failure. */
export function toastError(error) {
  if (error?.name !== 'AbortError' && error?.status !== 401) toast(error?.message ?? String(error), 'bad');
}
