ALTER TABLE stat_points DROP COLUMN jobs_waiting;
