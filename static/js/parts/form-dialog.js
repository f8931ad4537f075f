// A dialog with a form: sends it by its button or Enter, shows the server's errors at their fields, closes when it is done.
import { button, h, uid } from './dom.js';
import { openDialog } from './dialog.js';
import { clearErrors, showServerError } from './field.js';

/** Resolves with what `send()` answered, or null when the dialog was dismissed. */
export function formDialog({ title, action, fields, send, wide = false }) {
  const id = uid('form');
  const general = h('p', { class: 'field-error', role: 'alert' });
  return openDialog({
    title,
    wide,
    body: (close) => h('form', {
      class: 'stack', id, novalidate: true,
      onsubmit: async (event) => {
        event.preventDefault();
        const form = event.target;
        clearErrors(form);
        general.textContent = '';
        const submit = document.querySelector(`button[form="${id}"]`);
        submit.disabled = true;
        try {
          close((await send()) || true);
        } catch (error) {
          if (!showServerError(form, error)) general.textContent = error.message;
        } finally {
          submit.disabled = false;
        }
      },
    }, fields, general),
    actions: (close) => [button({ text: 'Cancel', onclick: () => close() }), button({ text: action, kind: 'primary', type: 'submit', form: id })],
  });
}
