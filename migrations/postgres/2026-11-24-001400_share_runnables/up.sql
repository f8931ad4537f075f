-- With whom scripts and flows are shared alone. A row has no more than it takes: what is shared with nobody has none.
CREATE TABLE runnable_perms (
    workspace_id TEXT NOT NULL REFERENCES workspaces (id),
    is_flow BOOLEAN NOT NULL,
    path TEXT NOT NULL,
    extra_perms TEXT NOT NULL, -- JSON object: owner -> may write
    PRIMARY KEY (workspace_id, is_flow, path)
);
