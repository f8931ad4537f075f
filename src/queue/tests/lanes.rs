//! How many jobs run at once: lines of triggers, limits of scripts, both together.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Bench, done, job, message};
use crate::{
    config::Limits,
    db::{self, queue::QUEUED},
    queue::{Canceled, Job, Lane, NewJob, Outcome, Runnable},
    types::{JobId, Timestamp, TriggerKind},
};

const ORDERED: Lane = Lane {
    max_jobs: 1,
    ordered: true,
};

fn in_lane(lane: Lane, text: &str) -> NewJob {
    NewJob {
        lane: Some(lane),
        ..message(text)
    }
}

fn texts(jobs: &[Job]) -> Vec<String> {
    let text = |job: &Job| {
        let args: Value = serde_json::from_str(&job.args).unwrap();
        args["msg"].as_str().unwrap_or("").to_owned()
    };
    jobs.iter().map(text).collect()
}

fn texts_of<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(str::to_owned).into()
}

fn failed(job: &Job) -> (Job, Outcome) {
    let outcome = Outcome::failed("Error", "no", Timestamp::now());
    (job.clone(), outcome)
}

impl Bench {
    async fn claim_texts(&self) -> (Vec<Job>, Vec<String>) {
        let jobs = self.claim(10).await;
        let texts = texts(&jobs);
        (jobs, texts)
    }

    async fn end(&self, job: &Job) {
        self.queue.finish(vec![done(job, "1")]).await.unwrap();
    }

    pub(super) async fn limited_script(&self, settings: &Value) {
        self.script(7, None).await;
        let update = format!("UPDATE scripts SET settings = '{settings}'");
        self.sql(update).await;
    }

    pub(super) async fn sql(&self, text: String) {
        let run = move |conn: &mut db::Conn| {
            use diesel::RunQueryDsl;
            Ok(diesel::sql_query(text).execute(conn)?)
        };
        self.pool.run(run).await.unwrap();
    }

    pub(super) async fn state_of(&self, id: JobId) -> Option<i32> {
        let find = move |conn: &mut db::Conn| db::queue::find(conn, "main", id);
        self.pool.run(find).await.unwrap().map(|row| row.state)
    }
}

#[actix::test]
async fn ordered_jobs_run_one_at_a_time_and_harm_no_others() {
    let bench = Bench::new("w1", Limits::default());
    let line: Vec<NewJob> = ["1", "2", "3"].map(|text| in_lane(ORDERED, text)).into();
    bench.queue.push(line).await.unwrap();
    bench.queue.push(vec![message("free")]).await.unwrap();
    let (jobs, seen) = bench.claim_texts().await;
    assert_eq!(seen, ["1", "free"], "the rest waits in line");
    bench.end(&jobs[1]).await;
    assert!(bench.claim(10).await.is_empty());
    // A failed job does not hold the next.
    bench.queue.finish(vec![failed(&jobs[0])]).await.unwrap();
    bench.queue.push(vec![in_lane(ORDERED, "4")]).await.unwrap();
    for text in ["2", "3", "4"] {
        let (jobs, seen) = bench.claim_texts().await;
        assert_eq!(seen, [text]);
        bench.end(&jobs[0]).await;
    }
    assert!(bench.claim(10).await.is_empty());
}

#[actix::test]
async fn a_job_given_back_or_lost_keeps_its_turn() {
    let bench = Bench::new("w1", Limits::default());
    let line: Vec<NewJob> = ["1", "2"].map(|text| in_lane(ORDERED, text)).into();
    bench.queue.push(line).await.unwrap();
    let (jobs, _) = bench.claim_texts().await;
    bench.queue.give_back(vec![jobs[0].id]).await.unwrap();
    let (_, seen) = bench.claim_texts().await;
    assert_eq!(seen, ["1"]);
    // The process dies over it twice more, the third time for good: then it is the next one's turn.
    let mut bench = bench.again("w2", Limits::default());
    for life in 1..3 {
        assert_eq!(bench.claim_texts().await.1, ["1"], "life {life}");
        bench = bench.again(&format!("again{life}"), Limits::default());
    }
    assert_eq!(bench.claim_texts().await.1, ["2"]);
}

