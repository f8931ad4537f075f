// What a runnable gets for a message: the text, or for a preprocessor the event in the shape its version takes.
import * as api from '../api.js';

/** The arguments that a preprocessor of this version gets, made from those of version 2. */
export function preprocessorArgs({ main_args: main, preprocessor_args: { event } }, version) {
  if (version !== 'v1') return { event };
  const { kind, msg: _, ...about } = event;
  return { ...main, wm_trigger: { kind, websocket: about } };
}

/** Runs a saved runnable on a message as the trigger at `trigger` would; answers the id of the run. */
export async function runOnMessage({ path, isFlow, text, trigger, url }, signal) {
  const main = { msg: text };
  const version = await preprocessorOf(path, isFlow, signal);
  const event = { kind: 'websocket', msg: text, url, trigger_path: trigger };
  return api.jobs.run(path, isFlow, version ? preprocessorArgs({ main_args: main, preprocessor_args: { event } }, version) : main);
}

/** The version of a runnable's preprocessor, or null. */
async function preprocessorOf(path, isFlow, signal) {
  if (isFlow) {
    const flow = await api.flows.get(path, signal);
    return flow.value.preprocessor_module ? (await api.flows.check({ value: flow.value }, signal)).preprocessor ?? null : null;
  }
  const { has_preprocessor: has, language, content } = await api.scripts.get(path, signal);
  return has ? (await api.scripts.check({ language, content }, signal)).preprocessor ?? null : null;
}
