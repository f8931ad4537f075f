//! Jobs held by a suspended trigger.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Bench, message};
use crate::{
    db,
    queue::{Args, Held, Job, Lane, NewJob, Release, Runnable},
    types::{JobId, JobKind},
};

fn held(text: &str) -> NewJob {
    NewJob {
        held: true,
        ..message(text)
    }
}

fn all() -> Held {
    Held {
        workspace: "main".into(),
        trigger_path: "u/a/t".into(),
        ids: None,
    }
}

fn release(path: &str, lane: Option<Lane>) -> Release {
    Release {
        runnable: Runnable::Script {
            path: path.into(),
            hash: None,
        },
        permissioned_as: "u/b".into(),
        options: None,
        lane,
    }
}

fn args(job: &Job) -> Value {
    serde_json::from_str(&job.args).unwrap()
}

impl Bench {
    async fn row(&self, id: JobId) -> Option<Job> {
        let find = move |conn: &mut db::Conn| db::queue::find(conn, "main", id);
        self.pool.run(find).await.unwrap()
    }
}

#[actix::test]
async fn released_jobs_run_what_the_trigger_runs_now() {
    let bench = Bench::new("w1", crate::config::Limits::default());
    bench.script(7, None).await;
    let text = held("one");
    let binary = NewJob {
        args: Args::Message {
            text: "AAE=".to_owned(),
            url: "ws://h/?a=1".into(),
            is_base64: true,
        },
        ..held("")
    };
    let jobs = vec![text, binary];
    let ids = [jobs[0].id, jobs[1].id];
    bench.queue.push(jobs).await.unwrap();
    let row = bench.row(ids[0]).await.unwrap();
    assert_eq!(
        (row.kind.as_str(), args(&row)),
        ("unassigned_script", json!({"msg": "one"}))
    );
    // The script is mended meanwhile, and has a preprocessor now.
    bench.script(8, Some("v2")).await;
    let count = bench.queue.release(all(), Some(release("u/a/s", None)));
    assert_eq!(count.await.unwrap(), 2);
    let jobs = bench.claim(10).await;
    assert_eq!(jobs.iter().map(|job| job.id).collect::<Vec<_>>(), ids);
    let event = json!({"kind": "websocket", "msg": "AAE=", "url": "ws://h/?a=1", "trigger_path": "u/a/t", "encoding": "base64"});
    assert_eq!(args(&jobs[1]), json!({ "event": event }));
    let job = &jobs[0];
    assert_eq!(
        (job.kind.as_str(), job.runnable_hash, job.preprocess),
        ("script", Some(8), true)
    );
    assert_eq!(
        (job.permissioned_as.as_str(), job.options.as_deref()),
        ("u/b", None)
    );
    assert_eq!(
        (job.created_at, job.created_by.as_str()),
        (row.created_at, "a")
    );
    let again = bench.queue.release(all(), None).await.unwrap();
    assert_eq!(again, 0);
}

#[actix::test]
async fn without_their_trigger_they_run_as_they_came() {
    let bench = Bench::new("w1", crate::config::Limits::default());
    let script = held("script");
    let flow = NewJob {
        runnable: Runnable::Flow {
            path: "u/a/f".into(),
            version: None,
        },
        ..held("flow")
    };
    bench.queue.push(vec![script, flow]).await.unwrap();
    bench.queue.release(all(), None).await.unwrap();
    let jobs = bench.claim(10).await;
    let seen: Vec<_> = jobs
        .iter()
        .map(|job| (job.kind.as_str(), job.runnable_path.as_deref(), args(job)))
        .collect();
    assert_eq!(
        seen,
        [
            ("script", Some("u/a/s"), json!({"msg": "script"})),
            ("flow", Some("u/a/f"), json!({"msg": "flow"})),
        ]
    );
}

#[actix::test]
async fn only_those_that_are_meant() {
    let bench = Bench::new("w1", crate::config::Limits::default());
    let other = NewJob {
        trigger: Some((crate::types::TriggerKind::Websocket, Some("u/a/t2".into()))),
        ..held("other")
    };
    let jobs: Vec<NewJob> = (0..4).map(|n| held(&n.to_string())).collect();
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    bench.queue.push(jobs).await.unwrap();
    bench.queue.push(vec![other.clone()]).await.unwrap();
    let some = |wanted: &[JobId]| Held {
        ids: Some(wanted.to_vec()),
        ..all()
    };
    // The other trigger's job is not this one's, whatever the request says.
    let released = bench.queue.release(some(&[ids[1], other.id]), None);
    assert_eq!(released.await.unwrap(), 1);
    assert_eq!(bench.claim(10).await[0].id, ids[1]);
    let mut end = std::pin::pin!(bench.queue.wait(ids[2]));
    let discarded = bench.queue.discard(some(&[ids[2], ids[1]]), "ann").await;
    assert_eq!(discarded.unwrap(), 1, "one runs already");
    let ended = (&mut end).await.unwrap();
    assert!(!ended.outcome.success);
    let reason = ended.outcome.canceled.clone().unwrap();
    assert_eq!(reason.0, "ann");
    let id = ids[2];
    let stored = bench
        .pool
        .run(move |conn| db::queue::find_completed(conn, id));
    let stored = stored.await.unwrap().unwrap();
    assert_eq!(stored.canceled_by.as_deref(), Some("ann"));
    assert_eq!(bench.queue.discard(all(), "ann").await.unwrap(), 2);
    assert!(bench.row(other.id).await.is_some(), "still held");
    assert_eq!(bench.queue.discard(all(), "ann").await.unwrap(), 0);
}