#[actix::test]
async fn so_many_at_once_and_no_more() {
    let bench = Bench::new("w1", Limits::default());
    let two = Lane {
        max_jobs: 2,
        ordered: false,
    };
    let line: Vec<NewJob> = ["1", "2", "3", "4", "5"]
        .map(|text| in_lane(two, text))
        .into();
    let fourth = line[3].id;
    bench.queue.push(line).await.unwrap();
    let (jobs, seen) = bench.claim_texts().await;
    assert_eq!(seen, ["1", "2"]);
    bench.end(&jobs[1]).await;
    let (_, seen) = bench.claim_texts().await;
    assert_eq!(seen, ["3"]);
    // One that waits in line can be canceled; its place goes to nobody it would not have gone to.
    let canceled = bench.queue.cancel("main", fourth, "a", None).await.unwrap();
    assert_eq!(canceled, Canceled::BeforeItRan);
    assert!(bench.claim(10).await.is_empty());
    bench.end(&jobs[0]).await;
    assert_eq!(bench.claim_texts().await.1, ["5"]);
}

#[actix::test]
async fn canceling_a_job_that_is_about_to_run_gives_its_turn_on() {
    let bench = Bench::new("w1", Limits::default());
    let line: Vec<NewJob> = ["1", "2"].map(|text| in_lane(ORDERED, text)).into();
    let first = line[0].id;
    bench.queue.push(line).await.unwrap();
    bench.queue.cancel("main", first, "a", None).await.unwrap();
    assert_eq!(bench.claim_texts().await.1, ["2"]);
}

#[actix::test]
async fn a_bound_that_is_changed_counts_for_those_that_wait() {
    let bench = Bench::new("w1", Limits::default());
    let line: Vec<NewJob> = (0..1_500)
        .map(|n| in_lane(ORDERED, &n.to_string()))
        .collect();
    bench.queue.push(line).await.unwrap();
    assert_eq!(bench.claim(10).await.len(), 1);
    let three = Lane {
        max_jobs: 3,
        ordered: false,
    };
    let bound = |lane| bench.queue.bound("main", "u/a/t", lane);
    bound(Some(three)).await.unwrap();
    assert_eq!(bench.claim(10).await.len(), 2);
    bound(None).await.unwrap();
    // Not all in one commit; the next claims find the rest by themselves.
    let mut claimed = 3;
    while claimed < 1_500 {
        claimed += bench.claim(1_500).await.len();
    }
    assert!(bench.claim(10).await.is_empty());
    // Another trigger's lane, or none at all, is no error.
    bench
        .queue
        .bound("main", "u/a/none", Some(three))
        .await
        .unwrap();
}

#[actix::test]
async fn triggers_of_the_same_name_elsewhere_have_their_own_line() {
    let bench = Bench::new("w1", Limits::default());
    let elsewhere = NewJob {
        workspace: "other".into(),
        ..in_lane(ORDERED, "2")
    };
    let another = NewJob {
        trigger: Some((TriggerKind::Websocket, Some("u/a/t2".into()))),
        ..in_lane(ORDERED, "3")
    };
    let jobs = vec![in_lane(ORDERED, "1"), elsewhere, another];
    bench.queue.push(jobs).await.unwrap();
    let (_, mut seen) = bench.claim_texts().await;
    seen.sort_unstable();
    assert_eq!(seen, ["1", "2", "3"]);
}

#[actix::test]
async fn a_scripts_limit_counts_by_its_key() {
    let bench = Bench::new("w1", Limits::default());
    let settings = json!({"concurrent_limit": 1, "concurrency_key": "$workspace/$args[user]"});
    bench.limited_script(&settings).await;
    let of = |user: &str, n: i32| job(&json!({"user": user, "msg": format!("{user}{n}")}));
    let urgent = NewJob {
        priority: 5,
        ..of("ann", 3)
    };
    let unlimited = NewJob {
        runnable: Runnable::Flow {
            path: "u/a/f".into(),
            version: None,
        },
        ..of("ann", 4)
    };
    let jobs = vec![of("ann", 1), of("ann", 2), of("bob", 1), urgent, unlimited];
    bench.queue.push(jobs).await.unwrap();
    // The urgent one goes before those of its key that wait; here all came at once.
    let (jobs, mut seen) = bench.claim_texts().await;
    let (urgent, bob) = (seen[0].clone(), seen.iter().position(|text| text == "bob1"));
    seen.sort_unstable();
    assert_eq!(
        (urgent.as_str(), seen),
        ("ann3", texts_of(["ann3", "ann4", "bob1"]))
    );
    bench.end(&jobs[bob.unwrap()]).await;
    assert!(bench.claim(10).await.is_empty(), "bob has no more");
    bench.end(&jobs[0]).await;
    let (jobs, seen) = bench.claim_texts().await;
    assert_eq!(seen, ["ann1"]);
    bench.end(&jobs[0]).await;
    assert_eq!(bench.claim_texts().await.1, ["ann2"]);
}

