// Settings page: who one is, how the page looks, tokens, the linked Windmill, how the server is and was started, and where its documentation is.
import * as api from '../api.js';
import { askPassword } from '../parts/accounts.js';
import { pastAlertsCard } from '../parts/alerts.js';
import { button, errorState, fill, h, linkButton, pageHead, skeleton } from '../parts/dom.js';
import { groupField, radioGroup } from '../parts/field.js';
import { healthCard } from '../parts/health.js';
import { fact } from '../parts/job.js';
import { remoteCard } from '../parts/remote.js';
import { serverSettingsCards } from '../parts/server-settings.js';
import { badge } from '../parts/status.js';
import { tokensCard } from '../parts/tokens.js';

const wide = (element) => {
  element.classList.add('wide');
  return element;
};

export async function render(root, { signal, loaded }) {
  const me = h('div', {}, skeleton(1, 'low'));
  const card = (title, ...content) => h('section', { class: 'card', 'aria-label': title }, h('div', { class: 'card-head' }, h('h2', {}, title)), content);
  const theme = radioGroup({
    label: 'Theme', options: [['system', 'Like the system'], ['light', 'Light'], ['dark', 'Dark']], value: window.windsockTheme.get(), onchange: (choice) => window.windsockTheme.set(choice),
  });
  document.addEventListener('windsock:theme', (event) => theme.set(event.detail), { signal });
  const known = api.whoami(signal);
  known.catch(() => {}); // told below
  fill(root, pageHead({ title: 'Settings' }), h('div', { class: 'stack settings-page' },
    h('div', { class: 'half-grid' }, card('You', me), card('This page', groupField({ name: 'theme', label: 'Theme', help: 'Kept in this browser.', body: theme.element }))),
    tokensCard({ signal }), remoteCard({ signal }), healthCard({ signal }), pastAlertsCard({ signal }), serverSettingsCards({ signal, mayChange: () => known.then((user) => user.is_super_admin) }),
    card('API', h('p', {}, 'Everything on this page is done through the API. ', h('a', { href: '/api/openapi.json', target: '_blank', rel: 'noopener' }, 'OpenAPI document'), ' · ',
      h('a', { href: '/metrics', target: '_blank', rel: 'noopener' }, 'Prometheus metrics'), ' · ', h('a', { href: '/api/health/status', target: '_blank', rel: 'noopener' }, 'Health')))));
  try {
    const user = await known;
    fill(me, h('dl', { class: 'facts' }, fact('User', user.username), wide(fact('E-mail', user.email)), fact('Workspace', api.currentWorkspace()),
      fact('Rights', user.is_super_admin ? badge('super admin') : user.is_admin ? badge('admin') : badge('user'))),
    h('div', { class: 'cluster' }, button({ text: 'Set your password', iconName: 'key', kind: 'small', onclick: () => askPassword() }), (user.is_admin || user.is_super_admin) && [linkButton({ text: 'Users & groups', href: '/settings/people', iconName: 'user', kind: 'small' }), linkButton({ text: 'Audit log', href: '/settings/audit', iconName: 'clock', kind: 'small' })]),
    (user.folders ?? []).length > 0 && h('p', { class: 'muted' }, `Folders: ${user.folders.join(', ')}`));
    loaded();
  } catch (error) {
    if (!signal.aborted) fill(me, errorState(error));
  }
}
