DROP TABLE connection_log;
