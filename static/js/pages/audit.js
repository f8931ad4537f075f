// Audit log: who changed what and when, newest first; the filters live in the address. Only admins see it.
import * as api from '../api.js';
import * as router from '../router.js';
import { breakable, button, emptyState, errorState, fill, h, icon, pageHead, skeleton } from '../parts/dom.js';
import { KINDS, operationText, toneOf } from '../parts/audit-words.js';
import { badge } from '../parts/status.js';
import { moment } from '../parts/time.js';

const PER_PAGE = 50;
const TYPING_MS = 300;
const SPANS = { '': 'Any time', 60: 'Last hour', 1440: 'Last 24 hours', 10080: 'Last 7 days' };
const SOURCES = { ui: 'page', cli: 'command line', api: 'API', worker: 'job' };
const FIELDS = ['user', 'resource', 'kind', 'time', 'scope'];

export async function render(root, { query, signal, loaded }) {
  const view = Object.fromEntries(FIELDS.map((name) => [name, query.get(name) ?? '']));
  const word = (name, label, iconName) => h('div', { class: 'with-icon grow' }, icon(iconName), controls[name] = h('input', { class: 'input', type: 'search', 'aria-label': label, placeholder: label, value: view[name], spellcheck: 'false', autocomplete: 'off' }));
  const select = (name, label, choices) => controls[name] = h('select', { class: 'input', 'aria-label': label, value: view[name] }, choices.map(([value, text]) => h('option', { value }, text)));
  const controls = {};
  const superAdmin = await api.whoami(signal).then((me) => me.is_super_admin, () => false);
  if (signal.aborted) return;
  const tools = h('div', { class: 'toolbar', role: 'search' }, word('user', 'User', 'user'), word('resource', 'Path or name begins with', 'search'), select('kind', 'Kind', [['', 'Anything'], ...KINDS]), select('time', 'Time', Object.entries(SPANS)),
    superAdmin && select('scope', 'Where', [['', `Workspace ${api.currentWorkspace()}`], ['server', 'Whole server']]));
  const body = h('div', { role: 'rowgroup', class: 'rows' });
  const table = h('div', { role: 'table', class: 'grid-table audit-table', 'aria-label': 'Audit log' },
    h('div', { role: 'rowgroup' }, h('div', { role: 'row', class: 'row head' }, ['When', 'Who', 'What', 'Path or name', 'From'].map((text, index) => h('span', { role: 'columnheader', class: `cell a-${index}` }, text)))), body);
  const more = button({ text: 'Show older entries', kind: 'small', onclick: loadOlder });
  const holder = h('div', {}, skeleton(5, 'low'));
  fill(root, pageHead({ title: 'Audit log', lead: 'Who changed what. Entries are kept for 30 days; never a content, a secret or a token.', crumbs: [['Settings', '/settings']] }), tools, holder);
  let page = 1;
  let round = 0;

  const wanted = () => ({
    username: view.user, resource: view.resource, operation: view.kind, after: view.time ? new Date(Date.now() - view.time * 60_000).toISOString() : undefined, per_page: PER_PAGE,
  });

  async function load() {
    round += 1;
    const mine = round;
    page = 1;
    try {
      const entries = await api.audit.list({ ...wanted(), page }, view.scope === 'server', signal);
      if (mine !== round) return;
      fill(body, entries.map(row));
      more.hidden = entries.length < PER_PAGE;
      if (entries.length > 0) fill(holder, table, h('div', { class: 'cluster center table-foot' }, more));
      else fill(holder, emptyState({ iconName: 'search', title: 'No entry', text: Object.values(view).some(Boolean) ? 'No entry fits the filters above.' : 'Nothing was changed yet.' }));
    } catch (error) {
      if (signal.aborted || mine !== round) return;
      fill(holder, error.status === 403 ? emptyState({ iconName: 'user', title: 'Only admins see the audit log', text: 'Ask an admin of this workspace.' }) : errorState(error, load));
    }
  }

  /** Older entries by page: new ones shift the pages, so one may come twice; its id keeps it single. */
  async function loadOlder() {
    more.disabled = true;
    try {
      const entries = await api.audit.list({ ...wanted(), page: page + 1 }, view.scope === 'server', signal);
      page += 1;
      const known = new Set([...body.children].map((one) => one.dataset.id));
      body.append(...entries.filter((entry) => !known.has(String(entry.id))).map(row));
      more.hidden = entries.length < PER_PAGE;
    } catch (error) {
      if (!signal.aborted) fill(holder, errorState(error, load));
    }
    more.disabled = false;
  }

  function row(entry) {
    const changes = entry.parameters?.changes ?? [];
    const cell = (index, ...content) => h('div', { role: 'cell', class: `cell a-${index}` }, content);
    return h('div', { role: 'row', class: 'row', 'data-id': String(entry.id) },
      cell(0, moment(entry.timestamp)), cell(1, h('span', { class: 'ellipsis', title: entry.email }, entry.username)), cell(2, badge(operationText(entry.operation), toneOf(entry.action_kind))),
      cell(3, h('span', { class: 'mono wrap' }, breakable(entry.resource)), view.scope === 'server' && entry.workspace_id && h('span', { class: 'muted' }, ` in ${entry.workspace_id}`), changes.length > 0 && h('p', { class: 'muted' }, `Changed: ${changes.join(', ')}`)),
      cell(4, h('span', { title: entry.token_prefix ? `token ${entry.token_prefix}…` : undefined }, SOURCES[entry.source] ?? entry.source)));
  }

  let typing = 0;
  function changed() {
    for (const [name, control] of Object.entries(controls)) view[name] = control.value.trim();
    router.setQuery(new URLSearchParams(Object.entries(view).filter(([, value]) => value)));
    clearTimeout(typing);
    typing = setTimeout(load, TYPING_MS);
  }
  signal.addEventListener('abort', () => clearTimeout(typing), { once: true });
  for (const control of Object.values(controls)) control.addEventListener(control.tagName === 'SELECT' ? 'change' : 'input', changed);
  await load();
  loaded();
}
