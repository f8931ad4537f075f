// Users & groups: who belongs to the workspace and as what, its groups and folders, and for super admins the accounts of the server.
import * as api from '../api.js';
import { emptyState, errorState, fill, pageHead, skeleton, h } from '../parts/dom.js';
import { accountsCard } from '../parts/accounts.js';
import { foldersCard } from '../parts/folders.js';
import { groupsCard } from '../parts/groups.js';
import { membersCard } from '../parts/members.js';

export async function render(root, params) {
  const { signal, loaded } = params;
  const head = () => pageHead({ title: 'Users & groups', lead: `Who may do what in the workspace ${api.currentWorkspace()}.`, crumbs: [['Settings', '/settings']] });
  fill(root, head(), skeleton(4));
  let me;
  try {
    me = await api.whoami(signal);
  } catch (error) {
    if (!signal.aborted) fill(root, head(), errorState(error, () => render(root, params)));
    return;
  }
  if (!me.is_admin && !me.is_super_admin) {
    fill(root, head(), emptyState({ iconName: 'user', title: 'Only admins manage users', text: 'Ask an admin of this workspace to add people, or to change what they may do.' }));
    return;
  }
  const groups = groupsCard({ signal });
  const folders = foldersCard({ signal });
  const members = membersCard({ me, signal, onchange: groups.load });
  const accounts = me.is_super_admin ? accountsCard({ me, signal, onchange: members.load }) : null;
  members.also = accounts?.load;
  fill(root, head(), h('div', { class: 'stack settings-page' }, members.element, groups.element, folders.element, accounts?.element));
  await Promise.all([members.load(), groups.load(), folders.load(), accounts?.load()]);
  loaded();
}
