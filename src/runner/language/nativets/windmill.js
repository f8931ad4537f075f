// The module `windmill-client` as scripts of this engine see it: the functions a script needs, on top of fetch.
// Reads the job's environment at each call, so one context serves many jobs.

const env = () => process.env;
let override = {};

function base() {
  const { BASE_INTERNAL_URL, BASE_URL, WM_BASE_URL } = env();
  return `${(override.base || BASE_INTERNAL_URL || BASE_URL || WM_BASE_URL || "http://localhost:8000").replace(/\/+$/, "")}/api`;
}

const encodePath = (path) => String(path).split("/").map(encodeURIComponent).join("/");

/** An answer of the API that is not 2xx. */
export class ApiError extends Error {
  constructor(method, route, status, body) {
    super(`${method} ${route} answered ${status}: ${body}`);
    this.name = "ApiError";
    this.status = status;
    this.body = body;
  }
}

async function request(method, route, { body, query = {}, absolute = false } = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const search = given.length > 0 ? `?${new URLSearchParams(given)}` : "";
  const path = absolute ? route : `/w/${encodePath(getWorkspace())}${route}`;
  const headers = { Authorization: `Bearer ${override.token ?? env().WM_TOKEN ?? "no_token"}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await fetch(`${base()}${path}${search}`, {
    method, headers, body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) throw new ApiError(method, path, response.status, text);
  const isJson = (response.headers.get("content-type") ?? "").includes("application/json");
  return isJson && text !== "" ? JSON.parse(text) : text;
}

const get = (route, query, absolute) => request("GET", route, { query, absolute });
const post = (route, body, query) => request("POST", route, { body, query });

const isMissing = (error) => error instanceof ApiError && error.status === 404;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const strip = (path, ...prefixes) => {
  const prefix = prefixes.find((prefix) => path.startsWith(prefix));
  return prefix === undefined ? path : path.slice(prefix.length);
};

/** Uses another token or server for the calls that follow. */
export function setClient(token, baseUrl) {
  // The token of this job ends with it, and this module does not: the next job goes on with its own.
  override = { token: token === env().WM_TOKEN ? undefined : token, base: baseUrl };
}

export function getWorkspace() {
  return env().WM_WORKSPACE || "no_workspace";
}

export const whoami = () => get("/users/whoami");
export const getVersion = () => get("/version", undefined, true);

// --- variables and resources -------------------------------------------------------------------------------
export async function getVariable(path) {
  return get(`/variables/get_value/${encodePath(strip(path, "var://", "$var:"))}`);
}

export async function setVariable(path, value, isSecretIfNotExist = false, descriptionIfNotExist = "") {
  const place = strip(path, "var://", "$var:");
  if (await get(`/variables/exists/${encodePath(place)}`)) {
    await post(`/variables/update/${encodePath(place)}`, { value });
  } else {
    await post("/variables/create", {
      path: place, value, is_secret: isSecretIfNotExist, description: descriptionIfNotExist,
    });
  }
}

export async function getResource(path, undefinedIfEmpty = false) {
  const place = strip(path ?? getStatePath(), "$res:", "res://");
  try {
    return await get(`/resources/get_value_interpolated/${encodePath(place)}`);
  } catch (error) {
    if (undefinedIfEmpty && isMissing(error)) return undefined;
    throw error;
  }
}

export async function setResource(value, path, initializeToTypeIfNotExist) {
  const place = strip(path ?? getStatePath(), "$res:", "res://");
  if (await get(`/resources/exists/${encodePath(place)}`)) {
    await post(`/resources/update_value/${encodePath(place)}`, { value });
  } else if (initializeToTypeIfNotExist) {
    await post("/resources/create", { path: place, value, resource_type: initializeToTypeIfNotExist });
  } else {
    throw new Error(`no resource at ${place}; pass the type it is to be created with`);
  }
}

export async function resolveDefaultResource(value) {
  return typeof value === "string" && value.startsWith("$res:") ? getResource(value) : value;
}

export function getStatePath() {
  const path = env().WM_STATE_PATH_NEW || env().WM_STATE_PATH;
  if (!path) throw new Error("this job has no state: WM_STATE_PATH is not set");
  return path;
}

export const getState = (path) => getResource(path ?? getStatePath(), true);
export const setState = (state, path) => setResource(state, path ?? getStatePath(), "state");
export const getInternalState = getState;
export const setInternalState = setState;

// --- jobs ---------------------------------------------------------------------------------------------------
const ofScript = (path, hash) => {
  if (path && hash) throw new Error("give a path or a hash, not both");
  if (!path && !hash) throw new Error("give the path or the hash of the script to run");
  return path ? `p/${encodePath(path)}` : `h/${encodePath(hash)}`;
};

const parent = () => ({ parent_job: env().WM_JOB_ID, root_job: env().WM_ROOT_FLOW_JOB_ID });

export async function runScriptAsync(path = null, hash = null, args = null, scheduledInSeconds = null) {
  return post(`/jobs/run/${ofScript(path, hash)}`, args ?? {}, {
    ...parent(), scheduled_in_secs: scheduledInSeconds,
  });
}

export async function runFlowAsync(path, args = null, scheduledInSeconds = null, doNotTrackInParent = true) {
  return post(`/jobs/run/f/${encodePath(path)}`, args ?? {}, {
    ...(doNotTrackInParent ? {} : parent()), scheduled_in_secs: scheduledInSeconds,
  });
}

export async function runScript(path = null, hash = null, args = null, verbose = false) {
  return waitJob(await runScriptAsync(path, hash, args), verbose);
}

export async function runFlow(path = null, args = null, verbose = false) {
  return waitJob(await runFlowAsync(path, args, null, false), verbose);
}

export const runScriptByPath = (path, args = null, verbose = false) => runScript(path, null, args, verbose);
export const runScriptByHash = (hash, args = null, verbose = false) => runScript(null, hash, args, verbose);
export const runScriptByPathAsync = (path, args = null, scheduledInSeconds = null) =>
  runScriptAsync(path, null, args, scheduledInSeconds);
export const runScriptByHashAsync = (hash, args = null, scheduledInSeconds = null) =>
  runScriptAsync(null, hash, args, scheduledInSeconds);

export const getResult = (jobId) => get(`/jobs_u/completed/get_result/${encodePath(jobId)}`);
export const getResultMaybe = (jobId) => get(`/jobs_u/completed/get_result_maybe/${encodePath(jobId)}`);
export const cancelJob = (jobId, reason = null) => post(`/jobs_u/queue/cancel/${encodePath(jobId)}`, { reason });

/** Waits for the job to end and returns its result; a failed job throws. */
export async function waitJob(jobId, verbose = false) {
  if (verbose) console.info(`waiting for job ${jobId}`);
  // Quick at first, because most jobs are; then no busier than Windmill's own client.
  for (let delay = 10; ; delay = Math.min(delay * 1.5, 500)) {
    const { completed, success, result } = await getResultMaybe(jobId);
    if (completed && success) return result;
    if (completed) {
      const { name = "Error", message = JSON.stringify(result) } = result?.error ?? {};
      throw new Error(`job ${jobId} failed: ${name}: ${message}`, { cause: result?.error });
    }
    await sleep(delay);
  }
}

export async function getRootJobId(jobId) {
  return get(`/jobs_u/get_root_job_id/${encodePath(jobId ?? env().WM_JOB_ID)}`);
}

async function userState(method, key, body, errorIfNotPossible) {
  const root = await getRootJobId();
  try {
    return await request(method, `/jobs/flow/user_states/${encodePath(root)}/${encodePath(key)}`, { body });
  } catch (error) {
    if (errorIfNotPossible) throw error;
    console.warn(`the flow's user state ${key} is not available: ${error.message}`);
    return undefined;
  }
}

