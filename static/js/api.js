// The only place with `fetch(`: windsock's public API as functions, errors as `ApiError`, and who is logged in.
// It keeps nothing of what the server answers but the name of the user and the chosen workspace.

import { parse } from './json.js';

/** Longest wait for an answer; saving a trigger resolves names, saving a script may ask a compiler. */
const TIMEOUT_MS = 45_000;
/** Rows asked for at once: the most the server gives. */
const PAGE_ROWS = 10_000;
/** Rows of the first look: more than any window shows. */
const FIRST_ROWS = 100;
const WORKSPACE_KEY = 'windsock.workspace';

/** A refused or failed request. `message` is the server's sentence, `field` the field it begins with, if any. */
export class ApiError extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
    this.field = fieldOf(text);
  }

  /** The sentence without the field in front of it, for a place beside that field. */
  get detail() {
    return this.field && this.message.startsWith(`${this.field}: `) ? this.message.slice(this.field.length + 2) : this.message;
  }
}

/** The field a server text names: `url: …`, `filters[1].any_of[0]: …`, `missing field script_path`. */
export function fieldOf(text) {
  const named = /^([a-z_][a-z0-9_]*(?:\[\d+\]|\.[a-z0-9_]+)*): /i.exec(text);
  if (named) return named[1];
  const missing = /(?:missing|unknown) field [\x60'"]?([a-z0-9_.]+)/i.exec(text);
  return missing ? missing[1] : null;
}

let session = null;
let workspace = 'main';

/** Who is logged in: `{email, workspaces}`; asked once until `forgetSession`. */
export async function loadSession(signal) {
  if (session) return session;
  // as theme.js has it asked for beforehand: the same request, or it is made twice
  const loaded = await request('GET', '/api/workspaces/users', { signal, cache: 'default' });
  const known = (loaded.workspaces ?? []).map((one) => one.id);
  workspace = known.includes(read(WORKSPACE_KEY)) ? read(WORKSPACE_KEY) : known.includes('main') ? 'main' : known[0] ?? 'main';
  session = loaded;
  return session;
}

/** The session loaded before, or null. */
export const currentSession = () => session;

/** The user's name in the chosen workspace. */
export function username() {
  return session?.workspaces?.find((one) => one.id === workspace)?.username ?? 'admin';
}

export function forgetSession() {
  session = null;
}

export const currentWorkspace = () => workspace;

export function chooseWorkspace(id) {
  workspace = id;
  try {
    localStorage.setItem(WORKSPACE_KEY, id);
  } catch {
    // the choice then lasts until the page is left
  }
}

function read(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

/** A path for a URL: each segment encoded, the slashes kept. */
export const encodePath = (path) => String(path).split('/').map(encodeURIComponent).join('/');

/** The address of the live socket. */
export function liveUrl() {
  const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
  return `${scheme}//${location.host}/api/w/${encodeURIComponent(workspace)}/websocket_triggers/live`;
}

async function request(method, url, { query, body, signal, cache = 'no-store' } = {}) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== null && value !== '') search.set(name, value);
  }
  const address = search.size > 0 ? `${url}?${search}` : url;
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  let response;
  let text;
  try {
    response = await fetch(address, {
      method,
      headers: body === undefined ? {} : { 'content-type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      credentials: 'same-origin',
      cache,
    });
    text = await response.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, timeout.aborted ? 'windsock did not answer in time, try again' : 'windsock cannot be reached, check that it is running');
  }
  if (!response.ok) {
    if (response.status === 401 && !url.startsWith('/api/auth/')) document.dispatchEvent(new CustomEvent('windsock:unauthorized'));
    throw new ApiError(response.status, text.trim() || `the server answered with status ${response.status}`);
  }
  const type = response.headers.get('content-type') ?? '';
  return type.includes('application/json') ? parse(text) : text;
}

/**
 * Posts `body` and calls `onLine` with each JSON value as it comes, until the answer ends or `signal` aborts. There is
 * no time limit: the server sets one.
 */
