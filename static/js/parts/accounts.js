// Accounts of the server, for super admins: who exists, who may do everything, passwords, shutting out and removing.
import * as api from '../api.js';
import { button, errorState, fill, h, skeleton } from './dom.js';
import { confirm } from './dialog.js';
import { checkField, field } from './field.js';
import { formDialog } from './form-dialog.js';
import { menuButton } from './menu.js';
import { badge } from './status.js';
import { moment } from './time.js';
import { toast, toastError } from './toast.js';

/** Asks for a new password: of somebody, or without an address one's own. */
export async function askPassword(email) {
  const password = h('input', { class: 'input', type: 'password', autocomplete: 'new-password' });
  const again = h('input', { class: 'input', type: 'password', autocomplete: 'new-password' });
  const done = await formDialog({
    title: email ? `Password of ${email}` : 'Your password', action: 'Set password',
    fields: [
      field({ name: 'password', label: 'New password', help: '8 characters or more. Other logins in browsers end; tokens stay.', control: password, wide: true }),
      field({ name: 'again', label: 'Once more', control: again, wide: true }),
    ],
    async send() {
      if (password.value !== again.value) throw Object.assign(new Error('again: this is not the same'), { field: 'again', detail: 'this is not the same' });
      return email ? api.people.setPasswordOf(email, password.value) : api.people.setPassword(password.value);
    },
  });
  if (done) toast('The password is set');
}

/** `{element, load()}`: the card; `onchange()` hears of changes that workspaces see. */
export function accountsCard({ me, signal, onchange }) {
  const body = h('div', {}, skeleton(2, 'low'));
  const element = h('section', { class: 'card', 'aria-label': 'Accounts' }, h('div', { class: 'card-head' }, h('div', {}, h('h2', {}, 'Accounts of this server'), h('p', { class: 'muted' }, 'Everybody who can log in, in whatever workspace.')),
    button({ text: 'New account', iconName: 'plus', onclick: create })), body);

  async function load() {
    try {
      const accounts = await api.people.accounts(signal);
      fill(body, accounts.length === 0 ? h('p', { class: 'muted' }, 'Nobody has an account yet; tokens and login links still work.') : h('ul', { class: 'lined people' }, accounts.map(row)));
    } catch (error) {
      if (!signal.aborted) fill(body, errorState(error, load));
    }
  }

  function row(account) {
    const { email } = account;
    return h('li', {}, h('div', { class: 'grow' }, h('div', { class: 'cluster' }, h('strong', {}, email), account.super_admin && badge('super admin', 'busy'), account.disabled && badge('disabled', 'bad'), email === me.email && badge('you')),
      h('p', { class: 'muted' }, account.name && `${account.name} · `, account.login_type === 'password' ? 'logs in with a password' : 'has no password: logs in by token', ' · since ', moment(account.created_at))),
    menuButton({
      label: `Actions for the account ${email}`, iconName: 'more', items: () => [
        { text: 'Set password', iconName: 'key', onselect: () => askPassword(email).then(load) },
        account.super_admin ? { text: 'No longer a super admin', iconName: 'down', onselect: () => change(email, { is_super_admin: false }, `${email} is no super admin any more`) }
          : { text: 'Make a super admin', iconName: 'up', onselect: () => promote(email) },
        account.disabled ? { text: 'Let in again', iconName: 'check', onselect: () => change(email, { disabled: false }, `${email} may come in again`) }
          : { text: 'Disable', iconName: 'pause', onselect: () => disable(email) },
        null,
        { text: 'Delete', iconName: 'trash', danger: true, onselect: () => remove(email) },
      ],
    }));
  }

  async function change(email, edit, said) {
    try {
      await api.people.updateAccount(email, edit);
      toast(said);
    } catch (error) {
      toastError(error);
    }
    await load();
  }

  async function promote(email) {
    const sure = await confirm({ title: `Make ${email} a super admin?`, text: 'A super admin may do everything, in every workspace.', action: 'Make a super admin' });
    if (sure) await change(email, { is_super_admin: true }, `${email} is a super admin now`);
  }

  async function disable(email) {
    const sure = await confirm({ title: `Disable ${email}?`, text: 'No login and no token of theirs works any more, in any workspace.', action: 'Disable', danger: true });
    if (sure) await change(email, { disabled: true }, `${email} is disabled`);
  }

  async function remove(email) {
    const sure = await confirm({ title: `Delete the account ${email}?`, text: 'They leave all workspaces, and their tokens end. What they made stays.', action: 'Delete', danger: true });
    if (!sure) return;
    try {
      toast(await api.people.removeAccount(email));
    } catch (error) {
      toastError(error);
    }
    await load();
    onchange?.();
  }

  async function create() {
    const email = h('input', { class: 'input', type: 'email', autocomplete: 'off', placeholder: 'name@example.com' });
    const name = h('input', { class: 'input', autocomplete: 'off', placeholder: 'What people see' });
    const password = h('input', { class: 'input', type: 'password', autocomplete: 'new-password' });
    const all = checkField({ name: 'super_admin', label: 'Super admin', help: 'May do everything, in every workspace. Default: off.' });
    const done = await formDialog({
      title: 'New account', action: 'Create',
      fields: [
        field({ name: 'email', label: 'E-mail', control: email, wide: true }), field({ name: 'name', label: 'Full name', control: name, wide: true }),
        field({ name: 'password', label: 'Password', help: '8 characters or more. Empty: they log in by token.', control: password, wide: true }), all.element,
      ],
      send: () => api.people.createAccount({ email: email.value.trim(), name: name.value.trim() || null, password: password.value || null, super_admin: all.control.checked }),
    });
    if (!done) return;
    toast(done);
    await load();
  }
  return { element, load };
}
