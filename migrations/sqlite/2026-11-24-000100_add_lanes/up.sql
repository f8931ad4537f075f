-- More states of queue.state, for jobs that may not run yet; claims look at state 0 alone:
--  8 waits for a slot of its concurrency key, has its trigger's turn
--  9 waits for its time (scheduled_at), keeps its trigger's turn
-- 10 waits in its trigger's line
-- 11 waits for its time, keeps nothing
-- 3 to 7 are free; they count as running.
ALTER TABLE queue ADD COLUMN turn BIGINT; -- place in its trigger's line; null: the trigger has none
ALTER TABLE queue ADD COLUMN concurrency_key TEXT; -- which runs it counts among; null: unlimited
CREATE INDEX queue_turns ON queue (workspace_id, trigger_path, state, turn) WHERE turn IS NOT NULL;
CREATE INDEX queue_slots ON queue (concurrency_key, state, priority DESC, scheduled_at, id) WHERE concurrency_key IS NOT NULL;
CREATE INDEX queue_later ON queue (scheduled_at) WHERE state = 9 OR state = 11;

-- What bounds how many jobs run at once: a trigger's max_in_flight and ordered, a concurrency key's limit.
CREATE TABLE lanes (
    key TEXT PRIMARY KEY NOT NULL,
    max_jobs BIGINT, -- null: no bound any more
    ordered BOOLEAN NOT NULL,
    window_us BIGINT NOT NULL, -- jobs that ended so lately count as well
    last_turn BIGINT NOT NULL,
    wake_at BIGINT -- when to look again without an occasion
);
CREATE INDEX lanes_to_wake ON lanes (wake_at) WHERE wake_at IS NOT NULL;

-- Ends of jobs that still count, of lanes with a window.
CREATE TABLE lane_ends (
    lane_key TEXT NOT NULL,
    ended_at BIGINT NOT NULL,
    job_id BLOB NOT NULL,
    PRIMARY KEY (lane_key, ended_at, job_id)
);

-- Jobs of the future waited in state 0 before.
UPDATE queue SET state = 11 WHERE state = 0 AND scheduled_at > created_at;
