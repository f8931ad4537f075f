// The trigger's optional fields (heartbeat and everything under "advanced"): names, words, defaults. Data only.

const ACTIONS = [['reconnect', 'Reconnect'], ['reset', 'Forget stored values, then reconnect'], ['disable', 'Disable the trigger']];

export const HEARTBEAT = [
  { name: 'heartbeat.interval_secs', kind: 'number', min: 1, label: 'Every (seconds)', help: 'How often the heartbeat text is sent. Default: no heartbeat.' },
  { name: 'heartbeat.message', kind: 'text', mono: true, label: 'Heartbeat text', help: 'May be a template; {{state}} is the value of the field below.', placeholder: '{"op": 1, "d": {{state}}}' },
  { name: 'heartbeat.state_field', kind: 'text', mono: true, label: 'State field', help: 'Field of received messages whose newest value is {{state}}. Default: none.', placeholder: 's' },
  { name: 'heartbeat.interval_field', kind: 'text', mono: true, label: 'Interval field', help: 'Path of a received field that gives the interval in milliseconds. Default: none.', placeholder: 'd.heartbeat_interval' },
  { name: 'heartbeat.idle_only', kind: 'check', label: 'Only after silence', help: 'Send only when nothing was sent for one interval. Default: off.' },
  { name: 'heartbeat.expect', kind: 'expect', label: 'Expected answer', help: 'Without such a message in time the connection counts as dead and is made anew. Default: none.' },
];

/** `[title, what it is about, fields]`. */
export const ADVANCED = [
  ['Handshake', 'headers, sub-protocols, proxy', [
    { name: 'headers', kind: 'pairs', label: 'Headers', names: { key: 'Authorization', value: 'Bearer $var:u/admin/token' }, addText: 'Add header', help: 'Sent with the handshake. $var:<path> is replaced by the variable at each connect. Default: none.' },
    { name: 'subprotocols', kind: 'list', mono: true, label: 'Sub-protocols', help: 'Separated by commas, the preferred one first. Default: none.', placeholder: 'graphql-transport-ws' },
    { name: 'proxy', kind: 'text', mono: true, label: 'Proxy', help: 'Default: what the environment says.', placeholder: 'http://proxy.internal:3128' },
    { name: 'connect_rate', kind: 'number', min: 0, step: 'any', label: 'Connects per second', help: 'Most connects a second to the same host. Default: no limit.' },
  ]],
  ['TLS', 'own authority, client certificate', [
    { name: 'tls.ca_pem', kind: 'area', label: 'Certificate authority (PEM)', help: 'Trusted besides the public ones; PEM text or $var:<path>. Default: none.' },
    { name: 'tls.client_cert_pem', kind: 'area', label: 'Client certificate (PEM)', help: 'PEM text or $var:<path>. Default: none.' },
    { name: 'tls.client_key_pem', kind: 'area', label: 'Client key (PEM)', help: 'Better kept in a secret variable: $var:<path>. Default: none.' },
  ]],
  ['Reconnect and dead connections', 'waits, ping, idle timeout, close codes', [
    { name: 'reconnect.initial_delay_ms', kind: 'number', min: 10, label: 'First wait (ms)', placeholder: '500', help: 'Longest wait before the first new attempt; it doubles each time. Default 500.' },
    { name: 'reconnect.max_delay_ms', kind: 'number', min: 10, label: 'Longest wait (ms)', placeholder: '60000', help: 'No attempt waits longer. Default 60,000.' },
    { name: 'reconnect.max_attempts', kind: 'number', min: 1, label: 'Most attempts', help: 'Then the trigger is disabled with the error. Default: never give up.' },
    { name: 'ping_interval_secs', kind: 'number', min: 0, label: 'Ping every (seconds)', placeholder: '30', help: 'Without an answer for two intervals the connection is made anew. 0 = off. Default 30.' },
    { name: 'idle_timeout_secs', kind: 'number', min: 1, label: 'Idle timeout (seconds)', help: 'Reconnect when no message came for that long. Default: none.' },
    { name: 'on_close', kind: 'pairs', label: 'On close code', names: { key: '4004 or default' }, choices: ACTIONS, addText: 'Add close code', help: 'What to do when the server closes with a code. Default: reconnect.' },
  ]],
  ['Conversation', 'answers without a job, stored values', [
    { name: 'conversation', kind: 'conversation', label: 'Rules', help: 'Each text message is held against every rule, in this order. Default: none.' },
  ]],
  ['Messages', 'binary, size', [
    { name: 'binary', kind: 'select', label: 'Binary messages', options: [['', 'Ignore and count (default)'], ['ignore', 'Ignore and count'], ['base64', 'Hand on as base64 text']], help: 'Filters see no JSON in a binary message.' },
    { name: 'max_message_bytes', kind: 'number', min: 1, label: 'Largest message (bytes)', placeholder: '16777216', help: 'A larger one closes the connection with 1009. Default 16 MiB.' },
  ]],
  ['Jobs', 'order, limits, retries, error handler', [
    { name: 'ordered', kind: 'check', label: 'Keep the order', help: 'Jobs run one at a time in the order their messages came. Default: off.' },
    { name: 'max_in_flight', kind: 'number', min: 1, label: 'Most jobs at once', help: 'Of this trigger; the others wait in the queue. Default: no limit.' },
    { name: 'retry.constant.attempts', kind: 'number', min: 0, label: 'Retries', help: 'How often a failed job is tried again. Default: never.' },
    { name: 'retry.constant.seconds', kind: 'number', min: 0, label: 'Wait between retries (seconds)', help: 'Only together with retries.' },
    { name: 'retry.exponential.attempts', kind: 'number', min: 0, label: 'Retries with growing waits', help: 'After the ones above. Default: none.' },
    { name: 'retry.exponential.seconds', kind: 'number', min: 1, label: 'First growing wait (seconds)', help: 'The base that grows with each try.' },
    { name: 'retry.exponential.multiplier', kind: 'number', min: 0, label: 'Multiplier', help: 'What each growing wait is multiplied with.' },
    { name: 'retry.exponential.random_factor', kind: 'number', min: 0, max: 100, label: 'Random part (%)', help: 'Spreads retries so that they do not all come at once.' },
    { name: 'retry.retry_if.expr', kind: 'text', mono: true, wide: true, label: 'Retry only if', help: 'Expression with result and error. Default: after every failure.', placeholder: 'error.name !== "Invalid"' },
    { name: 'error_handler_path', kind: 'runnable', label: 'Error handler', help: 'A script that runs when a job has failed for good. Default: none.', template: 'error', args: 'error_handler_args', argsLabel: 'Error handler arguments', argsHelp: 'Added to what the handler gets. Default: none.' },
  ]],
  ['Labels and rights', 'labels, run as', [
    { name: 'labels', kind: 'list', label: 'Labels', help: 'Separated by commas; the list can be filtered by them. Default: none.', placeholder: 'market-data, production' },
    { name: 'permissioned_as', kind: 'text', mono: true, label: 'Run as', help: 'User or group whose rights the jobs have. Default: you.', placeholder: 'u/admin' },
  ]],
];
