// Captures: messages of a websocket, kept while the editor of a script or a flow is open, each with the filters'
// verdict. One is tried out by a click; nothing runs by itself. The newest 100 stay with the server.
import * as api from '../api.js';
import { button, fill, h, setText, uid } from './dom.js';
import { clearErrors, field, radioGroup, section, setFieldError, showServerError } from './field.js';
import { filterEditor } from './filters.js';
import { preprocessorArgs } from './message-args.js';
import { keepSample, samplesOf } from './samples.js';
import { messageList } from './tail.js';
import { toastError } from './toast.js';

/** A capture lives for 10 seconds after the last ping. */
const PING_MS = 2000;
const LOOK_MS = 1000;
/** What stands in the place of large arguments in a list. */
const TOO_BIG = 'WINDMILL_TOO_BIG';
/** What of a trigger is not about its connection. */
const NOT_COPIED = [
  'path', 'script_path', 'is_flow', 'workspace_id', 'mode', 'enabled', 'edited_at', 'edited_by', 'email', 'permissioned_as', 'error', 'server_id', 'last_server_ping', 'extra_perms', 'labels', 'summary', 'description',
];
/** The server keeps so many of a runnable. */
const KEPT = 100;
const NONE = 'Nothing is captured yet. Messages show here as they come; the newest 100 are kept.';
const STATIC_URL = /^(wss?:\/\/\S+|.*(\{\{|\$var:).*|\$(script|flow):.+)$/;

const kindOf = (flow) => (flow ? 'flow' : 'script');

/** The connection of a saved trigger as a capture's settings. */
const connectionOf = (trigger) => Object.fromEntries(Object.entries(trigger).filter(([name, value]) => !NOT_COPIED.includes(name) && value !== null));

/**
 * The card. `path()` is the runnable's path, `problem()` what is wrong with it; `preprocessor()` the version of its
 * preprocessor, or null; `onrun(args, isEvent)` tries arguments out.
 */
export function captureCard({ path, problem = () => '', isFlow, preprocessor, onrun, signal }) {
  let kind = 'trigger';
  let settings = {};
  let running = null;
  let newest = 0;
  let timer = 0;
  const known = h('datalist', { id: uid('triggers') });
  const trigger = h('input', { class: 'input mono', list: known.id, placeholder: 'f/folder/name', spellcheck: 'false', autocomplete: 'off' });
  const url = h('input', { class: 'input mono', inputmode: 'url', placeholder: 'wss://example.com/feed', spellcheck: 'false', autocomplete: 'off' });
  const filters = h('div', {});
  let editor = filterEditor({ onchange: () => {} });
  fill(filters, editor.element);
  const triggerField = field({ name: 'trigger', label: 'Trigger to listen like', help: 'Its address, headers, first messages, heartbeat and filters are used, with your rights.', control: trigger, wide: true });
  const addressFields = h('div', { class: 'stack-small' }, field({ name: 'url', label: 'Address', help: 'ws:// or wss://. May hold {{vars.name}} and $var:<path>.', control: url, wide: true }),
    section({ title: 'Capture filters', text: 'every message is kept; filters only mark those that would run', body: h('div', { 'data-field': 'trigger_config', class: 'field' }, filters, h('p', { class: 'field-error' })) }));
  const source = h('div', {}, triggerField);
  const choice = radioGroup({ label: 'Connection', options: [['trigger', 'Like a trigger'], ['address', 'An address']], value: kind, onchange: choose });
  const start = button({ text: 'Capture', iconName: 'plug', kind: 'primary', onclick: begin });
  const end = button({ text: 'Stop capturing', iconName: 'stop', hidden: true, onclick: () => stop('Stopped. The connection is closed within 10 seconds.') });
  const state = h('span', { role: 'status', class: 'test-answer' });
  const list = messageList({
    signal, actions, filters: () => settings.filters ?? [], logic: () => settings.filter_logic ?? 'and', rowsPerStep: KEPT,
    none: () => 'Nothing new.',
  });
  const form = h('div', { class: 'stack-small' }, choice.element, source, known, h('div', { class: 'cluster' }, start, end, state));

  function choose(next) {
    kind = next;
    fill(source, kind === 'trigger' ? triggerField : addressFields);
  }

  function say(tone, text) {
    if (state.textContent === text) return;
    fill(state, h('span', { class: 'dot', 'data-tone': tone, 'aria-hidden': 'true' }), h('span', {}, text));
  }

  /** What to listen to; throws an error that names the field. */
  async function wanted() {
    const wrong = (name, text) => Object.assign(new Error(text), { field: name, detail: text });
    const where = problem();
    if (where) throw wrong('path', `the path above: ${where}`);
    if (kind === 'address') {
      if (!STATIC_URL.test(url.value.trim())) throw wrong('url', 'the address has to begin with ws:// or wss://');
      const found = editor.problems();
      if (found.length > 0) throw wrong('trigger_config', found[0][1]);
      return { url: url.value.trim(), filters: editor.filters, ...(editor.logic === 'or' ? { filter_logic: 'or' } : {}) };
    }
    if (!trigger.value.trim()) throw wrong('trigger', 'choose a trigger, or give an address');
    try {
      return connectionOf(await api.triggers.get(trigger.value.trim(), signal));
    } catch (error) {
      throw error.status === 404 ? wrong('trigger', 'there is no such trigger') : error;
    }
  }

  async function begin() {
    clearErrors(form);
    start.disabled = true;
    try {
      settings = await wanted();
      const mine = { path: path() };
      await api.captures.set({ trigger_kind: 'websocket', path: mine.path, is_flow: isFlow, trigger_config: settings });
      await api.captures.ping(mine.path, isFlow);
      running = mine;
      end.hidden = false;
      say('busy', 'Connecting…');
      follow(mine);
    } catch (error) {
      start.disabled = false;
      if (signal.aborted || error.status === 401) return;
      if (error.field === 'path' || !showServerError(form, error)) say('bad', error.message);
    }
  }

  function stop(text) {
    clearTimeout(timer);
    running = null;
    start.disabled = false;
    end.hidden = true;
    say('idle', text);
  }

  /** Pings and looks until it is stopped, the path changes or the editor is left. */
  async function follow(mine) {
    let pinged = Date.now();
    while (running === mine && !signal.aborted) {
      try {
        if (path() !== mine.path) return stop('The path was changed: begin again.');
        if (Date.now() - pinged >= PING_MS) {
          pinged = Date.now();
          await api.captures.ping(mine.path, isFlow);
        }
        const [configs] = await Promise.all([api.captures.configs(mine.path, isFlow, signal), look(mine.path)]);
        const config = configs[0];
        if (running !== mine) return undefined;
        if (config?.error) say('bad', config.error);
        else if (config?.last_server_ping) say('ok', 'Listening while this editor is open');
      } catch (error) {
        if (signal.aborted || running !== mine || error.status === 401) return undefined;
        if (error.status === 403 || error.status === 404) return stop(error.message);
        say('bad', error.message);
      }
      await new Promise((resolve) => { timer = setTimeout(resolve, LOOK_MS); });
    }
    return undefined;
  }

  /** Shows what has come since the last look. */
  async function look(from) {
    const captures = await api.captures.list(from, isFlow, signal);
    const fresh = captures.filter((one) => one.id > newest).reverse();
    for (const one of fresh) {
      list.push(messageOf(one));
      newest = one.id;
    }
    list.element.hidden = newest === 0;
    setText(count, captures.length === 0 ? NONE : captures.length === KEPT ? 'The newest 100 messages are kept.' : captures.length === 1 ? 'One message is kept.' : `${captures.length} messages are kept.`);
  }

  function messageOf(capture) {
    const large = capture.main_args === TOO_BIG;
    return {
      at: capture.created_at, verdict: capture.verdict, bytes: capture.bytes, capture, text: large ? 'A large message: open it to load it' : String(capture.main_args?.msg ?? ''),
      load: large ? async () => {
        const whole = await api.captures.get(capture.id, signal);
        return { capture: whole, text: String(whole.main_args?.msg ?? '') };
      } : undefined,
    };
  }

  function actions({ capture, text }, remove) {
    const version = preprocessor();
    const run = (args, isEvent) => () => onrun(args, isEvent);
    return [
      button({ text: 'Run with this message', iconName: 'play', kind: 'small primary', onclick: run(capture.main_args, false) }),
      version && button({ text: 'Run through the preprocessor', iconName: 'play', kind: 'small', onclick: run(preprocessorArgs(capture, version), true) }),
      button({ text: 'Keep as a sample', iconName: 'plus', kind: 'small', onclick: () => keepSample(samplesOf(kindOf(isFlow), path), text) }),
      button({
        text: 'Delete', iconName: 'trash', kind: 'small ghost',
        onclick: () => api.captures.remove(capture.id).then(remove, (error) => (error.status === 404 ? remove() : toastError(error))),
      }),
    ].filter(Boolean);
  }

  /** What was captured or set up before is there again. */
  async function before() {
    const offer = (paths) => known.replaceChildren(...paths.map((one) => h('option', { value: one })));
    api.triggers.list({ signal }).then((all) => {
      const own = all.filter((one) => one.script_path === path() && one.is_flow === isFlow);
      offer([...own, ...all.filter((one) => !own.includes(one))].map((one) => one.path));
      if (!trigger.value && own.length > 0) trigger.value = own[0].path;
    }, () => {}); // only an offer: a path can be typed
    if (problem()) return;
    try {
      const [config] = await api.captures.configs(path(), isFlow, signal);
      if (!config || running) return;
      settings = config.trigger_config ?? {};
      url.value = settings.url ?? '';
      editor = filterEditor({ filters: settings.filters ?? [], logic: settings.filter_logic ?? 'and', onchange: () => {} });
      fill(filters, editor.element);
      await look(path());
    } catch (error) {
      if (!signal.aborted && error.status !== 401) say('bad', error.message);
    }
  }

  const count = h('p', { class: 'muted' }, NONE);
  list.element.hidden = true;
  signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
  form.addEventListener('input', (event) => {
    const owner = event.target.closest('[data-field].invalid');
    if (owner) setFieldError(owner, '');
  });
  before();
  return h('section', { class: 'card form-card capture', 'aria-label': 'Capture' },
    h('div', { class: 'card-head' }, h('h2', {}, 'Capture messages'), h('p', { class: 'muted' }, 'Take real messages of a websocket and try them out. Nothing runs by itself.')),
    form, count, list.element);
}
