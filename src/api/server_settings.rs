//! What the server was started with, for admins to read: flags are changed by a restart, never here.

use std::time::Duration;

use actix_web::web;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{State, answer::Json, error::Error, extract::At};
use crate::{
    access::Caller,
    config::{Config, DatabaseUrl, ProcessMode},
};

/// A setting as it is followed; never one that holds a secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServerSetting {
    /// Its flag, as `--job-retention-secs`.
    flag: &'static str,
    /// Its variable in the environment.
    env: &'static str,
    /// What it is about.
    about: &'static str,
    /// A number, a text, or null when it is not set.
    #[schema(value_type = Value)]
    value: Value,
    /// What a number counts.
    unit: Option<&'static str>,
    /// What it means when it is not set.
    none: Option<&'static str>,
}

/// The settings of the server that answers. Only admins.
pub(crate) async fn get(
    caller: Caller,
    state: web::Data<State>,
) -> Result<Json<Vec<ServerSetting>>, Error> {
    caller.must_be_admin()?;
    Ok(Json(shown(&state.config)))
}

/// A setting that clients of Windmill ask for before they make something; null for all that windsock does not have.
pub(crate) async fn global(caller: Caller, at: At) -> Result<Json<Value>, Error> {
    // Nothing of it is anybody's.
    drop(caller);
    Ok(Json(match at.path.as_str() {
        // In a workspace one makes one has the name one has on the server, unless one says another.
        "automate_username_creation" => Value::Bool(true),
        _ => Value::Null,
    }))
}

/// Flag, variable, what it is about, its value, what a number counts, what it means when it is not set.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    Value,
    Option<&'static str>,
    Option<&'static str>,
);

#[rustfmt::skip] // a table
fn shown(config: &Config) -> Vec<ServerSetting> {
    let secs = |duration: Option<Duration>| json!(duration.map(|duration| duration.as_secs()));
    // The URL may hold a password.
    let database = match &config.database {
        DatabaseUrl::Sqlite(file) => format!("SQLite, {}", file.display()),
        DatabaseUrl::Postgres(_) => "PostgreSQL".to_owned(),
    };
    let mode = match config.mode {
        ProcessMode::Standalone => "standalone",
        ProcessMode::Server => "server",
        ProcessMode::Worker => "worker",
    };
    let key = config.secret_key.is_some().then_some("with a text given to this process");
    let rows: [Row; 9] = [
        ("--job-retention-secs", "JOB_RETENTION_SECS", "Ended jobs and their logs are kept for",
            secs(config.retention.age), Some("seconds"), Some("for ever")),
        ("--job-retention-count", "JOB_RETENTION_COUNT", "Ended jobs that are kept at most",
            json!(config.retention.count), Some("jobs"), Some("no bound")),
        ("--alert-after-secs", "ALERT_AFTER_SECS", "An alert is raised for a trigger that has not listened for",
            secs(config.alert_after), Some("seconds"), Some("never")),
        ("--num-workers", "NUM_WORKERS", "Jobs that run here at once", json!(config.num_workers), Some("jobs"), None),
        ("--mode", "MODE", "What this process takes part in", json!(mode), None, None),
        ("--database-url", "DATABASE_URL", "Where the data is", json!(database), None, None),
        ("--base-url", "BASE_URL", "Address under which people reach the page",
            json!(config.base_url), None, Some("as they ask for it")),
        ("--allow-private-websocket-urls", "ALLOW_PRIVATE_WEBSOCKET_URLS", "Private addresses that triggers may connect to",
            json!(config.allow_private), None, Some("none")),
        ("--secret-key", "WINDSOCK_SECRET_KEY", "Secret variables are sealed", json!(key), None, Some("with the key beside the database")),
    ];
    rows.map(|(flag, env, about, value, unit, none)| ServerSetting { flag, env, about, value, unit, none }).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_setting_shows_a_secret() {
        let database = DatabaseUrl::Postgres("postgres://u:hush@h/d".to_owned());
        let config = Config {
            secret_key: Some("hush".to_owned()),
            superadmin_secret: Some("hush".to_owned()),
            ..Config::for_test(database)
        };
        let text = serde_json::to_string(&shown(&config)).unwrap();
        assert!(!text.contains("hush"), "{text}");
        assert!(text.contains("--job-retention-secs"), "{text}");
    }
}