async function follow(url, { body, query, signal, onLine }) {
  let response;
  try {
    response = await fetch(`${url}?${new URLSearchParams(query)}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body), signal, credentials: 'same-origin', cache: 'no-store' });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, 'windsock cannot be reached, check that it is running');
  }
  if (!response.ok) {
    if (response.status === 401) document.dispatchEvent(new CustomEvent('windsock:unauthorized'));
    throw new ApiError(response.status, (await response.text()).trim() || `the server answered with status ${response.status}`);
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    const lines = (rest + (value ?? '')).split('\n');
    rest = done ? '' : lines.pop();
    for (const line of lines) if (line.trim() !== '') onLine(parse(line));
    if (done) return;
  }
}

const inWorkspace = (route) => `/api/w/${encodeURIComponent(workspace)}/${route}`;
const get = (route, options) => request('GET', inWorkspace(route), options);
const post = (route, body, options) => request('POST', inWorkspace(route), { body, ...options });
const remove = (route, options) => request('DELETE', inWorkspace(route), options);

/** Whether the server answers anything at all within `ms`. */
export async function answers(ms) {
  try {
    await fetch('/api/version', { signal: AbortSignal.timeout(ms), credentials: 'same-origin', cache: 'no-store' });
    return true;
  } catch {
    return false;
  }
}

/** All rows of a list. `onFirst` gets the first few as soon as they are there, when there are more. */
async function allPages(route, query, { signal, onFirst } = {}) {
  const page = (number, rows) => get(route, { query: { ...query, page: number, per_page: rows }, signal });
  if (onFirst) {
    const first = await page(1, FIRST_ROWS);
    if (first.length < FIRST_ROWS) return first;
    onFirst(first);
  }
  const all = [];
  for (let number = 1; ; number += 1) {
    const rows = await page(number, PAGE_ROWS);
    all.push(...rows);
    if (rows.length < PAGE_ROWS) return all;
  }
}

/** `otherwise` where the server has no such part. */
async function orElse(otherwise, promise) {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof ApiError && (error.status === 404 || error.status === 405)) return otherwise;
    throw error;
  }
}
const orEmpty = (promise) => orElse([], promise);

export const auth = {
  login: (token) => request('POST', '/api/auth/session', { body: { token } }),
  loginWithPassword: (email, password) => request('POST', '/api/auth/login', { body: { email, password } }),
  logout: () => request('POST', '/api/auth/logout'),
};

export const version = (signal) => request('GET', '/api/version', { signal });

export const triggers = {
  /** Only what a row needs of each; `get` has the rest. */
  list: (options) => allPages('websocket_triggers/list', { brief: true }, options),
  get: (path, signal) => get(`websocket_triggers/get/${encodePath(path)}`, { signal }),
  status: (path, signal) => get(`websocket_triggers/status/${encodePath(path)}`, { signal }),
  create: (body) => post('websocket_triggers/create', body),
  update: (path, body) => post(`websocket_triggers/update/${encodePath(path)}`, body),
  remove: (path) => remove(`websocket_triggers/delete/${encodePath(path)}`),
  /** The last 200 events of its connection; null where the server keeps none. */
  log: (path, signal) => orElse(null, get(`websocket_triggers/log/${encodePath(path)}`, { signal })),
  yaml: (path) => get(`websocket_triggers/yaml/${encodePath(path)}`),
  held: (path, signal) => get('jobs/queue/count', { query: { trigger_kind: 'websocket', trigger_path: path }, signal }).then((count) => count.suspended ?? 0),
  resumeHeld: (path, ids) => post(`trigger/websocket/resume_suspended_trigger_jobs/${encodePath(path)}`, ids ? { job_ids: ids } : {}),
  discardHeld: (path, ids) => post(`trigger/websocket/cancel_suspended_trigger_jobs/${encodePath(path)}`, ids ? { job_ids: ids } : {}),
  setMode: (path, mode) => post(`websocket_triggers/setmode/${encodePath(path)}`, { mode }),
  /** Tries a draft out: steps, then messages, as they happen. */
  tryOut: (body, options) => follow(inWorkspace('websocket_triggers/try'), { body, ...options }),
  /** Why filters want each of some messages or not. */
  explain: (filters, logic, messages, signal) => post('websocket_triggers/explain', { filters, filter_logic: logic, messages }, { signal }),
};

/** Messages kept for the editor of a runnable while it is open. */
export const captures = {
  set: (body) => post('capture/set_config', body),
  ping: (path, isFlow) => post(`capture/ping_config/websocket/${kindOf(isFlow)}/${encodePath(path)}`, {}),
  configs: (path, isFlow, signal) => get(`capture/get_configs/${kindOf(isFlow)}/${encodePath(path)}`, { signal }),
  list: (path, isFlow, signal) => get(`capture/list/${kindOf(isFlow)}/${encodePath(path)}`, { query: { per_page: 100 }, signal }),
  get: (id, signal) => get(`capture/${id}`, { signal }),
  remove: (id) => remove(`capture/${id}`),
};
const kindOf = (isFlow) => (isFlow ? 'flow' : 'script');

/** Messages kept under a name with a `trigger`, `script` or `flow`. */
export const samples = {
  list: (kind, path, signal) => get(`message_samples/list/${kind}/${encodePath(path)}`, { signal }),
  create: (body) => post('message_samples/create', body),
  remove: (kind, path, name) => remove(`message_samples/delete/${kind}/${encodePath(path)}`, { query: { name } }),
};

export const scripts = {
  list: (options) => allPages('scripts/list', {}, options),
  get: (path, signal) => get(`scripts/get/p/${encodePath(path)}`, { signal }),
  create: (body) => post('scripts/create', body),
  check: (body, signal) => post('scripts/check', body, { signal }),
  history: (path, signal) => get(`scripts/history/p/${encodePath(path)}`, { signal }),
  version: (hash, signal) => get(`scripts/get/h/${hash}`, { signal }),
  archive: (path) => post(`scripts/archive/p/${encodePath(path)}`),
  /** `{triggers: [{path, url, mode, fields}], flows: [{path, summary}]}` that use it. */
  usedBy: (path, signal) => get(`scripts/used_by/${encodePath(path)}`, { signal }),
};

export const flows = {
  list: (options) => orEmpty(allPages('flows/list', {}, options)),
  get: (path, signal) => get(`flows/get/${encodePath(path)}`, { signal }),
  create: (body) => post('flows/create', body),
  update: (path, body) => post(`flows/update/${encodePath(path)}`, body),
  check: (body, signal) => post('flows/check', body, { signal }),
  history: (path, signal) => get(`flows/history/p/${encodePath(path)}`, { signal }),
  version: (id, signal) => get(`flows/get/v/${id}`, { signal }),
  archive: (path) => post(`flows/archive/${encodePath(path)}`, { archived: true }),
  usedBy: (path, signal) => get(`flows/used_by/${encodePath(path)}`, { signal }),
};

export const yaml = {
  toJson: (text) => request('POST', '/api/yaml/to_json', { body: { yaml: text } }),
  fromJson: (value) => request('POST', '/api/yaml/from_json', { body: { value } }),
};

export const folders = {
  list: (signal) => orEmpty(get('folders/list', { signal })),
  create: (body) => post('folders/create', body),
  update: (name, body) => post(`folders/update/${encodePath(name)}`, body),
};

export const variables = {
  list: (options) => allPages('variables/list', {}, options),
  get: (path, signal) => get(`variables/get/${encodePath(path)}`, { query: { decrypt_secret: true }, signal }),
  create: (body) => post('variables/create', body),
  update: (path, body) => post(`variables/update/${encodePath(path)}`, body),
  remove: (path) => remove(`variables/delete/${encodePath(path)}`),
};

export const resources = {
  list: (options) => allPages('resources/list', {}, options),
  get: (path, signal) => get(`resources/get/${encodePath(path)}`, { signal }),
  create: (body) => post('resources/create', body),
  update: (path, body) => post(`resources/update/${encodePath(path)}`, body),
  remove: (path) => remove(`resources/delete/${encodePath(path)}`),
};

export const tokens = {
  list: (signal) => request('GET', '/api/users/tokens/list', { signal }),
  create: (body) => request('POST', '/api/users/tokens/create', { body }),
  remove: (prefix) => request('DELETE', `/api/users/tokens/delete/${encodeURIComponent(prefix)}`),
};

/** People: members of the workspace, and for super admins the accounts of the server. */
export const people = {
  members: (signal) => get('users/list', { signal }),
  names: (signal) => get('users/list_usernames', { signal }),
  add: (body) => post('workspaces/add_user', body),
  update: (name, body) => post(`users/update/${encodePath(name)}`, body),
  remove: (name) => remove(`users/delete/${encodePath(name)}`),
  accounts: (signal) => request('GET', '/api/users/list_as_super_admin', { query: { per_page: PAGE_ROWS }, signal }),
  exists: (email) => request('GET', `/api/users/exists/${encodePath(email)}`),
  createAccount: (body) => request('POST', '/api/users/create', { body }),
  updateAccount: (email, body) => request('POST', `/api/users/update/${encodePath(email)}`, { body }),
  removeAccount: (email) => request('DELETE', `/api/users/delete/${encodePath(email)}`),
  setPassword: (password) => request('POST', '/api/users/setpassword', { body: { password } }),
  setPasswordOf: (email, password) => request('POST', `/api/users/set_password_of/${encodePath(email)}`, { body: { password } }),
};

export const groups = {
  list: (signal) => get('groups/list', { query: { per_page: PAGE_ROWS }, signal }),
  names: (signal) => get('groups/listnames', { signal }),
  create: (body) => post('groups/create', body),
  update: (name, body) => post(`groups/update/${encodePath(name)}`, body),
  remove: (name) => remove(`groups/delete/${encodePath(name)}`),
  addUser: (name, username) => post(`groups/adduser/${encodePath(name)}`, { username }),
  removeUser: (name, username) => post(`groups/removeuser/${encodePath(name)}`, { username }),
};

/** With whom a `websocket_trigger`, `script`, `flow`, `variable`, `resource` or `folder` is shared: `{owner: may change}`. */
export const sharing = {
  of: (kind, path, signal) => get(`acls/get/${kind}/${encodePath(path)}`, { signal }),
  add: (kind, path, owner, write) => post(`acls/add/${kind}/${encodePath(path)}`, { owner, write }),
  remove: (kind, path, owner) => post(`acls/remove/${kind}/${encodePath(path)}`, { owner }),
};

/** Who changed what, newest first; only admins see all of it. */
export const audit = {
  list: (query, wholeServer, signal) => (wholeServer ? request('GET', '/api/audit/list', { query, signal }) : get('audit/list', { query, signal })),
  ofTrigger: (path, count, signal) => get('triggers_history/list', { query: { path, per_page: count }, signal }),
};

export const alerts = {
  /** Alerts nobody has acknowledged, newest first: `{alerts, total_rows}`; only admins see them. */
  open: (signal) => get('workspaces/critical_alerts', { query: { acknowledged: false, page_size: 20 }, signal }),
  /** The newest of all, acknowledged or not. */
  all: (count, signal) => get('workspaces/critical_alerts', { query: { page_size: count }, signal }),
  acknowledge: (id) => post(`workspaces/critical_alerts/${encodeURIComponent(id)}/acknowledge`),
  acknowledgeAll: () => post('workspaces/critical_alerts/acknowledge_all'),
  mute: (muted) => post('workspaces/critical_alerts/mute', { mute_critical_alerts: muted }),
};

/** The Windmill that runs the workspace's scripts and flows; null when they run here. */
export const remote = {
  get: (signal) => orElse(null, get('workspaces/remote', { signal })),
  set: (body) => post('workspaces/remote', body),
  unset: () => remove('workspaces/remote'),
};

/** How long ended jobs are kept, in place of what the server was started with; only for super admins. */
export const retention = {
  choose: (body) => request('POST', '/api/settings/job_retention', { body }),
  asStarted: () => request('DELETE', '/api/settings/job_retention'),
};

/** What the server was started with: `[{flag, env, about, value, unit, none, chosen}]`; only admins see it. */
export const serverSettings = (signal) => request('GET', '/api/settings/server', { signal });

export const whoami = (signal) => get('users/whoami', { signal });

/** The last hour: `{step_secs, points: [{at, connections, messages, jobs, failures, queue_age_ms, jobs_waiting}]}`, oldest first. */
export const stats = (signal) => get('stats', { signal });

/** How the server is; an unhealthy one answers 503 with the same shape. */
export async function health(signal) {
  try {
    return await request('GET', '/api/health/status', { signal });
  } catch (error) {
    if (error.status !== 503) throw error;
    return JSON.parse(error.message);
  }
}

/** Whether the server answers `getupdate`; learnt at the first try. */
let incrementalLogs = true;

export const jobs = {
  list: (query, signal) => get('jobs/list', { query, signal }),
  get: (id, signal) => get(`jobs_u/get/${encodeURIComponent(id)}`, { signal }),
  run: (path, isFlow, args) => post(`jobs/run/${isFlow ? 'f' : 'p'}/${encodePath(path)}`, args),
  /** Runs a flow that has ended again from a step; of a loop or `branchall` from an iteration or branch, if one is given. */
  restart: (id, step, nth) => post(`jobs/restart/f/${encodeURIComponent(id)}`, { step_id: step, ...(nth === undefined ? {} : { branch_or_iteration_n: nth }) }),
  preview: (body) => post('jobs/run/preview', body),
  countFailed: (query, signal) => get('jobs/completed/count', { query: { ...query, success: false, canceled: false }, signal }),
  waiting: (signal) => get('jobs/queue/count', { query: { running: false }, signal }),
  oldestWaiting: (signal) => get('jobs/queue/list', { query: { order_desc: false, per_page: 1, running: false, job_kinds: 'script,flow,singlestepflow,preview,flowpreview' }, signal }).then((list) => list[0] ?? null),
  previewFlow: (body) => post('jobs/run/preview_flow', body),
  cancelMany: (ids) => post('jobs/queue/cancel_selection', ids),
  cancel: (id, reason) => post(`jobs_u/queue/cancel/${encodeURIComponent(id)}`, { reason }),

  /** The logs after `offset`: `{text, offset}`, or `{text, whole: true}` where the server only has them whole. */
  async logsSince(id, offset, signal) {
    if (incrementalLogs) {
      try {
        const update = await get(`jobs_u/getupdate/${encodeURIComponent(id)}`, { query: { running: true, log_offset: offset }, signal });
        return { text: update.new_logs ?? '', offset: update.log_offset ?? offset };
      } catch (error) {
        if (!(error instanceof ApiError) || ![404, 405].includes(error.status)) throw error;
        incrementalLogs = false;
      }
    }
    return { text: String(await get(`jobs_u/get_logs/${encodeURIComponent(id)}`, { signal })), offset: 0, whole: true };
  },
};
