// Mode switch of a trigger: enabled, suspended or disabled, as three buttons of which one is pressed.
import { h, icon } from './dom.js';

const MODES = [
  ['enabled', 'play', 'Enabled', 'listens, and a job runs for each matching message'],
  ['suspended', 'pause', 'Suspended', 'listens, but jobs are held until the trigger is enabled again'],
  ['disabled', 'stop', 'Disabled', 'does not listen'],
];

/** `{element, value, set(mode)}`; `onchange(mode)` may return a promise, during which the buttons are off. */
export function modeSwitch({ label, value, onchange, texts = false }) {
  let present = value;
  const buttons = MODES.map(([mode, iconName, text, help]) => h('button', {
    type: 'button',
    class: 'seg-item',
    'data-mode': mode,
    'aria-label': texts ? undefined : text,
    title: `${text}: ${help}`,
    onclick: () => choose(mode),
  }, icon(iconName), texts && h('span', {}, text)));
  const element = h('div', { class: texts ? 'seg with-text' : 'seg', role: 'group', 'aria-label': label }, buttons);

  function set(mode) {
    present = mode;
    buttons.forEach((one) => one.setAttribute('aria-pressed', String(one.dataset.mode === mode)));
  }
  async function choose(mode) {
    if (mode === present || element.getAttribute('aria-busy') === 'true') return;
    const before = present;
    set(mode);
    element.setAttribute('aria-busy', 'true');
    try {
      await onchange?.(mode);
    } catch {
      set(before); // whoever changes the mode tells why it failed
    }
    element.removeAttribute('aria-busy');
  }
  set(value);
  return { element, set, get value() { return present; } };
}
