-- How many jobs waited at the end of a step, for the page's curve.
ALTER TABLE stat_points ADD COLUMN jobs_waiting BIGINT NOT NULL DEFAULT 0;