#[actix::test]
async fn a_window_counts_runs_after_their_end() {
    let bench = Bench::new("w1", Limits::default());
    let settings = json!({"concurrent_limit": 2, "concurrency_time_window_s": 3600});
    bench.limited_script(&settings).await;
    let jobs: Vec<NewJob> = (1..=4)
        .map(|n| job(&json!({"msg": n.to_string()})))
        .collect();
    bench.queue.push(jobs).await.unwrap();
    let (jobs, seen) = bench.claim_texts().await;
    assert_eq!(seen, ["1", "2"]);
    bench.end(&jobs[0]).await;
    bench.end(&jobs[1]).await;
    assert!(bench.claim(10).await.is_empty(), "both still count");
    // An hour goes by for the first of them.
    let hour = Duration::from_secs(3_600).as_micros();
    let back = format!(
        "UPDATE lane_ends SET ended_at = ended_at - {hour} WHERE ended_at = (SELECT min(ended_at) FROM lane_ends)"
    );
    bench.sql(back).await;
    bench
        .sql(format!("UPDATE lanes SET wake_at = wake_at - {hour}"))
        .await;
    let woken = super::claim_until(&bench, 1).await;
    assert_eq!(texts(&woken), ["3"]);
    assert!(bench.claim(10).await.is_empty());
}

#[actix::test]
async fn in_line_first_then_limited() {
    let bench = Bench::new("w1", Limits::default());
    bench.limited_script(&json!({"concurrent_limit": 1})).await;
    let line: Vec<NewJob> = ["1", "2"].map(|text| in_lane(ORDERED, text)).into();
    let second = line[1].id;
    bench
        .queue
        .push(vec![job(&json!({"msg": "busy"}))])
        .await
        .unwrap();
    bench.queue.push(line).await.unwrap();
    let (jobs, seen) = bench.claim_texts().await;
    assert_eq!(seen, ["busy"], "the script is busy");
    bench.end(&jobs[0]).await;
    let (jobs, seen) = bench.claim_texts().await;
    assert_eq!(seen, ["1"]);
    assert_ne!(bench.state_of(second).await, Some(QUEUED));
    bench.end(&jobs[0]).await;
    assert_eq!(bench.claim_texts().await.1, ["2"]);
}

#[actix::test]
async fn a_limited_job_of_the_future_takes_no_room_until_then() {
    let bench = Bench::new("w1", Limits::default());
    bench.limited_script(&json!({"concurrent_limit": 1})).await;
    let later = NewJob {
        scheduled_at: Some(Timestamp::now().plus(Duration::from_secs(3_600))),
        ..job(&json!({"msg": "later"}))
    };
    let id = later.id;
    bench
        .queue
        .push(vec![later, job(&json!({"msg": "now"}))])
        .await
        .unwrap();
    let (jobs, seen) = bench.claim_texts().await;
    assert_eq!(seen, ["now"]);
    bench.end(&jobs[0]).await;
    assert!(bench.claim(10).await.is_empty());
    bench
        .sql("UPDATE queue SET scheduled_at = 1".to_owned())
        .await;
    assert_eq!(texts(&super::claim_until(&bench, 1).await), ["later"]);
    assert_eq!(bench.state_of(id).await, Some(db::queue::RUNNING));
}

#[actix::test]
async fn lanes_of_keys_go_when_nobody_needs_them() {
    let bench = Bench::new("w1", Limits::default());
    let settings = json!({"concurrent_limit": 1, "concurrency_key": "$args[msg]"});
    bench.limited_script(&settings).await;
    let jobs: Vec<NewJob> = (0..5)
        .map(|n| job(&json!({"msg": n.to_string()})))
        .collect();
    bench.queue.push(jobs).await.unwrap();
    for job in bench.claim(10).await {
        bench.end(&job).await;
    }
    let lanes = bench
        .pool
        .run(|conn| db::lanes::to_wake(conn, Timestamp(i64::MAX), 10))
        .await
        .unwrap();
    assert_eq!(lanes, Vec::<String>::new());
    let left = bench
        .pool
        .run(|conn| db::lanes::find(conn, "runs/0"))
        .await
        .unwrap();
    assert_eq!(left, None);
}
