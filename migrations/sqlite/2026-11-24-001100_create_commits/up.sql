-- A commit to a file is answered, or the process is gone. Only PostgreSQL has this table.
SELECT 1;
