//! Starting jobs and waiting for their result, which may shape the answer (windmill-facts §2.1).

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
    web,
};
use serde_json::{Map, Value};

use super::{
    State,
    answer::Waited,
    error::Error,
    extract::{At, Query, RawBody},
    jobs_run::{How, What, arguments, new_job, runnable},
};
use crate::{
    access::Caller,
    queue::{Finished, NewJob, Queue},
    types::JobId,
};

/// How long a request waits for a result: Windmill's default (windmill-facts §2.1).
const WAIT: Duration = Duration::from_secs(600);
/// Headers a result may not set: they belong to the connection, keep the page safe, or mean more than this one answer to a
/// browser (which would forget its session, or report every address it asks for) or to a proxy.
const OWN_HEADERS: &[&str] = &[
    "set-cookie",
    "content-length",
    "transfer-encoding",
    "trailer",
    "connection",
    "upgrade",
    "date",
    "content-security-policy",
    "content-security-policy-report-only",
    "x-content-type-options",
    "referrer-policy",
    "content-type",
    "strict-transport-security",
    "alt-svc",
    "public-key-pins",
    "public-key-pins-report-only",
    "clear-site-data",
    "service-worker-allowed",
    "keep-alive",
    "proxy-connection",
    "report-to",
    "reporting-endpoints",
    "nel",
    // For these nginx, Apache and lighttpd send a file of their own.
    "x-accel-redirect",
    "x-sendfile",
    "x-lighttpd-send-file",
];
/// Answers that end with their headers (RFC 9110 §6.4.1, §15.3.6): what came after them would be taken for the next answer on
/// the connection, which a proxy may give to somebody else.
const WITHOUT_BODY: [StatusCode; 3] = [
    StatusCode::NO_CONTENT,
    StatusCode::RESET_CONTENT,
    StatusCode::NOT_MODIFIED,
];

/// Cancels a job nobody waits for any more: the client went away before the result came.
struct CancelOnDrop {
    queue: Queue,
    job: Option<(String, JobId, String)>,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some((workspace, id, by)) = self.job.take() {
            let queue = self.queue.clone();
            actix_rt::spawn(async move {
                let why = "the client that waited for it went away".to_owned();
                if let Err(error) = queue.cancel(&workspace, id, &by, Some(why)).await {
                    log::warn!(job:% = id; "an abandoned job was not canceled: {error}");
                }
            });
        }
    }
}

/// Runs `job` and waits for its end.
pub(super) async fn wait(
    caller: &Caller,
    mut job: NewJob,
    state: &State,
) -> Result<Finished, Error> {
    let id = job.id;
    // A job that waits for another lends it its worker, and is known for it by this.
    job.parent = job.parent.or(caller.job);
    let ended = state.queue.wait(id);
    let mut guard = CancelOnDrop {
        queue: state.queue.clone(),
        job: Some((job.workspace.to_string(), id, caller.username.clone())),
    };
    state.queue.push_soon(vec![job]).await?;
    let ended = actix_rt::time::timeout(WAIT, ended).await;
    guard.job = None;
    match ended {
        Ok(ended) => Ok(ended?),
        Err(_) => Err(Error::NotInTime(id, WAIT.as_secs())),
    }
}

