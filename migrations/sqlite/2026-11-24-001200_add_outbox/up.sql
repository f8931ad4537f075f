-- state 4: a job for the Windmill its workspace is linked to, while as many are under way there as may be. It keeps its
-- turn and its slot; claims do not see it.
CREATE INDEX queue_outbox ON queue (workspace_id, priority DESC, scheduled_at, id) WHERE state = 4;
