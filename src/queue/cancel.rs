//! Canceling a job: at once when it waits, through its worker when it runs. Called by `commit` alone.

use std::sync::Arc;

use super::{
    Canceled, Finished, Outcome,
    commit::Done,
    ended::completed,
    flow::{self, Wish},
    lanes::Lanes,
    news::News,
    shared::Cancellation,
};
use crate::{
    db::{Conn, DbError, queue},
    types::Timestamp,
};

/// Cancels a job of a workspace.
pub(super) fn cancel(
    conn: &mut Conn,
    workspace: &str,
    (id, by, reason): Cancellation,
    lanes: &mut Lanes,
    news: &mut News,
) -> Result<Done, DbError> {
    let Some(job) = queue::find(conn, workspace, id)? else {
        let ended =
            queue::find_completed(conn, id)?.is_some_and(|row| row.workspace_id == workspace);
        return Ok(Done::Canceled(if ended {
            Canceled::TooLate
        } else {
            Canceled::NotFound
        }));
    };
    if queue::flag_canceled(conn, id, &by, reason.as_deref())? {
        news.flagged = true;
        news.cancellations.push((id, by, reason));
        return Ok(Done::Canceled(Canceled::WhileRunning));
    }
    let now = Timestamp::now();
    // A flow waits also while it runs.
    let began = job.started_at.unwrap_or(now);
    let outcome = Outcome::canceled(&by, reason.as_deref(), began);
    queue::end_unheld(conn, &completed(&job, &outcome, now))?;
    lanes.touch(conn, &job)?;
    let wish = Wish {
        flow: id,
        by,
        reason,
    };
    flow::ended_here(conn, &job, wish, lanes, news)?;
    news.ended.push(Finished {
        job: Arc::new(job),
        outcome: Arc::new(outcome),
    });
    Ok(Done::Canceled(Canceled::BeforeItRan))
}
