-- Every version of every flow; the newest that is neither archived nor deleted is what runs.
CREATE TABLE flows (
    workspace_id TEXT NOT NULL REFERENCES workspaces (id),
    version BIGINT NOT NULL,
    path TEXT NOT NULL,
    summary TEXT NOT NULL,
    description TEXT NOT NULL,
    value TEXT NOT NULL, -- JSON, as it was sent
    schema_json TEXT, -- JSON Schema of the arguments
    preprocessor TEXT, -- v1, v2, or null when the flow has none
    tag TEXT,
    timeout_secs INTEGER,
    settings TEXT NOT NULL, -- JSON object: the fields a client sent that windsock only keeps
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    archived BOOLEAN NOT NULL,
    deleted BOOLEAN NOT NULL,
    PRIMARY KEY (workspace_id, version)
);
CREATE INDEX flows_by_path ON flows (workspace_id, path, created_at);

-- Where each run of a flow is, from its first step on; kept as long as its job.
CREATE TABLE flow_runs (
    job_id BLOB PRIMARY KEY NOT NULL,
    revision BIGINT NOT NULL, -- grows with every change, so that two processes never build on the same state
    status TEXT NOT NULL, -- JSON, see FlowStatus
    early TEXT -- JSON: the result already given to those who waited (early_return), behind a ! when its step had failed
);

-- What is too large to be written with every step: the list a loop goes through, states of users.
CREATE TABLE flow_values (
    job_id BLOB NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL, -- JSON
    PRIMARY KEY (job_id, name)
);

-- How many jobs called each other to come to this one.
ALTER TABLE queue ADD COLUMN depth INTEGER NOT NULL DEFAULT 0;
-- state 3: a flow that waits for its steps; it wakes at lease_until.
CREATE INDEX queue_parked ON queue (lease_until) WHERE state = 3;
CREATE INDEX queue_by_parent ON queue (parent_job) WHERE parent_job IS NOT NULL;
CREATE INDEX completed_by_parent ON completed (parent_job, id) WHERE parent_job IS NOT NULL;
