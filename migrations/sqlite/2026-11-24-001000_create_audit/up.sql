-- Who changed what. No contents: changes names the fields. Without a workspace: what concerns the whole server.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    workspace_id TEXT NOT NULL,
    at BIGINT NOT NULL,
    username TEXT NOT NULL,
    email TEXT NOT NULL,
    operation TEXT NOT NULL, -- such as websocket_triggers.update
    resource TEXT NOT NULL, -- path or name
    token_prefix TEXT NOT NULL,
    source TEXT NOT NULL, -- ui, cli, api, worker
    changes TEXT -- JSON array of text
);
CREATE INDEX audit_by_workspace ON audit (workspace_id, id);
