-- Moments are microseconds since the Unix epoch; columns that hold JSON say so.
CREATE TABLE workspaces (
    id TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL,
    owner TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE users (
    workspace_id TEXT NOT NULL REFERENCES workspaces (id),
    username TEXT NOT NULL,
    email TEXT NOT NULL,
    is_admin BOOLEAN NOT NULL,
    operator BOOLEAN NOT NULL,
    disabled BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, username)
);

-- Only the SHA-256 of a token is kept. kind: api, session, login_link, job.
CREATE TABLE tokens (
    hash BYTEA PRIMARY KEY NOT NULL,
    prefix TEXT NOT NULL,
    kind TEXT NOT NULL,
    username TEXT NOT NULL,
    email TEXT NOT NULL,
    super_admin BOOLEAN NOT NULL,
    label TEXT,
    workspace_id TEXT,
    scopes TEXT, -- JSON array of text
    read_only BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    last_used_at BIGINT NOT NULL
);
CREATE INDEX tokens_by_prefix ON tokens (prefix);
CREATE INDEX tokens_by_expiry ON tokens (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE folders (
    workspace_id TEXT NOT NULL REFERENCES workspaces (id),
    name TEXT NOT NULL,
    display_name TEXT NOT NULL,
    owners TEXT NOT NULL, -- JSON array of text
    extra_perms TEXT NOT NULL, -- JSON object: owner -> may write
    summary TEXT,
    created_by TEXT NOT NULL,
    edited_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, name)
);

-- One row a version; the newest one at a path that is neither archived nor deleted is the one that runs.
CREATE TABLE scripts (
    workspace_id TEXT NOT NULL REFERENCES workspaces (id),
    hash BIGINT NOT NULL,
    path TEXT NOT NULL,
    parent_hash BIGINT,
    summary TEXT NOT NULL,
    description TEXT NOT NULL,
    content TEXT NOT NULL,
    language TEXT NOT NULL,
    kind TEXT NOT NULL,
    schema_json TEXT, -- JSON Schema of main's parameters
    preprocessor TEXT, -- v1, v2, or null when the script has none
    lock TEXT,
    tag TEXT,
    timeout_secs INTEGER,
    dedicated_worker BOOLEAN,
    settings TEXT NOT NULL, -- JSON object: the fields a client sent that windsock only keeps
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    archived BOOLEAN NOT NULL,
    deleted BOOLEAN NOT NULL,
    PRIMARY KEY (workspace_id, hash)
);
CREATE INDEX scripts_by_path ON scripts (workspace_id, path, created_at);

CREATE TABLE variables (
    workspace_id TEXT NOT NULL REFERENCES workspaces (id),
    path TEXT NOT NULL,
    value TEXT NOT NULL,
    is_secret BOOLEAN NOT NULL,
    description TEXT NOT NULL,
    extra_perms TEXT NOT NULL, -- JSON object
    edited_by TEXT NOT NULL,
    edited_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, path)
);

CREATE TABLE resources (
    workspace_id TEXT NOT NULL REFERENCES workspaces (id),
    path TEXT NOT NULL,
    value TEXT NOT NULL, -- JSON
    resource_type TEXT NOT NULL,
    description TEXT NOT NULL,
    extra_perms TEXT NOT NULL, -- JSON object
    edited_by TEXT NOT NULL,
    edited_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, path)
);

