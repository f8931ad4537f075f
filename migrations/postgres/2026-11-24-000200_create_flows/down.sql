DROP INDEX completed_by_parent;
DROP INDEX queue_by_parent;
DROP INDEX queue_parked;
ALTER TABLE queue DROP COLUMN depth;
DROP TABLE flow_values;
DROP TABLE flow_runs;
DROP TABLE flows;
