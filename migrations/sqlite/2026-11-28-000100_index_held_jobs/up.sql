-- A job that a trigger does not hold back is not looked for by its trigger while it waits: each push, claim and end of
-- one wrote to this index. Only held ones are (queue.state 2).
DROP INDEX queue_by_trigger;
CREATE INDEX queue_held ON queue (workspace_id, trigger_path, id) WHERE state = 2;
