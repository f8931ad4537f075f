//! The SQLite file: looked at before anything of it is changed, then this process's alone.

use std::{
    fs::{File, TryLockError},
    io,
    os::unix::fs::OpenOptionsExt,
};

use super::StartError;
use crate::{
    config::DatabaseUrl,
    db::{DbError, migrate},
};

/// Takes the file, if it can be used and nobody has it; nothing is changed otherwise.
pub(super) async fn own(database: &DatabaseUrl) -> Result<Option<File>, StartError> {
    let database = database.clone();
    actix_rt::task::spawn_blocking(move || {
        migrate::refuse_unusable(&database)?;
        lock(&database)
    })
    .await
    .map_err(|_| DbError::Lost)?
}

/// Keeps a second process off a SQLite file: there is one writer, and one that listens.
fn lock(database: &DatabaseUrl) -> Result<Option<File>, StartError> {
    let DatabaseUrl::Sqlite(file) = database else {
        return Ok(None);
    };
    let mut name = file.clone().into_os_string();
    name.push(".lock");
    let unusable = |error: io::Error| {
        DbError::Unreachable(format!("{} cannot be opened: {error}", file.display()))
    };
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&name)
        .map_err(unusable)?;
    match lock.try_lock() {
        Ok(()) => {
            // For its owner alone: SQLite would let everybody read it. What it adds beside it takes after it.
            let mut own = File::options();
            own.create(true).append(true).mode(0o600);
            own.open(file).map_err(unusable)?;
            Ok(Some(lock))
        }
        Err(TryLockError::WouldBlock) => Err(StartError::InUse(file.clone())),
        Err(TryLockError::Error(error)) => Err(unusable(error).into()),
    }
}
