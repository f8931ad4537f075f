// Sharing: with whom a trigger, a script, a flow, a variable, a resource or a folder is shared, and whether they may change it. Each change is
// made at once.
import * as api from '../api.js';
import { button, errorState, fill, h, skeleton, uid } from './dom.js';
import { openDialog } from './dialog.js';
import { clearErrors, field, showServerError } from './field.js';
import { toast, toastError } from './toast.js';

const RIGHTS = [['read', 'may read'], ['write', 'may read and change']];

const rightsSelect = (write, more) => h('select', { class: 'input small', value: write ? 'write' : 'read', ...more }, RIGHTS.map(([value, text]) => h('option', { value }, text)));

/** Those a thing can be shared with: `u/<user>` and `g/<group>`. */
export async function loadOwners(signal) {
  const [users, groups] = await Promise.all([api.people.names(signal), api.groups.names(signal)]);
  return [...groups.map((name) => `g/${name}`), ...users.map((name) => `u/${name}`)];
}

/** Opens the dialog; `kind` is `websocket_trigger`, `script`, `flow`, `variable`, `resource` or `folder`. Resolves when it is closed. */
export function shareDialog({ kind, path }) {
  const list = h('div', {}, skeleton(2, 'low'));
  const offered = h('datalist', { id: uid('owners') });
  loadOwners().then((owners) => offered.replaceChildren(...owners.map((one) => h('option', { value: one }))), () => {}); // only an offer
  const owner = h('input', { class: 'input mono', list: offered.id, placeholder: 'g/traders or u/ann', autocomplete: 'off', spellcheck: 'false' });
  const rights = rightsSelect(false, { class: 'input share-rights', 'aria-label': 'Rights' });
  const general = h('p', { class: 'field-error', role: 'alert' });
  const form = h('form', {
    class: 'stack-small', novalidate: true,
    onsubmit: async (event) => {
      event.preventDefault();
      clearErrors(form);
      general.textContent = '';
      try {
        toast(await api.sharing.add(kind, path, owner.value.trim(), rights.value === 'write'));
        owner.value = '';
        await load();
      } catch (error) {
        if (!showServerError(form, error)) general.textContent = error.message;
      }
    },
  }, field({ name: 'owner', label: 'Share with', help: 'A group g/<name> or a user u/<name>; g/all is everybody of the workspace.', control: owner, wide: true }), offered,
  h('div', { class: 'cluster' }, rights, button({ text: 'Share', iconName: 'plus', type: 'submit' })), general);

  async function load() {
    try {
      const perms = Object.entries(await api.sharing.of(kind, path));
      fill(list, perms.length === 0 ? h('p', { class: 'muted' }, path.startsWith('f/') ? 'Shared with nobody but those of its folder.' : 'Shared with nobody yet.')
        : h('ul', { class: 'lined' }, perms.map(([name, write]) => {
          const select = rightsSelect(write, { 'aria-label': `Rights of ${name}`, onchange: () => change(() => api.sharing.add(kind, path, name, select.value === 'write')) });
          return h('li', {}, h('span', { class: 'mono grow' }, name), select, button({ label: `Stop sharing with ${name}`, iconName: 'close', kind: 'ghost small', onclick: () => change(() => api.sharing.remove(kind, path, name)) }));
        })));
    } catch (error) {
      fill(list, errorState(error, load));
    }
  }

  async function change(request) {
    try {
      toast(await request());
    } catch (error) {
      toastError(error);
    }
    await load();
  }

  load();
  return openDialog({ title: `Share ${path}`, body: h('div', { class: 'stack' }, list, form), actions: (close) => [button({ text: 'Close', kind: 'primary', onclick: () => close() })] });
}

/** The button that opens it. */
export const shareButton = (kind, path) => button({ text: 'Share', iconName: 'user', onclick: () => shareDialog({ kind, path }) });

/** The item of a menu that opens it. */
export const shareItem = (kind, path) => ({ text: 'Share', iconName: 'user', onselect: () => shareDialog({ kind, path }) });
