-- Ended jobs whose arguments, result and log go before the job does (a script's `delete_after_secs`).
CREATE TABLE erasures (
    due_at BIGINT NOT NULL,
    job_id BLOB NOT NULL,
    PRIMARY KEY (due_at, job_id)
);
