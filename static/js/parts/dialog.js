// Dialogs: a native modal `<dialog>`, so that the rest of the page is inert, Escape closes it and focus comes back.
import { button, h, uid } from './dom.js';

/** Opens a dialog; resolves with what `close(value)` was given, or null when it was dismissed. */
export function openDialog({ title, body, actions, wide = false }) {
  return new Promise((resolve) => {
    const heading = uid('dialog');
    const opener = document.activeElement;
    let answer = null;
    const close = (value = null) => {
      answer = value;
      dialog.close();
    };
    const dialog = h('dialog', { class: wide ? 'dialog wide' : 'dialog', 'aria-labelledby': heading },
      h('div', { class: 'dialog-head' }, h('h2', { id: heading }, title),
        button({ label: 'Close', iconName: 'close', kind: 'ghost', onclick: () => close() })),
      h('div', { class: 'dialog-body' }, typeof body === 'function' ? body(close) : body),
      h('div', { class: 'dialog-foot' }, actions(close)));
    dialog.addEventListener('keydown', (event) => keepFocus(event, dialog));
    dialog.addEventListener('close', () => {
      dialog.remove();
      opener?.focus?.();
      resolve(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
    dialog.querySelector('[autofocus], .dialog-body :is(input, select, textarea):enabled, .dialog-foot .btn')?.focus();
  });
}

/** Tab goes round inside the dialog instead of out to the browser's own controls. */
function keepFocus(event, dialog) {
  if (event.key !== 'Tab' || event.defaultPrevented) return;
  const stops = [...dialog.querySelectorAll('a[href], button, input, select, textarea, [tabindex="0"]')]
    .filter((one) => !one.disabled && one.offsetParent !== null);
  const [first, last] = [stops[0], stops.at(-1)];
  if (event.shiftKey && document.activeElement === first) {
    event.preventDefault();
    last.focus();
  } else if (!event.shiftKey && document.activeElement === last) {
    event.preventDefault();
    first.focus();
  }
}

/** Asks a yes/no question; resolves with true only for the action. */
export async function confirm({ title, text, action, danger = false }) {
  const answer = await openDialog({
    title,
    body: h('p', {}, text),
    actions: (close) => [
      button({ text: 'Cancel', onclick: () => close(false) }),
      button({ text: action, kind: danger ? 'danger' : 'primary', onclick: () => close(true) }),
    ],
  });
  return answer === true;
}
