-- What is to be captured for the editor of a runnable; live while it is pinged.
CREATE TABLE capture_configs (
    workspace_id TEXT NOT NULL,
    path TEXT NOT NULL, -- the runnable's
    is_flow BOOLEAN NOT NULL,
    trigger_config TEXT NOT NULL, -- JSON
    username TEXT NOT NULL, -- whose rights count
    version BIGINT NOT NULL,
    last_client_ping BIGINT,
    server_id TEXT, -- who listens
    last_server_ping BIGINT,
    error TEXT,
    PRIMARY KEY (workspace_id, path, is_flow)
);

-- Captured messages: the newest 100 of each runnable.
CREATE TABLE captures (
    id BIGSERIAL PRIMARY KEY,
    workspace_id TEXT NOT NULL,
    path TEXT NOT NULL,
    is_flow BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    text TEXT NOT NULL,
    bytes BIGINT NOT NULL, -- of the whole message; more than the text has when it was cut
    is_base64 BOOLEAN NOT NULL,
    url TEXT NOT NULL,
    verdict TEXT NOT NULL
);
CREATE INDEX captures_by_runnable ON captures (workspace_id, path, is_flow, id);

-- Messages kept under a name, to try filters and runnables on.
CREATE TABLE message_samples (
    workspace_id TEXT NOT NULL,
    kind TEXT NOT NULL, -- of what it is a sample: trigger, script, flow
    path TEXT NOT NULL,
    name TEXT NOT NULL,
    text TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, kind, path, name)
);
