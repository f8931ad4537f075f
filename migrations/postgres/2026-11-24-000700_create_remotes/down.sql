DROP TABLE remotes;
