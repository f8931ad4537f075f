-- A file has one process: nobody to agree with about who listens. Only PostgreSQL has these tables.
SELECT 1;
