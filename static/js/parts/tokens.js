// Tokens: one's own tokens, how to make one and how to end it. A new token is shown once and kept nowhere.
import * as api from '../api.js';
import { button, copyButton, errorState, fill, h, icon, skeleton } from './dom.js';
import { confirm, openDialog } from './dialog.js';
import { checkField, field, showServerError } from './field.js';
import { badge } from './status.js';
import { moment } from './time.js';
import { toast, toastError } from './toast.js';

/** How long a token may live, in days. */
const LIVES = [['30', '30 days'], ['7', '7 days'], ['1', '1 day'], ['90', '90 days'], ['365', '1 year'], ['', 'Until it is deleted']];
/** The label of the token behind a browser's cookie. */
const SESSION = 'session';
const DAY_MS = 86_400_000;

/** A card with the tokens. */
export function tokensCard({ signal }) {
  const body = h('div', {}, skeleton(2, 'low'));
  const element = h('section', { class: 'card', 'aria-label': 'Tokens' }, h('div', { class: 'card-head' }, h('div', {}, h('h2', {}, 'Tokens'), h('p', { class: 'muted' }, 'For the command line, other programs and the API.')),
    button({ text: 'New token', iconName: 'plus', onclick: create })), body);

  function row(token) {
    const facts = [token.read_only && badge('reads only'), token.workspace_id && badge(`only ${token.workspace_id}`), ...(token.scopes ?? []).slice(0, 3).map((one) => badge(one)), (token.scopes ?? []).length > 3 && badge(`+${token.scopes.length - 3}`)];
    return h('li', {}, h('div', { class: 'grow' }, h('strong', {}, token.label || 'without a label'), ' ', h('code', {}, `${token.token_prefix}…`), h('div', { class: 'cluster' }, facts.filter(Boolean)),
      h('p', { class: 'muted' }, 'made ', moment(token.created_at), ', last used ', moment(token.last_used_at, { none: 'never' }), token.expiration ? [Date.parse(token.expiration) > Date.now() ? ', ends ' : ', ended ', moment(token.expiration)] : '')),
    button({ text: 'Delete', iconName: 'trash', kind: 'small', 'aria-label': `Delete the token ${token.label || token.token_prefix}`, onclick: () => remove(token) }));
  }

  async function remove(token) {
    const sure = await confirm({ title: 'Delete this token?', text: `Whoever uses ${token.label || token.token_prefix} is refused from then on. If it is the login of this browser, you are logged out.`, action: 'Delete', danger: true });
    if (!sure) return;
    try {
      await api.tokens.remove(token.token_prefix);
      toast('The token is deleted');
      await load();
    } catch (error) {
      toastError(error);
    }
  }

  async function create() {
    const label = h('input', { class: 'input', placeholder: 'What it is for', autocomplete: 'off' });
    const life = h('select', { class: 'input' }, LIVES.map(([days, text]) => h('option', { value: days }, text)));
    const scopes = h('input', { class: 'input mono', placeholder: 'websocket_triggers:read, jobs:run:f/market', spellcheck: 'false', autocomplete: 'off' });
    const only = checkField({ name: 'workspace_id', label: `Only in the workspace ${api.currentWorkspace()}`, help: 'Default: in all of yours.' });
    const reads = checkField({ name: 'read_only', label: 'Reads only', help: 'Changes and runs nothing. Default: off.' });
    const general = h('p', { class: 'field-error', role: 'alert' });
    const form = h('form', { class: 'stack', id: 'token-form', novalidate: true }, field({ name: 'label', label: 'Label', control: label, wide: true }), field({ name: 'expiration', label: 'Ends after', control: life }),
      field({ name: 'scopes', label: 'Scopes', help: 'Separated by commas, each <domain>:<action>[:<path>]. Default: everything you may do.', control: scopes, wide: true }), only.element, reads.element, general);
    const send = async (close) => {
      general.textContent = '';
      const list = scopes.value.split(',').map((one) => one.trim()).filter(Boolean);
      try {
        close(await api.tokens.create({
          label: label.value.trim() || null, expiration: life.value ? new Date(Date.now() + life.value * DAY_MS).toISOString() : null,
          scopes: list.length > 0 ? list : null, workspace_id: only.control.checked ? api.currentWorkspace() : null, read_only: reads.control.checked,
        }));
      } catch (error) {
        if (!showServerError(form, error)) general.textContent = error.message;
      }
    };
    const token = await openDialog({
      title: 'New token',
      body: (close) => {
        form.addEventListener('submit', (event) => {
          event.preventDefault();
          send(close);
        });
        return form;
      },
      actions: (close) => [button({ text: 'Cancel', onclick: () => close() }), button({ text: 'Create token', kind: 'primary', type: 'submit', form: 'token-form' })],
    });
    if (!token) return;
    await openDialog({
      title: 'The new token',
      body: h('div', { class: 'stack-small' }, h('p', {}, 'It is shown only now; windsock keeps no copy of it.'), h('p', {}, h('code', { class: 'wrap' }, token)), h('div', {}, copyButton(() => token, 'Copy token'))),
      actions: (close) => [button({ text: 'Done', kind: 'primary', onclick: () => close() })],
    });
    await load();
  }

  async function load() {
    try {
      const tokens = await api.tokens.list(signal);
      const sessions = tokens.filter((one) => one.label === SESSION);
      const others = tokens.filter((one) => one.label !== SESSION);
      const list = (some) => h('ul', { class: 'lined' }, some.map(row));
      fill(body, others.length > 0 ? list(others) : h('p', { class: 'muted' }, 'You have no token of your own.'),
        sessions.length > 0 && h('details', { class: 'fold' }, h('summary', {}, icon('chevron'), h('span', { class: 'fold-title' }, `Browser logins (${sessions.length})`)), h('div', { class: 'fold-body' }, list(sessions))));
    } catch (error) {
      if (!signal.aborted) fill(body, errorState(error, load));
    }
  }
  load();
  return element;
}
