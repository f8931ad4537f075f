// Trial of a draft: connects once with what stands in the form, shows each step as it happens, then the messages with
// the filters' verdict. Ends with the form, by its button, or at the server's limit.
import * as api from '../api.js';
import { button, fill, h, icon, setText } from './dom.js';
import { messageList } from './tail.js';
import { duration } from './time.js';

/** A draft is followed for so long at most. */
const SECONDS = 300;
const MESSAGES = 5000;
const NAMES = {
  settings: 'Read the settings', url: 'Get the URL', turn: 'Wait for a turn', resolve: 'Resolve the name', connect: 'Connect', proxy: 'Ask the proxy', tls: 'TLS', handshake: 'Handshake', 'private address': 'Check the address',
};

/** What a server agrees to of compression (RFC 7692), with its parameters. */
const EXTENSION = /permessage-deflate(; ?(client|server)_[a-z_]+(=\d+)?)*/;

const nameOf = (step) => NAMES[step] ?? step.replace(/^initial_messages\[(\d+)\].*$/, (_, index) => `Initial message ${Number(index) + 1}`);

/**
 * `{element, run(), stop(), filtersChanged()}`; `draft()` answers the body, or null when the form has mistakes; `onpick` makes a
 * filter, `filters()` answers `[filters, logic]` as they stand in the form, or null while they have mistakes.
 */
export function trialView({ draft, filters, onpick, actions, signal }) {
  const start = button({ text: 'Test connection', iconName: 'plug', onclick: run });
  const end = button({ text: 'Stop', iconName: 'stop', hidden: true, onclick: stop });
  const state = h('span', { role: 'status', class: 'test-answer' });
  const steps = h('ol', { class: 'steps', 'aria-label': 'Steps of the connection' });
  const messages = h('div', {});
  const element = h('div', { class: 'stack-small' }, h('div', { class: 'cluster' }, start, end, state), steps, messages);
  let abort = null;
  let shown = null;

  function say(tone, text) {
    fill(state, h('span', { class: 'dot', 'data-tone': tone, 'aria-hidden': 'true' }), h('span', {}, text));
  }

  function stepLine(step) {
    const line = [...steps.children].find((one) => one.dataset.step === step && ['busy', 'stopped'].includes(one.dataset.state));
    if (line) return line;
    const made = h('li', { 'data-step': step, 'data-state': 'busy' }, h('span', { class: 'step-mark', 'aria-hidden': 'true' }), h('span', { class: 'step-name' }, nameOf(step)), h('span', { class: 'step-note muted' }), h('span', { class: 'step-time muted' }));
    steps.append(made);
    return made;
  }

  function mark(step, to, { note, ms } = {}) {
    const line = stepLine(step);
    line.dataset.state = to;
    const iconName = { done: 'check', failed: 'close' }[to];
    fill(line.querySelector('.step-mark'), iconName && icon(iconName));
    if (note) {
      setText(line.querySelector('.step-note'), note.replace(EXTENSION, 'compressed'));
      line.title = note;
    }
    if (ms !== undefined) setText(line.querySelector('.step-time'), duration(ms));
  }

  function happened(event, tail) {
    if (event.type === 'begun') mark(event.step, 'busy', event);
    else if (event.type === 'done') mark(event.step, 'done', event);
    else if (event.type === 'failed') {
      for (const one of steps.querySelectorAll('[data-state=busy]')) one.dataset.state = 'stopped';
      mark(event.step, 'failed');
      say('bad', event.error);
      if (event.answer) steps.append(answerLine(event.answer));
    } else if (event.type === 'listening') {
      say('ok', 'Listening: messages show below as they come');
      fill(messages, tail.element);
    } else if (event.type === 'message') tail.push(event);
    else if (event.type === 'rate') tail.rate(event.per_second);
    else if (event.type === 'closed') say('bad', event.error);
    else if (event.type === 'ended') say('ok', 'The test has ended; the connection was good');
  }

  async function run() {
    const body = draft();
    if (!body) return;
    stop();
    const mine = new AbortController();
    abort = mine;
    const until = AbortSignal.any([signal, mine.signal]);
    steps.replaceChildren();
    messages.replaceChildren();
    start.disabled = true;
    end.hidden = false;
    say('busy', 'Connecting…');
    const begun = [body.filters ?? [], body.filter_logic ?? 'and'];
    let present = begun;
    const tail = messageList({
      signal: until, onpick, actions, filters: () => present[0], logic: () => present[1], edited: () => present !== begun,
      none: () => 'Connected. Waiting for the first message.',
    });
    shown = () => {
      const now = filters();
      if (!now) return;
      present = JSON.stringify(now) === JSON.stringify(begun) ? begun : now;
      tail.judgeAgain();
    };
    try {
      await api.triggers.tryOut(body, { query: { seconds: SECONDS, messages: MESSAGES }, signal: until, onLine: (event) => happened(event, tail) });
    } catch (error) {
      if (!until.aborted) say('bad', error.message);
    } finally {
      if (abort === mine) {
        start.disabled = false;
        end.hidden = true;
      }
    }
  }

  function stop() {
    if (!abort) return;
    abort.abort();
    abort = null;
    start.disabled = false;
    end.hidden = true;
    if (state.firstChild) say('idle', 'Stopped');
  }
  return { element, run, stop, filtersChanged: () => shown?.() };
}

/** What a server said that answered with something else than an upgrade. */
function answerLine(answer) {
  return h('li', { class: 'step-answer' }, h('details', { open: true }, h('summary', {}, `The server answered with status ${answer.status}`),
    answer.retry_after_secs !== null && answer.retry_after_secs !== undefined && h('p', {}, `It asks to be left alone for ${answer.retry_after_secs} s.`),
    h('pre', { class: 'mono', tabindex: '0' }, [answer.headers.map(([name, value]) => `${name}: ${value}`).join('\n'), answer.body].filter(Boolean).join('\n\n'))));
}
