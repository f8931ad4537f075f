// Variables page: values that scripts and triggers use by path; secrets are never shown once they are stored.
import * as api from '../api.js';
import { button, emptyState, errorState, fill, h, icon, pageHead, setText, skeleton } from '../parts/dom.js';
import { confirm, openDialog } from '../parts/dialog.js';
import { checkField, clearErrors, field, showServerError } from '../parts/field.js';
import { menuButton } from '../parts/menu.js';
import { pathField } from '../parts/path-field.js';
import { badge } from '../parts/status.js';
import { full } from '../parts/time.js';
import { shareItem } from '../parts/share.js';
import { toast, toastError } from '../parts/toast.js';

export async function render(root, { signal, loaded }) {
  let all = [];
  const search = h('input', { class: 'input', type: 'search', 'aria-label': 'Search variables', placeholder: 'Search by path or description', oninput: refresh });
  const count = h('p', { class: 'count-line muted', role: 'status' });
  const holder = h('div', {}, skeleton(4, 'low'));
  fill(root, pageHead({ title: 'Variables', lead: 'Values by path, for scripts and, as $var:<path>, for the URL, headers and messages of a trigger.', actions: [button({ text: 'New variable', iconName: 'plus', kind: 'primary', onclick: () => edit(null) })] }),
    h('div', { class: 'toolbar', role: 'search' }, h('div', { class: 'with-icon grow' }, icon('search'), search)), count, holder);

  function refresh() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = all.filter((one) => words.every((word) => `${one.path} ${one.description ?? ''}`.toLowerCase().includes(word)));
    setText(count, all.length === 0 ? '' : shown.length === all.length ? `${full(all.length)} variable${all.length === 1 ? '' : 's'}` : `${full(shown.length)} of ${full(all.length)} variables`);
    if (all.length === 0) {
      fill(holder, emptyState({ iconName: 'variables', title: 'No variable yet', text: 'Keep a token here as a secret and use it in a trigger’s headers as $var:u/admin/token.', actions: [button({ text: 'New variable', iconName: 'plus', kind: 'primary', onclick: () => edit(null) })] }));
    } else if (shown.length === 0) {
      fill(holder, emptyState({ iconName: 'search', title: 'No variable fits', text: 'Try fewer or other words.' }));
    } else {
      fill(holder, h('div', { role: 'table', class: 'grid-table variable-table', 'aria-label': 'Variables' },
        h('div', { role: 'rowgroup' }, h('div', { role: 'row', class: 'row head' }, ['Variable', 'Value'].map((text, index) => h('span', { role: 'columnheader', class: `cell v-${index}` }, text)), h('span', { role: 'columnheader', class: 'cell' }, h('span', { class: 'visually-hidden' }, 'Actions')))),
        h('div', { role: 'rowgroup', class: 'rows' }, shown.map(row))));
    }
  }

  function row(variable) {
    return h('div', { role: 'row', class: 'row' },
      h('div', { role: 'cell', class: 'cell v-0' }, h('button', { type: 'button', class: 'row-link mono', 'aria-label': `Edit ${variable.path}`, onclick: () => edit(variable) }, variable.path), h('span', { class: 'muted ellipsis' }, variable.description ?? '')),
      h('div', { role: 'cell', class: 'cell v-1' }, variable.is_secret ? badge('secret', 'warn') : h('span', { class: 'mono ellipsis' }, variable.value ?? '')),
      h('div', { role: 'cell', class: 'cell c-menu' }, menuButton({ label: `Actions for ${variable.path}`, items: () => [{ text: 'Edit', iconName: 'edit', onselect: () => edit(variable) }, shareItem('variable', variable.path), null, { text: 'Delete', iconName: 'trash', danger: true, onselect: () => remove(variable) }] })));
  }

  async function remove(variable) {
    const sure = await confirm({ title: 'Delete this variable?', text: `Scripts and triggers that use ${variable.path} will fail.`, action: 'Delete', danger: true });
    if (!sure) return;
    try {
      await api.variables.remove(variable.path);
      toast(`${variable.path} is deleted`);
      await load();
    } catch (error) {
      toastError(error);
    }
  }

  async function edit(variable) {
    const where = variable ? null : pathField({ defaultName: 'my_variable', help: 'Where the variable is kept:', signal, taken: all.map((one) => one.path) });
    const value = h('textarea', { class: 'input mono', rows: '4', value: variable && !variable.is_secret ? variable.value ?? '' : '', spellcheck: 'false', autocomplete: 'off' });
    const secret = checkField({ name: 'is_secret', label: 'Secret', help: 'Not shown again in lists.', checked: variable ? variable.is_secret : true });
    const description = h('input', { class: 'input', value: variable?.description ?? '' });
    const general = h('p', { class: 'field-error', role: 'alert' });
    const form = h('form', { class: 'stack', id: 'variable-form', novalidate: true }, where?.element,
      field({ name: 'value', label: 'Value', help: variable?.is_secret ? 'Leave empty to keep the stored value.' : null, control: value, wide: true }), secret.element, field({ name: 'description', label: 'Description', control: description, wide: true }), general);
    const send = async (close) => {
      clearErrors(form);
      general.textContent = '';
      const problem = where?.problem();
      if (problem) return showServerError(form, { field: 'path', detail: problem, message: problem });
      const body = { is_secret: secret.control.checked, description: description.value.trim() };
      try {
        if (variable) await api.variables.update(variable.path, { ...body, ...(variable.is_secret && value.value === '' ? {} : { value: value.value }) });
        else await api.variables.create({ ...body, path: where.value, value: value.value });
        close(true);
      } catch (error) {
        if (!showServerError(form, error)) general.textContent = error.message;
      }
      return undefined;
    };
    const done = await openDialog({
      title: variable ? `Edit ${variable.path}` : 'New variable', body: (close) => {
        form.addEventListener('submit', (event) => {
          event.preventDefault();
          send(close);
        });
        return form;
      },
      actions: (close) => [button({ text: 'Cancel', onclick: () => close() }), button({ text: 'Save', kind: 'primary', type: 'submit', form: 'variable-form' })],
    });
    if (!done) return;
    toast(`${variable ? variable.path : where.value} is saved`);
    await load();
  }

  async function load() {
    try {
      all = (await api.variables.list({ signal })).sort((one, other) => one.path.localeCompare(other.path));
      refresh();
      loaded();
    } catch (error) {
      if (!signal.aborted) fill(holder, errorState(error, load));
    }
  }
  await load();
}