#[actix::test]
async fn many_go_in_batches_and_in_order() {
    let bench = Bench::new("w1", crate::config::Limits::default());
    let lane = Lane {
        max_jobs: 1,
        ordered: true,
    };
    // Its place in line is given when a message comes, also to one that is held.
    let in_line = |text: &str, held: bool| NewJob {
        held,
        lane: Some(lane),
        ..message(text)
    };
    let jobs: Vec<NewJob> = (0..1_203).map(|n| in_line(&n.to_string(), true)).collect();
    bench.queue.push(jobs).await.unwrap();
    bench
        .queue
        .push(vec![in_line("last", false)])
        .await
        .unwrap();
    let last = bench.claim(10).await;
    assert_eq!(
        args(&last[0]),
        json!({"msg": "last"}),
        "nothing else may run yet"
    );
    let count = bench
        .queue
        .release(all(), Some(release("u/a/s", Some(lane))));
    assert_eq!(count.await.unwrap(), 1_203);
    bench
        .queue
        .finish(vec![super::done(&last[0], "1")])
        .await
        .unwrap();
    for n in 0..5 {
        let jobs = bench.claim(10).await;
        assert_eq!(jobs.len(), 1);
        assert_eq!(args(&jobs[0]), json!({"msg": n.to_string()}));
        bench
            .queue
            .finish(vec![super::done(&jobs[0], "1")])
            .await
            .unwrap();
    }
}

#[actix::test]
async fn flows_are_held_under_their_own_kind() {
    let bench = Bench::new("w1", crate::config::Limits::default());
    let flow = NewJob {
        runnable: Runnable::Flow {
            path: Arc::from("u/a/f"),
            version: None,
        },
        ..held("x")
    };
    let id = flow.id;
    bench.queue.push(vec![flow]).await.unwrap();
    let row = bench.row(id).await.unwrap();
    assert_eq!(row.kind, JobKind::UnassignedFlow.as_str());
}

#[actix::test]
async fn a_trigger_takes_its_jobs_along_when_it_is_renamed() {
    let bench = Bench::new("w1", crate::config::Limits::default());
    let lane = Lane {
        max_jobs: 1,
        ordered: true,
    };
    let in_line = |text: &str, held: bool| NewJob {
        held,
        lane: Some(lane),
        ..message(text)
    };
    let runs = in_line("runs", false);
    let waits: Vec<NewJob> = (0..600).map(|n| in_line(&n.to_string(), false)).collect();
    let held = in_line("held", true);
    let id = held.id;
    bench.queue.push(vec![runs]).await.unwrap();
    bench.queue.push(waits).await.unwrap();
    bench.queue.push(vec![held]).await.unwrap();
    let first = bench.claim(10).await;
    let moved = bench.queue.rename(all(), "u/a/new").await.unwrap();
    assert_eq!(moved, 601);
    assert_eq!(
        bench.row(id).await.unwrap().trigger_path.as_deref(),
        Some("u/a/new")
    );
    let there = Held {
        trigger_path: "u/a/new".into(),
        ..all()
    };
    // The line goes on under the new name, one at a time: behind what began under the old one.
    assert!(bench.claim(10).await.is_empty(), "the first still runs");
    bench
        .queue
        .finish(vec![super::done(&first[0], "1")])
        .await
        .unwrap();
    for n in 0..3 {
        let jobs = bench.claim(10).await;
        assert_eq!(jobs.len(), 1);
        assert_eq!(args(&jobs[0]), json!({"msg": n.to_string()}));
        bench
            .queue
            .finish(vec![super::done(&jobs[0], "1")])
            .await
            .unwrap();
    }
    assert_eq!(bench.queue.discard(all(), "ann").await.unwrap(), 0);
    assert_eq!(bench.queue.discard(there, "ann").await.unwrap(), 1);
}
