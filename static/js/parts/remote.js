// The link of the workspace to one in a Windmill elsewhere, which then runs its scripts and flows. Only admins see it.
import * as api from '../api.js';
import { button, errorState, fill, h, skeleton, uid } from './dom.js';
import { confirm, openDialog } from './dialog.js';
import { clearErrors, field, showServerError } from './field.js';
import { fact } from './job.js';
import { moment } from './time.js';
import { toast, toastError } from './toast.js';

/** A card with the link; it is hidden from who may not see it. */
export function remoteCard({ signal }) {
  const body = h('div', {}, skeleton(1, 'low'));
  const actions = h('div', { class: 'cluster' });
  const element = h('section', { class: 'card', 'aria-label': 'Linked Windmill' },
    h('div', { class: 'card-head' }, h('div', {}, h('h2', {}, 'Linked Windmill'), h('p', { class: 'muted' }, 'windsock listens and keeps the queue; a Windmill elsewhere can run the jobs of this workspace.')), actions), body);

  async function load() {
    try {
      const link = await api.remote.get(signal);
      fill(body, link ? linked(link) : h('p', {}, 'The scripts and flows of this workspace run here.'));
      fill(actions, link ? [button({ text: 'Change', iconName: 'edit', 'aria-label': 'Change the link', onclick: () => edit(link) }), button({ text: 'Run here again', iconName: 'close', onclick: unlink })]
        : button({ text: 'Link a Windmill', iconName: 'plug', onclick: () => edit(null) }));
    } catch (error) {
      if (signal.aborted) return;
      if (error.status === 403) element.hidden = true;
      else fill(body, errorState(error, load));
    }
  }

  function linked(link) {
    return h('dl', { class: 'facts' }, fact('Address', h('a', { href: link.base_url, target: '_blank', rel: 'noopener' }, link.base_url)), fact('Workspace there', h('span', { class: 'mono' }, link.workspace)),
      fact('Token', h('a', { class: 'mono', href: '/variables' }, link.token_variable), 'the secret variable that holds it'),
      fact('Linked', h('span', {}, moment(link.edited_at), ` by ${link.edited_by}`)));
  }

  async function edit(link) {
    const offered = h('datalist', { id: uid('variables') });
    api.variables.list({ signal }).then((all) => offered.replaceChildren(...all.filter((one) => one.is_secret).map((one) => h('option', { value: one.path }))), () => {}); // only an offer
    const input = (value, placeholder, more = {}) => h('input', { class: 'input mono', value: value ?? '', placeholder, spellcheck: 'false', autocomplete: 'off', ...more });
    const address = input(link?.base_url, 'https://app.windmill.dev', { inputmode: 'url' });
    const workspace = input(link?.workspace, 'main');
    const token = input(link?.token_variable, 'u/admin/windmill_token', { list: offered.id });
    const general = h('p', { class: 'field-error', role: 'alert' });
    const form = h('form', { class: 'stack', id: 'remote-form', novalidate: true },
      field({ name: 'base_url', label: 'Address of the Windmill', help: 'Without /api.', control: address, wide: true }),
      field({ name: 'workspace', label: 'Workspace there', help: 'Its id, as in the addresses of its pages.', control: workspace, wide: true }),
      field({ name: 'token_variable', label: 'Variable with a token', help: 'Path of a secret variable of this workspace that holds a token of the Windmill. Make it under Variables first.', control: token, wide: true }), offered, general);
    const send = async (close) => {
      clearErrors(form);
      general.textContent = '';
      try {
        close(await api.remote.set({ base_url: address.value.trim(), workspace: workspace.value.trim(), token_variable: token.value.trim() }));
      } catch (error) {
        if (!showServerError(form, error)) general.textContent = error.message;
      }
    };
    const done = await openDialog({
      title: link ? 'Change the link' : 'Link a Windmill',
      body: (close) => {
        form.addEventListener('submit', (event) => {
          event.preventDefault();
          send(close);
        });
        return form;
      },
      actions: (close) => [button({ text: 'Cancel', onclick: () => close() }), button({ text: 'Link', kind: 'primary', type: 'submit', form: 'remote-form' })],
    });
    if (!done) return;
    toast(done);
    await load();
  }

  async function unlink() {
    const sure = await confirm({ title: 'Run the jobs here again?', text: 'Jobs that the Windmill runs at this moment are followed to their end there.', action: 'Run here', danger: true });
    if (!sure) return;
    try {
      toast(await api.remote.unset());
      await load();
    } catch (error) {
      toastError(error);
    }
  }

  load();
  return element;
}
