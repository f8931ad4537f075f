// Bulk bar: what can be done with the chosen rows of a list; shown only while some are chosen.
import { button, h, setText } from './dom.js';
import { full } from './time.js';

/** `{element, set(count), each(items, work)}`; an action is `[text, icon, onselect]`. */
export function bulkBar({ what, actions, onclear }) {
  const said = h('p', { role: 'status', class: 'grow' });
  const buttons = h('div', { class: 'cluster' }, actions.map(([text, iconName, onselect]) => button({ text, iconName, kind: 'small', onclick: onselect })),
    button({ text: 'Clear selection', kind: 'small ghost', onclick: onclear }));
  const element = h('div', { class: 'bulk', role: 'group', 'aria-label': `Actions on the selected ${what}s`, hidden: true }, said, buttons);
  let busy = false;
  const set = (count) => {
    element.hidden = count === 0;
    if (!busy) setText(said, `${full(count)} ${what}${count === 1 ? '' : 's'} selected`);
  };
  /** Works on each item in turn and says how far it is; ends at the first that fails. */
  async function each(items, work) {
    busy = true;
    for (const one of buttons.children) one.disabled = true;
    try {
      let done = 0;
      for (const item of items) {
        await work(item);
        done += 1;
        setText(said, `${full(done)} of ${full(items.length)} done`);
      }
    } finally {
      busy = false;
      for (const one of buttons.children) one.disabled = false;
    }
  }
  return { element, set, each };
}
