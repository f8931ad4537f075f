// Form fields: a label, one line of help, the control, and a place for the error that names the field.
// `data-field` carries the API's name of the field, so that a server text finds its place.
import { h, icon, uid } from './dom.js';

/** A labelled control. `name` is the API's field; `control` an input, select or an element with `.control`. */
export function field({ name, label, help, control, wide = false, hint }) {
  const target = control.control ?? control;
  const id = target.id || uid('field');
  target.id = id;
  const helpId = `${id}-help`;
  const errorId = `${id}-error`;
  target.setAttribute('aria-describedby', `${help ? `${helpId} ` : ''}${errorId}`);
  return h('div', { class: wide ? 'field wide' : 'field', 'data-field': name },
    h('label', { for: id }, label, hint && [' ', h('span', { class: 'hint' }, hint)]),
    control,
    help && h('p', { class: 'help', id: helpId }, help),
    h('p', { class: 'field-error', id: errorId, 'aria-live': 'polite' }));
}

/** A group of controls under one name, such as radio buttons or a list of cards. */
export function groupField({ name, label, help, body }) {
  const id = uid('group');
  return h('fieldset', { class: 'field wide', 'data-field': name, 'aria-describedby': `${id}-help ${id}-error` },
    h('legend', {}, label), help && h('p', { class: 'help', id: `${id}-help` }, help), body,
    h('p', { class: 'field-error', id: `${id}-error`, 'aria-live': 'polite' }));
}

/** A checkbox with its label beside and help below. */
export function checkField({ name, label, help, checked, onchange }) {
  const id = uid('check');
  const control = h('input', { type: 'checkbox', class: 'switch', id, role: 'switch', checked: checked === true, 'aria-describedby': `${id}-help ${id}-error`, onchange });
  const element = h('div', { class: 'field check wide', 'data-field': name }, control,
    h('div', {}, h('label', { for: id }, label), help && h('p', { class: 'help', id: `${id}-help` }, help),
      h('p', { class: 'field-error', id: `${id}-error`, 'aria-live': 'polite' })));
  return { element, control };
}

/** Choices of which one is taken. `onchange(value)`; each option is `[value, text]`. */
export function radioGroup({ label, options, value, onchange }) {
  const name = uid('radio');
  let present = value;
  const element = h('div', { class: 'seg with-text radios', role: 'radiogroup', 'aria-label': label }, options.map(([option, text]) => h('label', { class: 'seg-item' },
    h('input', {
      type: 'radio', name, checked: option === value, class: 'visually-hidden',
      onchange: () => {
        present = option;
        onchange?.(option);
      },
    }), h('span', {}, text))));
  return {
    element,
    get value() { return present; },
    /** Takes a choice without telling `onchange`. */
    set(next) {
      present = next;
      [...element.querySelectorAll('input')].forEach((one, index) => { one.checked = options[index][0] === next; });
    },
  };
}

/** A folded part of a form. Its summary says in a word what is set inside. */
export function section({ title, text, open = false, body }) {
  const note = h('span', { class: 'fold-note muted' }, text);
  return h('details', { class: 'fold', open }, h('summary', {}, icon('chevron'), h('span', { class: 'fold-title' }, title), note), h('div', { class: 'fold-body' }, body));
}

/** Shows `text` at the field and marks its control; an empty text clears both. */
export function setFieldError(element, text) {
  const slot = element.querySelector(':scope > .field-error, :scope > div > .field-error');
  if (slot) slot.textContent = text;
  element.classList.toggle('invalid', Boolean(text));
  const control = element.querySelector('input:not([type=radio]), select, textarea, button');
  if (!control) return;
  if (text) control.setAttribute('aria-invalid', 'true');
  else control.removeAttribute('aria-invalid');
}

export function clearErrors(form) {
  for (const element of form.querySelectorAll('[data-field].invalid')) setFieldError(element, '');
}

/**
 * Puts a server error where it belongs: at the field it names, or at the nearest one around it. Opens folded parts
 * on the way and moves the focus there. False when no field of the form fits.
 */
export function showServerError(form, error) {
  const named = error.field ?? (error.status === 409 ? 'path' : null);
  if (!named) return false;
  for (let name = named; name; name = name.replace(/(\.[^.[\]]+|\[\d+\]|^[^.[\]]+)$/, '')) {
    const element = [...form.querySelectorAll('[data-field]')].find((one) => one.dataset.field === name && one.isConnected);
    if (!element) continue;
    const rest = name === named ? error.detail : error.message;
    setFieldError(element, rest);
    reveal(element);
    return true;
  }
  return false;
}

/** Unfolds what hides the element, scrolls there and focuses its first control. */
export function reveal(element) {
  for (let fold = element.closest('details'); fold; fold = fold.parentElement?.closest('details')) fold.open = true;
  element.scrollIntoView({ block: 'center' });
  element.querySelector('input, select, textarea, button')?.focus({ preventScroll: true });
}
