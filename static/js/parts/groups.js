// Groups of the workspace: what is shared with a group is shared with its members. Made, described, filled and removed here.
import * as api from '../api.js';
import { button, errorState, fill, h, skeleton } from './dom.js';
import { confirm } from './dialog.js';
import { checkField, field, groupField } from './field.js';
import { formDialog } from './form-dialog.js';
import { menuButton } from './menu.js';
import { badge } from './status.js';
import { toast, toastError } from './toast.js';

/** The group that holds everybody; it is as it is. */
const ALL = 'all';

/** `{element, load()}`: the card. */
export function groupsCard({ signal }) {
  const body = h('div', {}, skeleton(2, 'low'));
  const element = h('section', { class: 'card', 'aria-label': 'Groups' }, h('div', { class: 'card-head' }, h('div', {}, h('h2', {}, 'Groups'), h('p', { class: 'muted' }, 'Folders, triggers, scripts, flows, variables and resources can be shared with a group.')),
    button({ text: 'New group', iconName: 'plus', onclick: () => edit(null) })), body);

  async function load() {
    try {
      const groups = await api.groups.list(signal);
      fill(body, h('ul', { class: 'lined people' }, groups.map(row)));
    } catch (error) {
      if (!signal.aborted) fill(body, errorState(error, load));
    }
  }

  function row(group) {
    const members = group.members.length === 0 ? h('span', { class: 'muted' }, 'no members') : group.members.map((name) => badge(name));
    return h('li', {}, h('div', { class: 'grow' }, h('div', { class: 'cluster' }, h('strong', {}, group.name), group.summary && h('span', { class: 'muted' }, group.summary)), h('div', { class: 'cluster' }, members)),
      group.name !== ALL && menuButton({
        label: `Actions for the group ${group.name}`, iconName: 'more', items: () => [
          { text: 'Edit', iconName: 'edit', onselect: () => edit(group) },
          { text: 'Delete', iconName: 'trash', danger: true, onselect: () => remove(group) },
        ],
      }));
  }

  async function edit(group) {
    let people;
    try {
      people = await api.people.members(signal);
    } catch (error) {
      toastError(error);
      return;
    }
    const name = h('input', { class: 'input mono', autocomplete: 'off', spellcheck: 'false', placeholder: 'traders' });
    const summary = h('input', { class: 'input', autocomplete: 'off', value: group?.summary ?? '', placeholder: 'What it is for' });
    const boxes = people.map((one) => [one.username, checkField({ name: `member-${one.username}`, label: one.username, checked: group?.members.includes(one.username) })]);
    const done = await formDialog({
      title: group ? `Group ${group.name}` : 'New group', action: group ? 'Save' : 'Create',
      fields: [
        !group && field({ name: 'name', label: 'Name', help: 'Letters, digits, _ and -.', control: name, wide: true }),
        field({ name: 'summary', label: 'Summary', control: summary, wide: true }),
        groupField({ name: 'members', label: 'Members', body: h('div', { class: 'stack-small choices' }, boxes.map(([, box]) => box.element)) }),
      ],
      async send() {
        const path = group?.name ?? name.value.trim();
        if (!group) await api.groups.create({ name: path, summary: summary.value.trim() });
        else if (summary.value.trim() !== group.summary) await api.groups.update(path, { summary: summary.value.trim() });
        for (const [username, { control }] of boxes) {
          const isIn = group?.members.includes(username) ?? false;
          if (control.checked && !isIn) await api.groups.addUser(path, username);
          else if (!control.checked && isIn) await api.groups.removeUser(path, username);
        }
        return `The group ${path} is saved`;
      },
    });
    if (done) toast(done);
    await load();
  }

  async function remove(group) {
    const sure = await confirm({ title: `Delete the group ${group.name}?`, text: 'What was shared with it is shared with nobody then.', action: 'Delete', danger: true });
    if (!sure) return;
    try {
      toast(await api.groups.remove(group.name));
      await load();
    } catch (error) {
      toastError(error);
    }
  }
  return { element, load };
}
