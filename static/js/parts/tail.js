// Live tail of a trigger, saved or a draft: its messages as they arrive, each with the filter's verdict and, opened, why. Fast
// streams are shown in steps and in part, and say how much was left out.
import * as live from '../live.js';
import { parse } from '../json.js';
import { button, fill, h, icon, setText } from './dom.js';
import { jsonView } from './json-tree.js';
import { badge } from './status.js';
import { bytes, clockTime, exact, full, rate } from './time.js';
import { whyView } from './why.js';

const ROWS_MAX = 200;
const WAITING_MAX = 500;
/** Rows put in at one step; a person cannot read more. */
const ROWS_PER_STEP = 40;
const STEP_MS = 250;
const PREVIEW_CHARS = 400;
const VERDICTS = { matched: ['ok', 'Matched'], unmatched: ['idle', 'No match'], handled: ['busy', 'Handled'], dropped: ['bad', 'Dropped'] };

/** The tail of a saved trigger; `onpick(path, value)` makes a filter from a value, `actions(message)` gives buttons. */
export function tailView({ trigger, signal, onpick, actions }) {
  const tail = messageList({
    signal, onpick, actions, filters: () => trigger.filters ?? [], logic: () => trigger.filter_logic ?? 'and',
    none: 'Waiting for the next message. Messages show here as they arrive; nothing is stored.',
  });
  live.on('message', (message) => message.path === trigger.path && tail.push(message), signal);
  live.on('rates', () => tail.rate(live.ratesOf(trigger.path).at(-1) ?? null), signal);
  live.tail(trigger.path, signal);
  return tail.element;
}

/**
 * `{element, push(message), rate(perSecond)}`: messages that come one by one, from wherever. `actions(message, remove)` gives
 * the buttons of an opened one, `rowsPerStep` is how many are put in at once; a message with `load()` gets the rest of what it holds when it is opened.
 */
export function messageList({ signal, onpick, actions, filters, logic, none: noneText, rowsPerStep = ROWS_PER_STEP }) {
  const list = h('div', { class: 'tail-list', tabindex: '-1' });
  const note = h('span', { class: 'muted' });
  const pause = button({ text: 'Pause', iconName: 'pause', kind: 'small', onclick: () => setPaused(!paused) });
  const clear = button({ text: 'Clear', kind: 'small ghost', onclick: () => { list.replaceChildren(); waiting = []; left = 0; describe(); } });
  const only = h('select', { class: 'input small', 'aria-label': 'Show messages' },
    [['', 'All messages'], ['matched', 'Matched only'], ['unmatched', 'Not matched only']].map(([value, text]) => h('option', { value }, text)));
  const none = h('p', { class: 'muted tail-none' }, noneText);
  const element = h('div', { class: 'tail' }, h('div', { class: 'tail-tools' }, only, h('span', { class: 'grow' }, note), clear, pause), none, list);
  const around = { onpick, actions, filters, logic };
  let perSecond = null;
  let waiting = [];
  let left = 0;
  let paused = false;

  function push(message) {
    if (only.value && message.verdict !== only.value) return;
    left += message.skipped ?? 0;
    waiting.push(message);
    if (waiting.length > WAITING_MAX) {
      waiting.shift();
      left += 1;
    }
  }
  only.addEventListener('change', () => { list.replaceChildren(); waiting = []; });
  const timer = setInterval(step, STEP_MS);
  signal.addEventListener('abort', () => clearInterval(timer));

  function setPaused(next) {
    paused = next;
    fill(pause, icon(paused ? 'play' : 'pause'), h('span', {}, paused ? 'Resume' : 'Pause'));
    describe();
  }

  function step() {
    const reading = list.querySelector(':scope > [open]') !== null;
    if (waiting.length === 0 || paused || reading || document.hidden) return describe(reading);
    if (waiting.length > rowsPerStep) left += waiting.length - rowsPerStep;
    const fresh = waiting.slice(-rowsPerStep).reverse();
    waiting = [];
    list.prepend(...fresh.map((message) => row(message, around)));
    while (list.childElementCount > ROWS_MAX) list.lastElementChild.remove();
    return describe();
  }

  function describe(reading = false) {
    none.hidden = list.childElementCount > 0;
    const parts = perSecond === null ? [] : [rate(perSecond)];
    if (waiting.length > 0) parts.push(`${full(waiting.length)} waiting${reading && !paused ? ' while you read' : ''}`);
    if (left > 0) parts.push(`${full(left)} not shown`);
    setText(note, parts.join(' · '));
  }
  return {
    element,
    push,
    rate(next) {
      perSecond = next;
    },
  };
}

function row(message, around) {
  const [tone, text] = VERDICTS[message.verdict] ?? ['idle', message.verdict];
  const at = Date.parse(message.at);
  const body = h('div', { class: 'tail-body' });
  const element = h('details', { class: 'tail-row' },
    h('summary', {}, h('time', { class: 'mono muted', datetime: message.at, title: exact(at) }, clockTime(at)), badge(text, tone),
      h('span', { class: 'tail-text mono' }, message.text.slice(0, PREVIEW_CHARS)), h('span', { class: 'muted tail-size' }, bytes(message.bytes))), body);
  element.addEventListener('toggle', async () => {
    if (!element.open || body.hasChildNodes()) return;
    try {
      if (message.load) {
        fill(body, h('p', { class: 'muted' }, 'Loading…'));
        Object.assign(message, await message.load(), { load: null });
      }
      fill(body, opened(message, around, () => element.remove()));
    } catch (error) {
      fill(body, h('p', { class: 'field-error' }, error.message));
    }
  });
  return element;
}

function opened(message, { onpick, actions, filters, logic }, remove) {
  const cut = message.bytes > new Blob([message.text]).size;
  let value = message.text;
  try {
    value = parse(message.text);
  } catch {
    // shown as text
  }
  const decided = ['matched', 'unmatched'].includes(message.verdict);
  return [
    decided && (message.why || !cut) && whyView(message, filters(), logic()),
    cut && h('p', { class: 'muted' }, `The first ${bytes(new Blob([message.text]).size)} of ${bytes(message.bytes)}.`),
    !cut && actions && h('div', { class: 'cluster' }, actions(message, remove)),
    jsonView(value, { name: 'message', onpick }),
  ];
}
