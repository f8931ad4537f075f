DROP TABLE job_notes;
