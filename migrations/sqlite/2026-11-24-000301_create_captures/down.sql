DROP TABLE message_samples;
DROP TABLE captures;
DROP TABLE capture_configs;
