-- What a flow has answered before its end outlives its run: it is a value of the flow, and a run that begins anew keeps it.
INSERT INTO flow_values (job_id, name, value) SELECT job_id, '/answer', early FROM flow_runs WHERE early IS NOT NULL;
ALTER TABLE flow_runs DROP COLUMN early;
