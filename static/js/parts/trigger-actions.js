// What can be done with a trigger, wherever it is shown: change its mode, its held jobs, duplicate, delete and undo.
import * as api from '../api.js';
import * as router from '../router.js';
import { codeEditor, lineOf } from './code.js';
import { button, h } from './dom.js';
import { confirm, openDialog } from './dialog.js';
import { field } from './field.js';
import { download } from './json-tree.js';
import { full } from './time.js';
import { shareItem } from './share.js';
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

/** Saves a trigger as the file `wmill sync` keeps of it. */
async function exportYaml(trigger) {
  try {
    download(await api.triggers.yaml(trigger.path), `${trigger.path.split('/').at(-1)}.websocket_trigger.yaml`);
  } catch (error) {
    toastError(error);
  }
}

/** Asks for a YAML file or text; opens it in the editor as a new trigger, where it is checked and saved. */
export async function importYaml() {
  const text = codeEditor({ language: 'yaml', rows: 10, label: 'YAML of the trigger' });
  const problem = h('p', { class: 'field-error', role: 'alert' });
  let name = '';
  const file = h('input', { type: 'file', class: 'input', accept: '.yaml,.yml,.json', onchange: async () => {
    const [chosen] = file.files;
    if (!chosen) return;
    name = chosen.name.replace(/\.(websocket_trigger\.)?(ya?ml|json)$/, '');
    text.value = await chosen.text();
  } });
  const read = async (close) => {
    problem.textContent = '';
    text.markError(0);
    try {
      const settings = await api.yaml.toJson(text.value);
      if (settings === null || typeof settings !== 'object' || Array.isArray(settings)) throw new Error('this is not the YAML of a trigger');
      close(settings);
    } catch (error) {
      text.markError(lineOf(error.message) ?? 0);
      problem.textContent = error.detail ?? error.message;
    }
  };
  const settings = await openDialog({
    title: 'Import a trigger', wide: true,
    body: h('div', { class: 'stack-small' }, field({ name: '', label: 'File', help: 'As wmill sync writes it: <name>.websocket_trigger.yaml', control: file }), field({ name: 'yaml', label: 'YAML', control: text, wide: true }), problem),
    actions: (close) => [button({ text: 'Cancel', onclick: () => close() }), button({ text: 'Open in the editor', kind: 'primary', onclick: () => read(close) })],
  });
  if (!settings) return;
  const word = name.replace(/[^\w-]/g, '_') || 'imported';
  imported = { path: `u/${api.username()}/${word}`, ...settings };
  await router.go('/triggers/new?imported=1');
}

let imported = null;

/** What was imported last; none after the page was loaded again. */
export const importedTrigger = () => imported;

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
    shareItem('websocket_trigger', trigger.path),
    { text: 'Export as YAML', iconName: 'download', onselect: () => exportYaml(trigger) },
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
