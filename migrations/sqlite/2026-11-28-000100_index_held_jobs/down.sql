DROP INDEX queue_held;
CREATE INDEX queue_by_trigger ON queue (workspace_id, trigger_path, state, id) WHERE trigger_path IS NOT NULL;
