//! Starting a job and following it in one request: its updates as server-sent events until it ends (windmill-facts §2.1).

use actix_web::{HttpRequest, web};

use super::{
    State,
    answer::Events,
    error::Error,
    extract::{At, JobAt, Query, RawBody},
    jobs_run::{How, What, arguments, new_job, runnable},
    jobs_update::{StreamHow, follow},
};
use crate::{access::Caller, queue::NewJob};

/// Starts the job and follows it. Who goes away leaves it running: unlike one that is waited for it has an id by then.
async fn begin(
    caller: Caller,
    job: NewJob,
    how: StreamHow,
    state: web::Data<State>,
) -> Result<Events, Error> {
    let at = JobAt {
        workspace: job.workspace.to_string(),
        id: job.id,
    };
    state.queue.push_soon(vec![job]).await?;
    Ok(follow(caller, at, how, state))
}

macro_rules! stream_route {
    ($(#[$doc:meta])* $post:ident, $get:ident, $what:expr) => {
        $(#[$doc])*
        pub(crate) async fn $post(
            (caller, req): (Caller, HttpRequest),
            at: At,
            (how, stream): (Query<How>, Query<StreamHow>),
            body: RawBody,
            state: web::Data<State>,
        ) -> Result<Events, Error> {
            let args = arguments(&body.0)?;
            let runnable = runnable(&caller, at, $what, &state).await?;
            let job = new_job((&caller, &req, &state), runnable, args, how.0).await?;
            begin(caller, job, stream.0, state).await
        }

        $(#[$doc])*
        pub(crate) async fn $get(
            (caller, req): (Caller, HttpRequest),
            at: At,
            (how, stream): (Query<How>, Query<StreamHow>),
            state: web::Data<State>,
        ) -> Result<Events, Error> {
            let args = how.0.get_arguments()?;
            let runnable = runnable(&caller, at, $what, &state).await?;
            let job = new_job((&caller, &req, &state), runnable, args, how.0).await?;
            begin(caller, job, stream.0, state).await
        }
    };
}
stream_route!(
    /// Runs the script at a path and tells what comes of it as it comes.
    stream_script, stream_script_get, What::Script
);
stream_route!(
    /// Runs one version of a script and tells what comes of it as it comes.
    stream_version, stream_version_get, What::Version
);
stream_route!(
    /// Runs the flow at a path and tells what comes of it as it comes.
    stream_flow, stream_flow_get, What::Flow
);
stream_route!(
    /// Runs one version of a flow and tells what comes of it as it comes.
    stream_flow_version, stream_flow_version_get, What::FlowVersion
);