export const getFlowUserState = (key, errorIfNotPossible = false) =>
  userState("GET", key, undefined, errorIfNotPossible);
export const setFlowUserState = async (key, value, errorIfNotPossible = false) => {
  await userState("POST", key, value ?? null, errorIfNotPossible);
};

export async function setProgress(percent, jobId) {
  const id = jobId ?? env().WM_JOB_ID;
  const job = await get(`/jobs_u/get/${encodePath(id)}`);
  await post(`/job_metrics/set_progress/${encodePath(id)}`, { percent, flow_job_id: job?.parent_job });
}

/** Percent, or null while the job has not said. */
export const getProgress = async (jobId) =>
  (await get(`/job_metrics/get_progress/${encodePath(jobId ?? env().WM_JOB_ID)}`)) ?? null;

export const getEnv = (name) => env()[name];

export const base64ToUint8Array = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
export function uint8ArrayToBase64(bytes) {
  let text = "";
  // Byte by byte: as many arguments as a large array has are more than a call takes.
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

export const usernameToEmail = (username) => get(`/users/username_to_email/${encodePath(username)}`);

/** Marks text as part of a streamed result. */
export function appendToResultStream(text) {
  console.log(`WM_STREAM: ${String(text).replaceAll("\n", "\\n")}`);
}

/** The same for each piece of a stream; a text is one piece. */
export async function streamResult(stream) {
  if (typeof stream === "string") return appendToResultStream(stream);
  for await (const text of stream) appendToResultStream(text);
}

export default {
  ApiError, setClient, getWorkspace, whoami, getVersion, getVariable, setVariable, getResource, setResource,
  resolveDefaultResource, getStatePath, getState, setState, getInternalState, setInternalState, runScriptAsync,
  runFlowAsync, runScript, runFlow, runScriptByPath, runScriptByHash, runScriptByPathAsync, runScriptByHashAsync,
  getResult, getResultMaybe, cancelJob, waitJob, getRootJobId, getFlowUserState, setFlowUserState, setProgress,
  usernameToEmail, appendToResultStream, streamResult, getProgress, getEnv, base64ToUint8Array, uint8ArrayToBase64,
};
