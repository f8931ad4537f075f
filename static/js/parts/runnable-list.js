// List of scripts or flows: path, summary, who changed it last, what can be done with it; search in the address.
import * as api from '../api.js';
import * as router from '../router.js';
import { emptyState, errorState, fill, h, icon, linkButton, pageHead, setText, skeleton } from './dom.js';
import { confirm } from './dialog.js';
import { menuButton } from './menu.js';
import { Rows } from './rows.js';
import { shareItem } from './share.js';
import { badge } from './status.js';
import { full, moment } from './time.js';
import { toast, toastError } from './toast.js';
import { usesText } from './used-by.js';

/** Fills `root` with the list of a `kind`: its words, its routes and its own column. */
export async function runnableList(root, { query, signal, loaded }, kind) {
  let all = [];
  const search = h('input', { class: 'input', type: 'search', 'aria-label': `Search ${kind.many}`, placeholder: 'Search by path or summary', value: query.get('q') ?? '' });
  const count = h('p', { class: 'count-line muted', role: 'status' });
  const body = h('div', { role: 'rowgroup', class: 'rows script-rows' });
  const table = h('div', { role: 'table', class: 'grid-table script-table', 'aria-label': kind.title },
    h('div', { role: 'rowgroup' }, h('div', { role: 'row', class: 'row head', 'aria-rowindex': '1' }, [kind.head, kind.column, 'Changed'].map((text, index) => h('span', { role: 'columnheader', class: `cell s-${index}` }, text)),
      h('span', { role: 'columnheader', class: 'cell' }, h('span', { class: 'visually-hidden' }, 'Actions')))), body);
  const none = h('div', { hidden: true });
  const holder = h('div', {}, skeleton(5, 'low'));
  const rows = new Rows({ body, signal, keyOf: (script) => script.path, make: row });
  fill(root, pageHead({ title: kind.title, lead: kind.lead, actions: [linkButton({ text: `New ${kind.one}`, href: `/${kind.many}/new`, iconName: 'plus', kind: 'primary' })] }),
    h('div', { class: 'toolbar', role: 'search' }, h('div', { class: 'with-icon grow' }, icon('search'), search)), count, holder);

  search.addEventListener('input', () => {
    router.setQuery(new URLSearchParams(search.value.trim() ? { q: search.value.trim() } : {}));
    refresh();
  });

  function refresh() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = all.filter((one) => words.every((word) => `${one.path} ${one.summary ?? ''} ${one.language ?? ''}`.toLowerCase().includes(word)));
    setText(count, all.length === 0 ? '' : shown.length === all.length ? `${full(all.length)} ${all.length === 1 ? kind.one : kind.many}` : `${full(shown.length)} of ${full(all.length)} ${kind.many}`);
    table.hidden = shown.length === 0;
    none.hidden = shown.length > 0;
    table.setAttribute('aria-rowcount', String(shown.length + 1));
    if (shown.length === 0) fill(none, all.length > 0 ? emptyState({ iconName: 'search', title: `No ${kind.one} fits`, text: 'Try fewer or other words.' })
      : emptyState({ iconName: kind.many, title: `No ${kind.one} yet`, text: kind.what, actions: [linkButton({ text: `New ${kind.one}`, href: `/${kind.many}/new`, iconName: 'plus', kind: 'primary' })] }));
    // a column that says nothing leaves its room to the others
    table.classList.toggle('without-column', !shown.some((one) => kind.columnOf(one)));
    rows.setItems(shown);
  }

  function row(first) {
    let script = first;
    const href = `/${kind.many}/edit/${api.encodePath(script.path)}`;
    const summary = h('span', { class: 'muted ellipsis' });
    const language = h('div', { role: 'cell', class: 'cell s-1' });
    const changed = moment(script.created_at ?? script.edited_at);
    const by = h('span', { class: 'muted' });
    const menu = menuButton({ label: `Actions for ${script.path}`, items: () => [
      { text: 'Edit', iconName: 'edit', href },
      { text: 'New trigger that runs it', iconName: 'triggers', href: `/triggers/new?${kind.one}=${encodeURIComponent(script.path)}` },
      { text: 'View runs', iconName: 'runs', href: `/runs?runnable=${encodeURIComponent(script.path)}` },
      shareItem(kind.one, script.path),
      null,
      { text: 'Archive', iconName: 'trash', danger: true, onselect: () => archive(script) },
    ] });
    const element = h('div', { role: 'row', class: 'row' }, h('div', { role: 'cell', class: 'cell s-0' }, h('a', { class: 'row-link mono', href }, script.path), summary), language,
      h('div', { role: 'cell', class: 'cell s-2' }, changed, by), h('div', { role: 'cell', class: 'cell c-menu' }, menu));
    function update(next) {
      script = next;
      setText(summary, script.summary ?? '');
      const column = kind.columnOf(script);
      if (language.dataset.shown !== column) fill(language, column && badge(column));
      language.dataset.shown = column;
      changed.setAttribute('datetime', script.created_at ?? script.edited_at ?? '');
      setText(by, script.created_by ?? script.edited_by ? ` by ${script.created_by ?? script.edited_by}` : '');
    }
    return { element, update };
  }

  async function archive(script) {
    const uses = await kind.routes.usedBy(script.path, signal).then(usesText, () => null);
    const sure = await confirm({ title: `Archive this ${kind.one}?`, text: `${script.path} leaves this list and can no longer be run. ${uses === null ? 'What uses it gets failed jobs that say so.' : uses ? `It is used by ${uses}, whose jobs will fail and say so.` : 'No trigger and no flow uses it.'}`, action: 'Archive', danger: true });
    if (!sure) return;
    try {
      await kind.routes.archive(script.path);
      all = all.filter((one) => one !== script);
      refresh();
      toast(`${script.path} is archived`);
    } catch (error) {
      toastError(error);
    }
  }

  async function load() {
    try {
      all = (await kind.routes.list({ signal })).filter((script) => !script.archived).sort((one, other) => one.path.localeCompare(other.path));
      fill(holder, table, none);
      refresh();
      loaded();
    } catch (error) {
      if (!signal.aborted) fill(holder, errorState(error, load));
    }
  }
  await load();
}
