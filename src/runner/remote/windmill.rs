//! [`Windmill`]: the few routes of Windmill's API that running a job elsewhere takes (windmill-facts §2.1).

use std::{sync::Arc, time::Duration};

use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::Link;
use crate::{
    queue::Job,
    runner::language::nativets::{FetchRequest, FetchResponse, Host, Redirect},
    types::{JobId, JobKind},
};

/// Longest wait for an answer to one request; none of them waits for a job.
const PATIENCE: Duration = Duration::from_secs(20);
/// How much of an answer that refuses is shown.
const SHOWN: usize = 1000;

/// See the file's documentation.
pub(super) struct Windmill<'a> {
    host: &'a dyn Host,
    link: Arc<Link>,
}

/// Whether a job is there.
pub(super) enum Found {
    /// It is.
    There,
    /// It is not.
    Nowhere,
    /// Nobody there may say so.
    Refused(String),
    /// The token is not taken there, whatever it is asked for with.
    LockedOut(String),
    /// There was no answer, or one that says nothing about the job: it may be asked again.
    Away(String),
}

/// What became of a job that was sent.
pub(super) enum Posted {
    /// It is there.
    Yes,
    /// It was refused.
    Refused(String),
    /// As [`Found::LockedOut`]: this call has run nothing.
    LockedOut(String),
    /// It may be there.
    Perhaps(String),
}

/// Whether an answer says nothing about the job but that this is no good moment.
fn is_for_now(status: u16) -> bool {
    matches!(status, 408 | 425 | 429) || status >= 500
}

impl<'a> Windmill<'a> {
    /// One that speaks through `host`.
    pub(super) fn new(host: &'a dyn Host, link: Arc<Link>) -> Self {
        Self { host, link }
    }

    /// A line that says where the job ran.
    pub(super) fn run_line(&self, id: JobId) -> String {
        let Link {
            base_url,
            workspace,
            ..
        } = &*self.link;
        format!("[windsock: ran in {base_url}/run/{id}?workspace={workspace}]\n")
    }

    /// Has `job` run as `id`.
    pub(super) async fn post(&self, job: &Job, id: JobId) -> Posted {
        let kind = if job.kind == JobKind::Flow.as_str() {
            'f'
        } else {
            'p'
        };
        let path = job.runnable_path.as_deref().unwrap_or_default();
        let mut way = format!("jobs/run/{kind}/{path}?job_id={id}");
        if let Some(tag) = &job.tag {
            let tag =
                percent_encoding::utf8_percent_encode(tag, percent_encoding::NON_ALPHANUMERIC);
            way.push_str(&format!("&tag={tag}"));
        }
        if let Err(text) = &self.link.token {
            return Posted::LockedOut(text.clone());
        }
        match self.ask("POST", &way, Some(job.args.clone())).await {
            Err(error) => Posted::Perhaps(error),
            Ok(answer) if answer.status < 300 => Posted::Yes,
            Ok(answer) if is_for_now(answer.status) => Posted::Perhaps(self.said(&answer)),
            Ok(answer) => match self.not_found(&answer).await {
                Found::LockedOut(text) => Posted::LockedOut(text),
                Found::There | Found::Nowhere | Found::Refused(_) | Found::Away(_) => {
                    Posted::Refused(self.said(&answer))
                }
            },
        }
    }

    /// Looks for the job `id`.
    pub(super) async fn find(&self, id: JobId) -> Found {
        if let Err(text) = &self.link.token {
            return Found::LockedOut(text.clone());
        }
        match self
            .ask("GET", &format!("jobs_u/get/{id}?no_logs=true"), None)
            .await
        {
            Err(error) => Found::Away(error),
            Ok(answer) if answer.status == 200 => Found::There,
            Ok(answer) => self.not_found(&answer).await,
        }
    }

    /// Whether the job `id` succeeded and its result as JSON, once it has ended.
    pub(super) async fn result(&self, id: JobId) -> Result<Option<(bool, String)>, Found> {
        #[derive(Deserialize)]
        struct Maybe {
            completed: bool,
            #[serde(default)]
            result: Option<Box<RawValue>>,
            #[serde(default)]
            success: Option<bool>,
        }
        if let Err(text) = &self.link.token {
            return Err(Found::LockedOut(text.clone()));
        }
        let way = format!("jobs_u/completed/get_result_maybe/{id}?get_started=false");
        let answer = self.ask("GET", &way, None).await.map_err(Found::Away)?;
        if answer.status != 200 {
            return Err(self.not_found(&answer).await);
        }
        let maybe: Maybe = serde_json::from_slice(&answer.body)
            .map_err(|error| Found::Away(format!("an answer that is none: {error}")))?;
        if !maybe.completed {
            return Ok(None);
        }
        let result = maybe
            .result
            .map_or("null".to_owned(), |raw| raw.get().to_owned());
        let success = maybe.success.unwrap_or(true);
        Ok(Some((
            success,
            if success { result } else { as_error(result) },
        )))
    }

