// Script editor: source with language and summary, a test run beside it, errors at their line.
import * as api from '../api.js';
import * as router from '../router.js';
import { captureCard } from '../parts/capture.js';
import { codeEditor, lineOf } from '../parts/code.js';
import { button, emptyState, errorState, fill, h, linkButton, pageHead, skeleton } from '../parts/dom.js';
import { clearErrors, field, setFieldError, showServerError } from '../parts/field.js';
import { menuButton } from '../parts/menu.js';
import { pathField } from '../parts/path-field.js';
import { languageChoices, templatesOf, templateSource } from '../parts/templates.js';
import { samplesOf } from '../parts/samples.js';
import { shareButton } from '../parts/share.js';
import { testRun } from '../parts/test-run.js';
import { toast } from '../parts/toast.js';
import { usedBy } from '../parts/used-by.js';
import { versionsDialog } from '../parts/versions.js';

/** The source is read when the typing pauses. */
const TYPING_MS = 500;
const CRUMBS = [['Scripts', '/scripts']];

export async function render(root, params) {
  const { path, signal, guard } = params;
  let saved = null;
  if (path) {
    fill(root, pageHead({ title: path, crumbs: CRUMBS }), skeleton(3));
    try {
      saved = await api.scripts.get(path, signal);
    } catch (error) {
      if (signal.aborted) return;
      fill(root, pageHead({ title: path, crumbs: CRUMBS }), error.status === 404
        ? emptyState({ iconName: 'search', title: 'There is no script at this path', text: 'It may have been archived or not made yet.', actions: [linkButton({ text: 'New script', href: '/scripts/new', kind: 'primary' }), linkButton({ text: 'All scripts', href: '/scripts' })] })
        : errorState(error, () => render(root, params)));
      return;
    }
  }
  let dirty = false;
  const touched = () => { dirty = true; };
  guard(() => dirty);

  const known = new Map(languageChoices);
  if (saved && !known.has(saved.language)) known.set(saved.language, saved.language);
  const language = h('select', { class: 'input', value: saved?.language ?? 'python3' }, [...known].map(([value, text]) => h('option', { value, selected: value === (saved?.language ?? 'python3') }, text)));
  const summary = h('input', { class: 'input', value: saved?.summary ?? '', placeholder: 'What it does, in a few words', oninput: touched });
  const where = saved ? null : pathField({ defaultName: 'my_script', help: 'Where the script is kept:', signal, onchange: touched });
  const code = codeEditor({ language: language.value, value: saved?.content ?? templateSource('python3'), rows: 18 });
  const codeField = field({ name: 'content', label: 'Source', help: 'Tab indents; press Escape, then Tab to leave the editor. Ctrl+Enter runs a test, Ctrl+S saves.', control: code, wide: true });
  const alert = h('p', { class: 'form-alert', role: 'alert', hidden: true });
  const save = button({ text: 'Save', kind: 'primary', type: 'submit' });
  let template = code.value;
  code.control.addEventListener('input', () => {
    touched();
    checkSoon();
  });
  language.addEventListener('change', () => {
    touched();
    code.language = language.value;
    checkSoon();
    // a source nobody has typed in follows the language
    if (!saved && code.value === template) useTemplate('message');
  });
  function useTemplate(kind) {
    template = templateSource(language.value, kind);
    code.value = template;
    checkSoon();
  }
  const templates = menuButton({ label: 'Start from a template', text: 'Template', iconName: 'scripts', kind: 'small', items: () => templatesOf(language.value).map(([kind, text]) => ({ text, onselect: () => { touched(); useTemplate(kind); } })) });
  const codeLabel = codeField.querySelector('label');
  const codeHead = h('div', { class: 'field-head' });
  codeLabel.before(codeHead);
  codeHead.append(codeLabel, templates);
  const test = testRun({
    signal, samples: samplesOf('script', () => saved?.path ?? where.value),
    launch: (args) => api.jobs.preview({ content: code.value, language: language.value, ...(saved ? { path: saved.path } : {}), args }),
    onDone: ({ failure }) => failure && showFailure(failure),
  });

  /** Reads what is typed without saving: marks the first error at its line, makes the form of the arguments. */
  let checkTimer = 0;
  let preprocessor = null;
  let round = 0;
  function checkSoon() {
    clearTimeout(checkTimer);
    checkTimer = setTimeout(check, TYPING_MS);
  }
  async function check() {
    round += 1;
    const mine = round;
    const content = code.value;
    if (content.trim() === '') return;
    try {
      const facts = await api.scripts.check({ language: language.value, content }, signal);
      if (mine !== round) return;
      code.markError(0);
      preprocessor = facts.preprocessor;
      if (facts.schema) test.use(facts.schema);
    } catch (error) {
      if (signal.aborted || mine !== round || error.status !== 400 || error.field === 'language') return;
      code.markError(lineOf(error.message) ?? 0, error.detail);
    }
  }
  signal.addEventListener('abort', () => clearTimeout(checkTimer));
  if (saved?.schema) test.use(saved.schema);
  checkSoon();

  async function showVersions() {
    const content = await versionsDialog({
      list: async () => (await api.scripts.history(saved.path, signal)).map((one) => ({ ...one, id: one.script_hash })),
      text: async (hash) => (await api.scripts.version(hash, signal)).content,
      present: () => code.value,
    });
    if (content === null || content === code.value) return;
    code.value = content;
    touched();
    checkSoon();
    toast('The version stands in the editor; save to make it the newest');
  }

  const form = h('form', { class: 'card form-card', novalidate: true, onsubmit: onSave },
    where?.element,
    h('div', { class: 'script-head' }, field({ name: 'language', label: 'Language', control: language }), field({ name: 'summary', label: 'Summary', control: summary })),
    codeField,
    h('div', { class: 'save-bar inner' }, alert, h('div', { class: 'cluster end' }, linkButton({ text: 'Cancel', href: '/scripts' }), save)));
  const capture = captureCard({
    path: () => saved?.path ?? where.value, problem: () => where?.problem() ?? '', isFlow: false, preprocessor: () => preprocessor, onrun: test.tryWith, signal,
  });
  const actions = saved ? [
    button({ text: 'Versions', iconName: 'clock', onclick: showVersions }),
    shareButton('script', saved.path),
    linkButton({ text: 'View runs', href: `/runs?runnable=${encodeURIComponent(saved.path)}`, iconName: 'runs' }),
    linkButton({ text: 'New trigger', href: `/triggers/new?script=${encodeURIComponent(saved.path)}`, iconName: 'triggers' }),
  ] : [];
  fill(root, pageHead({ title: saved ? saved.path : 'New script', crumbs: CRUMBS, actions }), h('div', { class: 'script-grid' }, form, h('div', { class: 'stack side-stack' }, test.element, saved && usedBy({ path: saved.path, isFlow: false, signal })), capture));
  root.firstElementChild.parentElement.addEventListener('keydown', onShortcut, { signal });

  function onShortcut(event) {
    if (!event.ctrlKey && !event.metaKey) return;
    if (event.key === 'Enter') {
      event.preventDefault();
      test.run();
    } else if (event.key.toLowerCase() === 's') {
      event.preventDefault();
      form.requestSubmit();
    }
  }

  function say(text) {
    alert.textContent = text;
    alert.hidden = !text;
  }

  function showFailure(error) {
    const line = lineOf(error.message);
    if (line) code.markError(line, '');
    return showServerError(form, error);
  }

  async function onSave(event) {
    event.preventDefault();
    clearErrors(form);
    code.markError(0);
    say('');
    const problem = where?.problem();
    if (problem) {
      setFieldError(where.element, problem);
      where.element.querySelector('[aria-label="Name"]').focus();
      return;
    }
    const body = {
      ...(saved ? kept(saved) : {}), path: saved ? saved.path : where.value, summary: summary.value.trim(), description: saved?.description ?? '', content: code.value, language: language.value,
    };
    save.disabled = true;
    try {
      const hash = await api.scripts.create(body);
      dirty = false;
      toast(`${body.path} is saved`);
      if (saved) saved = { ...saved, ...body, hash };
      else await router.go(`/scripts/edit/${api.encodePath(body.path)}`, { replace: true });
    } catch (error) {
      if (error.status !== 401) say(showFailure(error) ? 'The server refused one field.' : error.message);
    } finally {
      save.disabled = false;
    }
  }
}

/** What a new version takes over from the one before: settings this page does not show. The schema is worked out anew. */
function kept(saved) {
  const names = ['tag', 'envs', 'concurrent_limit', 'concurrency_time_window_s', 'concurrency_key', 'cache_ttl', 'dedicated_worker', 'timeout', 'delete_after_secs', 'priority', 'restart_unless_cancelled', 'labels', 'kind'];
  const values = names.filter((name) => saved[name] !== undefined && saved[name] !== null).map((name) => [name, saved[name]]);
  return { parent_hash: saved.hash, ...Object.fromEntries(values) };
}
