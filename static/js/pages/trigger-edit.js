// Trigger editor: makes a trigger or changes one. Sends only what was set; shows the server's errors at their field.
import * as api from '../api.js';
import { parse } from '../json.js';
import * as live from '../live.js';
import * as router from '../router.js';
import { editedMeanwhile } from '../parts/conflict.js';
import { button, errorState, fill, h, linkButton, pageHead, skeleton } from '../parts/dom.js';
import { checkField, clearErrors, field, groupField, radioGroup, reveal, section, setFieldError, showServerError } from '../parts/field.js';
import { filterEditor } from '../parts/filters.js';
import { initialMessages } from '../parts/initial-messages.js';
import { modeSwitch } from '../parts/mode.js';
import { runOnMessage } from '../parts/message-args.js';
import { pathField } from '../parts/path-field.js';
import { loadRunnables, runnablePicker } from '../parts/runnables.js';
import { readFields, specField, valueAt } from '../parts/spec-fields.js';
import { draftSamples, keepSample, samplesOf, samplesView } from '../parts/samples.js';
import { runnableArgs } from '../parts/schema-form.js';
import { importedTrigger } from '../parts/trigger-actions.js';
import { ADVANCED, HEARTBEAT } from '../parts/trigger-fields.js';
import { toast, toastError } from '../parts/toast.js';
import { trialView } from '../parts/trial.js';

