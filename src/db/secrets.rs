//! The key of secrets, found at the start: given, or in a file beside a SQLite database, where it is made at the first
//! start. The database keeps its id, so that processes that share one cannot seal with different keys.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Conn, DbError, setting, variable};
use crate::{
    config::{Config, DatabaseUrl},
    secret::{self, cipher::Cipher},
    types::Invalid,
};

/// The setting that holds the key's id.
const KEY_ID: &str = "secret_key_id";

/// Finds the key of this process, or why there is none that can be used, and seals what stands in clear yet. Without
/// secrets PostgreSQL needs no key. Call it in a transaction.
///
/// # Errors
/// The database gives no answer.
pub(crate) fn find_key(
    conn: &mut Conn,
    config: &Config,
) -> Result<Result<Option<Cipher>, Invalid>, DbError> {
    super::alone::start_alone(conn)?;
    let file = key_file(&config.database);
    let found = match (given(config), &file) {
        (Ok(None), Some(file)) => read_key(file),
        (given, _) => given,
    };
    let in_use = variable::any_secret(conn)?;
    let known = setting::get(conn, KEY_ID)?;
    let whence = file.as_ref().map_or_else(String::new, |file| {
        format!(", or bring back the file {}", file.display())
    });
    let cipher = match (found, &file) {
        (Err(error), _) => return Ok(Err(error)),
        (Ok(Some(cipher)), _) => cipher,
        (Ok(None), _) if in_use && (known.is_some() || file.is_none()) => {
            return Ok(Err(Invalid(format!(
                "the database holds secrets, and their key is not here: set WINDSOCK_SECRET_KEY{whence}"
            ))));
        }
        (Ok(None), None) => return Ok(Ok(None)),
        (Ok(None), Some(file)) => match make_key(file) {
            Ok(cipher) => cipher,
            Err(error) => return Ok(Err(error)),
        },
    };
    if known.as_deref() != Some(cipher.id()) {
        if in_use && known.is_some() {
            return Ok(Err(Invalid(format!(
                "the key given is not the one the secrets in the database are sealed with: set WINDSOCK_SECRET_KEY \
                 to that one{whence}; every process of a database has the same"
            ))));
        }
        setting::store(conn, KEY_ID, cipher.id())?;
    }
    let sealed = variable::seal_all(conn, &cipher)?;
    if sealed > 0 {
        log::info!(secrets = sealed; "secrets that stood in clear are sealed now");
    }
    Ok(Ok(Some(cipher)))
}

/// The key of the settings, if there is one.
///
/// # Errors
/// It cannot be one.
pub(crate) fn given(config: &Config) -> Result<Option<Cipher>, Invalid> {
    let text = config.secret_key.as_deref();
    text.map(Cipher::new)
        .transpose()
        .map_err(|error| Invalid(format!("--secret-key (WINDSOCK_SECRET_KEY): {}", error.0)))
}

/// What a secret is to be sealed with: the key that is the database's now, too.
pub(super) fn to_seal(conn: &mut Conn) -> Result<Arc<Cipher>, DbError> {
    let cipher = secret::cipher().ok_or(DbError::NoKey)?;
    match setting::get(conn, KEY_ID)? {
        Some(known) if known != cipher.id() => Err(DbError::NoKey),
        _ => Ok(cipher),
    }
}

/// `windsock.db.key` beside `windsock.db`.
pub(crate) fn key_file(database: &DatabaseUrl) -> Option<PathBuf> {
    let DatabaseUrl::Sqlite(file) = database else {
        return None;
    };
    let mut name = file.clone().into_os_string();
    name.push(".key");
    Some(name.into())
}

fn read_key(file: &Path) -> Result<Option<Cipher>, Invalid> {
    match fs::read_to_string(file) {
        Ok(text) => Cipher::new(&text)
            .map(Some)
            .map_err(|error| Invalid(format!("{}: {}", file.display(), error.0))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Invalid(format!(
            "the key file {} cannot be read: {error}",
            file.display()
        ))),
    }
}

