// Runnable picker: a search field over all scripts and flows that also takes a path which does not exist yet,
// and the dialog that makes a script from a template without leaving the page.
import * as api from '../api.js';
import { badge } from './status.js';
import { codeEditor, lineOf } from './code.js';
import { openDialog } from './dialog.js';
import { button, h, icon, put, uid } from './dom.js';
import { clearErrors, field, showServerError } from './field.js';
import { pathField } from './path-field.js';
import { languageChoices, languageName, templatesOf, templateSource } from './templates.js';
import { toast } from './toast.js';

const OFFERED_MAX = 50;
const PATH = /^[ufg](\/[\w-]+){2,}$/;

/** All runnables, loaded once per form: `[{path, summary, isFlow, language}]`. */
export async function loadRunnables(signal) {
  const [scripts, flows] = await Promise.all([api.scripts.list({ signal }), api.flows.list({ signal })]);
  const row = (isFlow) => ({ path, summary, language }) => ({ path, summary, language, isFlow });
  return [...scripts.map(row(false)), ...flows.map(row(true))].sort((one, other) => one.path.localeCompare(other.path));
}

/**
 * `{element, path, isFlow, set(path, isFlow)}`. `runnables` is a promise of `loadRunnables`; `template` is the kind
 * of template a new script starts with.
 */
export function runnablePicker({ name, label, help, path = '', isFlow = false, runnables, template = 'message', onchange, signal }) {
  const listId = uid('options');
  const chosen = { path, isFlow };
  let known = [];
  let options = [];
  let active = -1;
  const input = h('input', {
    class: 'input mono', role: 'combobox', 'aria-expanded': 'false', 'aria-autocomplete': 'list', 'aria-controls': listId, autocomplete: 'off',
    spellcheck: 'false', value: path, placeholder: 'Search scripts and flows, or type a path',
  });
  const list = h('ul', { class: 'options', role: 'listbox', tabindex: '-1', id: listId, 'aria-label': `${label} choices`, hidden: true }); // else Tab goes to what scrolls, which closes
  const note = h('span', { class: 'picker-note' });
  const control = h('div', { class: 'picker' }, input, note, list);
  control.control = input;
  const element = field({ name, label, help, control, wide: true });
  put(element, h('div', { class: 'cluster' }, button({ text: 'Create a script from a template', iconName: 'plus', kind: 'small', onclick: create })));
  runnables.then((loaded) => {
    known = loaded;
    describe();
  }, () => {}); // without the list a path can still be typed

  function describe() {
    const found = known.find((one) => one.path === chosen.path && one.isFlow === chosen.isFlow);
    note.replaceChildren(...[
      chosen.path && badge(chosen.isFlow ? 'flow' : languageName(found?.language ?? 'script')),
      chosen.path && !found && known.length > 0 && PATH.test(chosen.path) && badge('does not exist yet', 'warn'),
    ].filter(Boolean));
  }

  function set(nextPath, nextIsFlow) {
    Object.assign(chosen, { path: nextPath, isFlow: nextIsFlow });
    input.value = nextPath;
    describe();
    onchange?.();
  }

  function open() {
    const words = input.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const all = input.value === chosen.path ? known : known.filter((one) => words.every((word) => `${one.path} ${one.summary ?? ''}`.toLowerCase().includes(word)));
    options = all.slice(0, OFFERED_MAX);
    const typed = input.value.trim();
    if (PATH.test(typed) && !known.some((one) => one.path === typed)) options.push({ path: typed, isFlow: false, fresh: true }, { path: typed, isFlow: true, fresh: true });
    list.replaceChildren(...options.map((one, index) => h('li', {
      role: 'option', id: `${listId}-${index}`, 'aria-selected': 'false', class: 'option',
      onpointerdown: (event) => {
        event.preventDefault();
        take(index);
      },
    }, icon(one.isFlow ? 'flows' : 'scripts'), h('span', { class: 'option-main' }, h('span', { class: 'mono' }, one.path), one.summary && h('span', { class: 'muted' }, one.summary)),
    badge(one.fresh ? `new ${one.isFlow ? 'flow' : 'script'}` : one.isFlow ? 'flow' : languageName(one.language)))));
    if (options.length === 0) list.append(h('li', { class: 'option none', role: 'option', 'aria-disabled': 'true', 'aria-selected': 'false' }, known.length === 0 ? 'No script yet: create one from a template' : 'Nothing fits; a path like f/folder/name can be typed'));
    list.hidden = false;
    input.setAttribute('aria-expanded', 'true');
    move(options.findIndex((one) => one.path === chosen.path && one.isFlow === chosen.isFlow));
  }

  function close() {
    list.hidden = true;
    active = -1;
    input.setAttribute('aria-expanded', 'false');
    input.removeAttribute('aria-activedescendant');
  }

  function move(index) {
    list.children[active]?.setAttribute('aria-selected', 'false');
    active = index;
    const option = list.children[active];
    if (!option || !options[active]) return input.removeAttribute('aria-activedescendant');
    option.setAttribute('aria-selected', 'true');
    option.scrollIntoView({ block: 'nearest' });
    return input.setAttribute('aria-activedescendant', option.id);
  }

  function take(index) {
    const option = options[index];
    if (!option) return;
    set(option.path, option.isFlow);
    close();
  }

  // not over the words that say what is wrong
  input.addEventListener('focus', () => input.getAttribute('aria-invalid') !== 'true' && open());
  input.addEventListener('click', () => list.hidden && open());
  input.addEventListener('input', () => {
    open();
    const exact = known.find((one) => one.path === input.value.trim());
    Object.assign(chosen, { path: input.value.trim(), isFlow: exact?.isFlow ?? false });
    if (options.length > 0) move(0);
    describe();
    onchange?.();
  });
  input.addEventListener('blur', close);
  input.addEventListener('keydown', (event) => {
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      event.preventDefault();
      if (list.hidden) open();
      else if (options.length > 0) move((active + (event.key === 'ArrowDown' ? 1 : -1) + options.length) % options.length);
    } else if (event.key === 'Enter' && !list.hidden) {
      event.preventDefault();
      take(active);
    } else if (event.key === 'Escape' && !list.hidden) {
      event.preventDefault();
      event.stopPropagation();
      close();
    }
  });

  async function create() {
    const path = await scriptDialog({ path: PATH.test(chosen.path) && !known.some((one) => one.path === chosen.path) ? chosen.path : '', template, signal, taken: known.map((one) => one.path) });
    if (!path) return;
    known = [...known, { path: path.path, language: path.language, isFlow: false }];
    set(path.path, false);
  }

  describe();
  return { element, set, get path() { return chosen.path; }, get isFlow() { return chosen.isFlow; } };
}

