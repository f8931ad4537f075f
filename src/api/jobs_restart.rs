//! Running a flow that has ended again from one of its steps (windmill-facts §2.1): what the steps before it came to is
//! taken over, and they do not run again.

use actix_web::{HttpRequest, web};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json, value::RawValue};
use utoipa::ToSchema;

use super::{
    State,
    answer::Created,
    error::Error,
    extract::{Body, JobAt, Query},
    flow_steps,
    job_view::may_see,
    jobs_read::visible,
    jobs_run::{How, job_with},
};
use crate::{
    access::{Caller, Denied, references::may_give},
    db::{Conn, flow, flow_run, job_list, job_list::AnyJob, queue::CompletedRow, remote},
    flow::{FlowStatus, FlowValue, RestartedFrom},
    queue::{Runnable, StepRunnable, given_in},
    secret::sealed,
    types::JobKind,
};

/// Where a flow goes on.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Restart {
    /// The step it runs again from: one that is in no loop or branch.
    step_id: String,
    /// Of a loop or `branchall`: the iteration or branch it runs again from, counted from 0.
    branch_or_iteration_n: Option<usize>,
    /// The version it runs; the newest when left out.
    flow_version: Option<i64>,
    /// Not supported unless empty.
    #[schema(value_type = Option<Vec<Object>>)]
    nested_path: Option<Vec<IgnoredAny>>,
}

/// A flow that can go on.
struct Found {
    old: CompletedRow,
    kind: JobKind,
    version: Option<i64>,
    /// The flow that travels with the job, of a preview.
    travelling: Option<Value>,
    from: RestartedFrom,
}

/// Runs a flow that has ended again from a step; the answer is the new job's id.
pub(crate) async fn restart(
    (caller, req): (Caller, HttpRequest),
    at: JobAt,
    how: Query<How>,
    body: Body<Restart>,
    state: web::Data<State>,
) -> Result<Created, Error> {
    let who = caller.clone();
    let found = state
        .run(move |conn| find(conn, &who, &at, &body.0))
        .await?;
    if sealed::is_in(&found.old.args) {
        let text =
            "was called with what was computed from a secret; restart the flow that called it";
        return Err(Error::field("id", text));
    }
    let mut raw = json!({"restarted_from": found.from});
    if let Some(value) = found.travelling {
        caller.may_change()?;
        if !caller.may_run_unsaved() {
            let text = "this token runs saved flows only";
            return Err(Denied::Forbidden(text.to_owned()).into());
        }
        flow_steps::may_start(&caller, &value, &state).await?;
        raw["value"] = value;
    }
    // What a message brought stays text: only what was given then is given now, with the rights of whoever restarts.
    let given = given_in(found.old.raw.as_deref());
    may_give(&caller, &found.old.args, &given)?;
    let runnable = Runnable::Step(Box::new(StepRunnable {
        kind: found.kind,
        path: found.old.runnable_path,
        hash: found.version,
        raw: Some(raw.to_string()),
    }));
    let args = (found.old.args, given);
    let mut job = job_with((&caller, &req, &state), runnable, args, how.0).await?;
    // The preprocessor has made these arguments.
    job.skip_preprocessor = true;
    let id = job.id;
    state.queue.push_soon(vec![job]).await?;
    Ok(Created(id.to_string()))
}

/// A run of a flow that has ended.
pub(super) struct Ended {
    row: CompletedRow,
    kind: JobKind,
    /// Where it was then.
    status: FlowStatus,
}

/// Looks whether something can go on from a job; `field` is what names it.
pub(super) fn ended(
    conn: &mut Conn,
    caller: &Caller,
    (at, field): (&JobAt, &str),
) -> Result<Ended, Error> {
    let id = at.id;
    let wrong = |what: &str| Error::field(field, format!("job {id} {what}"));
    let (kind, row) = match visible(conn, caller, at)? {
        AnyJob::Queued(row) => (row.kind, None),
        AnyJob::Completed(row) => (row.kind.clone(), Some(row)),
    };
    let kind = match kind.parse() {
        Ok(kind @ (JobKind::Flow | JobKind::FlowPreview)) => kind,
        _ => return Err(wrong("is not that of a flow")),
    };
    let Some(row) = row else {
        return Err(wrong("has not ended; cancel it or wait for its end"));
    };
    if row.is_erased() {
        return Err(wrong("was deleted, and its results with it"));
    }
    if remote::of_workspace(conn, &at.workspace)?.is_some() {
        let text = "ran in the Windmill that the workspace is linked to; restart it there";
        return Err(wrong(text));
    }
    let run = flow_run::find(conn, id)?.ok_or_else(|| wrong("has never begun; run it anew"))?;
    let status = serde_json::from_str(&run.status)
        .map_err(|_| Error::Internal("the state of a flow cannot be read"))?;
    Ok(Ended { row, kind, status })
}

