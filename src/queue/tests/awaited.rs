//! Wishes for jobs that stand until there are some.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures_util::future::join;

use super::*;
use crate::{
    db::queue::RUNNING,
    queue::{Appetite, Claimed, Wanted},
    types::JobId,
};

/// As many as the number says by then.
fn appetite(wanted: &Arc<AtomicUsize>) -> Appetite {
    let wanted = Arc::clone(wanted);
    Appetite::new(move || Wanted {
        jobs: wanted.load(Ordering::SeqCst),
        no_room: Vec::new(),
    })
}

impl Bench {
    /// What is given to a wish that stood before `then` began.
    async fn awaited(&self, wanted: usize, look: bool, then: impl Future<Output = ()>) -> Claimed {
        let wanted = Arc::new(AtomicUsize::new(wanted));
        let wish = self.queue.await_jobs(appetite(&wanted), look);
        let then = async {
            assert!(self.claim(0).await.is_empty(), "the wish came first");
            then.await;
        };
        join(wish, then).await.0.unwrap()
    }

    async fn state(&self, id: JobId) -> Option<i32> {
        use crate::db::queue;
        let row = self.pool.run(move |conn| queue::find(conn, "main", id));
        row.await.unwrap().map(|row| row.state)
    }
}

#[actix::test]
async fn a_job_is_taken_in_the_commit_that_brings_it() {
    let bench = Bench::new("w1", Limits::default());
    let new = job(&json!({}));
    let claimed = bench.awaited(5, true, async {
        bench.queue.push(vec![new.clone()]).await.unwrap();
        assert_eq!(bench.state(new.id).await, Some(RUNNING));
    });
    let Claimed { jobs, more } = claimed.await;
    assert_eq!(jobs[0].id, new.id);
    assert!(!more, "it was the only one");
}

#[actix::test]
async fn no_more_are_taken_than_are_wanted_by_then() {
    let bench = Bench::new("w1", Limits::default());
    let three: Vec<_> = (0..3).map(|_| job(&json!({}))).collect();
    let push = async || bench.queue.push(three.clone()).await.unwrap();
    let Claimed { jobs, more } = bench.awaited(2, true, push()).await;
    assert_eq!((jobs.len(), more), (2, true));

    let wanted = Arc::new(AtomicUsize::new(7));
    let wish = bench.queue.await_jobs(appetite(&wanted), false);
    let then = async {
        assert!(bench.claim(0).await.is_empty());
        wanted.store(0, Ordering::SeqCst);
        bench.queue.look();
    };
    let claimed = join(wish, then).await.0.unwrap();
    assert!(claimed.jobs.is_empty(), "nobody wants any");
    assert_eq!(bench.claim(9).await.len(), 1, "it is still there");
}

#[actix::test]
async fn what_was_there_before_is_found_by_who_looks() {
    let bench = Bench::new("w1", Limits::default());
    let push = async || {
        let new = job(&json!({}));
        bench.queue.push(vec![new.clone()]).await.unwrap();
        new.id
    };
    let before = push().await;
    let Claimed { jobs, .. } = bench.awaited(1, true, async {}).await;
    assert_eq!(jobs[0].id, before);

    let before = push().await;
    let claimed = bench.awaited(1, false, async {
        assert_eq!(bench.state(before).await, Some(0), "it does not look");
        bench.queue.look();
    });
    assert_eq!(claimed.await.jobs[0].id, before);
}

#[actix::test]
async fn a_wish_outlives_a_batch_with_a_job_that_is_refused() {
    let bench = Bench::new("w1", Limits::default());
    let given = NewJob {
        id_is_given: true,
        ..job(&json!({}))
    };
    bench.queue.push(vec![given.clone()]).await.unwrap();
    let held = bench.claim(1).await;
    let new = job(&json!({}));
    let claimed = bench.awaited(1, true, async {
        let again = bench.queue.push(vec![given.clone()]).await;
        assert!(matches!(again, Err(QueueError::Refused(_))), "{again:?}");
        bench.queue.push(vec![new.clone()]).await.unwrap();
    });
    assert_eq!(claimed.await.jobs[0].id, new.id);
    drop(held);
}

#[actix::test]
async fn a_retry_and_the_next_of_a_line_are_taken_as_they_become_ready() {
    let bench = Bench::new("w1", Limits::default());
    let lane = crate::queue::Lane {
        max_jobs: 1,
        ordered: true,
    };
    let in_line = |text: &str| NewJob {
        lane: Some(lane),
        ..message(text)
    };
    let two = vec![in_line("1"), in_line("2")];
    bench.queue.push(two).await.unwrap();
    let first = bench.claim(5).await;
    assert_eq!(first.len(), 1);
    let claimed = bench.awaited(5, true, async {
        let ended = vec![done(&first[0], "1")];
        bench.queue.finish(ended).await.unwrap();
    });
    assert!(claimed.await.jobs[0].args.contains('2'));
}
