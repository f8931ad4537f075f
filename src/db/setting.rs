//! Table `settings`: what all processes of an installation share.

use diesel::prelude::*;

use super::{Conn, DbError, schema::settings};

/// The value of a setting, if there is one.
pub(crate) fn get(conn: &mut Conn, name: &str) -> Result<Option<String>, DbError> {
    let one = settings::table.find(name).select(settings::value);
    Ok(one.first(conn).optional()?)
}

/// Gives a setting a value.
pub(crate) fn store(conn: &mut Conn, name: &str, value: &str) -> Result<(), DbError> {
    let (name_is, value_is) = (settings::name.eq(name), settings::value.eq(value));
    if diesel::update(settings::table.find(name))
        .set(value_is)
        .execute(conn)?
        == 0
    {
        let row = (name_is, value_is);
        diesel::insert_into(settings::table)
            .values(row)
            .execute(conn)?;
    }
    Ok(())
}

/// Forgets a setting.
pub(crate) fn remove(conn: &mut Conn, name: &str) -> Result<(), DbError> {
    diesel::delete(settings::table.find(name)).execute(conn)?;
    Ok(())
}

/// The value of a setting; `first` is stored and answered when there is none. Call it in a transaction.
pub(crate) fn get_or_store(
    conn: &mut Conn,
    name: &str,
    first: impl FnOnce() -> String,
) -> Result<String, DbError> {
    if let Some(value) = get(conn, name)? {
        return Ok(value);
    }
    // Whoever came first at the same moment has stored it by the time the lock is had.
    super::alone::start_alone(conn)?;
    if let Some(value) = get(conn, name)? {
        return Ok(value);
    }
    let value = first();
    diesel::insert_into(settings::table)
        .values((settings::name.eq(name), settings::value.eq(&value)))
        .execute(conn)?;
    Ok(value)
}
