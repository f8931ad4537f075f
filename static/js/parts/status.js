// Status of a trigger in words and colour: what it does now, why, and when it tries again. Pure but for `statusView`.
import { h, icon, setText } from './dom.js';
import { moment } from './time.js';

const STATES = {
  disabled: ['idle', 'Disabled'],
  connecting: ['busy', 'Connecting'],
  handshaking: ['busy', 'Handshaking'],
  listening: ['ok', 'Listening'],
  suspended: ['warn', 'Listening, jobs held'],
  backoff: ['bad', 'Not connected'],
};
/** A listener pings every 5 s; after this silence it is not believed to be connected. */
const PING_FRESH_MS = 15_000;

/** The state word of contract §5 for a trigger row and its live status, if known. */
export function stateOf(trigger, status) {
  if (trigger.mode === 'disabled') return 'disabled';
  if (status?.state) return trigger.mode === 'suspended' && status.state === 'listening' ? 'suspended' : status.state;
  const fresh = trigger.last_server_ping && Date.now() - Date.parse(trigger.last_server_ping) < PING_FRESH_MS;
  if (trigger.error) return 'backoff';
  if (!fresh) return 'connecting';
  return trigger.mode === 'suspended' ? 'suspended' : 'listening';
}

/** `{state, tone, text, reason, since, nextAttemptAt}`. */
export function describe(trigger, status) {
  const state = stateOf(trigger, status);
  const [tone, text] = STATES[state] ?? ['idle', state];
  const reason = status?.error ?? trigger.error ?? null;
  return {
    state,
    tone: state === 'disabled' && reason ? 'bad' : tone,
    text,
    reason,
    since: status?.since ?? null,
    nextAttemptAt: state === 'backoff' ? status?.next_attempt_at ?? null : null,
  };
}

/** Dot, word, reason and countdown; `update(trigger, status)` changes them in place. */
export function statusView() {
  const dot = h('span', { class: 'dot', 'aria-hidden': 'true' });
  const word = h('span', { class: 'status-word' });
  const reason = h('span', { class: 'status-reason' });
  const next = h('span', { class: 'status-next' });
  const since = h('span', { class: 'status-since' });
  const element = h('div', { class: 'status' }, h('span', { class: 'status-head' }, dot, word), reason, next, since);
  const update = (trigger, status) => {
    const now = describe(trigger, status);
    element.dataset.state = now.state;
    dot.dataset.tone = now.tone;
    setText(word, now.text);
    setText(reason, now.reason ?? '');
    reason.title = now.reason ?? '';
    reason.hidden = !now.reason;
    showMoment(next, 'next attempt ', now.nextAttemptAt);
    showMoment(since, 'for ', now.reason ? null : now.since, true);
  };
  return { element, update };
}

function showMoment(slot, lead, datetime, bare = false) {
  slot.hidden = !datetime;
  if (!datetime) return;
  const time = slot.querySelector('ws-time');
  if (time) time.setAttribute('datetime', datetime);
  else slot.append(lead, moment(datetime, { bare }));
}

/** A small word on a tinted ground. */
export function badge(text, tone = 'idle', iconName) {
  return h('span', { class: 'badge', 'data-tone': tone }, iconName && icon(iconName), text);
}
