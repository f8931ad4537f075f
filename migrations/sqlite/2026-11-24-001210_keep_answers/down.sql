ALTER TABLE flow_runs ADD COLUMN early TEXT;
UPDATE flow_runs SET early = (SELECT value FROM flow_values WHERE flow_values.job_id = flow_runs.job_id AND name = '/answer');
DELETE FROM flow_values WHERE name = '/answer';
