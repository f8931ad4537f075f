// What the audit log's operations are called: `websocket_triggers.update` is "trigger changed". Data only.

const THINGS = {
  websocket_triggers: 'trigger', scripts: 'script', flows: 'flow', variables: 'variable', resources: 'resource', folders: 'folder', groups: 'group', users: 'user', jobs: 'run', alerts: 'alert', workspaces: 'workspace', tokens: 'token',
};
const DEEDS = {
  create: 'created', update: 'changed', delete: 'deleted', enable: 'enabled', disable: 'disabled', suspend: 'suspended', resume_jobs: 'held jobs run', discard_jobs: 'held jobs discarded', share: 'shared', archive: 'archived', unarchive: 'brought back',
  add: 'added to the workspace', remove: 'removed from the workspace', login: 'logged in', setpassword: 'password set', adduser: 'member added', removeuser: 'member taken out', cancel: 'cancelled', acknowledge: 'acknowledged', mute: 'muted',
  edit_remote: 'linked to a Windmill', remove_remote: 'no longer linked',
};
/** What changed in ways that cannot be taken back, or lets somebody do more. */
const TONES = { Created: 'ok', Deleted: 'bad', Executed: 'busy' };

/** The kinds of things, for a filter: `[operation's beginning, text]`. */
export const KINDS = Object.entries(THINGS).map(([name, text]) => [`${name}.`, `${text[0].toUpperCase()}${text.slice(1)}s`]);

/** An operation in words. */
export function operationText(operation) {
  const [thing, deed] = operation.split('.');
  return `${THINGS[thing] ?? thing} ${DEEDS[deed] ?? (deed ?? '').replaceAll('_', ' ')}`.trim();
}

/** A deed on a thing that is named already. */
export const deedText = (deed) => DEEDS[deed] ?? deed.replaceAll('_', ' ');

export const toneOf = (actionKind) => TONES[actionKind];
