-- What scripts note about jobs while they run: the state that the steps of a flow share, how far a job is.
CREATE TABLE job_notes (
    job_id BLOB NOT NULL,
    name TEXT NOT NULL, -- progress, or state: and the key
    value TEXT NOT NULL, -- JSON
    noted_at BIGINT NOT NULL,
    PRIMARY KEY (job_id, name)
);
CREATE INDEX job_notes_by_time ON job_notes (noted_at);