/** Makes a script from a template; resolves with `{path, language}` or null. */
function scriptDialog({ path, template, signal, taken }) {
  const language = h('select', { class: 'input' }, languageChoices.map(([one, text]) => h('option', { value: one }, text)));
  const kind = h('select', { class: 'input' });
  const where = pathField({ value: path, defaultName: 'on_message', help: 'Where the script is kept:', signal, taken });
  const code = codeEditor({ language: 'python3', rows: 10, label: 'Source of the new script' });
  const general = h('p', { class: 'field-error', role: 'alert' });
  const kinds = () => {
    const wanted = kind.value || template;
    kind.replaceChildren(...templatesOf(language.value).map(([one, text]) => h('option', { value: one, selected: one === wanted }, text)));
    refill();
  };
  const refill = () => {
    code.language = language.value;
    code.value = templateSource(language.value, kind.value);
  };
  language.addEventListener('change', kinds);
  kind.addEventListener('change', refill);
  const form = h('div', { class: 'stack' },
    h('div', { class: 'field-grid' }, field({ name: 'language', label: 'Language', control: language }), field({ name: 'template', label: 'Template', control: kind })),
    where.element, h('div', { class: 'field wide', 'data-field': 'content' }, code, h('p', { class: 'help' }, 'Tab indents; press Escape, then Tab to leave the editor.'), h('p', { class: 'field-error' })), general);
  kinds();
  const save = async (close, event) => {
    clearErrors(form);
    general.textContent = '';
    const problem = where.problem();
    if (problem) return showServerError(form, { field: 'path', detail: problem, message: problem });
    event.target.closest('button').disabled = true;
    try {
      await api.scripts.create({ path: where.value, summary: '', description: '', content: code.value, language: language.value });
      toast(`${where.value} is created`);
      close({ path: where.value, language: language.value });
    } catch (error) {
      code.markError(lineOf(error.message) ?? 0, '');
      if (!showServerError(form, error)) general.textContent = error.message;
    } finally {
      event.target.closest('button').disabled = false;
    }
    return undefined;
  };
  return openDialog({
    title: 'Create a script from a template', wide: true, body: form,
    actions: (close) => [button({ text: 'Cancel', onclick: () => close() }), button({ text: 'Create script', kind: 'primary', onclick: (event) => save(close, event) })],
  });
}
