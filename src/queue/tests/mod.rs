//! The queue against a real SQLite file; what differs on PostgreSQL is tested in `tests/integration`.

mod awaited;
mod below;
mod failure;
mod held;
mod lanes;
mod retention;

use std::time::Duration;

use diesel::RunQueryDsl;
use serde_json::{Value, json};

use super::{Args, Canceled, Job, JobState, NewJob, Outcome, Queue, QueueError, Runnable, Stored};
use crate::{
    config::{DatabaseUrl, Limits},
    db::{Pool, vars},
    types::{JobKind, Timestamp, TriggerKind},
};

struct Bench {
    queue: Queue,
    pool: Pool,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new(worker: &str, limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pool = Pool::open(&DatabaseUrl::Sqlite(folder.path().join("q.db")), 2).unwrap();
        let queue = Queue::start(
            pool.clone(),
            limits,
            worker.to_owned(),
            &actix_rt::Arbiter::current(),
        );
        Self {
            queue,
            pool,
            folder,
        }
    }

    /// Another process on the same file, as after a crash.
    fn again(self, worker: &str, limits: Limits) -> Self {
        let url = DatabaseUrl::Sqlite(self.folder.path().join("q.db"));
        let pool = Pool::open(&url, 2).unwrap();
        let arbiter = actix_rt::Arbiter::current();
        Self {
            queue: Queue::start(pool.clone(), limits, worker.to_owned(), &arbiter),
            pool,
            folder: self.folder,
        }
    }

    async fn claim(&self, max: usize) -> Vec<Job> {
        self.queue.claim(max).await.unwrap()
    }

    async fn script(&self, hash: i64, preprocessor: Option<&'static str>) {
        let insert = format!(
            "INSERT INTO scripts VALUES ('main', {hash}, 'u/a/s', NULL, '', '', '', 'bash', 'script', NULL, {}, \
             NULL, NULL, NULL, NULL, '{{}}', 'a', {hash}, FALSE, FALSE)",
            preprocessor.map_or("NULL".to_owned(), |version| format!("'{version}'"))
        );
        let workspace = "INSERT OR IGNORE INTO workspaces VALUES ('main', 'main', 'a', 0)";
        self.pool
            .run(move |conn| {
                diesel::sql_query(workspace).execute(conn)?;
                Ok(diesel::sql_query(insert).execute(conn)?)
            })
            .await
            .unwrap();
    }
}

/// Claims until there are `count` jobs: what waits for its time is not looked at with every claim.
async fn claim_until(bench: &Bench, count: usize) -> Vec<Job> {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    let mut jobs = Vec::new();
    while jobs.len() < count {
        assert!(std::time::Instant::now() < deadline, "{} jobs", jobs.len());
        jobs.extend(bench.claim(10).await);
        actix_rt::task::yield_now().await;
    }
    jobs
}

fn job(args: &Value) -> NewJob {
    let runnable = Runnable::Script {
        path: "u/a/s".into(),
        hash: None,
    };
    NewJob::new("main".into(), runnable, Args::Object(args.to_string()), "a")
}

fn message(text: &str) -> NewJob {
    let url = "ws://h/".into();
    NewJob {
        args: Args::Message {
            text: text.to_owned(),
            url,
            is_base64: false,
        },
        trigger: Some((TriggerKind::Websocket, Some("u/a/t".into()))),
        ..job(&json!({}))
    }
}

fn done(job: &Job, result: &str) -> (Job, Outcome) {
    let outcome = Outcome {
        success: true,
        result: result.to_owned(),
        started_at: Timestamp::now(),
        logs: String::new(),
        preprocessed_args: None,
        canceled: None,
        retry_if: None,
    };
    (job.clone(), outcome)
}

#[actix::test]
async fn an_id_that_a_client_brings_twice_is_refused_also_when_its_job_has_ended() {
    let bench = Bench::new("w1", Limits::default());
    let given = NewJob {
        id_is_given: true,
        ..job(&json!({}))
    };
    bench.queue.push(vec![given.clone()]).await.unwrap();
    let refused = async || {
        let again = bench.queue.push(vec![given.clone()]).await;
        assert!(matches!(again, Err(QueueError::Refused(_))), "{again:?}");
    };
    refused().await;
    let claimed = bench.claim(1).await;
    refused().await;
    let ended = vec![done(&claimed[0], "1")];
    bench.queue.finish(ended).await.unwrap();
    refused().await;
    assert!(bench.claim(1).await.is_empty());
}

