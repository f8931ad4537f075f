DROP TABLE lane_ends;
DROP TABLE lanes;
DROP INDEX queue_later;
DROP INDEX queue_slots;
DROP INDEX queue_turns;
-- Nothing else knows how to let these run.
UPDATE queue SET state = 0 WHERE state IN (8, 9, 10, 11);
ALTER TABLE queue DROP COLUMN concurrency_key;
ALTER TABLE queue DROP COLUMN turn;
