// Filter editor: cards for key or path and value, groups nested freely, AND/OR at the top, and the whole in words.
import { button, h, icon, setText } from './dom.js';
import { radioGroup } from './field.js';
import { completed, GROUP_KINDS, inWords, problems, toFilter, toNode } from './filter-model.js';

const GROUP_TEXT = { any_of: 'Any of', all_of: 'All of', none_of: 'None of' };
/** Deeper nesting is possible in the API; on the page it would no longer be readable. */
const DEPTH_MAX = 4;

/**
 * `{element, filters, logic, problems(), add(filter), place(name)}` for API filters and `filter_logic`. `place` is how
 * the server names the list; it may change when what holds the filters is moved.
 */
export function filterEditor({ filters = [], logic = 'and', verb, every, place: firstPlace = 'filters', onchange }) {
  const nodes = filters.map(toNode);
  let present = logic;
  let listPlace = firstPlace;
  const words = h('p', { class: 'filter-words', 'aria-live': 'polite' });
  const list = h('div', { class: 'filter-list' });
  const choice = radioGroup({
    label: 'Filters are joined by',
    options: [['and', 'All must match (AND)'], ['or', 'One must match (OR)']],
    value: present,
    onchange: (value) => {
      present = value;
      changed();
    },
  });
  const element = h('div', { class: 'filters' }, choice.element, list, adders(nodes, 0), words);

  function changed() {
    setText(words, inWords(nodes, present, verb, every));
    choice.element.hidden = nodes.length < 2;
    onchange?.();
  }

  function draw(focus) {
    list.replaceChildren(...nodes.map((node, index) => card(node, nodes, index, '', 0)));
    changed();
    if (focus) list.querySelectorAll('[data-node]').forEach((one) => one.node === focus && one.querySelector('input, button')?.focus());
  }

  function add(siblings, node) {
    siblings.push(node);
    draw(node);
  }

  function adders(siblings, depth) {
    return h('div', { class: 'cluster' },
      button({ text: 'Add filter', iconName: 'plus', kind: 'small', onclick: () => add(siblings, { kind: 'leaf', by: 'key', name: '', text: '' }) }),
      depth < DEPTH_MAX && button({
        text: 'Add group', iconName: 'plus', kind: 'small ghost',
        onclick: () => add(siblings, { kind: 'any_of', children: [{ kind: 'leaf', by: 'key', name: '', text: '' }] }),
      }));
  }

  function removeButton(siblings, index, what) {
    return button({
      label: `Remove ${what}`, iconName: 'close', kind: 'ghost small',
      onclick: () => {
        siblings.splice(index, 1);
        draw(siblings[Math.min(index, siblings.length - 1)]);
        if (siblings.length === 0) element.querySelector('.cluster .btn')?.focus();
      },
    });
  }

  function card(node, siblings, index, place, depth) {
    const here = `${place}[${index}]`;
    const inner = node.kind === 'leaf' ? leaf(node, siblings, index, here) : group(node, siblings, index, here, depth);
    inner.node = node;
    inner.dataset.node = '';
    inner.dataset.within = here;
    inner.dataset.field = listPlace + here;
    inner.append(h('p', { class: 'field-error' }));
    return inner;
  }

  function leaf(node, siblings, index, here) {
    const number = here.replaceAll(/\D+/g, ' ').trim().split(' ').map((one) => Number(one) + 1).join('.');
    const by = h('select', {
      class: 'input', 'aria-label': `Filter ${number} looks at`, value: node.by,
      onchange: () => { node.by = by.value; hint(); changed(); },
    }, h('option', { value: 'key', selected: node.by === 'key' }, 'Key'), h('option', { value: 'path', selected: node.by === 'path' }, 'Path'));
    const name = h('input', { class: 'input mono', 'aria-label': `Filter ${number} key or path`, value: node.name, spellcheck: 'false', autocomplete: 'off', oninput: () => { node.name = name.value; changed(); } });
    const value = h('input', {
      class: 'input mono', 'aria-label': `Filter ${number} value (JSON)`, value: node.text, placeholder: '"trade", 12, true, {"side": "buy"}', spellcheck: 'false', autocomplete: 'off',
      oninput: () => { node.text = value.value; changed(); },
      onchange: () => { node.text = completed(value.value); value.value = node.text; changed(); },
    });
    const hint = () => { name.placeholder = node.by === 'key' ? 'type' : 'data.order.status'; };
    hint();
    return h('div', { class: 'filter-card', role: 'group', 'aria-label': `Filter ${number}` },
      h('div', { class: 'filter-parts' }, by, name, h('span', { class: 'muted', 'aria-hidden': 'true' }, '='), value, removeButton(siblings, index, `filter ${number}`)));
  }

  function group(node, siblings, index, here, depth) {
    const kind = h('select', {
      class: 'input', 'aria-label': 'Group matches when', value: node.kind,
      onchange: () => { node.kind = kind.value; draw(node); },
    }, GROUP_KINDS.map((one) => h('option', { value: one, selected: one === node.kind }, GROUP_TEXT[one])));
    return h('div', { class: 'filter-card group', role: 'group', 'aria-label': `${GROUP_TEXT[node.kind]} these filters` },
      h('div', { class: 'filter-parts' }, kind, h('span', { class: 'muted grow' }, 'these match:'), removeButton(siblings, index, 'group')),
      h('div', { class: 'filter-children' }, node.children.map((child, at) => card(child, node.children, at, `${here}.${node.kind}`, depth + 1)), adders(node.children, depth + 1)));
  }

  draw();
  return {
    element,
    get filters() { return nodes.map(toFilter); },
    get logic() { return present; },
    problems: () => problems(nodes, listPlace),
    place(name) {
      listPlace = name;
      for (const one of list.querySelectorAll('[data-within]')) one.dataset.field = name + one.dataset.within;
    },
    add: (filter) => add(nodes, toNode(filter)),
  };
}

/** Filters of a saved trigger in words, for reading. */
export const filterSummary = (filters, logic) => h('p', { class: 'filter-words' }, icon('search'), inWords((filters ?? []).map(toNode), logic ?? 'and'));
