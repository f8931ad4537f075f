// Live socket: one WebSocket to windsock for the whole page. Reconnects with back-off, knows the newest status of
// each trigger and its last minute of messages/s, and hands events to whoever asked. Pages never open sockets.
import { ApiError, answers, forgetSession, liveUrl, loadSession } from './api.js';

const FIRST_DELAY_MS = 500;
/** Somebody who has started windsock again looks at the page. */
const LONGEST_DELAY_MS = 5000;
/** A handshake without an answer would be waited for much longer by the browser. */
const OPEN_WITHIN_MS = 10_000;
/** After this silence it is asked whether the server is still there: a line that is cut somewhere tells nobody. */
const SILENCE_MS = 8000;
const ANSWER_WITHIN_MS = 4000;
/** A server that is being stopped closes with it (RFC 6455 §7.4.1). */
const GOING_AWAY = 1001;
/** One point of a sparkline; thirty of them are the last minute. */
export const RATE_STEP_MS = 2000;
export const RATE_POINTS = 30;

const events = new EventTarget();
const statuses = new Map();
const rates = new Map();
const tails = new Map();
/** An hour of samples. */
const SUMS_MAX = 3_600_000 / RATE_STEP_MS;
let sums = [];

let socket = null;
let attempt = 0;
let retryTimer = 0;
let sampler = 0;
let wasOpen = false;
let heardAt = 0;
let asking = false;

/** 'connecting', 'open' or 'lost'. */
let state = 'connecting';
/** When the next attempt is due, in epoch milliseconds. */
let nextAttemptAt = 0;
/** The connection is lost because the server stops, and it still answers. */
let stopping = false;

export const connection = () => ({ state, nextAttemptAt, stopping });

/** Newest status of a trigger, or null before the first one arrived. */
export const statusOf = (path) => statuses.get(path) ?? null;

/** Messages/s of the last minute, oldest first. */
export const ratesOf = (path) => rates.get(path)?.points ?? [];

/** Sums over all triggers since the page was opened, at most the last hour: `[{at, received, connected}]`, received a second. */
export const totals = () => sums;

/** Every status that is known, by path. */
export const allStatuses = () => statuses;

/** Calls `handler(detail)` on 'connection', 'resync', 'status', 'trigger', 'job', 'message' or 'rates' until `signal` aborts. */
export function on(type, handler, signal) {
  events.addEventListener(type, (event) => handler(event.detail), { signal });
}

function emit(type, detail) {
  events.dispatchEvent(new CustomEvent(type, { detail }));
}

/** Opens the socket and keeps it open until `stop`. */
export function start() {
  if (socket || retryTimer) return;
  sampler ||= setInterval(step, RATE_STEP_MS);
  connect();
}

export function stop() {
  clearTimeout(retryTimer);
  clearInterval(sampler);
  retryTimer = 0;
  sampler = 0;
  const open = socket;
  socket = null;
  open?.close();
  statuses.clear();
  rates.clear();
  sums = [];
  wasOpen = false;
  stopping = false;
  setState('connecting');
}

/** Does not wait for the next attempt. */
export function tryNow() {
  if (socket || !retryTimer) return;
  clearTimeout(retryTimer);
  connect();
}

/** Asks for a trigger's messages until `signal` aborts. */
export function tail(path, signal) {
  tails.set(path, (tails.get(path) ?? 0) + 1);
  if (tails.get(path) === 1) send({ tail: path });
  signal.addEventListener('abort', () => {
    const left = (tails.get(path) ?? 1) - 1;
    if (left > 0) {
      tails.set(path, left);
      return;
    }
    tails.delete(path);
    send({ untail: path });
  }, { once: true });
}

function send(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function setState(next, due = 0) {
  state = next;
  nextAttemptAt = due;
  emit('connection', connection());
}

function connect() {
  retryTimer = 0;
  const opened = new WebSocket(liveUrl());
  socket = opened;
  setTimeout(() => opened.readyState === WebSocket.CONNECTING && opened.close(), OPEN_WITHIN_MS);
  opened.addEventListener('open', () => {
    if (socket !== opened) return;
    attempt = 0;
    heardAt = performance.now();
    stopping = false;
    statuses.clear(); // every trigger's status follows
    setState('open');
    for (const path of tails.keys()) send({ tail: path });
    if (wasOpen) emit('resync');
    wasOpen = true;
  });
  opened.addEventListener('message', (event) => {
    heardAt = performance.now();
    if (socket === opened) receive(event.data);
  });
  opened.addEventListener('close', (event) => {
    if (socket !== opened) return;
    socket = null;
    stopping ||= event.code === GOING_AWAY;
    retry();
  });
}

/** Gives up a line on which nothing comes, not even an answer. */
async function checkLine() {
  if (state !== 'open' || asking || document.hidden || performance.now() - heardAt < SILENCE_MS) return;
  const opened = socket;
  asking = true;
  const there = await answers(ANSWER_WITHIN_MS);
  asking = false;
  heardAt = performance.now();
  if (there || socket !== opened || state !== 'open') return;
  socket = null;
  opened.close();
  retry();
}

window.addEventListener('online', tryNow);
document.addEventListener('visibilitychange', () => !document.hidden && tryNow());

async function retry() {
  const ceiling = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** attempt);
  const delay = ceiling / 2 + Math.random() * (ceiling / 2); // spread, so that many open pages do not come at once
  attempt += 1;
  retryTimer = setTimeout(connect, delay);
  setState('lost', Date.now() + delay);
  try {
    // a refused handshake does not tell why: ask plainly whether the login is still good
    forgetSession();
    await loadSession();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (!stopping || error.status !== 0 || state !== 'lost') return;
    stopping = false; // it has stopped
    setState('lost', nextAttemptAt);
  }
}

function receive(text) {
  let message;
  try {
    message = JSON.parse(text);
  } catch {
    return; // not ours to judge; the next one may be whole
  }
  if (message.type === 'status') statuses.set(message.path, message.status);
  if (message.type === 'trigger' && message.op === 'deleted') {
    statuses.delete(message.path);
    rates.delete(message.path);
  }
  emit(message.type, message);
}

function step() {
  sample();
  checkLine();
}

/** Turns the counters into messages/s, one point per step. */
function sample() {
  const now = performance.now();
  const sum = { at: Date.now(), received: 0, connected: 0 };
  let rated = 0;
  for (const [path, status] of statuses) {
    if (status.state === 'listening' || status.state === 'suspended') sum.connected += 1;
    const received = status.received ?? 0;
    const known = rates.get(path);
    if (!known) {
      rates.set(path, { received, at: now, points: [] });
      continue;
    }
    rated += 1;
    const rate = Math.max(0, received - known.received) / ((now - known.at) / 1000);
    sum.received += rate;
    known.points.push(rate);
    if (known.points.length > RATE_POINTS) known.points.shift();
    known.received = received;
    known.at = now;
  }
  // the first look at the counters gives no rate yet: a zero would tell of a feed that has fallen silent
  if (rated > 0) sums.push(sum);
  if (sums.length > SUMS_MAX) sums = sums.slice(-SUMS_MAX);
  emit('rates');
}
