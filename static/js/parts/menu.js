// Menus: a button that opens a list of actions; arrows, Home, End and Escape work, focus comes back to the button.
import { button, h, icon, uid } from './dom.js';

let open = null;

/**
 * A button with a menu. `items()` is asked at each opening; an item is `{text, iconName?, onselect|href, danger?, checked?}`
 * or null for a line between groups.
 */
export function menuButton({ label, text, iconName = 'more', kind = 'ghost', items }) {
  const id = uid('menu');
  const element = button({ text, label, iconName, kind, 'aria-haspopup': 'menu', 'aria-expanded': 'false', 'aria-controls': id });
  element.addEventListener('click', () => (open?.owner === element ? close() : show(element, id, label, items(), 0)));
  element.addEventListener('keydown', (event) => {
    if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
    event.preventDefault();
    show(element, id, label, items(), event.key === 'ArrowUp' ? -1 : 0);
  });
  return element;
}

function show(owner, id, label, items, focusAt) {
  close(false);
  const menu = h('div', { class: 'menu', role: 'menu', id, 'aria-label': label },
    items.map((item) => item === null ? h('div', { class: 'menu-line', role: 'separator' }) : entry(item)));
  document.body.append(menu);
  place(menu, owner);
  owner.setAttribute('aria-expanded', 'true');
  const away = new AbortController();
  open = { owner, menu, away };
  const options = { signal: away.signal, capture: true };
  document.addEventListener('pointerdown', (event) => {
    if (!menu.contains(event.target) && !owner.contains(event.target)) close(false);
  }, options);
  window.addEventListener('scroll', () => close(false), options);
  window.addEventListener('resize', () => close(false), options);
  menu.addEventListener('keydown', onKey);
  menu.querySelectorAll('[role^="menuitem"]')[focusAt === -1 ? menu.querySelectorAll('[role^="menuitem"]').length - 1 : 0]?.focus({ preventScroll: true });
}

function entry({ text, iconName, onselect, href, danger, checked }) {
  const props = {
    class: danger ? 'menu-item danger' : 'menu-item',
    role: checked === undefined ? 'menuitem' : 'menuitemradio',
    'aria-checked': checked,
    tabindex: '-1',
    onclick: () => {
      close();
      onselect?.();
    },
  };
  const content = [iconName ? icon(iconName) : h('span', { class: 'icon' }), h('span', {}, text), checked && icon('check')];
  return href ? h('a', { ...props, href }, content) : h('button', { ...props, type: 'button' }, content);
}

/** Below the button, or above it where there is no room; never past the window's edge. */
function place(menu, owner) {
  const anchor = owner.getBoundingClientRect();
  const { width, height } = menu.getBoundingClientRect();
  const below = anchor.bottom + 4;
  const top = below + height > window.innerHeight - 8 ? Math.max(8, anchor.top - height - 4) : below;
  const left = Math.min(Math.max(8, anchor.right - width), window.innerWidth - width - 8);
  menu.style.setProperty('top', `${top}px`);
  menu.style.setProperty('left', `${left}px`);
}

function onKey(event) {
  const items = [...open.menu.querySelectorAll('[role^="menuitem"]')];
  const at = items.indexOf(document.activeElement);
  const moves = { ArrowDown: (at + 1) % items.length, ArrowUp: (at - 1 + items.length) % items.length, Home: 0, End: items.length - 1 };
  if (event.key in moves) {
    event.preventDefault();
    items[moves[event.key]].focus();
  } else if (event.key === 'Escape') {
    event.preventDefault();
    event.stopPropagation();
    close();
  } else if (event.key === 'Tab') {
    close();
  } else if (event.key === ' ' && items[at]?.tagName === 'A') {
    event.preventDefault();
    items[at].click();
  } else if (event.key.length === 1) {
    const wanted = event.key.toLowerCase();
    [...items.slice(at + 1), ...items.slice(0, at + 1)].find((one) => one.textContent.trim().toLowerCase().startsWith(wanted))?.focus();
  }
}

function close(refocus = true) {
  if (!open) return;
  const { owner, menu, away } = open;
  open = null;
  away.abort();
  menu.remove();
  owner.setAttribute('aria-expanded', 'false');
  if (refocus) owner.focus({ preventScroll: true });
}
