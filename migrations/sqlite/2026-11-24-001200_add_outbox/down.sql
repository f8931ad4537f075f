UPDATE queue SET state = 0 WHERE state = 4;
DROP INDEX queue_outbox;
