-- What somebody should look at. alert_type: critical_error, recovered_critical_error.
CREATE TABLE alerts (
    id BIGSERIAL PRIMARY KEY NOT NULL,
    alert_type TEXT NOT NULL,
    message TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    acknowledged BOOLEAN NOT NULL,
    workspace_id TEXT NOT NULL,
    trigger_path TEXT NOT NULL,
    is_open BOOLEAN NOT NULL -- the trigger has not recovered yet
);
CREATE INDEX alerts_open ON alerts (workspace_id, trigger_path) WHERE is_open = TRUE;

-- The last hour in steps of ten seconds, for the page: one row a step, workspace and process. Only where several
-- processes share the database; one alone keeps it in memory.
CREATE UNLOGGED TABLE stat_points (
    workspace_id TEXT NOT NULL,
    at BIGINT NOT NULL,
    process TEXT NOT NULL,
    connections BIGINT NOT NULL,
    messages BIGINT NOT NULL,
    jobs BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    queue_age_ms BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, at, process)
);
