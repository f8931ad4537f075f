// Samples: messages kept by name in this browser, each with the verdict of the filters as they stand in the form. They are
// the filters' test: a change shows at once which samples it lets through.
import * as api from '../api.js';
import { button, fill, h } from './dom.js';
import { openDialog } from './dialog.js';
import { field } from './field.js';
import { badge } from './status.js';
import { toast } from './toast.js';
import { whyView } from './why.js';

const KEY = 'windsock.samples';
/** Of one workspace; the oldest give way. */
const KEPT_MAX = 50;
/** Larger messages would fill the browser's storage. */
const TEXT_MAX = 64 * 1024;
const TYPING_MS = 300;

const keyOf = () => `${KEY}.${api.currentWorkspace()}`;

function read() {
  try {
    const kept = JSON.parse(localStorage.getItem(keyOf()) ?? '[]');
    return Array.isArray(kept) ? kept : [];
  } catch {
    return [];
  }
}

function write(samples) {
  try {
    localStorage.setItem(keyOf(), JSON.stringify(samples.slice(-KEPT_MAX)));
    document.dispatchEvent(new CustomEvent('windsock:samples'));
  } catch {
    toast('This browser keeps no more samples', 'bad');
  }
}

/** Asks for a name and keeps the text. */
export async function keepSample(text) {
  if (text.length > TEXT_MAX) {
    toast('This message is too large to be kept as a sample', 'bad');
    return;
  }
  const name = h('input', { class: 'input', autocomplete: 'off', placeholder: 'a trade', value: '' });
  const done = await openDialog({
    title: 'Keep as a sample', body: field({ name: 'sample', label: 'Name', help: 'Samples are kept in this browser and tried on the filters in the editor.', control: name, wide: true }),
    actions: (close) => [button({ text: 'Cancel', onclick: () => close() }), button({ text: 'Keep', kind: 'primary', onclick: () => close(true) })],
  });
  if (!done) return;
  write([...read(), { name: name.value.trim() || `sample ${read().length + 1}`, text }]);
  toast('Kept as a sample');
}

/** The samples with their verdicts; `filters()` and `logic()` give the draft. `changed()` is to be called after each edit. */
export function samplesView({ filters, logic, signal }) {
  const list = h('ul', { class: 'lined' });
  const note = h('p', { class: 'field-error', role: 'status' });
  const own = h('textarea', { class: 'input mono', rows: '2', 'aria-label': 'Message to try', placeholder: '{"type": "trade"}', spellcheck: 'false' });
  const element = h('div', { class: 'stack-small' }, list, note, own, h('div', {}, button({ text: 'Keep this message as a sample', iconName: 'plus', kind: 'small', onclick: () => own.value.trim() && keepSample(own.value) })));
  let timer = 0;
  let round = 0;

  function changed() {
    clearTimeout(timer);
    timer = setTimeout(look, TYPING_MS);
  }

  async function look() {
    round += 1;
    const mine = round;
    const samples = read();
    if (own.value.trim()) samples.push({ name: 'the message below', text: own.value, typed: true });
    if (samples.length === 0) {
      fill(list);
      note.textContent = '';
      return;
    }
    let verdicts = [];
    try {
      verdicts = await api.triggers.explain(filters(), logic(), samples.map((one) => one.text), signal);
      note.textContent = '';
    } catch (error) {
      if (signal.aborted || mine !== round) return;
      note.textContent = error.status === 404 ? '' : error.message;
    }
    if (mine !== round) return;
    fill(list, samples.map((sample, index) => {
      const why = verdicts[index];
      return h('li', {}, h('details', { class: 'grow' }, h('summary', {}, why && badge(why.matched ? 'Matched' : 'No match', why.matched ? 'ok' : 'idle'), ' ', sample.name),
        why && whyView({ why, text: sample.text }, filters(), logic()), h('pre', { class: 'mono sample-text', tabindex: '0' }, sample.text)),
      !sample.typed && button({ label: `Remove the sample ${sample.name}`, iconName: 'close', kind: 'ghost small', onclick: () => write(read().filter((_, at) => at !== index)) }));
    }));
  }
  own.addEventListener('input', changed);
  document.addEventListener('windsock:samples', look, { signal });
  signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
  look();
  return { element, changed };
}
