// Resources page: JSON values by path, such as the address and login of a database, for scripts and flows.
import * as api from '../api.js';
import { parse } from '../json.js';
import { codeEditor } from '../parts/code.js';
import { button, emptyState, errorState, fill, h, icon, pageHead, setText, skeleton } from '../parts/dom.js';
import { confirm, openDialog } from '../parts/dialog.js';
import { clearErrors, field, setFieldError, showServerError } from '../parts/field.js';
import { jsonView } from '../parts/json-tree.js';
import { menuButton } from '../parts/menu.js';
import { pathField } from '../parts/path-field.js';
import { badge } from '../parts/status.js';
import { full, moment } from '../parts/time.js';
import { shareItem } from '../parts/share.js';
import { toast, toastError } from '../parts/toast.js';

export async function render(root, { signal, loaded }) {
  let all = [];
  const search = h('input', { class: 'input', type: 'search', 'aria-label': 'Search resources', placeholder: 'Search by path, type or description', oninput: refresh });
  const count = h('p', { class: 'count-line muted', role: 'status' });
  const holder = h('div', {}, skeleton(4, 'low'));
  const add = () => button({ text: 'New resource', iconName: 'plus', kind: 'primary', onclick: () => edit(null) });
  fill(root, pageHead({ title: 'Resources', lead: 'JSON values by path; a script asks for one by its path, and $var:<path> inside is replaced then.', actions: [add()] }),
    h('div', { class: 'toolbar', role: 'search' }, h('div', { class: 'with-icon grow' }, icon('search'), search)), count, holder);

  function refresh() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = all.filter((one) => words.every((word) => `${one.path} ${one.resource_type} ${one.description ?? ''}`.toLowerCase().includes(word)));
    setText(count, all.length === 0 ? '' : shown.length === all.length ? `${full(all.length)} resource${all.length === 1 ? '' : 's'}` : `${full(shown.length)} of ${full(all.length)} resources`);
    if (all.length === 0) {
      fill(holder, emptyState({ iconName: 'resources', title: 'No resource yet', text: 'A resource holds what a script needs to reach something, such as the host, user and password of a database.', actions: [add()] }));
      return;
    }
    if (shown.length === 0) {
      fill(holder, emptyState({ iconName: 'search', title: 'No resource fits', text: 'Try fewer or other words.' }));
      return;
    }
    fill(holder, h('div', { role: 'table', class: 'grid-table resource-table', 'aria-label': 'Resources' },
      h('div', { role: 'rowgroup' }, h('div', { role: 'row', class: 'row head' }, ['Resource', 'Type', 'Changed'].map((text, index) => h('span', { role: 'columnheader', class: `cell e-${index}` }, text)), h('span', { role: 'columnheader', class: 'cell' }, h('span', { class: 'visually-hidden' }, 'Actions')))),
      h('div', { role: 'rowgroup', class: 'rows' }, shown.map(row))));
  }

  function row(resource) {
    return h('div', { role: 'row', class: 'row' },
      h('div', { role: 'cell', class: 'cell v-0' }, h('button', { type: 'button', class: 'row-link mono', 'aria-label': `Edit ${resource.path}`, onclick: () => edit(resource) }, resource.path), h('span', { class: 'muted ellipsis' }, resource.description ?? '')),
      h('div', { role: 'cell', class: 'cell e-1' }, badge(resource.resource_type)),
      h('div', { role: 'cell', class: 'cell e-2 muted' }, moment(resource.edited_at), resource.created_by ? ` by ${resource.created_by}` : ''),
      h('div', { role: 'cell', class: 'cell c-menu' }, menuButton({ label: `Actions for ${resource.path}`, items: () => [
        { text: 'Edit', iconName: 'edit', onselect: () => edit(resource) }, { text: 'Show as a tree', iconName: 'eye', onselect: () => show(resource) }, shareItem('resource', resource.path),
        null, { text: 'Delete', iconName: 'trash', danger: true, onselect: () => remove(resource) }] })));
  }

  async function show(resource) {
    try {
      const { value } = await api.resources.get(resource.path, signal);
      await openDialog({ title: resource.path, wide: true, body: jsonView(value, { name: resource.path.replaceAll('/', '_') }), actions: (close) => [button({ text: 'Close', onclick: () => close() })] });
    } catch (error) {
      toastError(error);
    }
  }

  async function remove(resource) {
    const sure = await confirm({ title: 'Delete this resource?', text: `Scripts and flows that use ${resource.path} will fail.`, action: 'Delete', danger: true });
    if (!sure) return;
    try {
      await api.resources.remove(resource.path);
      toast(`${resource.path} is deleted`);
      await load();
    } catch (error) {
      toastError(error);
    }
  }

  async function edit(listed) {
    let resource = listed;
    try {
      if (listed) resource = await api.resources.get(listed.path, signal);
    } catch (error) {
      toastError(error);
      return;
    }
    const where = resource ? null : pathField({ defaultName: 'my_resource', help: 'Where the resource is kept:', signal, taken: all.map((one) => one.path) });
    const known = [...new Set(all.map((one) => one.resource_type))].sort();
    const type = h('input', { class: 'input', value: resource?.resource_type ?? '', list: 'resource-types', autocomplete: 'off', placeholder: 'postgresql', disabled: Boolean(resource) });
    const value = codeEditor({ value: JSON.stringify(resource?.value ?? {}, null, 2), rows: 8 });
    const valueField = field({ name: 'value', label: 'Value (JSON)', help: 'Keep secrets in variables and write "$var:u/admin/password" here.', control: value, wide: true });
    const description = h('input', { class: 'input', value: resource?.description ?? '' });
    const general = h('p', { class: 'field-error', role: 'alert' });
    const form = h('form', { class: 'stack', id: 'resource-form', novalidate: true }, where?.element,
      field({ name: 'resource_type', label: 'Type', help: 'A word that says what it is for.', control: type }), h('datalist', { id: 'resource-types' }, known.map((one) => h('option', { value: one }))),
      valueField, field({ name: 'description', label: 'Description', control: description, wide: true }), general);
    const send = async (close) => {
      clearErrors(form);
      general.textContent = '';
      const problem = where?.problem();
      if (problem) return showServerError(form, { field: 'path', detail: problem, message: problem });
      if (!type.value.trim()) return showServerError(form, { field: 'resource_type', detail: 'give it a type, such as postgresql', message: '' });
      let parsed;
      try {
        parsed = parse(value.value);
      } catch (error) {
        return setFieldError(valueField, `this is not valid JSON: ${error.message}`);
      }
      try {
        const body = { value: parsed, description: description.value.trim() };
        if (resource) await api.resources.update(resource.path, body);
        else await api.resources.create({ ...body, path: where.value, resource_type: type.value.trim() });
        close(true);
      } catch (error) {
        if (!showServerError(form, error)) general.textContent = error.message;
      }
      return undefined;
    };
    const done = await openDialog({
      title: resource ? `Edit ${resource.path}` : 'New resource', wide: true,
      body: (close) => {
        form.addEventListener('submit', (event) => {
          event.preventDefault();
          send(close);
        });
        return form;
      },
      actions: (close) => [button({ text: 'Cancel', onclick: () => close() }), button({ text: 'Save', kind: 'primary', type: 'submit', form: 'resource-form' })],
    });
    if (!done) return;
    toast(`${resource ? resource.path : where.value} is saved`);
    await load();
  }

  async function load() {
    try {
      all = (await api.resources.list({ signal })).sort((one, other) => one.path.localeCompare(other.path));
      refresh();
      loaded();
    } catch (error) {
      if (!signal.aborted) fill(holder, errorState(error, load));
    }
  }
  await load();
}
