//! Jobs of a workspace that is linked to a Windmill: its API runs them (windmill-facts §2.1), this queue is the outbox.
//!
//! A job is sent, its end is asked for, its result is taken over, and a cancellation is passed on. Which id the job has
//! there is committed before it is sent. Whatever is lost afterwards, an answer or this process, the job is looked for
//! under that id before it is sent again, under the same id, which the other side takes once.
//!
//! A token that is not taken any more fails no job: they wait, an alert says so, and with a token that is taken they go on.
//!
//! `carrier` has the jobs that are under way, `links` knows who is linked; `windmill` speaks the API.

mod carrier;
mod links;
mod reach;
mod windmill;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

pub(crate) use self::{
    carrier::{Carrier, keep_up},
    links::{Link, Links},
};
use self::{
    reach::{Reach, Reached},
    windmill::{Found, Posted, Windmill},
};
use super::{
    executor::Run,
    language::{self, nativets::Host},
    limits::RunLimits,
    source::JobSource,
    stop::{Stop, StopReason},
};
use crate::{
    db::DbError,
    queue::{self, Job, Outcome},
    types::{JobId, Timestamp},
};

/// Longest wait for a job without a timeout of its own: a flow may wait for people.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// First pause between two looks at a job that runs there; each is half as long again.
const LOOK_FIRST: Duration = Duration::from_millis(20);
/// Longest pause between two looks.
const LOOK_MAX: Duration = Duration::from_secs(2);
/// First pause after the other side did not answer; each is twice as long.
const AWAY_FIRST: Duration = Duration::from_millis(250);
/// Longest such pause: when it is back, jobs go on within so long.
const AWAY_MAX: Duration = Duration::from_secs(15);
/// How long a job waits for a token that is taken: as long as it may be brought late (see the API's `job_id`).
const LOCKED_OUT_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long the database is left alone when it did not answer.
const DATABASE_PAUSE: Duration = Duration::from_millis(500);

/// Runs `job` where `link` leads. `reach` is known to all jobs of the link.
async fn run(
    (host, link, reach): (&dyn Host, &Arc<Link>, &Reach),
    source: &dyn JobSource,
    (job, stop): (&Job, &Stop),
    limits: &RunLimits,
) -> Run {
    let started_at = Timestamp::now();
    let failed =
        |name: &str, message: &str| Run::Done(Box::new(Outcome::failed(name, message, started_at)));
    let carried = Carried {
        host,
        windmill: RefCell::new(Rc::new(Windmill::new(host, Arc::clone(link)))),
        source,
        job,
        limits,
        there: Cell::new(None),
        pauses: Cell::new(0),
        reach,
    };
    let of_job = job.timeout_secs.and_then(|secs| u64::try_from(secs).ok());
    let time = of_job
        .filter(|secs| *secs > 0)
        .map_or(LONGEST, Duration::from_secs);
    tokio::select! {
        ended = carried.through(started_at, time) => match ended {
            Ok(outcome) => Run::Done(Box::new(outcome)),
            Err(End::Failed(message)) => failed("ExecutionErr", &message),
            Err(End::TimedOut) => {
                carried.cancel("timed out").await;
                let message = format!("timed out after {} s", time.as_secs());
                failed("TimeoutError", &message)
            }
            Err(End::Database(error)) => {
                log::warn!(job:% = job.id, error:% = error; "a job cannot be sent on, it waits");
                tokio::time::sleep(DATABASE_PAUSE).await;
                Run::GiveBack
            }
        },
        () = stop.raised() => match stop.reason() {
            Some(StopReason::Canceled { by, reason }) => {
                carried.cancel(&format!("canceled by {by}")).await;
                Run::Done(Box::new(Outcome::canceled(by, reason.as_deref(), started_at)))
            }
            // It goes on there; whoever claims it next follows it.
            Some(StopReason::Shutdown) | None => Run::GiveBack,
        },
    }
}

/// Why a job has no result.
enum End {
    /// The other side does not run it.
    Failed(String),
    /// It takes longer than it may.
    TimedOut,
    /// Later.
    Database(DbError),
}

impl From<DbError> for End {
    fn from(error: DbError) -> Self {
        Self::Database(error)
    }
}

