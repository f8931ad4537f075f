//! Starting jobs of what is saved (windmill-facts §2.1).

use std::{collections::HashMap, sync::Arc, time::Duration};

use actix_web::{HttpRequest, web};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, de::IgnoredAny};
use utoipa::IntoParams;

use super::{
    State,
    answer::Created,
    error::Error,
    extract::{At, JobAt, Query, RawBody},
    jobs_read::visible,
    scripts::unhex,
    triggers::check_retry,
};
use crate::{
    access::{Caller, references::may_give},
    db::{Conn, flow, remote, script},
    queue::{Args, MAX_DEPTH, NewJob, Options, Runnable, references_in},
    trigger::spec::Retry,
    types::{JobId, Timestamp, TriggerKind},
};

/// How far the moment in a client's own job id may lie ahead; lists rely on it.
const ID_AHEAD_MICROS: u64 = 60_000_000;
/// How long ago it may be: an outbox that could not reach this server brings its jobs late.
const ID_AGE_MICROS: u64 = 7 * 24 * 60 * 60 * 1_000_000;

/// How a job is run.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct How {
    /// The job that starts this one; one that may be seen.
    #[param(value_type = Option<String>)]
    parent_job: Option<JobId>,
    /// The outermost job of the flow; one that may be seen.
    #[param(value_type = Option<String>)]
    root_job: Option<JobId>,
    /// Not before this moment.
    #[param(value_type = Option<String>)]
    scheduled_for: Option<Timestamp>,
    /// Not before so many seconds have passed.
    scheduled_in_secs: Option<u32>,
    /// A label for the workers; kept and shown.
    pub(super) tag: Option<String>,
    /// The id of the new job: a UUID of version 7 made now.
    #[param(value_type = Option<String>)]
    job_id: Option<JobId>,
    /// Runs `main` with the arguments as they are.
    skip_preprocessor: Option<bool>,
    /// Not supported: whoever may read a runnable sees its jobs.
    invisible_to_owner: Option<bool>,
    /// When the job is run again if it fails, under the same id: a JSON object as in `retry` of a trigger.
    retry: Option<String>,
    /// The arguments of a GET: a JSON object as base64 (URL alphabet).
    payload: Option<String>,
}

/// Checks that `body` is a JSON object of arguments and gives it back as text, numbers untouched.
pub(super) fn arguments(body: &[u8]) -> Result<String, Error> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok("{}".to_owned());
    }
    match serde_json::from_slice::<HashMap<String, IgnoredAny>>(body) {
        Ok(_) => {}
        Err(error) if error.is_data() => {
            return Err(Error::field("body", "expected an object of arguments"));
        }
        Err(error) => return Err(Error::BadRequest(format!("the body is not JSON: {error}"))),
    }
    String::from_utf8(body.to_vec()).map_err(|_| Error::field("body", "is not UTF-8"))
}

impl How {
    pub(super) fn get_arguments(&self) -> Result<String, Error> {
        let Some(payload) = &self.payload else {
            return Ok("{}".to_owned());
        };
        let bytes = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('='));
        let bytes = bytes.map_err(|_| Error::field("payload", "is not base64 (URL alphabet)"))?;
        arguments(&bytes).map_err(|_| Error::field("payload", "is not a JSON object"))
    }

    fn apply(self, job: &mut NewJob) -> Result<(), Error> {
        if self.invisible_to_owner == Some(true) {
            let text = "is not supported: whoever may read what is run sees its jobs; leave it out";
            return Err(Error::field("invisible_to_owner", text));
        }
        if let Some(id) = self.job_id {
            job.id = own_id(id)?;
            job.id_is_given = true;
        }
        let later = self
            .scheduled_in_secs
            .map(|secs| Timestamp::now().plus(Duration::from_secs(secs.into())));
        job.parent = self.parent_job;
        job.root = self.root_job;
        job.scheduled_at = self.scheduled_for.or(later);
        job.tag = self.tag;
        job.skip_preprocessor = self.skip_preprocessor.unwrap_or(false);
        Ok(())
    }
}

