// Conflict: two people edited the same thing. Shows what each changed and asks whose version stays.
import { button, h } from './dom.js';
import { openDialog } from './dialog.js';
import { moment } from './time.js';

const SHOWN_ONLY = new Set(['edited_at', 'edited_by', 'server_id', 'last_server_ping', 'error', 'preserve_permissioned_as', 'extra_perms', 'workspace_id']);
const VALUE_CHARS = 300;

/** Names whose values differ between two objects. */
function changed(before, after, names) {
  return names.filter((name) => !SHOWN_ONLY.has(name) && JSON.stringify(before?.[name] ?? null) !== JSON.stringify(after?.[name] ?? null));
}

/** Resolves with 'mine', 'theirs' or null. */
export function editedMeanwhile({ base, theirs, mine }) {
  const names = changed(base, theirs, Object.keys({ ...base, ...theirs }));
  const own = new Set(changed(base, { ...base, ...mine }, Object.keys(mine)));
  const text = (value) => (value === undefined ? 'not set' : JSON.stringify(value).slice(0, VALUE_CHARS));
  const rows = names.map((name) => h('div', { class: 'change' }, h('dt', { class: 'mono' }, name, own.has(name) && h('span', { class: 'muted' }, ' (you changed it too)')),
    h('dd', {}, h('del', { class: 'mono' }, text(base?.[name])), ' ', h('ins', { class: 'mono' }, text(theirs?.[name])))));
  return openDialog({
    title: 'Somebody else saved this meanwhile', wide: true,
    body: h('div', { class: 'stack-small' },
      h('p', {}, h('strong', {}, theirs.edited_by ?? 'Somebody'), ' saved it ', moment(theirs.edited_at), '. ', rows.length > 0 ? 'What they changed:' : 'The settings are the same as before.'),
      rows.length > 0 && h('dl', { class: 'changes' }, rows)),
    actions: (close) => [
      button({ text: 'Back to my form', onclick: () => close(null) }),
      button({ text: 'Load theirs, drop mine', onclick: () => close('theirs') }),
      button({ text: 'Save mine over it', kind: 'danger', onclick: () => close('mine') }),
    ],
  });
}