/// One job on its way.
struct Carried<'a> {
    host: &'a dyn Host,
    /// Another one once the link has another token.
    windmill: RefCell<Rc<Windmill<'a>>>,
    source: &'a dyn JobSource,
    job: &'a Job,
    limits: &'a RunLimits,
    /// Its id there, once it may be there.
    there: Cell<Option<JobId>>,
    /// How often in a row the other side did not answer.
    pauses: Cell<u32>,
    /// How it was reached last, whichever job asked.
    reach: &'a Reach,
}

impl Carried<'_> {
    /// Its time begins when it has arrived: it waits as long as it must for a Windmill that is away.
    async fn through(&self, started_at: Timestamp, time: Duration) -> Result<Outcome, End> {
        let id = self.arrived().await?;
        let (success, result) = self.ended(id, time).await?;
        let windmill = self.windmill();
        let mut logs = windmill.run_line(id);
        logs.push_str(&windmill.logs(id, self.limits.log_bytes).await);
        let mut outcome = Outcome {
            success,
            result,
            started_at,
            logs,
            preprocessed_args: None,
            canceled: None,
            retry_if: None,
        };
        if outcome.result.len() > self.limits.result_bytes {
            outcome.success = false;
            outcome.result = format!(
                "{{\"error\":{}}}",
                language::too_large(self.limits.result_bytes)
            );
        }
        Ok(outcome)
    }

    /// Sends the job, unless it is there; gives its id there.
    async fn arrived(&self) -> Result<JobId, End> {
        // There every text that looks like a reference is one.
        let given = queue::given(self.job);
        let mut refer = queue::references_in(&self.job.args).into_iter();
        if let Some(name) = refer.find(|name| !given.contains(name)) {
            return Err(End::Failed(format!(
                "argument '{name}' is not sent: its text would be taken for a variable or a resource there"
            )));
        }
        let mut noted = self.source.remote_id(self.job.id).await?;
        let mut look = noted.is_some();
        loop {
            if let Some(id) = noted.filter(|_| look) {
                self.there.set(Some(id));
                match self.windmill().find(id).await {
                    Found::There => return Ok(id),
                    Found::Nowhere => {}
                    Found::LockedOut(text) => {
                        self.wait_for_token(&text).await?;
                        continue;
                    }
                    Found::Refused(text) => return Err(End::Failed(text)),
                    Found::Away(text) => {
                        self.pause(&text).await;
                        continue;
                    }
                }
            }
            let (id, is_new) = match noted {
                Some(id) => (id, false),
                None => {
                    let id = JobId::next();
                    self.source.note_remote_id(self.job.id, id).await?;
                    (id, true)
                }
            };
            noted = Some(id);
            self.there.set(Some(id));
            look = true;
            match self.windmill().post(self.job, id).await {
                Posted::Yes => {
                    self.answered().await;
                    return Ok(id);
                }
                Posted::LockedOut(text) => self.wait_for_token(&text).await?,
                Posted::Perhaps(text) => self.pause(&text).await,
                // Perhaps because an earlier call got through after all.
                Posted::Refused(text) => match self.windmill().find(id).await {
                    Found::There => return Ok(id),
                    Found::LockedOut(text) => self.wait_for_token(&text).await?,
                    Found::Away(text) => self.pause(&text).await,
                    // windsock takes new ids only; a refused one has run nothing.
                    Found::Nowhere if !is_new && text.contains("job_id") => noted = None,
                    Found::Nowhere | Found::Refused(_) => return Err(End::Failed(text)),
                },
            }
        }
    }

    /// Waits for the end of the job there, at most `time`; the wait for a token is no part of that.
    async fn ended(&self, id: JobId, time: Duration) -> Result<(bool, String), End> {
        let (begun, mut locked_out) = (Instant::now(), Duration::ZERO);
        let mut pause = LOOK_FIRST;
        loop {
            let left = (time + locked_out).saturating_sub(begun.elapsed());
            let look = tokio::time::timeout(left, self.look(id, &mut pause));
            match look.await.map_err(|_| End::TimedOut)?? {
                Look::Ended(success, result) => return Ok((success, result)),
                Look::Again => {}
                Look::LockedOut(text) => {
                    let since = Instant::now();
                    self.wait_for_token(&text).await?;
                    locked_out += since.elapsed();
                }
            }
        }
    }

    /// Asks once whether the job has ended; if not, waits a while.
    async fn look(&self, id: JobId, pause: &mut Duration) -> Result<Look, End> {
        match self.windmill().result(id).await {
            Ok(Some((success, result))) => return Ok(Look::Ended(success, result)),
            Ok(None) => {
                self.answered().await;
                tokio::time::sleep(*pause).await;
                *pause = (*pause * 3 / 2).min(LOOK_MAX);
            }
            Err(Found::Nowhere) => {
                let text = "the job is gone from the Windmill it was sent to, with its result";
                return Err(End::Failed(text.to_owned()));
            }
            Err(Found::Refused(text)) => return Err(End::Failed(text)),
            Err(Found::LockedOut(text)) => return Ok(Look::LockedOut(text)),
            Err(Found::Away(text)) => self.pause(&text).await,
            Err(Found::There) => {}
        }
        Ok(Look::Again)
    }

    /// Has the job there end, as far as that can be had.
    async fn cancel(&self, why: &str) {
        if let Some(id) = self.there.get() {
            self.windmill().cancel(id, why).await;
        }
    }

    fn windmill(&self) -> Rc<Windmill<'_>> {
        Rc::clone(&self.windmill.borrow())
    }

    async fn answered(&self) {
        self.pauses.set(0);
        if self.reach.note(Reached::Well) {
            log::info!(workspace = self.job.workspace_id.as_str(); "the Windmill of a workspace answers");
            self.alert(None).await;
        }
    }

    async fn pause(&self, why: &str) {
        if self.reach.note(Reached::Away) {
            let workspace = self.job.workspace_id.as_str();
            log::warn!(workspace = workspace, error:% = why; "the Windmill of a workspace does not answer, its jobs wait");
        }
        self.wait().await;
    }

    async fn wait(&self) {
        let pauses = self.pauses.get();
        self.pauses.set(pauses.saturating_add(1));
        tokio::time::sleep((AWAY_FIRST * (1 << pauses.min(8))).min(AWAY_MAX)).await;
    }

    /// Waits a while, and takes the token that the link has by then.
    async fn wait_for_token(&self, why: &str) -> Result<(), End> {
        if is_overdue(self.job, Timestamp::now()) {
            let days = LOCKED_OUT_MAX.as_secs() / (24 * 60 * 60);
            return Err(End::Failed(format!(
                "{why}; the token was not taken for {days} days"
            )));
        }
        if self.reach.note(Reached::LockedOut) {
            let workspace = self.job.workspace_id.as_str();
            log::warn!(workspace = workspace, error:% = why; "the token of a workspace's Windmill is not taken, its jobs wait");
            self.alert(Some(why)).await;
        }
        self.wait().await;
        if let Some(link) = self.source.link(self.job) {
            *self.windmill.borrow_mut() = Rc::new(Windmill::new(self.host, link));
        }
        Ok(())
    }

    /// Raises the alert of the workspace's link, or takes it back.
    async fn alert(&self, why: Option<&str>) {
        let message = match why {
            None => "the Windmill that the workspace is linked to takes the token again".to_owned(),
            Some(why) => format!(
                "the Windmill that the workspace is linked to does not take the token; jobs wait until the variable holds one that it takes: {why}"
            ),
        };
        let workspace = self.job.workspace_id.clone();
        let noted = self.source.alert(workspace, why.is_some(), message).await;
        if let Err(error) = noted {
            log::debug!("an alert was not written: {error}");
            self.reach.forget();
        }
    }
}

/// What came of a look at a job that runs elsewhere.
enum Look {
    /// Whether it succeeded, and its result.
    Ended(bool, String),
    /// It has not ended.
    Again,
    /// Nobody may look.
    LockedOut(String),
}

/// Whether a job has waited too long for a token that is taken.
fn is_overdue(job: &Job, now: Timestamp) -> bool {
    let since = job.created_at.max(job.scheduled_at);
    now > since.plus(LOCKED_OUT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_waits_a_week_for_a_token() {
        let day = Duration::from_secs(24 * 60 * 60);
        let job = crate::runner::tests::job(1, &serde_json::json!({}));
        let later = |days| job.scheduled_at.plus(day * days);
        assert!(!is_overdue(&job, later(7)));
        assert!(is_overdue(&job, later(8)));
        // From when it was to run.
        let planned = Job {
            scheduled_at: later(30),
            ..job.clone()
        };
        assert!(!is_overdue(&planned, later(37)));
        assert!(is_overdue(&planned, later(38)));
    }
}
