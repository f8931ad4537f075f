// Flows page: every flow.
import * as api from '../api.js';
import { runnableList } from '../parts/runnable-list.js';

export const render = (root, params) => runnableList(root, params, {
  one: 'flow', many: 'flows', title: 'Flows', head: 'Flow', column: 'Tag', routes: api.flows,
  columnOf: (flow) => flow.tag ?? '',
  lead: 'Scripts one after the other, with branches, loops and retries, as OpenFlow.',
  what: 'A flow runs several steps for a message: scripts, branches and loops, each with its own retries.',
});
