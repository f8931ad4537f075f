ALTER TABLE folders DROP COLUMN default_permissioned_as;
ALTER TABLE folders DROP COLUMN labels;
ALTER TABLE resources DROP COLUMN labels;
ALTER TABLE variables DROP COLUMN labels;
