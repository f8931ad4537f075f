// Folders of the workspace: what lies under f/<name>/ belongs to their owners; others get rights by sharing.
import * as api from '../api.js';
import { button, errorState, fill, h, skeleton } from './dom.js';
import { field } from './field.js';
import { formDialog } from './form-dialog.js';
import { menuButton } from './menu.js';
import { shareDialog } from './share.js';
import { badge } from './status.js';
import { toast } from './toast.js';

/** `{element, load()}`: the card. */
export function foldersCard({ signal }) {
  const body = h('div', {}, skeleton(2, 'low'));
  const element = h('section', { class: 'card', 'aria-label': 'Folders' }, h('div', { class: 'card-head' }, h('div', {}, h('h2', {}, 'Folders'), h('p', { class: 'muted' }, 'What lies under f/<folder>/ belongs to its owners, scripts and flows as well.')),
    button({ text: 'New folder', iconName: 'plus', onclick: () => edit(null) })), body);

  async function load() {
    try {
      const folders = await api.folders.list(signal);
      fill(body, folders.length === 0 ? h('p', { class: 'muted' }, 'No folder yet.') : h('ul', { class: 'lined people' }, folders.map(row)));
    } catch (error) {
      if (!signal.aborted) fill(body, errorState(error, load));
    }
  }

  function row(folder) {
    const owners = folder.owners ?? [];
    const shared = Object.entries(folder.extra_perms ?? {}).filter(([owner]) => !owners.includes(owner));
    return h('li', {}, h('div', { class: 'grow' }, h('div', { class: 'cluster' }, h('strong', {}, `f/${folder.name}`), folder.summary && h('span', { class: 'muted' }, folder.summary)),
      h('div', { class: 'cluster' }, owners.map((owner) => badge(`${owner} owns`)), shared.map(([owner, write]) => badge(`${owner} ${write ? 'changes' : 'reads'}`)))),
    menuButton({
      label: `Actions for the folder ${folder.name}`, iconName: 'more', items: () => [
        { text: 'Edit', iconName: 'edit', onselect: () => edit(folder) },
        { text: 'Share', iconName: 'user', onselect: () => shareDialog({ kind: 'folder', path: folder.name }).then(load) },
      ],
    }));
  }

  async function edit(folder) {
    const name = h('input', { class: 'input mono', autocomplete: 'off', spellcheck: 'false', placeholder: 'market' });
    const summary = h('input', { class: 'input', autocomplete: 'off', value: folder?.summary ?? '', placeholder: 'What is kept in it' });
    const owners = h('input', { class: 'input mono', autocomplete: 'off', spellcheck: 'false', value: (folder?.owners ?? [`u/${api.username()}`]).join(', ') });
    const done = await formDialog({
      title: folder ? `Folder ${folder.name}` : 'New folder', action: folder ? 'Save' : 'Create',
      fields: [
        !folder && field({ name: 'name', label: 'Name', help: 'Letters, digits, _ and -.', control: name, wide: true }),
        field({ name: 'summary', label: 'Summary', control: summary, wide: true }),
        field({ name: 'owners', label: 'Owners', help: 'u/<user> or g/<group>, separated by commas: they may do everything in it.', control: owners, wide: true }),
      ],
      async send() {
        const body = { summary: summary.value.trim(), owners: owners.value.split(',').map((one) => one.trim()).filter(Boolean) };
        if (folder) await api.folders.update(folder.name, body);
        else await api.folders.create({ name: name.value.trim(), ...body });
        return `The folder ${folder?.name ?? name.value.trim()} is saved`;
      },
    });
    if (!done) return;
    toast(done);
    await load();
  }
  return { element, load };
}
