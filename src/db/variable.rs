//! Table `variables`: named values of a workspace. Those of secrets stand sealed in it; what is read and written here
//! is in clear, but for [`list`].

use diesel::prelude::*;

use super::{Conn, DbError, schema::variables, secrets};
use crate::{
    secret::{self, cipher::Cipher},
    types::Timestamp,
};

/// A variable.
#[derive(Debug, Clone, Queryable, Insertable, AsChangeset)]
#[diesel(table_name = variables, primary_key(workspace_id, path))]
pub(crate) struct VariableRow {
    pub workspace_id: String,
    pub path: String,
    pub value: String,
    pub is_secret: bool,
    pub description: String,
    pub extra_perms: String,
    pub edited_by: String,
    pub edited_at: Timestamp,
    pub labels: String,
}

impl VariableRow {
    fn place(&self) -> (&str, &str) {
        (&self.workspace_id, &self.path)
    }

    /// The row as it is stored.
    fn sealed(&self, conn: &mut Conn) -> Result<Self, DbError> {
        let mut row = self.clone();
        if row.is_secret {
            row.value = secrets::to_seal(conn)?.seal(row.place(), &row.value);
        }
        Ok(row)
    }

    /// The row in clear.
    ///
    /// # Errors
    /// It is sealed with another key.
    pub(crate) fn opened(mut self) -> Result<Self, DbError> {
        if self.is_secret && Cipher::is_sealed(&self.value) {
            let cipher = secret::cipher().ok_or(DbError::NoKey)?;
            let value = cipher.open(self.place(), &self.value);
            self.value = value.ok_or_else(|| DbError::OtherKey(self.path.clone()))?;
        }
        Ok(self)
    }
}

/// The variable at that path.
pub(crate) fn by_path(
    conn: &mut Conn,
    workspace: &str,
    path: &str,
) -> Result<Option<VariableRow>, DbError> {
    let row: Option<VariableRow> = variables::table
        .find((workspace, path))
        .first(conn)
        .optional()?;
    row.map(VariableRow::opened).transpose()
}

/// Adds a variable.
pub(crate) fn insert(conn: &mut Conn, row: &VariableRow) -> Result<(), DbError> {
    let row = row.sealed(conn)?;
    diesel::insert_into(variables::table)
        .values(row)
        .execute(conn)?;
    Ok(())
}

/// Replaces the variable at `path` by `row`, which may have another path; answers whether it was there.
pub(crate) fn update(conn: &mut Conn, path: &str, row: &VariableRow) -> Result<bool, DbError> {
    let row = row.sealed(conn)?;
    let one = variables::table.find((&row.workspace_id, path));
    let set = (variables::path.eq(&row.path), &row);
    Ok(diesel::update(one).set(set).execute(conn)? > 0)
}

/// Removes the variable at that path; answers whether it was there.
pub(crate) fn delete(conn: &mut Conn, workspace: &str, path: &str) -> Result<bool, DbError> {
    Ok(diesel::delete(variables::table.find((workspace, path))).execute(conn)? > 0)
}

/// The variables of a workspace whose path begins with `start`, by path; secrets as they are sealed.
pub(crate) fn list(
    conn: &mut Conn,
    workspace: &str,
    start: Option<&str>,
) -> Result<Vec<VariableRow>, DbError> {
    let mut query = variables::table
        .filter(variables::workspace_id.eq(workspace))
        .into_boxed();
    if let Some(start) = start {
        query = query.filter(super::starts_with(variables::path, start));
    }
    Ok(query.order(variables::path).load(conn)?)
}

/// Whether there is a secret.
pub(super) fn any_secret(conn: &mut Conn) -> Result<bool, DbError> {
    let secrets = variables::table.filter(variables::is_secret.eq(true));
    Ok(diesel::select(diesel::dsl::exists(secrets)).get_result(conn)?)
}

/// Seals the secrets of a database that knew no sealing; answers how many.
pub(super) fn seal_all(conn: &mut Conn, cipher: &Cipher) -> Result<usize, DbError> {
    let rows: Vec<VariableRow> = variables::table
        .filter(variables::is_secret.eq(true))
        .load(conn)?;
    let mut count = 0;
    for row in rows.iter().filter(|row| !Cipher::is_sealed(&row.value)) {
        let sealed = cipher.seal(row.place(), &row.value);
        diesel::update(variables::table.find(row.place()))
            .set(variables::value.eq(sealed))
            .execute(conn)?;
        count += 1;
    }
    Ok(count)
}

/// Puts a row in as it is.
#[cfg(test)]
pub(super) fn insert_as_is(conn: &mut Conn, row: &VariableRow) {
    let insert = diesel::insert_into(variables::table).values(row);
    insert.execute(conn).unwrap();
}
