// Shown for a path that no page has.
import { emptyState, fill, linkButton, pageHead } from '../parts/dom.js';

export function render(root) {
  fill(root, pageHead({ title: 'Nothing here' }), emptyState({
    iconName: 'search', title: 'There is no page at this address', text: 'The link may be old, or the thing it led to was renamed.',
    actions: [linkButton({ text: 'To the triggers', href: '/triggers', kind: 'primary' })],
  }));
}
