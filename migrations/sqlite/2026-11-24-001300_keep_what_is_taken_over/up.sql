-- Restarted flows name the runs whose results they have taken over: those are not deleted before they have ended.
CREATE INDEX flow_values_taken ON flow_values (job_id) WHERE name = '/taken';
