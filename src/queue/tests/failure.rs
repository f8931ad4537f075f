//! What follows a failed run: another run, the error handler, or nothing.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Bench, claim_until, done, message};
use crate::{
    config::Limits,
    db::{self, queue::QUEUED},
    queue::{
        Constant, ErrorHandler, Job, Lane, NewJob, Options, Outcome, Queue, RetryIf, RetryPolicy,
        Runnable,
    },
    types::{JobId, Timestamp},
};

fn retry(attempts: u32, seconds: u32) -> RetryPolicy {
    RetryPolicy {
        constant: Some(Constant { attempts, seconds }),
        ..RetryPolicy::default()
    }
}

fn handler() -> ErrorHandler {
    let args = json!({"channel": "ops", "job_id": "not this"});
    ErrorHandler {
        path: "u/a/handler".to_owned(),
        is_flow: false,
        args: args.as_object().unwrap().clone(),
    }
}

fn with(options: &Options) -> NewJob {
    NewJob {
        options: options.column(),
        ..message("x")
    }
}

fn failed(job: &Job, logs: &str) -> (Job, Outcome) {
    let mut outcome = Outcome::failed("Oops", "no", Timestamp::now());
    outcome.logs = logs.to_owned();
    (job.clone(), outcome)
}

impl Bench {
    async fn fail(&self, job: &Job) {
        self.queue
            .finish(vec![failed(job, "tried\n")])
            .await
            .unwrap();
    }

    async fn ended(&self, id: JobId) -> Option<db::queue::CompletedRow> {
        let find = move |conn: &mut db::Conn| db::queue::find_completed(conn, id);
        self.pool.run(find).await.unwrap()
    }

    async fn logs(&self, id: JobId) -> String {
        let logs = move |conn: &mut db::Conn| db::job_list::logs(conn, id);
        self.pool.run(logs).await.unwrap()
    }
}

#[actix::test]
async fn a_failed_run_is_followed_by_others_and_the_last_one_counts() {
    let bench = Bench::new("w1", Limits::default());
    let job = with(&Options::new(Some(retry(2, 0)), None));
    let id = job.id;
    let mut end = std::pin::pin!(bench.queue.wait(id));
    bench.queue.push(vec![job]).await.unwrap();
    for run in 0..3 {
        let jobs = claim_until(&bench, 1).await;
        assert_eq!((jobs[0].id, jobs[0].kind.as_str()), (id, "singlestepflow"));
        let piece = Queue::first_piece(&jobs[0]);
        let text = format!("run {run} begins\n");
        bench.queue.append_log(id, piece, text).await.unwrap();
        assert!(bench.ended(id).await.is_none());
        if run < 2 {
            bench.fail(&jobs[0]).await;
            let nobody = futures_util::FutureExt::now_or_never(&mut end);
            assert!(
                nobody.is_none(),
                "nobody is told of a run that is followed by another"
            );
        } else {
            bench.queue.finish(vec![done(&jobs[0], "7")]).await.unwrap();
        }
    }
    assert_eq!(end.await.unwrap().outcome.result, "7");
    assert!(bench.ended(id).await.unwrap().success);
    let logs = bench.logs(id).await;
    let lines: Vec<&str> = logs.lines().collect();
    assert_eq!(lines.len(), 7, "{logs}");
    assert_eq!((lines[0], lines[1]), ("run 0 begins", "tried"));
    assert!(lines[2].starts_with("[windsock: run 1 has failed; the job runs again at "));
    assert_eq!((lines[3], lines[6]), ("run 1 begins", "run 2 begins"));
}

#[actix::test]
async fn a_wait_survives_a_restart_and_a_lost_worker_is_no_failed_run() {
    let bench = Bench::new("w1", Limits::default());
    let job = with(&Options::new(Some(retry(1, 3_600)), None));
    let id = job.id;
    bench.queue.push(vec![job]).await.unwrap();
    bench.fail(&bench.claim(1).await[0]).await;
    assert!(bench.claim(10).await.is_empty());
    let mut bench = bench.again("w2", Limits::default());
    assert!(bench.claim(10).await.is_empty());
    let soon = "UPDATE queue SET scheduled_at = 1".to_owned();
    bench.sql(soon).await;
    assert_eq!(claim_until(&bench, 1).await[0].id, id);
    bench = bench.again("w3", Limits::default());
    let jobs = claim_until(&bench, 1).await;
    // First it failed, then it was lost: its logs begin behind both.
    assert_eq!((jobs[0].lost, Queue::first_piece(&jobs[0])), (1, 200_000));
    bench.fail(&jobs[0]).await;
    assert!(!bench.ended(id).await.unwrap().success, "that was the last");
}