/// Checks an id that a client brings: lists rely on the moment in it.
fn own_id(id: JobId) -> Result<JobId, Error> {
    let made = id.0.get_timestamp().filter(|_| id.0.get_version_num() == 7);
    let now = Timestamp::now().0.unsigned_abs();
    let near = made.is_some_and(|made| {
        let (secs, nanos) = made.to_unix();
        let micros = secs
            .saturating_mul(1_000_000)
            .saturating_add(u64::from(nanos) / 1000);
        micros <= now + ID_AHEAD_MICROS && now.saturating_sub(micros) <= ID_AGE_MICROS
    });
    if near {
        return Ok(id);
    }
    Err(Error::field(
        "job_id",
        "must be a UUID of version 7 made within the last 7 days",
    ))
}

/// What a path of the URL runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Script,
    Version,
    Flow,
    FlowVersion,
}

/// Whether a Windmill elsewhere knows what is at a path.
fn runs_elsewhere(conn: &mut Conn, at: &At) -> Result<bool, Error> {
    Ok(remote::of_workspace(conn, &at.workspace)?.is_some())
}

/// The runnable at a path, if there is one and the caller may run it.
pub(super) async fn runnable(
    caller: &Caller,
    at: At,
    what: What,
    state: &State,
) -> Result<Runnable, Error> {
    let caller = caller.clone();
    state
        .run(move |conn| match what {
            What::Script => {
                let missing = || Error::NotFound(format!("script not found at path: {}", at.path));
                let is_here = script::head(conn, &at.workspace, &at.path)?.is_some();
                if !caller.may_run(&at.path, false) || !(is_here || runs_elsewhere(conn, &at)?) {
                    return Err(missing());
                }
                Ok(Runnable::Script {
                    path: at.path.as_str().into(),
                    hash: None,
                })
            }
            What::Version => {
                let hash = unhex("hash", &at.path)?;
                let row = script::by_hash(conn, &at.workspace, hash)?;
                let row = row.filter(|row| !row.deleted && caller.may_run(&row.path, false));
                let row = row.ok_or_else(|| {
                    Error::NotFound(format!("script not found with hash: {}", at.path))
                })?;
                Ok(Runnable::Script {
                    path: row.path.into(),
                    hash: Some(hash),
                })
            }
            What::Flow => {
                let missing = || Error::NotFound(format!("flow not found at path: {}", at.path));
                let is_here = flow::head(conn, &at.workspace, &at.path)?.is_some();
                if !caller.may_run(&at.path, true) || !(is_here || runs_elsewhere(conn, &at)?) {
                    return Err(missing());
                }
                Ok(Runnable::Flow {
                    path: at.path.as_str().into(),
                    version: None,
                })
            }
            What::FlowVersion => {
                let version = at.path.parse();
                let version =
                    version.map_err(|_| Error::field("version", "is not a whole number"))?;
                let row = flow::by_version(conn, &at.workspace, version)?;
                let row = row.filter(|row| caller.may_run(&row.path, true));
                let row = row.ok_or_else(|| {
                    Error::NotFound(format!("flow not found with version: {version}"))
                })?;
                Ok(Runnable::Flow {
                    path: row.path.into(),
                    version: Some(version),
                })
            }
        })
        .await
}

/// Checks that a new job is put below jobs that the caller may see; of others not even their absence is told.
async fn check_family(caller: &Caller, how: &How, state: &State) -> Result<(), Error> {
    let named = [("parent_job", how.parent_job), ("root_job", how.root_job)].into_iter();
    // A job knows itself: no need to look.
    let named = named.filter_map(|(field, id)| Some((field, id.filter(|_| id != caller.job)?)));
    let named: Vec<(&str, JobId)> = named.collect();
    if named.is_empty() {
        return Ok(());
    }
    let caller = caller.clone();
    state
        .run(move |conn| {
            for (field, id) in named {
                let workspace = caller.workspace.clone().unwrap_or_default();
                match visible(conn, &caller, &JobAt { workspace, id }) {
                    Err(Error::NotFound(text)) => return Err(Error::field(field, text)),
                    seen => drop(seen?),
                }
            }
            Ok(())
        })
        .await
}

/// What the query's `retry` says, as the queue keeps it.
async fn options(how: &How, state: &State) -> Result<Option<String>, Error> {
    let Some(text) = &how.retry else {
        return Ok(None);
    };
    let value = serde_json::from_str(text)
        .map_err(|error| Error::field("retry", format!("is not JSON: {error}")))?;
    let retry = Retry::read("retry", &value)?;
    check_retry(&retry, state).await?;
    Ok(Options::new(retry.policy(), None).column())
}

