//! Table `settings`: what all processes of an installation share.

use diesel::prelude::*;

use super::{Conn, DbError, schema::settings};

/// The value of a setting; `first` is stored and answered when there is none. Call it in a transaction.
pub(crate) fn get_or_store(
    conn: &mut Conn,
    name: &str,
    first: impl FnOnce() -> String,
) -> Result<String, DbError> {
    let found: Option<String> = settings::table
        .find(name)
        .select(settings::value)
        .first(conn)
        .optional()?;
    if let Some(value) = found {
        return Ok(value);
    }
    let value = first();
    diesel::insert_into(settings::table)
        .values((settings::name.eq(name), settings::value.eq(&value)))
        .execute(conn)?;
    Ok(value)
}
