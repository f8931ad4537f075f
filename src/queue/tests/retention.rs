//! What is past its time goes, with everything that belongs to it; what has not ended, or is needed yet, stays.

use std::time::Duration;

use diesel::{RunQueryDsl, sql_query, sql_types::BigInt};
use serde_json::json;

use super::{Bench, done, job};
use crate::{
    config::{Limits, Retention},
    db::{flow_run, retention::oldest_kept},
    queue::{
        NewJob,
        retention::{choose, prune, prune_jobs},
    },
    types::JobId,
};

/// More than two batches.
const MANY: usize = 450;

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

async fn count(bench: &Bench, of: &str) -> i64 {
    let query = format!("SELECT COUNT(*) AS count FROM {of}");
    let row = bench
        .pool
        .run(move |conn| Ok(sql_query(query).get_result::<Count>(conn)?));
    row.await.unwrap().count
}

/// A job of long ago: its id says so.
fn old(nth: u32) -> NewJob {
    let then = uuid::Timestamp::from_unix_time(1_600_000_000 + u64::from(nth), 0, 0, 0);
    NewJob {
        id: JobId(uuid::Uuid::new_v7(then)),
        ..job(&json!({"text": "x".repeat(8_000)}))
    }
}

/// Runs what is claimed to its end, with a line in the log.
async fn finish_all(bench: &Bench) {
    loop {
        let claimed = bench.claim(1_000).await;
        if claimed.is_empty() {
            return;
        }
        let ended = claimed.iter().map(|job| {
            let (job, mut outcome) = done(job, "1");
            outcome.logs = "a line".to_owned();
            (job, outcome)
        });
        bench.queue.finish(ended.collect()).await.unwrap();
    }
}

#[actix::test]
async fn what_was_chosen_counts_in_place_of_the_flags() {
    let bench = Bench::new("w1", Limits::default());
    let jobs = (0..3).map(|_| job(&json!({}))).collect();
    bench.queue.push(jobs).await.unwrap();
    finish_all(&bench).await;
    let keep = |count| Retention {
        age: None,
        count: Some(count),
    };
    let choose = async |policy| {
        bench
            .pool
            .run(move |conn| choose(conn, policy))
            .await
            .unwrap()
    };
    choose(Some(Retention::default())).await;
    assert_eq!(prune_jobs(&bench.pool, keep(1)).await.unwrap(), 0);
    choose(Some(keep(2))).await;
    assert_eq!(
        prune_jobs(&bench.pool, Retention::default()).await.unwrap(),
        1
    );
    choose(None).await;
    assert_eq!(
        prune_jobs(&bench.pool, Retention::default()).await.unwrap(),
        0
    );
    assert_eq!(prune_jobs(&bench.pool, keep(1)).await.unwrap(), 1);
}

#[actix::test]
async fn what_is_too_old_goes_with_all_that_belongs_to_it() {
    let bench = Bench::new("w1", Limits::default());
    let flow = old(1);
    let jobs = (2..).take(MANY).map(old).collect();
    let step = NewJob {
        parent: Some(flow.id),
        ..old(0)
    };
    bench.queue.push(jobs).await.unwrap();
    let (young, step_id) = (job(&json!({})), step.id);
    bench.queue.push(vec![step, young.clone()]).await.unwrap();
    finish_all(&bench).await;
    bench.queue.push(vec![flow]).await.unwrap();
    assert_eq!(count(&bench, "job_logs").await, MANY as i64 + 2);

    let policy = Retention {
        age: Some(Duration::from_secs(60 * 60)),
        count: None,
    };
    // They were made long ago, but ended just now.
    assert_eq!(prune(&bench.pool, policy).await.unwrap(), 0);
    set_all_old(&bench).await;
    assert_eq!(prune(&bench.pool, policy).await.unwrap(), MANY);
    for table in ["completed", "job_logs"] {
        assert_eq!(count(&bench, table).await, 2, "{table}");
    }
    for id in [step_id, young.id] {
        let found = bench
            .pool
            .run(move |conn| crate::db::queue::find_completed(conn, id));
        assert!(
            found.await.unwrap().is_some(),
            "a step of a flow that has not ended, a young job"
        );
    }
    assert_eq!(count(&bench, "queue").await, 1, "what has not ended stays");
    let free = count(
        &bench,
        "(SELECT 1 FROM pragma_freelist_count WHERE freelist_count > 512)",
    );
    assert_eq!(free.await, 0, "the file has become small again");

    // The flow ends, and its step goes with it, but for the young job.
    finish_all(&bench).await;
    set_all_old(&bench).await;
    assert_eq!(prune(&bench.pool, policy).await.unwrap(), 2);
    assert_eq!(count(&bench, "completed").await, 1);
}

/// A flow that goes on from another one needs that one's steps until it has ended.
#[actix::test]
async fn what_a_restarted_flow_has_taken_over_stays() {
    let bench = Bench::new("w1", Limits::default());
    let flow = old(1);
    let step = NewJob {
        parent: Some(flow.id),
        root: Some(flow.id),
        ..old(2)
    };
    let (root, young) = (flow.id, job(&json!({})));
    bench.queue.push(vec![flow, step, old(3)]).await.unwrap();
    finish_all(&bench).await;
    set_all_old(&bench).await;
    let again = young.id;
    bench.queue.push(vec![young]).await.unwrap();
    let list = format!("[\"{root}\"]");
    let noted = bench
        .pool
        .run(move |conn| flow_run::set_value(conn, again, flow_run::TAKEN, &list));
    noted.await.unwrap();

    let policy = Retention {
        age: Some(Duration::from_secs(60 * 60)),
        count: None,
    };
    assert_eq!(prune(&bench.pool, policy).await.unwrap(), 1);
    finish_all(&bench).await;
    assert_eq!(prune(&bench.pool, policy).await.unwrap(), 2);
    assert_eq!(count(&bench, "completed").await, 1, "the young one");
}

async fn set_all_old(bench: &Bench) {
    let ended_then = "UPDATE completed SET completed_at = 1600000000000000";
    let set = bench
        .pool
        .run(move |conn| Ok(sql_query(ended_then).execute(conn)?));
    set.await.unwrap();
}

#[actix::test]
async fn only_the_newest_are_kept() {
    let bench = Bench::new("w1", Limits::default());
    let jobs: Vec<NewJob> = (0..30).map(old).collect();
    let (keep, first_kept) = (7, jobs[23].id);
    let waiting = old(100);
    bench.queue.push(jobs).await.unwrap();
    finish_all(&bench).await;
    bench.queue.push(vec![waiting]).await.unwrap();
    let policy = Retention {
        age: None,
        count: Some(keep),
    };
    assert_eq!(prune(&bench.pool, policy).await.unwrap(), 23);
    assert_eq!(prune(&bench.pool, policy).await.unwrap(), 0);
    assert_eq!(count(&bench, "completed").await, 7);
    assert_eq!(count(&bench, "job_logs").await, 7);
    assert_eq!(count(&bench, "queue").await, 1);
    let oldest = bench.pool.run(move |conn| oldest_kept(conn, keep)).await;
    assert_eq!(oldest.unwrap(), Some(first_kept));
}