    /// What the job printed, at most `most` bytes of it; nothing when that cannot be had.
    pub(super) async fn logs(&self, id: JobId, most: usize) -> String {
        match self
            .ask("GET", &format!("jobs_u/get_logs/{id}"), None)
            .await
        {
            Ok(answer) if answer.status == 200 => {
                let text = String::from_utf8_lossy(&answer.body);
                text[..text.floor_char_boundary(most)].to_owned()
            }
            _ => String::new(),
        }
    }

    /// Asks for the end of the job `id`.
    pub(super) async fn cancel(&self, id: JobId, why: &str) {
        let body = json!({"reason": why}).to_string();
        let asked = self
            .ask("POST", &format!("jobs_u/queue/cancel/{id}"), Some(body))
            .await;
        if let Err(error) = asked {
            log::warn!(job:% = id, error:% = error; "a job in a Windmill elsewhere could not be canceled");
        }
    }

    async fn ask(
        &self,
        method: &str,
        way: &str,
        body: Option<String>,
    ) -> Result<FetchResponse, String> {
        let header = |name: &str, value: String| (name.to_owned(), value);
        let token = self.link.token.as_deref().map_err(Clone::clone)?;
        let mut headers = vec![header("authorization", format!("Bearer {token}"))];
        if body.is_some() {
            headers.push(header("content-type", "application/json".to_owned()));
        }
        let Link {
            base_url,
            workspace,
            ..
        } = &*self.link;
        let request = FetchRequest {
            method: method.to_owned(),
            url: format!("{base_url}/api/w/{workspace}/{way}"),
            headers,
            // The token is for nobody else.
            redirect: Redirect::Error,
            body: body.map(String::into_bytes),
        };
        let asked = tokio::time::timeout(PATIENCE, self.host.fetch(request)).await;
        asked.map_err(|_| format!("no answer within {} s", PATIENCE.as_secs()))?
    }

    async fn not_found(&self, answer: &FetchResponse) -> Found {
        match answer.status {
            404 => Found::Nowhere,
            status if is_for_now(status) => Found::Away(self.said(answer)),
            401 | 403 => self.refused(answer).await,
            _ => Found::Refused(self.said(answer)),
        }
    }

    /// Whether a refusal is about the job, or about the token: then it does not even learn who it is.
    async fn refused(&self, answer: &FetchResponse) -> Found {
        match self.ask("GET", "users/whoami", None).await {
            Ok(whoami) if whoami.status < 300 => Found::Refused(self.said(answer)),
            Ok(whoami) if is_for_now(whoami.status) => Found::Away(self.said(&whoami)),
            Ok(_) => Found::LockedOut(self.said(answer)),
            Err(error) => Found::Away(error),
        }
    }

    fn said(&self, answer: &FetchResponse) -> String {
        let text = String::from_utf8_lossy(&answer.body);
        let text = &text[..text.floor_char_boundary(SHOWN)];
        format!("{} answered {}: {text}", self.link.base_url, answer.status)
    }
}

/// The result of a failed job in the shape of windmill-facts §5.
fn as_error(result: String) -> String {
    #[derive(Deserialize)]
    struct Shaped<'a> {
        #[serde(borrow)]
        error: Option<&'a RawValue>,
    }
    let shaped = serde_json::from_str::<Shaped<'_>>(&result);
    if shaped.is_ok_and(|shaped| shaped.error.is_some()) {
        return result;
    }
    json!({"error": {"name": "ExecutionErr", "message": result}}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_other_shapes_are_given_the_usual_one() {
        let usual = r#"{"error": {"name": "E", "message": "m"}}"#;
        assert_eq!(as_error(usual.to_owned()), usual);
        assert_eq!(
            as_error("\"broken\"".to_owned()),
            r#"{"error":{"message":"\"broken\"","name":"ExecutionErr"}}"#
        );
    }

    #[test]
    fn only_answers_about_the_moment_are_asked_again() {
        for status in [408, 425, 429, 500, 502, 503, 504] {
            assert!(is_for_now(status), "{status}");
        }
        for status in [400, 401, 403, 404, 409, 422] {
            assert!(!is_for_now(status), "{status}");
        }
    }
}
