-- Workspaces whose runnables run in a Windmill: where it is, and the secret variable that holds its token.
CREATE TABLE remotes (
    workspace_id TEXT NOT NULL PRIMARY KEY REFERENCES workspaces (id),
    base_url TEXT NOT NULL,
    workspace TEXT NOT NULL, -- its name there
    token_variable TEXT NOT NULL,
    edited_by TEXT NOT NULL,
    edited_at BIGINT NOT NULL
);