CREATE TABLE triggers (
    workspace_id TEXT NOT NULL REFERENCES workspaces (id),
    path TEXT NOT NULL,
    script_path TEXT NOT NULL,
    is_flow BOOLEAN NOT NULL,
    url TEXT NOT NULL,
    mode TEXT NOT NULL,
    filters TEXT NOT NULL, -- JSON array
    filter_logic TEXT NOT NULL,
    initial_messages TEXT, -- JSON array
    url_runnable_args TEXT, -- JSON object
    can_return_message BOOLEAN NOT NULL,
    can_return_error_result BOOLEAN NOT NULL,
    heartbeat TEXT, -- JSON object
    error_handler_path TEXT,
    error_handler_args TEXT, -- JSON object
    retry TEXT, -- JSON object
    permissioned_as TEXT NOT NULL,
    labels TEXT NOT NULL, -- JSON array of text
    extra_perms TEXT NOT NULL, -- JSON object
    options TEXT NOT NULL, -- JSON object: windsock's own fields (contract section 3)
    edited_by TEXT NOT NULL,
    edited_at BIGINT NOT NULL,
    -- Grows with every change of the row, so a listener sees whether what it runs is what is wanted.
    version BIGINT NOT NULL,
    server_id TEXT,
    last_server_ping BIGINT,
    error TEXT,
    PRIMARY KEY (workspace_id, path)
);
CREATE INDEX triggers_by_runnable ON triggers (workspace_id, script_path);

-- Jobs that have not ended. state: 0 queued, 1 running, 2 held by a suspended trigger.
CREATE TABLE queue (
    id BYTEA PRIMARY KEY NOT NULL,
    workspace_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    runnable_path TEXT,
    runnable_hash BIGINT,
    raw TEXT, -- JSON {content, language} of a preview
    args TEXT NOT NULL, -- JSON object
    preprocess BOOLEAN NOT NULL,
    trigger_kind TEXT,
    trigger_path TEXT,
    created_by TEXT NOT NULL,
    permissioned_as TEXT NOT NULL,
    parent_job BYTEA,
    root_job BYTEA,
    flow_step_id TEXT,
    tag TEXT,
    priority INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    scheduled_at BIGINT NOT NULL,
    timeout_secs INTEGER,
    reply_to BIGINT, -- the connection its result goes back on, as its server numbered it
    options TEXT, -- JSON object: retry, error handler
    state INTEGER NOT NULL,
    worker TEXT,
    started_at BIGINT,
    lease_until BIGINT,
    lost INTEGER NOT NULL, -- how many workers died over it
    canceled_by TEXT,
    cancel_reason TEXT
);
CREATE INDEX queue_ready ON queue (priority DESC, scheduled_at, id) WHERE state = 0;
CREATE INDEX queue_leases ON queue (lease_until) WHERE state = 1;
CREATE INDEX queue_by_trigger ON queue (workspace_id, trigger_path, state, id) WHERE trigger_path IS NOT NULL;

CREATE TABLE completed (
    id BYTEA PRIMARY KEY NOT NULL,
    workspace_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    runnable_path TEXT,
    runnable_hash BIGINT,
    raw TEXT,
    args TEXT NOT NULL, -- JSON object, as main got it
    preprocessed BOOLEAN NOT NULL,
    trigger_kind TEXT,
    trigger_path TEXT,
    created_by TEXT NOT NULL,
    permissioned_as TEXT NOT NULL,
    parent_job BYTEA,
    root_job BYTEA,
    flow_step_id TEXT,
    tag TEXT,
    created_at BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    completed_at BIGINT NOT NULL,
    success BOOLEAN NOT NULL,
    canceled_by TEXT, -- null: not canceled
    cancel_reason TEXT,
    result TEXT NOT NULL, -- JSON
    worker TEXT
);
CREATE INDEX completed_by_workspace ON completed (workspace_id, id);
CREATE INDEX completed_by_trigger ON completed (workspace_id, trigger_path, id) WHERE trigger_path IS NOT NULL;
CREATE INDEX completed_by_runnable ON completed (workspace_id, runnable_path, id) WHERE runnable_path IS NOT NULL;
CREATE INDEX completed_failures ON completed (workspace_id, id) WHERE success = FALSE;

-- What jobs printed, in pieces as they came.
CREATE TABLE job_logs (
    job_id BYTEA NOT NULL,
    piece INTEGER NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (job_id, piece)
);

-- What conversation rules stored, for {{vars.name}}.
CREATE TABLE trigger_vars (
    workspace_id TEXT NOT NULL,
    trigger_path TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL, -- JSON
    PRIMARY KEY (workspace_id, trigger_path, name)
);

-- What all processes of an installation share.
CREATE TABLE settings (
    name TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
);