/// Makes the key file, for its owner alone.
fn make_key(file: &Path) -> Result<Cipher, Invalid> {
    let key = Cipher::new_key();
    let write = || {
        let mut new = OpenOptions::new();
        let mut out = new.write(true).create_new(true).mode(0o600).open(file)?;
        writeln!(out, "{key}")?;
        out.sync_all()
    };
    match write() {
        Ok(()) => Cipher::new(&key),
        // Another server of this folder was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            read_key(file).and_then(|found| found.ok_or(Invalid("the key file is gone".to_owned())))
        }
        Err(error) => Err(Invalid(format!(
            "the key file {} cannot be made ({error}): set WINDSOCK_SECRET_KEY instead",
            file.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::{
        db::{Pool, variable::VariableRow},
        types::Timestamp,
    };

    fn row(path: &str, value: &str, is_secret: bool) -> VariableRow {
        VariableRow {
            workspace_id: "main".to_owned(),
            path: path.to_owned(),
            value: value.to_owned(),
            is_secret,
            description: String::new(),
            extra_perms: "{}".to_owned(),
            edited_by: "admin".to_owned(),
            edited_at: Timestamp::now(),
            labels: "[]".to_owned(),
        }
    }

    /// A database of its own, whose workspace is there.
    fn database(folder: &tempfile::TempDir) -> (DatabaseUrl, Conn) {
        let url = DatabaseUrl::Sqlite(folder.path().join("s.db"));
        let mut conn = Pool::open(&url, 1).unwrap().connect().unwrap();
        crate::access::first_start(&mut conn).unwrap();
        (url, conn)
    }

    #[test]
    fn the_key_is_made_once_and_another_is_refused_while_there_are_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let (url, mut conn) = database(&folder);
        let mut config = Config::for_test(url);
        let file = key_file(&config.database).unwrap();
        let find = |config: &Config, conn: &mut Conn| find_key(conn, config).unwrap();
        let first = find(&config, &mut conn).unwrap().unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let again = find(&config, &mut conn).unwrap().unwrap();
        assert_eq!(again.id(), first.id());
        // No secret yet: another key may take over.
        config.secret_key = Some("a".repeat(40));
        let second = find(&config, &mut conn).unwrap().unwrap();
        assert_ne!(second.id(), first.id());
        // One that stood there in clear is sealed with it.
        variable::insert_as_is(&mut conn, &row("u/admin/s", "v", true));
        assert!(find(&config, &mut conn).is_ok());
        let stored = &variable::list(&mut conn, "main", None).unwrap()[0].value;
        let place = ("main", "u/admin/s");
        assert_eq!(second.open(place, stored).as_deref(), Some("v"));
        config.secret_key = Some("b".repeat(40));
        let error = find(&config, &mut conn).unwrap_err().0;
        assert!(error.contains("WINDSOCK_SECRET_KEY"), "{error}");
        config.secret_key = None;
        assert!(
            find(&config, &mut conn).is_err(),
            "the file's key is another"
        );
        fs::remove_file(&file).unwrap();
        let error = find(&config, &mut conn).unwrap_err().0;
        assert!(error.contains("s.db.key") && !file.exists(), "{error}");
        config.secret_key = Some("short".to_owned());
        let error = find(&config, &mut conn).unwrap_err().0;
        assert!(error.contains("--secret-key"), "{error}");
    }

    #[test]
    fn secrets_stand_sealed_and_are_read_in_clear() {
        let folder = tempfile::tempdir().unwrap();
        let (_, mut conn) = database(&folder);
        variable::insert_as_is(&mut conn, &row("u/admin/old", "old s3cret", true));
        variable::insert(&mut conn, &row("u/admin/new", "new s3cret", true)).unwrap();
        variable::insert(&mut conn, &row("u/admin/plain", "no secret", false)).unwrap();
        let stored = |conn: &mut Conn| {
            let rows = variable::list(conn, "main", None).unwrap();
            rows.into_iter().map(|row| row.value).collect::<Vec<_>>()
        };
        let read =
            |conn: &mut Conn, path: &str| variable::by_path(conn, "main", path).unwrap().unwrap();
        assert!(Cipher::is_sealed(&stored(&mut conn)[0]));
        assert_eq!(
            read(&mut conn, "u/admin/old").value,
            "old s3cret",
            "not sealed yet"
        );
        assert_eq!(
            variable::seal_all(&mut conn, &secret::cipher().unwrap()).unwrap(),
            1
        );
        let now = stored(&mut conn);
        assert!(Cipher::is_sealed(&now[0]) && Cipher::is_sealed(&now[1]) && now[2] == "no secret");
        let mut moved = read(&mut conn, "u/admin/old");
        assert_eq!(moved.value, "old s3cret");
        moved.path = "u/admin/moved".to_owned();
        assert!(variable::update(&mut conn, "u/admin/old", &moved).unwrap());
        assert_eq!(read(&mut conn, "u/admin/moved").value, "old s3cret");
        moved.is_secret = false;
        variable::update(&mut conn, "u/admin/moved", &moved).unwrap();
        assert!(stored(&mut conn).contains(&"old s3cret".to_owned()));
    }
}
