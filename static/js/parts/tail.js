// Live tail of a trigger, saved or a draft: its messages as they arrive, each with the filter's verdict and, opened, why. Fast
// streams are shown in steps and in part, and say how much was left out.
import * as live from '../live.js';
import { parse } from '../json.js';
import { button, fill, h, icon, setText } from './dom.js';
import { jsonView } from './json-tree.js';
import { explain } from './filter-model.js';
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
/** Verdicts of the filters; the others are about rules that come before them. */
const DECIDED = ['matched', 'unmatched'];

/**
 * The tail of a saved trigger; `onpick(path, value)` makes a filter from a value, `actions(message)` gives buttons, `none()` says
 * what is waited for.
 */
export function tailView({ trigger, signal, onpick, actions, none }) {
  const tail = messageList({
    signal, onpick, actions, none, filters: () => trigger.filters ?? [], logic: () => trigger.filter_logic ?? 'and',
  });
  live.on('message', (message) => message.path === trigger.path && tail.push(message), signal);
  live.on('rates', () => tail.rate(live.ratesOf(trigger.path).at(-1) ?? null), signal);
  live.tail(trigger.path, signal);
  return tail.element;
}

/**
 * `{element, push(message), rate(perSecond), judgeAgain()}`: messages that come one by one, from wherever. `actions(message, remove)`
 * gives the buttons of an opened one, `rowsPerStep` is how many are put in at once; a message with `load()` gets the rest of what it
 * holds when it is opened. Where `edited()` says that `filters()` are not those the server judges by, the page judges.
 */
export function messageList({ signal, onpick, actions, filters, logic, none: noneText, rowsPerStep = ROWS_PER_STEP, edited = () => false }) {
  const list = h('div', { class: 'tail-list', tabindex: '-1' });
  const note = h('span', { class: 'muted' });
  const pause = button({ text: 'Pause', iconName: 'pause', kind: 'small', onclick: () => setPaused(!paused) });
  const clear = button({ text: 'Clear', kind: 'small ghost', onclick: () => { list.replaceChildren(); waiting = []; left = 0; describe(); } });
  const only = h('select', { class: 'input small', 'aria-label': 'Show messages' },
    [['', 'All messages'], ['matched', 'Matched only'], ['unmatched', 'Not matched only']].map(([value, text]) => h('option', { value }, text)));
  const find = h('input', { class: 'input small', type: 'search', 'aria-label': 'Find in messages', placeholder: 'Find in messages', spellcheck: 'false', autocomplete: 'off' });
  const none = h('p', { class: 'muted tail-none' });
  const element = h('div', { class: 'tail' }, h('div', { class: 'tail-tools' }, only, find, h('span', { class: 'grow' }, note), clear, pause), none, list);
  const around = { onpick, actions, filters, logic, edited };
  let perSecond = null;
  let waiting = [];
  let left = 0;
  let paused = false;
  const found = (message) => message.text.toLowerCase().includes(find.value.trim().toLowerCase());

  function push(message) {
    if (!found(message) || (only.value && judged(message, around).verdict !== only.value)) return;
    left += message.skipped ?? 0;
    waiting.push(message);
    if (waiting.length > WAITING_MAX) {
      waiting.shift();
      left += 1;
    }
  }
  only.addEventListener('change', () => { list.replaceChildren(); waiting = []; });
  find.addEventListener('input', () => {
    waiting = waiting.filter(found);
    for (const one of list.children) one.hidden = !found(one.message);
    describe();
  });
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
    none.hidden = list.querySelector(':scope > :not([hidden])') !== null;
    if (!none.hidden) setText(none, find.value.trim() ? 'No message that came has this in it.' : noneText());
    list.hidden = !none.hidden;
    const parts = perSecond === null ? [] : [rate(perSecond)];
    if (waiting.length > 0) parts.push(`${full(waiting.length)} waiting${reading && !paused ? ' while you read' : ''}`);
    if (left > 0) parts.push(`${full(left)} not shown`);
    setText(note, parts.join(' · '));
  }
  describe();
  return {
    element,
    push,
    rate(next) {
      perSecond = next;
    },
    judgeAgain: () => list.querySelectorAll(':scope > .tail-row').forEach((one) => one.judge()),
  };
}

const isCut = (message) => message.bytes > new Blob([message.text]).size;

/** `{verdict, why}` of a message: what came with it, or what the edited filters say. */
function judged(message, { filters, logic, edited }) {
  if (!DECIDED.includes(message.verdict) || !edited() || isCut(message)) return message;
  return { verdict: explain(filters(), logic(), message.text).matches ? 'matched' : 'unmatched', why: null };
}

function row(message, around) {
  const at = Date.parse(message.at);
  const mark = h('span', { class: 'tail-verdict' });
  const body = h('div', { class: 'tail-body' });
  const element = h('details', { class: 'tail-row' },
    h('summary', {}, h('time', { class: 'mono muted', datetime: message.at, title: exact(at) }, clockTime(at)), mark,
      h('span', { class: 'tail-text mono' }, message.text.slice(0, PREVIEW_CHARS)), h('span', { class: 'muted tail-size' }, bytes(message.bytes))), body);
  element.message = message;
  const show = () => fill(body, opened(message, around, () => element.remove()));
  element.judge = () => {
    const { verdict } = judged(message, around);
    const [tone, text] = VERDICTS[verdict] ?? ['idle', verdict];
    fill(mark, badge(text, tone));
    const why = body.querySelector('.why');
    if (why) why.replaceWith(whyOf(message, around));
  };
  element.judge();
  element.addEventListener('toggle', async () => {
    if (!element.open || body.hasChildNodes()) return;
    try {
      if (message.load) {
        fill(body, h('p', { class: 'muted' }, 'Loading…'));
        Object.assign(message, await message.load(), { load: null });
      }
      show();
    } catch (error) {
      fill(body, h('p', { class: 'field-error' }, error.message));
    }
  });
  return element;
}

/** Why a message has the verdict that it shows. */
function whyOf(message, around) {
  return whyView({ text: message.text, why: judged(message, around).why }, around.filters(), around.logic());
}

function opened(message, around, remove) {
  const { onpick, actions } = around;
  const cut = isCut(message);
  let value = message.text;
  try {
    value = parse(message.text);
  } catch {
    // shown as text
  }
  const decided = DECIDED.includes(message.verdict);
  return [
    decided && (message.why || !cut) && whyOf(message, around),
    cut && h('p', { class: 'muted' }, `The first ${bytes(new Blob([message.text]).size)} of ${bytes(message.bytes)}.`),
    !cut && actions && h('div', { class: 'cluster' }, actions(message, remove)),
    jsonView(value, { name: 'message', onpick }),
  ];
}