#[actix::test]
async fn a_job_goes_in_and_comes_out_once() {
    let bench = Bench::new("w1", Limits::default());
    let first = job(&json!({"x": 1}));
    let end = bench.queue.wait(first.id);
    bench.queue.push(vec![first.clone()]).await.unwrap();
    assert!(bench.queue.any_due().await.unwrap());
    let claimed = bench.claim(10).await;
    assert_eq!((claimed.len(), claimed[0].args.as_str()), (1, r#"{"x":1}"#));
    assert!(bench.claim(10).await.is_empty(), "it is held");
    bench
        .queue
        .finish(vec![done(&claimed[0], "2")])
        .await
        .unwrap();
    assert_eq!(end.await.unwrap().outcome.result, "2");
    bench
        .queue
        .finish(vec![done(&claimed[0], "3")])
        .await
        .unwrap();
    let id = first.id;
    let stored = bench
        .pool
        .run(move |conn| crate::db::queue::find_completed(conn, id));
    assert_eq!(
        stored.await.unwrap().unwrap().result,
        "2",
        "the first end stays"
    );
}

#[actix::test]
async fn priority_then_arrival_decide_and_the_future_waits() {
    let bench = Bench::new("w1", Limits::default());
    let later = NewJob {
        scheduled_at: Some(Timestamp::now().plus(Duration::from_secs(3_600))),
        ..job(&json!({"n": "later"}))
    };
    let (first, second) = (job(&json!({"n": 1})), job(&json!({"n": 2})));
    let urgent = NewJob {
        priority: super::PRIORITY_CONNECT,
        ..job(&json!({"n": "urgent"}))
    };
    let jobs = vec![later, first, second, urgent];
    bench.queue.push(jobs).await.unwrap();
    let order: Vec<String> = bench
        .claim(10)
        .await
        .into_iter()
        .map(|job| job.args)
        .collect();
    assert_eq!(order, [r#"{"n":"urgent"}"#, r#"{"n":1}"#, r#"{"n":2}"#]);
}

#[actix::test]
async fn one_refused_job_harms_no_other() {
    let bench = Bench::new("w1", Limits::default());
    let good = job(&json!({}));
    bench.queue.push(vec![good.clone()]).await.unwrap();
    let (again, other) = (good.clone(), job(&json!({})));
    let (refused, taken) =
        futures_util::join!(bench.queue.push(vec![again]), bench.queue.push(vec![other]),);
    assert!(refused.unwrap_err().to_string().contains("refused"));
    taken.unwrap();
    assert_eq!(bench.claim(10).await.len(), 2);
}

#[actix::test]
async fn the_script_version_and_the_arguments_are_fixed_at_the_commit() {
    let bench = Bench::new("w1", Limits::default());
    bench
        .queue
        .push(vec![message("no script yet")])
        .await
        .unwrap();
    bench.script(7, None).await;
    bench.queue.push(vec![message("plain")]).await.unwrap();
    bench.script(8, Some("v2")).await;
    bench.queue.push(vec![message("two")]).await.unwrap();
    bench.script(9, Some("v1")).await;
    bench.queue.push(vec![message("one")]).await.unwrap();
    let jobs = bench.claim(10).await;
    let seen: Vec<(Option<i64>, bool, Value)> = jobs
        .iter()
        .map(|job| {
            let args = serde_json::from_str(&job.args).unwrap();
            (job.runnable_hash, job.preprocess, args)
        })
        .collect();
    let about = json!({"url": "ws://h/", "trigger_path": "u/a/t"});
    assert_eq!(
        seen,
        [
            (None, false, json!({"msg": "no script yet"})),
            (Some(7), false, json!({"msg": "plain"})),
            (
                Some(8),
                true,
                json!({"event": {"kind": "websocket", "msg": "two", "url": "ws://h/", "trigger_path": "u/a/t"}})
            ),
            (
                Some(9),
                true,
                json!({"msg": "one", "wm_trigger": {"kind": "websocket", "websocket": about}})
            ),
        ]
    );
}

#[actix::test]
async fn held_jobs_wait_for_somebody() {
    let bench = Bench::new("w1", Limits::default());
    let held = NewJob {
        held: true,
        ..message("x")
    };
    bench.queue.push(vec![held.clone()]).await.unwrap();
    assert!(bench.claim(10).await.is_empty());
    let id = held.id;
    let find = move |conn: &mut crate::db::Conn| crate::db::queue::find(conn, "main", id);
    let row = bench.pool.run(find).await.unwrap().unwrap();
    assert_eq!(row.kind, JobKind::UnassignedScript.as_str());
}

#[actix::test]
async fn canceling_depends_on_where_the_job_is() {
    let bench = Bench::new("w1", Limits::default());
    let (waiting, running) = (job(&json!({})), job(&json!({})));
    bench.queue.push(vec![running.clone()]).await.unwrap();
    let claimed = bench.claim(1).await;
    bench.queue.push(vec![waiting.clone()]).await.unwrap();
    let mut told = bench.queue.cancellations();
    let cancel = |id| {
        bench
            .queue
            .cancel("main", id, "a", Some("enough".to_owned()))
    };
    assert_eq!(cancel(waiting.id).await.unwrap(), Canceled::BeforeItRan);
    assert_eq!(cancel(running.id).await.unwrap(), Canceled::WhileRunning);
    assert_eq!(told.recv().await.unwrap().0, running.id);
    bench
        .queue
        .finish(vec![done(&claimed[0], "1")])
        .await
        .unwrap();
    assert_eq!(cancel(running.id).await.unwrap(), Canceled::TooLate);
    let elsewhere = bench
        .queue
        .cancel("other", waiting.id, "a", None)
        .await
        .unwrap();
    assert_eq!(elsewhere, Canceled::NotFound);
    let id = waiting.id;
    let ended = bench
        .pool
        .run(move |conn| crate::db::queue::find_completed(conn, id));
    let ended = ended.await.unwrap().unwrap();
    assert_eq!(ended.canceled_by.as_deref(), Some("a"));
    assert!(ended.result.contains(r#""name":"Canceled""#));
}

#[actix::test]
async fn a_dead_workers_jobs_run_again_three_times_then_fail() {
    let mut bench = Bench::new("w0", Limits::default());
    let lost = job(&json!({}));
    bench.queue.push(vec![lost.clone()]).await.unwrap();
    for life in 1..=3 {
        assert_eq!(bench.claim(1).await.len(), 1, "life {life}");
        bench = bench.again(&format!("w{life}"), Limits::default());
    }
    let ended = bench.queue.wait(lost.id);
    let id = lost.id;
    let row = bench
        .pool
        .run(move |conn| crate::db::queue::find_completed(conn, id))
        .await
        .unwrap();
    let result = match row {
        Some(row) => row.result,
        None => ended.await.unwrap().outcome.result.clone(),
    };
    assert!(result.contains("lost 3 workers"), "{result}");
}

#[actix::test]
async fn a_worker_that_lost_its_lease_cannot_end_the_job() {
    let limits = Limits {
        job_lease: Duration::ZERO,
        ..Limits::default()
    };
    let bench = Bench::new("w1", limits);
    bench.queue.push(vec![job(&json!({}))]).await.unwrap();
    let held = bench.claim(1).await;
    let now = Timestamp::now().plus(Duration::from_secs(1));
    let requeue =
        move |conn: &mut crate::db::Conn| crate::db::claim::requeue_lost(conn, now, false, 10);
    assert_eq!(bench.pool.run(requeue).await.unwrap()[0].lost, 1);
    bench
        .queue
        .finish(vec![done(&held[0], "late")])
        .await
        .unwrap();
    let id = held[0].id;
    let find = move |conn: &mut crate::db::Conn| crate::db::queue::find_completed(conn, id);
    assert!(
        bench.pool.run(find).await.unwrap().is_none(),
        "the late result is not taken"
    );
    assert_eq!(bench.claim(1).await.len(), 1, "it runs again");
}

async fn execute(bench: &Bench, statement: &'static str) {
    let done = bench
        .pool
        .run(move |conn| Ok(diesel::sql_query(statement).execute(conn)?));
    done.await.unwrap();
}

async fn bench_with_trigger() -> Bench {
    let bench = Bench::new("w1", Limits::default());
    execute(
        &bench,
        "INSERT INTO workspaces VALUES ('main', 'main', 'a', 0)",
    )
    .await;
    execute(
        &bench,
        "INSERT INTO triggers (workspace_id, path, script_path, is_flow, url, mode, filters, filter_logic, \
         can_return_message, can_return_error_result, permissioned_as, labels, extra_perms, options, edited_by, \
         edited_at, version) VALUES ('main', 'u/a/t', 'u/a/s', FALSE, 'ws://a', 'enabled', '[]', 'and', \
         FALSE, FALSE, 'u/a', '[]', '{}', '{}', 'a', 0, 1000000)",
    )
    .await;
    bench
}

fn stored(values: &[(&str, &str)]) -> Stored {
    Stored {
        workspace: "main".into(),
        path: "u/a/t".into(),
        version: 1_000_000,
        forget: false,
        values: values
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    }
}

async fn values(bench: &Bench) -> Vec<(String, String)> {
    let values = bench
        .pool
        .run(|conn| vars::of_trigger(conn, "main", "u/a/t"));
    values.await.unwrap()
}

#[actix::test]
async fn what_messages_store_is_committed_with_their_jobs() {
    let bench = bench_with_trigger().await;
    let twice = message("x");
    let first = stored(&[("seq", "1"), ("seq", "2")]);
    bench
        .queue
        .push_leased(vec![twice.clone()], Some(first), 1)
        .await
        .unwrap();
    let refused = stored(&[("seq", "3")]);
    let again = bench.queue.push_leased(vec![twice], Some(refused), 1).await;
    assert!(again.is_err(), "the job stands already");
    assert_eq!(values(&bench).await, [("seq".to_owned(), "2".to_owned())]);
}

#[actix::test]
async fn what_is_forgotten_is_forgotten_in_its_place_among_what_is_stored() {
    let bench = bench_with_trigger().await;
    let before = stored(&[("seq", "1"), ("session", "2")]);
    let anew = Stored {
        forget: true,
        ..stored(&[("seq", "3")])
    };
    for one in [before, anew] {
        bench
            .queue
            .push_leased(Vec::new(), Some(one), 1)
            .await
            .unwrap();
    }
    assert_eq!(values(&bench).await, [("seq".to_owned(), "3".to_owned())]);
}

#[actix::test]
async fn messages_of_a_trigger_that_is_gone_store_nothing() {
    let bench = bench_with_trigger().await;
    // Edited since, or made anew since.
    for (version, kept) in [(1_000_003, true), (9_000_000, false)] {
        let statement = if kept {
            "UPDATE triggers SET version = 1000003"
        } else {
            "UPDATE triggers SET version = 9000000"
        };
        execute(&bench, statement).await;
        let value = version.to_string();
        bench
            .queue
            .push_leased(vec![message("x")], Some(stored(&[("seq", &value)])), 1)
            .await
            .unwrap();
        let is_kept = values(&bench).await == [("seq".to_owned(), value)];
        assert_eq!(is_kept, kept, "{version}");
    }
    execute(&bench, "DELETE FROM trigger_vars").await;
    execute(&bench, "DELETE FROM triggers").await;
    bench
        .queue
        .push_leased(vec![message("x")], Some(stored(&[("seq", "4")])), 1)
        .await
        .unwrap();
    assert_eq!(values(&bench).await, []);
}

#[actix::test]
async fn watchers_hear_of_each_state() {
    let bench = Bench::new("w1", Limits::default());
    let mut events = bench.queue.events();
    bench.queue.push(vec![job(&json!({}))]).await.unwrap();
    let jobs = bench.claim(1).await;
    bench.queue.finish(vec![done(&jobs[0], "1")]).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(events.recv().await.unwrap().state);
    }
    let completed = JobState::Completed { success: true };
    assert_eq!(seen, [JobState::Queued, JobState::Running, completed]);
}