/// The result as an HTTP answer: 200, or 422 when the job failed, or what the result itself asks for with
/// `windmill_status_code`, `windmill_content_type`, `windmill_headers` and `result`.
pub(super) fn answer(finished: &Finished) -> HttpResponse {
    let text = &finished.outcome.result;
    if !finished.outcome.success {
        return HttpResponse::UnprocessableEntity()
            .content_type("application/json")
            .body(text.clone());
    }
    let plain = || {
        HttpResponse::Ok()
            .content_type("application/json")
            .body(text.clone())
    };
    if !text.contains("\"windmill_") {
        return plain();
    }
    let Ok(Value::Object(mut shape)) = serde_json::from_str::<Value>(text) else {
        return plain();
    };
    let status = shape.remove("windmill_status_code");
    let kind = shape.remove("windmill_content_type");
    let headers = shape.remove("windmill_headers");
    if status.is_none() && kind.is_none() && headers.is_none() {
        return plain();
    }
    let status = status.and_then(|status| u16::try_from(status.as_u64()?).ok());
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    // Below 200 no answer would ever end.
    let status = status
        .filter(|status| status.as_u16() >= 200)
        .unwrap_or(StatusCode::OK);
    let mut answer = HttpResponse::build(status);
    if let Some(Value::Object(headers)) = headers {
        add_headers(&mut answer, &headers);
    }
    // A script must not put its own page into the origin of windsock's.
    answer.insert_header((
        header::CONTENT_SECURITY_POLICY,
        "sandbox; default-src 'none'",
    ));
    if WITHOUT_BODY.contains(&status) {
        return answer.finish();
    }
    let result = shape.remove("result").unwrap_or_else(|| {
        if shape.is_empty() {
            Value::Null
        } else {
            Value::Object(shape)
        }
    });
    match (kind, result) {
        (Some(Value::String(kind)), Value::String(body))
            if HeaderValue::from_str(&kind).is_ok() =>
        {
            answer.content_type(kind).body(body)
        }
        (Some(Value::String(kind)), result) if HeaderValue::from_str(&kind).is_ok() => {
            answer.content_type(kind).body(result.to_string())
        }
        (_, result) => answer.json(result),
    }
}

fn add_headers(answer: &mut actix_web::HttpResponseBuilder, headers: &Map<String, Value>) {
    for (name, value) in headers {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_str(&text),
        ) else {
            continue;
        };
        if !OWN_HEADERS.contains(&name.as_str()) {
            answer.insert_header((name, value));
        }
    }
}

macro_rules! wait_route {
    ($(#[$doc:meta])* $post:ident, $get:ident, $what:expr) => {
        $(#[$doc])*
        pub(crate) async fn $post(
            (caller, req): (Caller, HttpRequest),
            at: At,
            how: Query<How>,
            body: RawBody,
            state: web::Data<State>,
        ) -> Result<Waited, Error> {
            let args = arguments(&body.0)?;
            let runnable = runnable(&caller, at, $what, &state).await?;
            let job = new_job((&caller, &req, &state), runnable, args, how.0).await?;
            Ok(Waited(answer(&wait(&caller, job, &state).await?)))
        }

        $(#[$doc])*
        pub(crate) async fn $get(
            (caller, req): (Caller, HttpRequest),
            at: At,
            how: Query<How>,
            state: web::Data<State>,
        ) -> Result<Waited, Error> {
            let args = how.0.get_arguments()?;
            let runnable = runnable(&caller, at, $what, &state).await?;
            let job = new_job((&caller, &req, &state), runnable, args, how.0).await?;
            Ok(Waited(answer(&wait(&caller, job, &state).await?)))
        }
    };
}
wait_route!(
    /// Runs the script at a path and answers its result; 422 when it failed.
    wait_script, wait_script_get, What::Script
);
wait_route!(
    /// Runs one version of a script and answers its result; 422 when it failed.
    wait_version, wait_version_get, What::Version
);
wait_route!(
    /// Runs the flow at a path and answers its result; 422 when it failed.
    wait_flow, wait_flow_get, What::Flow
);
wait_route!(
    /// Runs one version of a flow and answers its result; 422 when it failed.
    wait_flow_version, wait_flow_version_get, What::FlowVersion
);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_result_sets_no_header_that_means_more_than_its_answer() {
        let wanted = json!({
            "Location": "/elsewhere", "X-Own": 1, "Cache-Control": "max-age=60",
            "Set-Cookie": "token=x", "Clear-Site-Data": "\"*\"", "Strict-Transport-Security": "max-age=1",
            "NEL": "{}", "Report-To": "{}", "X-Accel-Redirect": "/internal/", "X-Sendfile": "/etc/passwd",
            "Transfer-Encoding": "chunked", "Content-Security-Policy": "default-src *", "X-Split": "a\r\nb: c",
        });
        let mut answer = HttpResponse::Ok();
        add_headers(&mut answer, wanted.as_object().unwrap());
        let answer = answer.finish();
        let mut names: Vec<&str> = answer.headers().keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["cache-control", "location", "x-own"]);
    }
}
