//! Jobs that running ones wait for.

use super::*;

fn child(of: &Job) -> NewJob {
    NewJob {
        parent: Some(of.id),
        ..job(&json!({}))
    }
}

#[actix::test]
async fn a_job_is_claimed_for_those_that_wait_once_all_of_them_do() {
    let bench = Bench::new("w1", Limits::default());
    let parents = vec![job(&json!({})), job(&json!({}))];
    bench.queue.push(parents).await.unwrap();
    let parents = bench.claim(2).await;
    let ids: Vec<_> = parents.iter().map(|job| job.id).collect();
    let below = async || bench.queue.claim_below(ids.clone()).await.unwrap();
    // More than are looked at; and a stranger that came before all of them.
    bench.queue.push(vec![job(&json!({}))]).await.unwrap();
    let many = (0..1_100).map(|_| child(&parents[0])).collect();
    bench.queue.push(many).await.unwrap();
    assert!(below().await.is_empty(), "the other one works");

    let only = child(&parents[1]);
    bench.queue.push(vec![only.clone()]).await.unwrap();
    let claimed = below().await;
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].parent_job, Some(parents[0].id));
    // What is waited for may wait as well, and may be held by somebody.
    let ids = vec![claimed[0].id];
    assert!(
        bench
            .queue
            .claim_below(ids.clone())
            .await
            .unwrap()
            .is_empty()
    );
    let grandchild = child(&claimed[0]);
    bench.queue.push(vec![grandchild.clone()]).await.unwrap();
    let claimed = bench.queue.claim_below(ids.clone()).await.unwrap();
    assert_eq!(claimed[0].id, grandchild.id);
    assert!(
        bench.queue.claim_below(ids).await.unwrap().is_empty(),
        "it is held"
    );

    let of_the_other = bench.queue.claim_below(vec![parents[1].id]).await.unwrap();
    assert_eq!(of_the_other[0].id, only.id);
}