/// A new job of the caller's.
pub(super) async fn new_job(
    (caller, req, state): (&Caller, &HttpRequest, &State),
    runnable: Runnable,
    args: String,
    how: How,
) -> Result<NewJob, Error> {
    // What a job passes on may be the text of a message: it stays one.
    let given = match caller.job {
        None => references_in(&args),
        Some(_) => Vec::new(),
    };
    may_give(caller, &args, &given)?;
    job_with((caller, req, state), runnable, (args, given), how).await
}

/// As [`new_job`], with the names of the arguments in which references are replaced: the caller may give them.
pub(super) async fn job_with(
    (caller, req, state): (&Caller, &HttpRequest, &State),
    runnable: Runnable,
    (args, given): (String, Vec<String>),
    how: How,
) -> Result<NewJob, Error> {
    check_family(caller, &how, state).await?;
    let workspace: Arc<str> = caller.workspace.as_deref().unwrap_or_default().into();
    let mut job = NewJob::new(workspace, runnable, Args::Object(args), &caller.username);
    let page = req
        .headers()
        .get("sec-fetch-site")
        .is_some_and(|site| site == "same-origin");
    let kind = if page {
        TriggerKind::Ui
    } else {
        TriggerKind::Webhook
    };
    job.permissioned_as = caller.run_as().into();
    job.given = given;
    job.trigger = Some((kind, None));
    job.options = options(&how, state).await?;
    how.apply(&mut job)?;
    if let Some(depth) = caller.depth {
        job.depth = depth + 1;
        if job.depth > MAX_DEPTH {
            return Err(Error::BadRequest(format!(
                "flows and scripts call each other more than {MAX_DEPTH} deep; end the recursion"
            )));
        }
    }
    Ok(job)
}

macro_rules! run_route {
    ($(#[$doc:meta])* $name:ident, $what:expr) => {
        $(#[$doc])*
        pub(crate) async fn $name(
            (caller, req): (Caller, HttpRequest),
            at: At,
            how: Query<How>,
            body: RawBody,
            state: web::Data<State>,
        ) -> Result<Created, Error> {
            let args = arguments(&body.0)?;
            let runnable = runnable(&caller, at, $what, &state).await?;
            let job = new_job((&caller, &req, &state), runnable, args, how.0).await?;
            let id = job.id;
            state.queue.push_soon(vec![job]).await?;
            Ok(Created(id.to_string()))
        }
    };
}
run_route!(
    /// Runs the script at a path; the answer is the job's id.
    run_script, What::Script
);
run_route!(
    /// Runs one version of a script; the answer is the job's id.
    run_version, What::Version
);
run_route!(
    /// Runs the flow at a path; the answer is the job's id.
    run_flow, What::Flow
);
run_route!(
    /// Runs one version of a flow; the answer is the job's id.
    run_flow_version, What::FlowVersion
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_objects_and_stay_as_they_are() {
        assert_eq!(arguments(b" \n").unwrap(), "{}");
        let numbers = br#"{"a": 123456789012345678901234567890, "b": 1.0}"#;
        assert_eq!(arguments(numbers).unwrap().as_bytes(), numbers);
        for (body, text) in [
            (&b"[1]"[..], "body: expected an object"),
            (b"3", "body: expected an object"),
            (b"{", "the body is not JSON"),
            (b"{\"a\": \"\xff\"}", "body: is not UTF-8"),
        ] {
            let error = arguments(body).unwrap_err().to_string();
            assert!(error.starts_with(text), "{error}");
        }
    }

    #[test]
    fn ids_of_clients() {
        assert!(own_id(JobId::next()).is_ok());
        let aged = |secs: i64| {
            let now = Timestamp::now().0.unsigned_abs() / 1_000_000;
            let secs = now.checked_sub_signed(secs).unwrap_or_default();
            let made = uuid::Timestamp::from_unix(uuid::NoContext, secs, 0);
            own_id(JobId(uuid::Uuid::new_v7(made)))
        };
        // An outbox brings jobs late, and no clock is far ahead.
        assert!(aged(6 * 24 * 3600).is_ok());
        assert!(aged(8 * 24 * 3600).is_err());
        assert!(aged(-3600).is_err());
        assert!(own_id(JobId(uuid::Uuid::new_v4())).is_err());
        assert!(own_id(JobId(uuid::Uuid::nil())).is_err());
    }
}
