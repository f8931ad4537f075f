-- Labels as a JSON array of texts, as triggers have them.
ALTER TABLE variables ADD COLUMN labels TEXT NOT NULL DEFAULT '[]';
ALTER TABLE resources ADD COLUMN labels TEXT NOT NULL DEFAULT '[]';
ALTER TABLE folders ADD COLUMN labels TEXT NOT NULL DEFAULT '[]';
-- JSON array of {path_glob, permissioned_as}: whose rights what a deployer makes in the folder has.
ALTER TABLE folders ADD COLUMN default_permissioned_as TEXT NOT NULL DEFAULT '[]';