/// Checks that a flow may take over from an ended run what it wants to, and that the caller may see all of it: an edited
/// flow could give anything away.
pub(super) fn may_take_over(
    conn: &mut Conn,
    caller: &Caller,
    (from, flow): (&RestartedFrom, &FlowValue),
) -> Result<(), Error> {
    let at = JobAt {
        workspace: caller.workspace.clone().unwrap_or_default(),
        id: from.flow_job_id,
    };
    let field = "restarted_from.flow_job_id";
    let old = ended(conn, caller, (&at, field)).map_err(|error| match error {
        Error::NotFound(text) => Error::field(field, text),
        error => error,
    })?;
    let wrong = |text| Error::BadRequest(format!("restarted_from.{text}"));
    let (index, taken) = from.take_over(&flow.modules, &old.status).map_err(wrong)?;
    let (kept, _) = from
        .kept(&flow.modules[index], &old.status)
        .map_err(wrong)?;
    let mut ids = kept;
    for module in taken {
        ids.extend(module.job);
        ids.extend(module.flow_jobs.unwrap_or_default());
    }
    let steps = job_list::by_ids(conn, &ids, false)?;
    if steps.iter().all(|step| may_see(caller, step)) {
        return Ok(());
    }
    let text = "restarted_from: you may not see what some of the steps before came to";
    Err(Denied::Forbidden(text.to_owned()).into())
}

/// Looks whether a job can go on as wished.
fn find(conn: &mut Conn, caller: &Caller, at: &JobAt, wish: &Restart) -> Result<Found, Error> {
    let id = at.id;
    let nested = wish.nested_path.as_ref();
    if nested.is_some_and(|path| !path.is_empty()) {
        let text = "restarting inside of a step is not supported; restart from the outermost step";
        return Err(Error::field("nested_path", text));
    }
    let Ended {
        row: old,
        kind,
        status,
    } = ended(conn, caller, (at, "id"))?;
    let (version, value, travelling) = match kind {
        JobKind::FlowPreview => {
            if wish.flow_version.is_some() {
                let text = "a flow that is not saved has no versions; leave it out";
                return Err(Error::field("flow_version", text));
            }
            let value = travelling(&old)
                .ok_or_else(|| Error::field("id", format!("job {id} has lost its flow")))?;
            (None, value.clone(), Some(value))
        }
        _ => {
            let (version, value) = saved(conn, caller, &old, wish.flow_version)?;
            (Some(version), value, None)
        }
    };
    let from = RestartedFrom {
        flow_job_id: id,
        step_id: wish.step_id.clone(),
        branch_or_iteration_n: wish.branch_or_iteration_n,
        flow_version: version,
    };
    let flow = FlowValue::from_json(&value)?;
    from.take_over(&flow.modules, &status)
        .map_err(Error::BadRequest)?;
    Ok(Found {
        old,
        kind,
        version,
        travelling,
        from,
    })
}

/// The version of a saved flow that runs, and what it is made of.
fn saved(
    conn: &mut Conn,
    caller: &Caller,
    old: &CompletedRow,
    version: Option<i64>,
) -> Result<(i64, Value), Error> {
    let path = old.runnable_path.as_deref().unwrap_or_default();
    let missing = || Error::NotFound(format!("flow not found at path: {path}"));
    if !caller.may_run(path, true) {
        return Err(missing());
    }
    let row = match version {
        None => flow::head(conn, &old.workspace_id, path)?.ok_or_else(missing)?,
        Some(version) => flow::by_version(conn, &old.workspace_id, version)?
            .filter(|row| row.path == path)
            .ok_or_else(|| {
                Error::field("flow_version", format!("{version} is no version of {path}"))
            })?,
    };
    let value = serde_json::from_str(&row.value)
        .map_err(|_| Error::Internal("a saved flow cannot be read"))?;
    Ok((row.version, value))
}

/// The flow that travelled with a job.
fn travelling(old: &CompletedRow) -> Option<Value> {
    #[derive(Deserialize)]
    struct Travelling {
        value: Box<RawValue>,
    }
    let raw: Travelling = serde_json::from_str(old.raw.as_deref()?).ok()?;
    serde_json::from_str(raw.value.get()).ok()
}
