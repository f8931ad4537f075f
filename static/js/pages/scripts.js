// Scripts page: every script with its language and who changed it last; search in the address.
import * as api from '../api.js';
import * as router from '../router.js';
import { emptyState, errorState, fill, h, icon, linkButton, pageHead, setText, skeleton } from '../parts/dom.js';
import { confirm } from '../parts/dialog.js';
import { menuButton } from '../parts/menu.js';
import { Rows } from '../parts/rows.js';
import { badge } from '../parts/status.js';
import { languageName } from '../parts/templates.js';
import { full, moment } from '../parts/time.js';
import { toast, toastError } from '../parts/toast.js';

export async function render(root, { query, signal, loaded }) {
  let all = [];
  const search = h('input', { class: 'input', type: 'search', 'aria-label': 'Search scripts', placeholder: 'Search by path or summary', value: query.get('q') ?? '' });
  const count = h('p', { class: 'count-line muted', role: 'status' });
  const body = h('div', { role: 'rowgroup', class: 'rows script-rows' });
  const table = h('div', { role: 'table', class: 'grid-table script-table', 'aria-label': 'Scripts' },
    h('div', { role: 'rowgroup' }, h('div', { role: 'row', class: 'row head', 'aria-rowindex': '1' }, ['Script', 'Language', 'Changed'].map((text, index) => h('span', { role: 'columnheader', class: `cell s-${index}` }, text)),
      h('span', { role: 'columnheader', class: 'cell' }, h('span', { class: 'visually-hidden' }, 'Actions')))), body);
  const none = h('div', { hidden: true });
  const holder = h('div', {}, skeleton(5, 'low'));
  const rows = new Rows({ body, signal, keyOf: (script) => script.path, make: row });
  fill(root, pageHead({ title: 'Scripts', lead: 'What triggers run. A script gets the message as msg and returns a result.', actions: [linkButton({ text: 'New script', href: '/scripts/new', iconName: 'plus', kind: 'primary' })] }),
    h('div', { class: 'toolbar', role: 'search' }, h('div', { class: 'with-icon grow' }, icon('search'), search)), count, holder);

  search.addEventListener('input', () => {
    router.setQuery(new URLSearchParams(search.value.trim() ? { q: search.value.trim() } : {}));
    refresh();
  });

  function refresh() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = all.filter((one) => words.every((word) => `${one.path} ${one.summary ?? ''} ${one.language}`.toLowerCase().includes(word)));
    setText(count, all.length === 0 ? '' : shown.length === all.length ? `${full(all.length)} script${all.length === 1 ? '' : 's'}` : `${full(shown.length)} of ${full(all.length)} scripts`);
    table.hidden = shown.length === 0;
    none.hidden = shown.length > 0;
    table.setAttribute('aria-rowcount', String(shown.length + 1));
    if (shown.length === 0) fill(none, all.length > 0 ? emptyState({ iconName: 'search', title: 'No script fits', text: 'Try fewer or other words.' })
      : emptyState({ iconName: 'scripts', title: 'No script yet', text: 'A script is what runs for a message: Python, TypeScript or Bash, with a function main.', actions: [linkButton({ text: 'New script', href: '/scripts/new', iconName: 'plus', kind: 'primary' })] }));
    rows.setItems(shown);
  }

  function row(first) {
    let script = first;
    const href = `/scripts/edit/${api.encodePath(script.path)}`;
    const summary = h('span', { class: 'muted ellipsis' });
    const language = h('div', { role: 'cell', class: 'cell s-1' });
    const changed = moment(script.created_at);
    const by = h('span', { class: 'muted' });
    const menu = menuButton({ label: `Actions for ${script.path}`, items: () => [
      { text: 'Edit', iconName: 'edit', href },
      { text: 'New trigger that runs it', iconName: 'triggers', href: `/triggers/new?script=${encodeURIComponent(script.path)}` },
      { text: 'View runs', iconName: 'runs', href: `/runs?runnable=${encodeURIComponent(script.path)}` },
      null,
      { text: 'Archive', iconName: 'trash', danger: true, onselect: () => archive(script) },
    ] });
    const element = h('div', { role: 'row', class: 'row' }, h('div', { role: 'cell', class: 'cell s-0' }, h('a', { class: 'row-link mono', href }, script.path), summary), language,
      h('div', { role: 'cell', class: 'cell s-2' }, changed, by), h('div', { role: 'cell', class: 'cell c-menu' }, menu));
    function update(next) {
      script = next;
      setText(summary, script.summary ?? '');
      if (language.dataset.shown !== script.language) fill(language, badge(languageName(script.language)));
      language.dataset.shown = script.language;
      changed.setAttribute('datetime', script.created_at ?? '');
      setText(by, script.created_by ? ` by ${script.created_by}` : '');
    }
    return { element, update };
  }

  async function archive(script) {
    const sure = await confirm({ title: 'Archive this script?', text: `${script.path} leaves this list and can no longer be run. Triggers that run it get failed jobs that say so.`, action: 'Archive', danger: true });
    if (!sure) return;
    try {
      await api.scripts.archive(script.path);
      all = all.filter((one) => one !== script);
      refresh();
      toast(`${script.path} is archived`);
    } catch (error) {
      toastError(error);
    }
  }

  async function load() {
    try {
      all = (await api.scripts.list({ signal })).filter((script) => !script.archived).sort((one, other) => one.path.localeCompare(other.path));
      fill(holder, table, none);
      refresh();
      loaded();
    } catch (error) {
      if (!signal.aborted) fill(holder, errorState(error, load));
    }
  }
  await load();
}