#[actix::test]
async fn the_condition_and_a_cancellation_decide() {
    let bench = Bench::new("w1", Limits::default());
    let condition = RetryPolicy {
        retry_if: Some(RetryIf {
            expr: "true".to_owned(),
        }),
        ..retry(5, 0)
    };
    let job = with(&Options::new(Some(condition), None));
    let id = job.id;
    bench.queue.push(vec![job]).await.unwrap();
    let jobs = claim_until(&bench, 1).await;
    assert_eq!(
        crate::queue::retry_condition(&jobs[0]).as_deref(),
        Some("true")
    );
    let (job, mut outcome) = failed(&jobs[0], "");
    outcome.retry_if = Some(true);
    bench.queue.finish(vec![(job, outcome)]).await.unwrap();
    let jobs = claim_until(&bench, 1).await;
    let (job, mut outcome) = failed(&jobs[0], "");
    outcome.retry_if = Some(false);
    bench.queue.finish(vec![(job, outcome)]).await.unwrap();
    assert!(bench.ended(id).await.is_some(), "it does not hold any more");

    let job = with(&Options::new(Some(retry(5, 3_600)), Some(handler())));
    let id = job.id;
    bench.queue.push(vec![job]).await.unwrap();
    bench.fail(&bench.claim(1).await[0]).await;
    bench.queue.cancel("main", id, "ann", None).await.unwrap();
    assert_eq!(
        bench.ended(id).await.unwrap().canceled_by.as_deref(),
        Some("ann")
    );
    let outcome = Outcome::canceled("ann", None, Timestamp::now());
    let job = with(&Options::new(Some(retry(5, 0)), Some(handler())));
    bench.queue.push(vec![job]).await.unwrap();
    let jobs = bench.claim(1).await;
    bench
        .queue
        .finish(vec![(jobs[0].clone(), outcome)])
        .await
        .unwrap();
    assert!(
        bench.claim(10).await.is_empty(),
        "no run and no handler after a cancellation"
    );
}

#[actix::test]
async fn a_job_that_failed_for_good_has_its_handler_called() {
    let bench = Bench::new("w1", Limits::default());
    let job = with(&Options::new(Some(retry(1, 0)), Some(handler())));
    let id = job.id;
    bench.queue.push(vec![job]).await.unwrap();
    for _ in 0..2 {
        let jobs = claim_until(&bench, 1).await;
        assert_eq!(jobs[0].id, id, "no handler yet");
        bench.fail(&jobs[0]).await;
    }
    let call = claim_until(&bench, 1).await.remove(0);
    assert_eq!(
        (call.runnable_path.as_deref(), call.kind.as_str()),
        (Some("u/a/handler"), "script")
    );
    assert_eq!(
        (call.parent_job, call.permissioned_as.as_str()),
        (Some(id), "u/a")
    );
    let mut args: Value = serde_json::from_str(&call.args).unwrap();
    assert!(args["started_at"].take().is_string());
    assert_eq!(
        args,
        json!({
            "workspace_id": "main", "job_id": id, "path": "u/a/s", "is_flow": false, "channel": "ops",
            "trigger_path": "websocket_trigger/u/a/t", "error": {"name": "Oops", "message": "no"}, "started_at": null,
        })
    );
    // The handler has no handler.
    bench.fail(&call).await;
    assert!(bench.claim(10).await.is_empty());
}

