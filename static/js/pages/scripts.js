// Scripts page: every script with its language.
import * as api from '../api.js';
import { runnableList } from '../parts/runnable-list.js';
import { languageName } from '../parts/templates.js';

export const render = (root, params) => runnableList(root, params, {
  one: 'script', many: 'scripts', title: 'Scripts', head: 'Script', column: 'Language', routes: api.scripts,
  columnOf: (script) => languageName(script.language),
  lead: 'What triggers run. A script gets the message as msg and returns a result.',
  what: 'A script is what runs for a message: Python, TypeScript or Bash, with a function main.',
});
