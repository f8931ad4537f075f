// Members of the workspace: the list, adding one, what one may do, shutting one out and taking one out.
import * as api from '../api.js';
import { askPassword } from './accounts.js';
import { button, errorState, fill, h, skeleton } from './dom.js';
import { confirm } from './dialog.js';
import { field, radioGroup } from './field.js';
import { formDialog } from './form-dialog.js';
import { menuButton } from './menu.js';
import { badge } from './status.js';
import { moment } from './time.js';
import { toast, toastError } from './toast.js';

const ROLES = [['developer', 'Developer'], ['admin', 'Admin'], ['operator', 'Operator']];
const ROLE_HELP = 'Developers make and change what they have rights to, admins everything of the workspace; operators run things and change nothing.';
const roleOf = (member) => (member.is_admin ? 'admin' : member.operator ? 'operator' : 'developer');
const asRole = (role) => ({ is_admin: role === 'admin', operator: role === 'operator' });

/** `{element, load(), also}`: the card; `me` is who looks, `onchange()` hears of changes, `also()` of new accounts. */
export function membersCard({ me, signal, onchange }) {
  const body = h('div', {}, skeleton(2, 'low'));
  const card = {
    element: h('section', { class: 'card', 'aria-label': 'Members' }, h('div', { class: 'card-head' }, h('div', {}, h('h2', {}, 'Members'), h('p', { class: 'muted' }, 'The people of this workspace.')),
      button({ text: 'Add user', iconName: 'plus', onclick: add })), body),
    load,
  };

  async function load() {
    try {
      const members = await api.people.members(signal);
      fill(body, h('ul', { class: 'lined people' }, members.map(row)));
    } catch (error) {
      if (!signal.aborted) fill(body, errorState(error, load));
    }
  }

  function row(member) {
    const role = roleOf(member);
    const own = member.username === me.username;
    const groups = (member.groups ?? []).filter((name) => name !== 'all');
    return h('li', {}, h('div', { class: 'grow' }, h('div', { class: 'cluster' }, h('strong', {}, member.username), badge(role, role === 'admin' ? 'busy' : undefined), member.disabled && badge('disabled', 'bad'), own && badge('you')),
      h('p', { class: 'muted' }, member.email, ' · since ', moment(member.created_at), groups.length > 0 && ` · in ${groups.join(', ')}`)),
    menuButton({
      label: `Actions for ${member.username}`, iconName: 'more', items: () => [
        ...ROLES.map(([value, text]) => ({ text: `Is ${text.toLowerCase()}`, checked: value === role, onselect: () => change(member, asRole(value), `${member.username} is ${text.toLowerCase()} now`) })),
        null,
        me.is_super_admin && { text: 'Set password', iconName: 'key', onselect: () => askPassword(member.email) },
        member.disabled ? { text: 'Let in again', iconName: 'check', onselect: () => change(member, { disabled: false }, `${member.username} may come in again`) }
          : { text: 'Disable', iconName: 'pause', onselect: () => disable(member) },
        { text: 'Remove from the workspace', iconName: 'trash', danger: true, onselect: () => remove(member) },
      ].filter((item) => item !== false),
    }));
  }

  async function change(member, edit, said) {
    try {
      await api.people.update(member.username, edit);
      toast(said);
      await load();
    } catch (error) {
      toastError(error);
    }
  }

  async function disable(member) {
    const sure = await confirm({ title: `Disable ${member.username}?`, text: 'Nothing of this workspace answers them any more, also by token. What they made stays, and triggers go on.', action: 'Disable', danger: true });
    if (sure) await change(member, { disabled: true }, `${member.username} is disabled`);
  }

  async function remove(member) {
    const sure = await confirm({ title: `Remove ${member.username} from the workspace?`, text: `What lies under u/${member.username} stays.`, action: 'Remove', danger: true });
    if (!sure) return;
    try {
      await api.people.remove(member.username);
      toast(`${member.username} is removed`);
      await load();
      onchange?.();
    } catch (error) {
      toastError(error);
    }
  }

  async function add() {
    const email = h('input', { class: 'input', type: 'email', autocomplete: 'off', placeholder: 'name@example.com' });
    const name = h('input', { class: 'input mono', autocomplete: 'off', spellcheck: 'false', placeholder: 'what stands before the @' });
    const password = h('input', { class: 'input', type: 'password', autocomplete: 'new-password' });
    const role = radioGroup({ label: 'Role', options: ROLES, value: 'developer' });
    const added = await formDialog({
      title: `Add a user to ${api.currentWorkspace()}`, action: 'Add',
      fields: [
        field({ name: 'email', label: 'E-mail', control: email, wide: true }),
        field({ name: 'username', label: 'Name', help: 'What the paths of their own things begin with: u/<name>/…', control: name, wide: true }),
        h('div', { class: 'field wide' }, h('p', { class: 'legend' }, 'Role'), role.element, h('p', { class: 'help' }, ROLE_HELP)),
        me.is_super_admin && field({ name: 'password', label: 'Password', help: 'For somebody new to this server: 8 characters or more. Empty: they log in by a token that somebody makes for them.', control: password, wide: true }),
      ],
      async send() {
        const address = email.value.trim();
        if (me.is_super_admin && address && !(await api.people.exists(address))) await api.people.createAccount({ email: address, password: password.value || null });
        return api.people.add({ email: address, username: name.value.trim() || null, ...asRole(role.value) });
      },
    });
    if (!added) return;
    toast(added);
    await load();
    card.also?.();
    onchange?.();
  }
  return card;
}
