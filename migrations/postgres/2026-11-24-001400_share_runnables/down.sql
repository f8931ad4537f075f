DROP TABLE runnable_perms;
