//! What the server was started with, for admins to read: flags are changed by a restart. How long ended jobs are kept is
//! chosen here as well, for all processes of an installation; what they were started with then does not count.

use std::time::Duration;

use actix_web::web;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{
    State,
    answer::{Json, Text},
    audit,
    error::Error,
    extract::{At, Body},
};
use crate::{
    access::Caller,
    config::{Config, DatabaseUrl, ProcessMode, Retention},
    queue::{choose_retention, chosen_retention},
};

/// The longest time jobs can be told to be kept for, in seconds: a hundred years; for longer is for ever.
const AGE_MAX: u64 = 100 * 365 * 24 * 3_600;

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
    /// It was chosen by a super admin: the flag does not count.
    chosen: bool,
}

/// How long ended jobs are kept; null or left out = no bound.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct KeptJobs {
    /// Deleted once they ended so long ago.
    job_retention_secs: Option<u64>,
    /// So many are kept, the newest.
    job_retention_count: Option<u32>,
}

/// The settings of the server that answers. Only admins.
pub(crate) async fn get(
    caller: Caller,
    state: web::Data<State>,
) -> Result<Json<Vec<ServerSetting>>, Error> {
    caller.must_be_admin()?;
    let chosen = state.run(|conn| Ok(chosen_retention(conn)?)).await?;
    Ok(Json(shown(&state.config, chosen)))
}

/// Chooses how long ended jobs are kept, in place of what the processes were started with. Only super admins.
pub(crate) async fn keep_jobs(
    caller: Caller,
    body: Body<KeptJobs>,
    state: web::Data<State>,
) -> Result<Text, Error> {
    caller.must_be_super_admin()?;
    let KeptJobs {
        job_retention_secs: secs,
        job_retention_count: count,
    } = body.0;
    if secs.is_some_and(|secs| secs == 0 || secs > AGE_MAX) {
        let text = format!("must be from 1 to {AGE_MAX}, or null to keep jobs for ever");
        return Err(Error::field("job_retention_secs", text));
    }
    if count == Some(0) {
        let text = "must be at least 1, or null for no bound";
        return Err(Error::field("job_retention_count", text));
    }
    let policy = Retention {
        age: secs.map(Duration::from_secs),
        count,
    };
    choose(&state, caller, Some(policy)).await?;
    Ok(Text("the retention of jobs is set".to_owned()))
}

/// Has every process follow what it was started with again. Only super admins.
pub(crate) async fn keep_jobs_as_started(
    caller: Caller,
    state: web::Data<State>,
) -> Result<Text, Error> {
    caller.must_be_super_admin()?;
    choose(&state, caller, None).await?;
    Ok(Text("jobs are kept as the server was started".to_owned()))
}

async fn choose(state: &State, caller: Caller, policy: Option<Retention>) -> Result<(), Error> {
    state
        .transaction(move |conn| {
            choose_retention(conn, policy)?;
            let operation = if policy.is_some() {
                "settings.update"
            } else {
                "settings.delete"
            };
            audit::note(conn, &caller, operation, "job_retention")
        })
        .await
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
fn shown(config: &Config, chosen: Option<Retention>) -> Vec<ServerSetting> {
    let retention = chosen.unwrap_or(config.retention);
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
            secs(retention.age), Some("seconds"), Some("for ever")),
        ("--job-retention-count", "JOB_RETENTION_COUNT", "Ended jobs that are kept at most",
            json!(retention.count), Some("jobs"), Some("no bound")),
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
    let is_chosen = |flag: &str| chosen.is_some() && flag.starts_with("--job-retention-");
    rows.map(|(flag, env, about, value, unit, none)| ServerSetting { flag, env, about, value, unit, none, chosen: is_chosen(flag) }).into()
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
        let text = serde_json::to_string(&shown(&config, None)).unwrap();
        assert!(!text.contains("hush"), "{text}");
        assert!(text.contains("--job-retention-secs"), "{text}");
    }
}
