-- What happened to each trigger's connection: the newest 200 events of each (db/connection_log.rs).
CREATE TABLE connection_log (
    id BIGSERIAL PRIMARY KEY,
    workspace_id TEXT NOT NULL,
    trigger_path TEXT NOT NULL,
    first_at BIGINT NOT NULL,
    at BIGINT NOT NULL, -- differs from first_at when it happened several times in a row
    event TEXT NOT NULL,
    text TEXT NOT NULL,
    times BIGINT NOT NULL,
    server_id TEXT -- null: through the API
);
CREATE INDEX connection_log_by_trigger ON connection_log (workspace_id, trigger_path, id);
