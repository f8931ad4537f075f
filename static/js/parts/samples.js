// Samples: messages kept under a name with a trigger or a runnable, for everybody who may read it. They are the filters' test,
// each with the verdict of the filters as they stand in the form, and arguments for a test run.
import * as api from '../api.js';
import { button, fill, h } from './dom.js';
import { field } from './field.js';
import { formDialog } from './form-dialog.js';
import { badge } from './status.js';
import { toast, toastError } from './toast.js';
import { whyView } from './why.js';

const TYPING_MS = 300;

const changedSomewhere = () => document.dispatchEvent(new CustomEvent('windsock:samples'));

/** Samples of a `trigger`, `script` or `flow`; `path()` tells where it is now. */
export const samplesOf = (kind, path) => ({
  list: (signal) => api.samples.list(kind, path(), signal),
  keep: (name, text) => api.samples.create({ kind, path: path(), name, text }),
  remove: (name) => api.samples.remove(kind, path(), name),
});

/** Samples of a trigger that is not saved yet: they stay in the form until `moveTo(path)` hands them to the server. */
export function draftSamples() {
  let kept = [];
  return {
    list: async () => [...kept],
    async keep(name, text) {
      if (!name) throw Object.assign(new Error('name: give it a name'), { field: 'name', detail: 'give it a name' });
      kept = [...kept.filter((one) => one.name !== name), { name, text }];
    },
    async remove(name) {
      kept = kept.filter((one) => one.name !== name);
    },
    async moveTo(path) {
      const store = samplesOf('trigger', () => path);
      for (const { name, text } of kept) await store.keep(name, text);
      kept = [];
    },
  };
}

/** Asks for a name and keeps the text; `next` is a button for what one would do then: `{text, onselect}`. */
export async function keepSample(store, text, next = null) {
  const name = h('input', { class: 'input', autocomplete: 'off', placeholder: 'a trade' });
  const done = await formDialog({
    title: 'Keep as a sample', action: 'Keep',
    fields: [field({ name: 'name', label: 'Name', help: 'Samples are tried on the filters in the editor, by everybody who may see what they belong to.', control: name, wide: true })],
    send: () => store.keep(name.value.trim(), text),
  });
  if (!done) return;
  changedSomewhere();
  toast(`Kept as the sample ${name.value.trim()}`, 'ok', next);
}

/** The samples with their verdicts; `filters()` and `logic()` give the draft. `changed()` is to be called after each edit. */
export function samplesView({ store, filters, logic, signal }) {
  const list = h('ul', { class: 'lined' });
  const note = h('p', { class: 'field-error', role: 'status' });
  const own = h('textarea', { class: 'input mono', rows: '2', 'aria-label': 'Message to try', placeholder: '{"type": "trade"}', spellcheck: 'false' });
  const element = h('div', { class: 'stack-small' }, list, note, own, h('div', {}, button({ text: 'Keep this message as a sample', iconName: 'plus', kind: 'small', onclick: () => own.value.trim() && keepSample(store, own.value) })));
  let timer = 0;
  let round = 0;

  function changed() {
    clearTimeout(timer);
    timer = setTimeout(look, TYPING_MS);
  }

  async function look() {
    round += 1;
    const mine = round;
    const samples = await store.list(signal).catch(() => []); // then only what is typed is tried
    if (mine !== round || signal.aborted) return;
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
      !sample.typed && button({ label: `Remove the sample ${sample.name}`, iconName: 'close', kind: 'ghost small', onclick: () => remove(sample.name) }));
    }));
  }

  async function remove(name) {
    try {
      await store.remove(name);
    } catch (error) {
      toastError(error);
    }
    changedSomewhere();
  }
  own.addEventListener('input', changed);
  document.addEventListener('windsock:samples', look, { signal });
  signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
  look();
  return { element, changed };
}