#[actix::test]
async fn a_job_that_lost_its_workers_has_its_handler_called() {
    let mut bench = Bench::new("w0", Limits::default());
    let flow = NewJob {
        runnable: Runnable::Flow {
            path: "u/a/f".into(),
            version: None,
        },
        ..with(&Options::new(None, Some(handler())))
    };
    let id = flow.id;
    bench.queue.push(vec![flow]).await.unwrap();
    for life in 1..=3 {
        let jobs = claim_until(&bench, 1).await;
        assert_eq!((jobs[0].id, jobs[0].kind.as_str()), (id, "flow"));
        bench = bench.again(&format!("w{life}"), Limits::default());
    }
    let call = claim_until(&bench, 1).await.remove(0);
    let args: Value = serde_json::from_str(&call.args).unwrap();
    assert_eq!(
        (&args["is_flow"], &args["error"]["name"]),
        (&json!(true), &json!("WorkersLost"))
    );
}

#[actix::test]
async fn a_worker_that_lost_its_lease_has_nothing_run_again() {
    let limits = Limits {
        job_lease: Duration::ZERO,
        ..Limits::default()
    };
    let bench = Bench::new("w1", limits);
    let job = with(&Options::new(Some(retry(1, 3_600)), Some(handler())));
    let id = job.id;
    bench.queue.push(vec![job]).await.unwrap();
    let held = bench.claim(1).await;
    let now = Timestamp::now().plus(Duration::from_secs(1));
    let requeue = move |conn: &mut db::Conn| db::claim::requeue_lost(conn, now, false, 10);
    bench.pool.run(requeue).await.unwrap();
    bench.fail(&held[0]).await;
    assert_eq!(
        bench.state_of(id).await,
        Some(QUEUED),
        "somebody else's now"
    );
    assert_eq!(bench.claim(10).await.len(), 1, "and no handler was called");
}

#[actix::test]
async fn a_retry_holds_the_line_only_where_order_counts() {
    for ordered in [true, false] {
        let bench = Bench::new("w1", Limits::default());
        let lane = Lane {
            max_jobs: 1,
            ordered,
        };
        let in_line = |retries: u32| NewJob {
            lane: Some(lane),
            ..with(&Options::new(Some(retry(retries, 3_600)), None))
        };
        let (first, second) = (in_line(1), in_line(0));
        let ids = [first.id, second.id];
        bench.queue.push(vec![first, second]).await.unwrap();
        bench.fail(&bench.claim(10).await[0]).await;
        let next = bench.claim(10).await;
        if ordered {
            assert!(next.is_empty(), "the retry holds the next");
        } else {
            assert_eq!(next[0].id, ids[1]);
        }
        bench
            .sql("UPDATE queue SET scheduled_at = 1".to_owned())
            .await;
        if let Some(job) = next.first() {
            bench.queue.finish(vec![done(job, "1")]).await.unwrap();
        }
        let again = claim_until(&bench, 1).await;
        assert_eq!(again[0].id, ids[0], "it comes back first");
        bench
            .queue
            .finish(vec![done(&again[0], "1")])
            .await
            .unwrap();
        assert_eq!(bench.claim(10).await.len(), usize::from(ordered));
    }
}

#[actix::test]
async fn an_ordered_retry_leaves_its_scripts_slot_to_others() {
    let bench = Bench::new("w1", Limits::default());
    bench.limited_script(&json!({"concurrent_limit": 1})).await;
    let lane = Lane {
        max_jobs: 1,
        ordered: true,
    };
    let first = NewJob {
        lane: Some(lane),
        ..with(&Options::new(Some(retry(1, 3_600)), None))
    };
    let next = NewJob {
        lane: Some(lane),
        ..message("next")
    };
    let (ids, other) = ([first.id, next.id], super::job(&json!({})));
    bench.queue.push(vec![first, next]).await.unwrap();
    let jobs = bench.claim(10).await;
    bench.queue.push(vec![other.clone()]).await.unwrap();
    bench.fail(&jobs[0]).await;
    let jobs = bench.claim(10).await;
    assert_eq!(jobs[0].id, other.id, "the script is free, the line is not");
    bench
        .sql("UPDATE queue SET scheduled_at = 1".to_owned())
        .await;
    bench.queue.finish(vec![done(&jobs[0], "1")]).await.unwrap();
    for id in ids {
        let jobs = claim_until(&bench, 1).await;
        assert_eq!(jobs[0].id, id);
        bench.queue.finish(vec![done(&jobs[0], "1")]).await.unwrap();
    }
}
