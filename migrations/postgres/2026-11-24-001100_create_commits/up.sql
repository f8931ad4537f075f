-- The last transaction that each process committed. Who got no answer to a commit looks here whether it was done.
CREATE TABLE commits (
    process TEXT PRIMARY KEY NOT NULL, -- its name, new with every start
    number BIGINT NOT NULL,
    at BIGINT NOT NULL -- the database's own clock
) WITH (fillfactor = 50);
