// Versions of a script or a flow: the list, what changed between one and the editor, and taking one back.
import { diffView } from './diff.js';
import { button, emptyState, errorState, fill, h, skeleton } from './dom.js';
import { openDialog } from './dialog.js';
import { moment } from './time.js';

/**
 * Opens the versions. `list()` gives `[{id, created_at, created_by, deployment_msg}]`, newest first; `text(id)` the text
 * of one; `present()` what stands in the editor. Resolves with a text to be put into the editor, or null.
 */
export function versionsDialog({ list, text, present }) {
  const detail = h('div', { class: 'stack-small' }, skeleton(3, 'low'));
  const side = h('ol', { class: 'versions', 'aria-label': 'Versions' });
  let chosen = null;
  let round = 0;

  async function choose(version, entry) {
    round += 1;
    const mine = round;
    chosen = null;
    for (const one of side.querySelectorAll('[aria-current]')) one.removeAttribute('aria-current');
    entry.setAttribute('aria-current', 'true');
    fill(detail, skeleton(3, 'low'));
    try {
      const content = await text(version.id);
      if (mine !== round) return; // another one was chosen meanwhile
      chosen = content;
      fill(detail, h('p', { class: 'muted' }, 'From this version to what stands in the editor:'), diffView(content, present()));
    } catch (error) {
      if (mine === round) fill(detail, errorState(error, () => choose(version, entry)));
    }
  }

  list().then((versions) => {
    if (versions.length === 0) return fill(detail, emptyState({ iconName: 'clock', title: 'No version yet', text: 'Saving makes the first one.' }));
    fill(side, versions.map((version, index) => {
      const entry = h('button', { type: 'button', class: 'version', onclick: () => choose(version, entry) },
        h('span', {}, moment(version.created_at), index === 0 && ' · newest'), h('span', { class: 'muted' }, `by ${version.created_by ?? '–'}${version.deployment_msg ? `: ${version.deployment_msg}` : ''}`));
      return h('li', {}, entry);
    }));
    return side.querySelector('button').click();
  }, (error) => fill(detail, errorState(error)));
  return openDialog({
    title: 'Versions', wide: true, body: h('div', { class: 'versions-grid' }, side, detail),
    actions: (close) => [button({ text: 'Close', onclick: () => close() }), button({ text: 'Put this version into the editor', kind: 'primary', onclick: () => chosen !== null && close(chosen) })],
  });
}
