//! Running jobs that have ended again, several at once, as `wmill job rerun` asks (windmill-facts §2.1): with the arguments
//! they were given, the version they ran, and the rights of whoever asks.

use std::{collections::HashMap, sync::Arc};

use actix_web::{HttpRequest, web};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    State,
    answer::Created,
    error::Error,
    extract::{At, Body, JobAt},
    jobs_cancel::job_ids,
    jobs_read::visible,
    jobs_run::{How, job_with},
};
use crate::{
    access::{Caller, references::may_give},
    db::{Conn, flow, job_list::AnyJob, queue::CompletedRow, remote, script},
    queue::{NewJob, Runnable, given_in},
    secret::sealed,
    types::{JobId, JobKind},
};

/// Most jobs of one request.
const MOST: usize = 1000;
/// Jobs whose arguments are in memory at the same time.
const AT_ONCE: usize = 50;

/// What is run again.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Again {
    /// Up to 1,000 jobs that have ended.
    job_ids: Vec<String>,
    /// By path of a script.
    #[serde(default)]
    script_options_by_path: HashMap<String, Options>,
    /// By path of a flow.
    #[serde(default)]
    flow_options_by_path: HashMap<String, Options>,
}

/// How the jobs of a path are run again.
#[derive(Debug, Default, Deserialize, ToSchema)]
struct Options {
    /// Not supported unless empty: the arguments stay what they were.
    #[schema(value_type = Option<Object>)]
    input_transforms: Option<HashMap<String, Value>>,
    /// Runs the newest version instead of the one that ran.
    use_latest_version: Option<bool>,
}

impl Again {
    fn check(&self) -> Result<(), Error> {
        if self.job_ids.len() > MOST {
            return Err(Error::field("job_ids", format!("at most {MOST} at once")));
        }
        let of_scripts = ("script_options_by_path", &self.script_options_by_path);
        for (field, options) in [
            of_scripts,
            ("flow_options_by_path", &self.flow_options_by_path),
        ] {
            let changes = |options: &Options| {
                let transforms = options.input_transforms.as_ref();
                transforms.is_some_and(|transforms| !transforms.is_empty())
            };
            if let Some((path, _)) = options.iter().find(|(_, options)| changes(options)) {
                let text = "is not supported; run the job with other arguments by jobs/run instead";
                return Err(Error::field(
                    &format!("{field}.{path}.input_transforms"),
                    text,
                ));
            }
        }
        Ok(())
    }

    fn newest(&self, path: &str, is_flow: bool) -> bool {
        let options = if is_flow {
            &self.flow_options_by_path
        } else {
            &self.script_options_by_path
        };
        let options = options.get(path);
        options.is_some_and(|options| options.use_latest_version == Some(true))
    }
}

/// A job that can run again, and what it is.
struct Found {
    old: CompletedRow,
    runnable: Runnable,
}

/// Runs jobs that have ended again. The answer has a line for each: the new job's id, or `Error: …`.
pub(crate) async fn again(
    (caller, req): (Caller, HttpRequest),
    at: At,
    body: Body<Again>,
    state: web::Data<State>,
) -> Result<Created, Error> {
    body.0.check()?;
    let ids = job_ids(&body.0.job_ids)?;
    let wish = Arc::new(body.0);
    let mut lines = Vec::with_capacity(ids.len());
    for ids in ids.chunks(AT_ONCE) {
        let mut jobs = Vec::with_capacity(ids.len());
        for found in look(ids, (&caller, &at, &wish), &state).await? {
            let job = match found {
                Ok(found) => make((&caller, &req, &state), found).await,
                Err(error) => Err(error),
            };
            lines.push(match job {
                Ok(job) => {
                    let id = job.id.to_string();
                    jobs.push(job);
                    id
                }
                Err(error) => format!("Error: {}", error.to_string().replace('\n', " ")),
            });
        }
        if !jobs.is_empty() {
            state.queue.push_soon(jobs).await?;
        }
    }
    Ok(Created(lines.join("\n")))
}

/// Which of the jobs can run again, and why the others cannot; those are no reason to leave the rest.
async fn look(
    ids: &[JobId],
    (caller, at, wish): (&Caller, &At, &Arc<Again>),
    state: &State,
) -> Result<Vec<Result<Found, Error>>, Error> {
    let (ids, caller, at, wish) = (ids.to_vec(), caller.clone(), at.clone(), Arc::clone(wish));
    state
        .run(move |conn| {
            let one = |id: JobId| {
                let workspace = at.workspace.clone();
                match find(conn, &caller, &JobAt { workspace, id }, &wish) {
                    Err(error @ (Error::Database(_) | Error::Internal(_))) => Err(error),
                    found => Ok(found),
                }
            };
            ids.into_iter().map(one).collect()
        })
        .await
}

async fn make(
    (caller, req, state): (&Caller, &HttpRequest, &State),
    Found { old, runnable }: Found,
) -> Result<NewJob, Error> {
    // What a message brought stays text: only what was given then is given now, with the rights of whoever asks.
    let given = given_in(old.raw.as_deref());
    may_give(caller, &old.args, &given)?;
    let args = (old.args, given);
    let mut job = job_with((caller, req, state), runnable, args, How::default()).await?;
    job.tag = old.tag;
    // A preprocessor has made these arguments.
    job.skip_preprocessor = old.preprocessed;
    Ok(job)
}

/// Looks whether a job can run again.
fn find(conn: &mut Conn, caller: &Caller, at: &JobAt, wish: &Again) -> Result<Found, Error> {
    let id = at.id;
    let wrong = |what: &str| Error::field("job_ids", format!("job {id} {what}"));
    let AnyJob::Completed(old) = visible(conn, caller, at)? else {
        return Err(wrong("has not ended; cancel it or wait for its end"));
    };
    if old.is_erased() {
        return Err(wrong("was deleted, and its arguments with it"));
    }
    if sealed::is_in(&old.args) {
        let text =
            "was called with what was computed from a secret; run the flow that called it again";
        return Err(wrong(text));
    }
    let is_flow = match old.kind.parse() {
        Ok(JobKind::Script | JobKind::SingleStepFlow) => false,
        Ok(JobKind::Flow) => true,
        _ => return Err(wrong("is not that of a saved script or flow; run it anew")),
    };
    let path = old.runnable_path.clone().unwrap_or_default();
    let kind = if is_flow { "flow" } else { "script" };
    let missing = || Error::NotFound(format!("{kind} not found at path: {path}"));
    if !caller.may_run(&path, is_flow) {
        return Err(missing());
    }
    let elsewhere = remote::of_workspace(conn, &at.workspace)?.is_some();
    let version = old
        .runnable_hash
        .filter(|_| !elsewhere && !wish.newest(&path, is_flow));
    let there = match (is_flow, version) {
        _ if elsewhere => true,
        (false, None) => script::head(conn, &at.workspace, &path)?.is_some(),
        (true, None) => flow::head(conn, &at.workspace, &path)?.is_some(),
        (false, Some(hash)) => {
            script::by_hash(conn, &at.workspace, hash)?.is_some_and(|row| !row.deleted)
        }
        (true, Some(version)) => flow::by_version(conn, &at.workspace, version)?.is_some(),
    };
    if !there {
        return Err(missing());
    }
    let runnable = match (is_flow, version) {
        (false, hash) => Runnable::Script {
            path: path.into(),
            hash,
        },
        (true, version) => Runnable::Flow {
            path: path.into(),
            version,
        },
    };
    Ok(Found { old, runnable })
}
