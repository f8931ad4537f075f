-- People, whatever workspaces they belong to. Addresses are kept in lower case.
CREATE TABLE accounts (
    email TEXT PRIMARY KEY NOT NULL,
    username TEXT NOT NULL,
    name TEXT,
    password_hash TEXT, -- Argon2id in PHC format; without one, one logs in by token or link
    super_admin BOOLEAN NOT NULL,
    disabled BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL
);
INSERT INTO accounts (email, username, super_admin, disabled, created_at)
SELECT email, MIN(username), MAX(super_admin OR email = 'admin@windsock.local'), FALSE, MIN(created_at)
FROM (
    SELECT email, username, FALSE AS super_admin, created_at FROM users
    UNION ALL
    SELECT email, username, super_admin, created_at FROM tokens WHERE kind <> 'job'
) AS known
GROUP BY email;

-- Who else may do something together; everybody is in group "all", which has no row.
CREATE TABLE user_groups (
    workspace_id TEXT NOT NULL REFERENCES workspaces (id),
    name TEXT NOT NULL,
    summary TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, name)
);
CREATE TABLE group_members (
    workspace_id TEXT NOT NULL,
    group_name TEXT NOT NULL,
    username TEXT NOT NULL,
    PRIMARY KEY (workspace_id, username, group_name)
);
CREATE INDEX group_members_by_group ON group_members (workspace_id, group_name);

-- Every request of a person asks for these.
CREATE UNIQUE INDEX users_by_email ON users (email, workspace_id);
CREATE INDEX tokens_by_email ON tokens (email);