const STATIC_URL = /^(wss?:\/\/\S+|.*(\{\{|\$var:).*)$/;

export async function render(root, params) {
  const { path, query, signal } = params;
  const source = path ?? query.get('from');
  fill(root, skeleton(6));
  let saved = null;
  try {
    if (source) saved = await api.triggers.get(source, signal);
    else if (query.has('imported')) saved = importedTrigger();
  } catch (error) {
    if (!signal.aborted) fill(root, pageHead({ title: 'Edit trigger', crumbs: [['Triggers', '/triggers']] }), errorState(error, () => render(root, params)));
    return;
  }
  const filter = query.get('filter');
  new Editor(root, { ...params, saved, copied: query.has('from'), base: path ? saved : null, filter: filter ? parse(filter) : null, runnable: query.get('flow') ?? query.get('script'), isFlow: query.has('flow') }).show();
}

class Editor {
  constructor(root, { path, signal, guard, saved, base, copied, filter, runnable, isFlow }) {
    Object.assign(this, { root, path, signal, saved, base });
    this.dirty = false;
    this.seen = base?.edited_at;
    this.touched = () => { this.dirty = true; };
    guard(() => this.dirty);
    const runnables = loadRunnables(signal);
    runnables.catch(() => {}); // the picker then only takes typed paths
    const from = saved ?? {};
    const dynamic = /^\$(script|flow):(.+)$/.exec(from.url ?? '');
    this.where = pathField({
      value: path ?? (saved && copied ? `${saved.path}_copy` : saved?.path ?? ''), defaultName: 'ws_trigger', help: 'Where the trigger is kept:', signal, onchange: this.touched,
    });
    this.runnable = runnablePicker({
      name: 'script_path', label: 'Runnable', help: 'The script or flow that runs for each matching message. It may be made later.',
      path: from.script_path ?? runnable ?? '', isFlow: from.is_flow ?? isFlow, runnables, signal, onchange: this.touched,
    });
    this.buildConnection(from, dynamic, runnables);
    this.filters = filterEditor({ filters: from.filters ?? [], logic: from.filter_logic ?? 'and', onchange: () => { this.touched(); this.samples?.changed(); this.trial.filtersChanged(); } });
    this.kept = path ? samplesOf('trigger', () => path) : draftSamples();
    this.samples = samplesView({ store: this.kept, filters: () => this.filters.filters, logic: () => this.filters.logic, signal });
    this.initial = initialMessages({ value: from.initial_messages ?? [], runnables, signal, onchange: this.touched });
    this.reply = checkField({
      name: 'can_return_message', label: 'Send the result back', help: 'What the runnable returns is sent on the same connection; null is not sent. Default: off.',
      checked: from.can_return_message, onchange: () => { this.touched(); this.syncReplies(); },
    });
    this.replyError = checkField({
      name: 'can_return_error_result', label: 'Send errors back too', help: 'Also sends the result of a failed job. Needs the switch above. Default: off.',
      checked: from.can_return_error_result, onchange: this.touched,
    });
    this.mode = modeSwitch({ label: 'Mode', value: from.mode ?? (from.enabled === false ? 'disabled' : 'enabled'), texts: true, onchange: this.touched });
    const around = { runnables, signal, from, onchange: () => this.touched() };
    const make = (spec) => specField(spec, valueAt(from, spec.name), around);
    this.heartbeat = HEARTBEAT.map(make);
    this.advanced = ADVANCED.map(([title, text, specs]) => [title, text, specs.map(make)]);
    if (filter) this.filters.add(filter);
    this.dirty = false;
  }

  buildConnection(from, dynamic, runnables) {
    this.url = h('input', {
      class: 'input mono', type: 'text', inputmode: 'url', value: dynamic ? '' : from.url ?? '', placeholder: 'wss://example.com/feed', spellcheck: 'false', autocomplete: 'off',
      oninput: this.touched,
    });
    this.urlField = field({ name: 'url', label: 'URL', wide: true, control: this.url, help: 'ws:// or wss://. May hold {{vars.name}} and $var:<path>.' });
    this.urlArgs = runnableArgs({ name: 'url_runnable_args', label: 'URL runnable arguments', help: 'Default: none.', value: from.url_runnable_args ?? {}, signal: this.signal, onchange: this.touched });
    const argsOf = () => this.urlArgs.of(this.urlRunnable.path, this.urlRunnable.isFlow);
    this.urlRunnable = runnablePicker({
      name: 'url', label: 'URL runnable', help: 'Runs again at every connect, so a token is always fresh. It has to return the URL as a text.',
      path: dynamic?.[2] ?? '', isFlow: dynamic?.[1] === 'flow', runnables, template: 'url', signal: this.signal, onchange: () => { this.touched(); argsOf(); },
    });
    argsOf();
    const runnableParts = h('div', { class: 'stack-small' }, this.urlRunnable.element, this.urlArgs.element);
    const parts = h('div', {});
    const pick = (kind) => {
      this.urlKind = kind;
      fill(parts, kind === 'static' ? this.urlField : runnableParts);
    };
    const choice = radioGroup({
      label: 'Where the URL comes from', options: [['static', 'Static URL'], ['runnable', 'URL from a runnable']], value: dynamic ? 'runnable' : 'static',
      onchange: (kind) => {
        this.touched();
        pick(kind);
      },
    });
    pick(dynamic ? 'runnable' : 'static');
    this.trial = trialView({
      signal: this.signal, draft: () => this.draft(), filters: () => (this.filters.problems().length > 0 ? null : [this.filters.filters, this.filters.logic]),
      actions: (message) => [button({ text: 'Run on this message', iconName: 'play', kind: 'small', onclick: () => this.runOn(message.text) }), button({ text: 'Keep as a sample', iconName: 'plus', kind: 'small', onclick: () => keepSample(this.kept, message.text) })],
      onpick: (place, value) => this.filters.add(place.includes('.') ? { path: place, value } : { key: place, value }),
    });
    this.connection = h('div', { class: 'stack' }, choice.element, parts);
  }

  show() {
    const { path, base } = this;
    const back = path ? `/triggers/view/${api.encodePath(path)}` : '/triggers';
    this.stale = h('div', { role: 'status' });
    this.alert = h('p', { class: 'form-alert', role: 'alert', hidden: true });
    this.saveButton = button({ text: 'Save', kind: 'primary', type: 'submit' });
    const sets = (fields) => (base && fields.some((one) => one.read() !== undefined) ? ' · in use' : '');
    const block = (title, text, ...content) => h('section', { class: 'card form-card' }, h('div', { class: 'card-head' }, h('h2', {}, title), text && h('p', { class: 'muted' }, text)), content);
    this.form = h('form', { class: 'form with-rail', novalidate: true, onsubmit: (event) => this.save(event) },
      block('What runs', null, this.where.element, this.runnable.element),
      block('Connection', 'windsock connects to this address and keeps the connection up.', this.connection),
      h('section', { class: 'card form-card rail', 'aria-label': 'Try it out' }, h('div', { class: 'card-head' }, h('h2', {}, 'Try it out'), h('p', { class: 'muted' }, 'Connects once with what stands in the form. Nothing is stored and nothing runs.')), this.trial.element),
      block('Filters', 'Which messages run a job. With filters set, a message that is not a JSON object never matches.', h('div', { class: 'field wide', 'data-field': 'filters' }, this.filters.element, h('p', { class: 'field-error' })),
        section({ title: 'Try the filters', text: 'on a message or on kept samples', body: this.samples.element })),
      block('Initial messages', 'Sent or awaited in this order right after connecting, such as a login or a subscription.', groupBare('initial_messages', this.initial.element)),
      block('Replies', null, this.reply.element, this.replyError.element),
      h('section', { class: 'card form-card folds' }, h('div', { class: 'card-head' }, h('h2', {}, 'More'), h('p', { class: 'muted' }, 'Nothing here is needed for a usual feed.')),
        section({ title: 'Heartbeat', text: `a text sent at intervals${sets(this.heartbeat)}`, body: h('div', { class: 'field-grid' }, this.heartbeat.map((one) => one.element)) }),
        this.advanced.map(([title, text, fields]) => section({ title, text: `${text}${sets(fields)}`, body: h('div', { class: 'field-grid' }, fields.map((one) => one.element)) }))),
      block('Mode', null, groupField({ name: 'mode', label: 'After saving the trigger is', help: 'Suspended listens but holds its jobs; disabled does not listen. Default: enabled.', body: this.mode.element })),
      h('div', { class: 'save-bar' }, this.alert, h('div', { class: 'cluster end' }, linkButton({ text: 'Cancel', href: back }), this.saveButton)));
    this.form.addEventListener('keydown', (event) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 's') {
        event.preventDefault();
        this.form.requestSubmit();
      }
    });
    this.form.addEventListener('input', (event) => {
      const owner = event.target.closest('[data-field].invalid');
      if (owner) setFieldError(owner, '');
      if (!this.form.querySelector('[data-field].invalid')) this.say('');
    });
    this.syncReplies();
    const crumbs = [['Triggers', '/triggers'], ...(path ? [[path, back]] : [])];
    fill(this.root, pageHead({ title: path ? 'Edit trigger' : 'New trigger', crumbs }), this.stale, this.form);
    if (base) live.on('trigger', (event) => event.path === path && this.changedElsewhere(event.op), this.signal);
  }

  /** Says at once that the trigger is no longer what the form was filled with. */
  async changedElsewhere(op) {
    const now = op === 'deleted' ? null : await api.triggers.get(this.path, this.signal).catch(() => null);
    if (this.signal.aborted || this.saving || now?.edited_at === this.seen) return;
    const who = now ? `${now.edited_by} changed this trigger just now.` : 'This trigger was deleted just now.';
    fill(this.stale, h('p', { class: 'notice' }, who, ' ', now && h('span', {}, 'Saving will ask which version to keep.')));
  }

  /** Runs the chosen runnable on a message; its run opens beside the form, which keeps what was entered. */
  async runOn(text) {
    if (!this.runnable.path) {
      this.showProblems([['script_path', 'choose the script or flow that is to run']]);
      return;
    }
    try {
      const id = await runOnMessage({ path: this.runnable.path, isFlow: this.runnable.isFlow, text, trigger: this.where.value, url: this.body().url }, this.signal);
      toast(`${this.runnable.path} runs on this message`, 'ok', { text: 'Show the run in a new tab', onselect: () => window.open(`/runs/${id}`, '_blank', 'noopener') });
    } catch (error) {
      toastError(error);
    }
  }

  syncReplies() {
    this.replyError.control.disabled = !this.reply.control.checked;
    if (!this.reply.control.checked) this.replyError.control.checked = false;
  }

  /** `[field, text]` of the mistakes that need no server. */
  problems() {
    const found = [];
    const where = this.where.problem();
    if (where) found.push(['path', where]);
    if (!this.runnable.path) found.push(['script_path', 'choose the script or flow that runs, or create one']);
    found.push(...this.urlProblems());
    found.push(...this.filters.problems(), ...this.initial.problems());
    for (const one of this.specFields()) {
      const problem = one.problem();
      if (problem) found.push([one.name, problem]);
      found.push(...(one.problems?.() ?? []));
    }
    return found;
  }

  urlProblems() {
    if (this.urlKind === 'runnable') {
      const found = this.urlRunnable.path ? [] : [['url', 'choose the script or flow that returns the URL']];
      const problem = this.urlArgs.problem();
      if (problem) found.push(['url_runnable_args', problem]);
      return found;
    }
    if (!this.url.value.trim()) return [['url', 'enter the address to connect to']];
    return STATIC_URL.test(this.url.value.trim()) ? [] : [['url', 'the address has to begin with ws:// or wss://']];
  }

  specFields() {
    return [...this.heartbeat, ...this.advanced.flatMap(([, , fields]) => fields)];
  }

  body() {
    const { base } = this;
    const body = {
      path: this.where.value, script_path: this.runnable.path, is_flow: this.runnable.isFlow, ...this.connectionBody(),
      filters: this.filters.filters, can_return_message: this.reply.control.checked, can_return_error_result: this.replyError.control.checked,
      ...readFields(this.specFields(), base),
    };
    if (this.filters.logic !== (base?.filter_logic ?? 'and') || this.filters.logic === 'or') body.filter_logic = this.filters.logic;
    const initial = this.initial.value;
    if (initial.length > 0 || base?.initial_messages?.length > 0) body.initial_messages = initial;
    if (this.mode.value !== (base?.mode ?? 'enabled')) body.mode = this.mode.value;
    // somebody else's change since this form was opened is not overwritten unseen
    if (base && this.seen) body.edited_at = this.seen;
    // without this the server makes the one who saves the one who runs
    if (body.permissioned_as) body.preserve_permissioned_as = true;
    return body;
  }

  connectionBody() {
    if (this.urlKind === 'static') return { url: this.url.value.trim(), ...(this.base?.url_runnable_args ? { url_runnable_args: null } : {}) };
    const args = this.urlArgs.value;
    const given = Object.keys(args).length > 0;
    return {
      url: `$${this.urlRunnable.isFlow ? 'flow' : 'script'}:${this.urlRunnable.path}`,
      ...(given ? { url_runnable_args: args } : this.base?.url_runnable_args ? { url_runnable_args: null } : {}),
    };
  }

  showProblems(found) {
    for (const [name, text] of found) {
      const element = [...this.form.querySelectorAll('[data-field]')].find((one) => one.dataset.field === name && one.isConnected);
      if (element) setFieldError(element, text);
    }
    const first = this.form.querySelector('[data-field].invalid');
    if (first) reveal(first);
    this.say(found.length === 1 ? 'One field needs attention.' : `${found.length} fields need attention.`);
  }

  say(text) {
    this.alert.textContent = text;
    this.alert.hidden = !text;
  }

  async save(event) {
    event.preventDefault();
    clearErrors(this.form);
    this.say('');
    const found = this.problems();
    if (found.length > 0) return this.showProblems(found);
    const body = this.body();
    this.saveButton.disabled = this.saving = true;
    try {
      if (this.path) await api.triggers.update(this.path, body);
      else await api.triggers.create(body);
      this.dirty = false;
      await this.kept.moveTo?.(body.path).catch(toastError);
      toast(`${body.path} is saved`);
      await router.go(`/triggers/view/${api.encodePath(body.path)}`, { replace: Boolean(this.path) });
    } catch (error) {
      if (error.field === 'edited_at') await this.conflict();
      else if (error.status !== 401) this.say(showServerError(this.form, error) ? 'The server refused one field.' : error.message);
    } finally {
      this.saveButton.disabled = this.saving = false;
    }
    return undefined;
  }

  /** Somebody saved the trigger after this form was opened. */
  async conflict() {
    const theirs = await api.triggers.get(this.path, this.signal);
    const choice = await editedMeanwhile({ base: this.base, theirs, mine: this.body() });
    if (choice === 'theirs') {
      this.dirty = false;
      await router.go(location.pathname, { replace: true, force: true });
    } else if (choice === 'mine') {
      this.seen = theirs.edited_at;
      this.form.requestSubmit();
    } else {
      this.say(`${theirs.edited_by} saved this trigger meanwhile; nothing was changed yet.`);
    }
  }

  /** What the form would connect with; null, and the mistakes shown, when it cannot. */
  draft() {
    clearErrors(this.form);
    this.say('');
    const found = this.problems().filter(([name]) => name !== 'script_path' && name !== 'path');
    if (found.length === 0) return this.body();
    this.showProblems(found);
    return null;
  }
}

function groupBare(name, body) {
  return h('div', { class: 'field wide', 'data-field': name }, body, h('p', { class: 'field-error' }));
}
