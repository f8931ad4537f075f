DROP INDEX tokens_by_email;
DROP INDEX users_by_email;
DROP TABLE group_members;
DROP TABLE user_groups;
DROP TABLE accounts;
