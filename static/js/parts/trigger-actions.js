// What can be done with a trigger, wherever it is shown: change its mode, its held jobs, duplicate, delete and undo.
import * as api from '../api.js';
import * as router from '../router.js';
import { confirm } from './dialog.js';
import { full } from './time.js';
import { toast, toastError } from './toast.js';

const path = (text) => api.encodePath(text);
/** What the server adds to a trigger it shows; of no use in a body. */
const SHOWN_ONLY = ['workspace_id', 'edited_by', 'edited_at', 'extra_perms', 'server_id', 'last_server_ping', 'error'];

/** The address a trigger connects to, in words. */
export function urlText(trigger) {
  const dynamic = /^\$(script|flow):(.+)$/.exec(trigger.url ?? '');
  return dynamic ? `URL: result of ${dynamic[1]} ${dynamic[2]}` : trigger.url ?? '';
}

/** Where a runnable is shown. */
export const runnableHref = (trigger) => `/${trigger.is_flow ? 'flows' : 'scripts'}/edit/${path(trigger.script_path)}`;

/** Changes the mode and says so; rejects when the server refuses. */
export async function changeMode(trigger, mode) {
  try {
    await api.triggers.setMode(trigger.path, mode);
    trigger.mode = mode;
    toast(`${trigger.path} is ${mode}`);
  } catch (error) {
    toastError(error);
    throw error;
  }
}

/**
 * Deletes triggers and says so with a button that makes them anew as they were. Answers the paths that are gone;
 * `onRestored` is called when some came back.
 */
export async function deleteTriggers(paths, onRestored) {
  const gone = [];
  for (const one of paths) {
    try {
      const saved = await api.triggers.get(one);
      await api.triggers.remove(one);
      gone.push(saved);
    } catch (error) {
      toastError(error);
      break;
    }
  }
  if (gone.length === 0) return [];
  const what = gone.length === 1 ? gone[0].path : `${full(gone.length)} triggers`;
  toast(`${what} ${gone.length === 1 ? 'is' : 'are'} deleted`, 'ok', { text: 'Undo', onselect: () => restore(gone, onRestored) });
  return gone.map((one) => one.path);
}

async function restore(gone, onRestored) {
  try {
    for (const one of gone) {
      const body = Object.fromEntries(Object.entries(one).filter(([name]) => !SHOWN_ONLY.includes(name)));
      await api.triggers.create({ ...body, preserve_permissioned_as: true });
    }
    toast(gone.length === 1 ? `${gone[0].path} is back` : `${full(gone.length)} triggers are back`);
  } catch (error) {
    toastError(error);
  }
  onRestored?.();
}

/** Runs the jobs a suspended trigger holds. */
export async function resumeHeld(trigger) {
  try {
    toast(String(await api.triggers.resumeHeld(trigger.path)));
  } catch (error) {
    toastError(error);
  }
}

/** Asks, then drops the jobs a suspended trigger holds. */
export async function discardHeld(trigger) {
  const sure = await confirm({ title: 'Discard the held jobs?', text: `The jobs that ${trigger.path} holds are cancelled. This cannot be undone.`, action: 'Discard', danger: true });
  if (!sure) return;
  try {
    toast(String(await api.triggers.discardHeld(trigger.path)));
  } catch (error) {
    toastError(error);
  }
}

/** The items of a trigger's menu; `own` leaves out what the trigger's own page shows as buttons. */
export function triggerMenu(trigger, { onDeleted, onRestored, onMode, own = false }) {
  const runnable = runnableHref(trigger);
  const suspended = trigger.mode === 'suspended';
  return [
    !own && { text: 'View', iconName: 'eye', href: `/triggers/view/${path(trigger.path)}` },
    !own && { text: 'Edit', iconName: 'edit', href: `/triggers/edit/${path(trigger.path)}` },
    { text: 'View runs', iconName: 'runs', href: `/runs?trigger=${encodeURIComponent(trigger.path)}` },
    { text: 'View runnable', iconName: trigger.is_flow ? 'flows' : 'scripts', href: runnable },
    { text: 'Duplicate', iconName: 'copy', onselect: () => router.go(`/triggers/new?from=${encodeURIComponent(trigger.path)}`) },
    null,
    !suspended && { text: 'Suspend: hold its jobs', iconName: 'pause', onselect: () => changeMode(trigger, 'suspended').then(onMode, () => {}) },
    suspended && { text: 'Run held jobs', iconName: 'play', onselect: () => resumeHeld(trigger) },
    suspended && { text: 'Discard held jobs', iconName: 'close', onselect: () => discardHeld(trigger) },
    null,
    {
      text: 'Delete',
      iconName: 'trash',
      danger: true,
      onselect: async () => {
        const gone = await deleteTriggers([trigger.path], onRestored);
        if (gone.length > 0) onDeleted();
      },
    },
  ].filter((item) => item !== false && item !== undefined);
}
