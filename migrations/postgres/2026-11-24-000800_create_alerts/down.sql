DROP TABLE stat_points;
DROP TABLE alerts;
