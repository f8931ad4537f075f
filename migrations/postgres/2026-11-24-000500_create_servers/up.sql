-- Every process that lives, with the number its writes are fenced by. A row that is not renewed is deleted by another
-- process; from then on nothing that carries its number is committed. Moments are the database's own clock.
CREATE TABLE servers (
    fence BIGSERIAL PRIMARY KEY NOT NULL,
    id TEXT NOT NULL,
    listens BOOLEAN NOT NULL,
    workers INTEGER NOT NULL,
    watched BOOLEAN NOT NULL, -- somebody follows events on it
    started_at BIGINT NOT NULL,
    ping_at BIGINT NOT NULL
);

-- Who listens for a trigger. Renewed by its server's row, gone with it.
CREATE TABLE trigger_leases (
    workspace_id TEXT NOT NULL,
    path TEXT NOT NULL,
    fence BIGINT NOT NULL REFERENCES servers (fence) ON DELETE CASCADE,
    PRIMARY KEY (workspace_id, path),
    FOREIGN KEY (workspace_id, path) REFERENCES triggers (workspace_id, path) ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE INDEX trigger_leases_by_server ON trigger_leases (fence);

-- What the server that listens says of a trigger, at most a second old. Lost with a crash of the database, said anew.
CREATE UNLOGGED TABLE trigger_status (
    workspace_id TEXT NOT NULL,
    path TEXT NOT NULL,
    server_id TEXT NOT NULL,
    status TEXT NOT NULL, -- JSON, as the API shows it
    PRIMARY KEY (workspace_id, path),
    FOREIGN KEY (workspace_id, path) REFERENCES triggers (workspace_id, path) ON UPDATE CASCADE ON DELETE CASCADE
) WITH (fillfactor = 50);

-- Jobs that ended in another process than the one that waits for them: it fetches its own and deletes them.
-- The upper half of a connection's number is the fence of the server that holds it; 0 in the lower half: not a
-- connection, somebody in that process waits for the job.
CREATE TABLE replies (
    connection BIGINT NOT NULL,
    job_id BYTEA NOT NULL,
    PRIMARY KEY (connection, job_id)
);
