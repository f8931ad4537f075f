//! The runner as a whole against a fake queue: claims, ends, cancellations, lost workers, the end.

use std::{sync::Arc, time::Duration};

use actix::Actor;
use serde_json::json;

use super::{FakeSource, PATIENCE, job, limits, settings};
use crate::{
    runner::{Observe, RunLimits, Runner, Stop, source::JobSource},
    types::Language,
};

fn start(source: &Arc<FakeSource>, limits: RunLimits, workers: usize) -> actix::Addr<Runner> {
    let source: Arc<dyn JobSource> = Arc::clone(source) as Arc<dyn JobSource>;
    Runner::with_source(settings(limits, workers), source, None).start()
}

#[actix_rt::test]
async fn jobs_in_all_languages_are_run_to_their_end() {
    let source = FakeSource::new();
    source.save(1, Language::Python3, "def main(n): return n + 1\n");
    source.save(2, Language::Bash, "n=\"$1\"\necho $((n + 1))\n");
    source.save(
        3,
        Language::Nativets,
        "export function main(n: number) { return n + 1 }",
    );
    let jobs: Vec<_> = (0..600).map(|n| job(n % 3 + 1, &json!({"n": n}))).collect();
    let runner = start(&source, limits(), 2);
    source.push(jobs.clone());
    source
        .until("all have ended", |state| state.finished.len() == jobs.len())
        .await;
    for (n, job) in jobs.iter().enumerate() {
        let (success, result, _) = source.end_of(job.id).await;
        assert!(success, "{result}");
        let expected = n + 1;
        match n % 3 {
            1 => assert_eq!(result, json!(expected.to_string())),
            _ => assert_eq!(result, json!(expected)),
        }
    }
    assert!(
        source.state.lock().claims.iter().any(|max| *max > 2),
        "jobs are claimed ahead"
    );
    runner.send(Stop { within: PATIENCE }).await.unwrap();
    assert!(!runner.connected());
}

#[actix_rt::test]
async fn a_running_job_is_canceled_and_the_worker_goes_on() {
    let source = FakeSource::new();
    source.save(
        1,
        Language::Bash,
        "echo started\nwhile :; do sleep 0.1; done\n",
    );
    source.save(2, Language::Bash, "echo fine\n");
    let fast = RunLimits {
        log_interval: Duration::from_millis(10),
        ..limits()
    };
    let runner = start(&source, fast, 1);
    let (long, next) = (job(1, &json!({})), job(2, &json!({})));
    source.push(vec![long.clone(), next.clone()]);
    source
        .until("its first line is stored", |state| {
            state.pieces.contains(&(long.id, 0, "started\n".to_owned()))
        })
        .await;
    source.cancel(long.id);
    let (success, result, _) = source.end_of(long.id).await;
    assert!(!success);
    assert_eq!(result["error"]["name"], "Canceled");
    assert_eq!(result["error"]["reason"], "changed my mind");
    assert_eq!(source.end_of(next.id).await.1, json!("fine"));
    runner.send(Stop { within: PATIENCE }).await.unwrap();
}

/// Where it cannot be known which secrets a job has read, nothing that it said is kept.
#[actix_rt::test]
async fn what_cannot_be_masked_is_not_kept() {
    let source = FakeSource::new();
    source.state.lock().secrets_sealed = true;
    let text = "print('s3cret')\nimport time\ndef main(fails):\n    \
                print('s3cret', flush=True)\n    time.sleep(0.3)\n    \
                if fails: raise ValueError('s3cret')\n    return 'kept'\n";
    source.save(1, Language::Python3, text);
    let fast = RunLimits {
        log_interval: Duration::from_millis(10),
        ..limits()
    };
    let runner = start(&source, fast, 1);
    let jobs = [false, true].map(|fails| job(1, &json!({"fails": fails})));
    source.push(jobs.to_vec());
    for (job, success) in jobs.iter().zip([true, false]) {
        let (succeeded, result, logs) = source.end_of(job.id).await;
        assert_eq!(succeeded, success, "{result}");
        assert!(logs.starts_with("[windsock: the log is not kept"), "{logs}");
        let all = format!("{result} {logs}");
        assert!(!all.contains("s3cret"), "{all}");
        if success {
            assert_eq!(result, "kept");
        } else {
            let message = result["error"]["message"].as_str().unwrap();
            assert!(message.contains("the error is not kept"), "{message}");
        }
    }
    let pieces = source.state.lock().pieces.clone();
    assert!(pieces.is_empty(), "{pieces:?}");
    runner.send(Stop { within: PATIENCE }).await.unwrap();
}

#[actix_rt::test]
async fn stopping_hands_running_and_waiting_jobs_back() {
    let source = FakeSource::new();
    source.save(
        1,
        Language::Python3,
        "import time\ndef main(n):\n    print('up', flush=True)\n    time.sleep(n)\n",
    );
    let fast = RunLimits {
        log_interval: Duration::from_millis(10),
        ..limits()
    };
    let runner = start(&source, fast, 1);
    let short = job(1, &json!({"n": 0}));
    source.push(vec![short.clone()]);
    source.end_of(short.id).await;
    let long = job(1, &json!({"n": 1000}));
    source.push(vec![long.clone()]);
    source
        .until("it runs", |state| {
            state.pieces.iter().any(|piece| piece.0 == long.id)
        })
        .await;
    // Less than the last steps take: running jobs are stopped at once.
    runner
        .send(Stop {
            within: Duration::from_secs(2),
        })
        .await
        .unwrap();
    assert_eq!(source.state.lock().given_back, [long.id]);
    assert!(!source.state.lock().finished.contains_key(&long.id));
}

#[actix_rt::test]
async fn claimed_jobs_do_not_wait_behind_a_long_one() {
    let source = FakeSource::new();
    source.save(1, Language::Nativets, "export function main() {}");
    source.save(2, Language::Bash, "sleep 1000");
    let runner = start(&source, limits(), 1);
    // Many short ones teach the runner to claim ahead.
    let short: Vec<_> = (0..200).map(|_| job(1, &json!({}))).collect();
    source.push(short);
    source
        .until("they end", |state| state.finished.len() == 200)
        .await;
    let long = job(2, &json!({}));
    let behind: Vec<_> = (0..5).map(|_| job(1, &json!({}))).collect();
    let ids: Vec<_> = behind.iter().map(|job| job.id).collect();
    source.push(std::iter::once(long.clone()).chain(behind).collect());
    source
        .until("they are given back, or were never claimed", |state| {
            let back = ids
                .iter()
                .filter(|id| state.given_back.contains(id))
                .count();
            back + state.queued.len() == ids.len() && !state.given_back.contains(&long.id)
        })
        .await;
    source.cancel(long.id);
    source.end_of(long.id).await;
    runner.send(Stop { within: PATIENCE }).await.unwrap();
}

#[actix_rt::test]
async fn a_job_waits_while_the_database_is_away() {
    let source = FakeSource::new();
    source.save(1, Language::Nativets, "export function main() { return 1 }");
    source.state.lock().database_away = true;
    let runner = start(&source, limits(), 1);
    let job = job(1, &json!({}));
    source.push(vec![job.clone()]);
    source
        .until("it is given back", |state| state.given_back == [job.id])
        .await;
    source.state.lock().database_away = false;
    source.push(vec![job.clone()]);
    assert_eq!(source.end_of(job.id).await.1, json!(1));
    runner.send(Stop { within: PATIENCE }).await.unwrap();
}

#[actix_rt::test]
async fn without_workers_nothing_is_claimed() {
    let source = FakeSource::new();
    let runner = start(&source, limits(), 0);
    source.push(vec![job(1, &json!({}))]);
    assert_eq!(runner.send(Observe).await.unwrap().workers, 0);
    runner.send(Stop { within: PATIENCE }).await.unwrap();
    assert!(source.state.lock().claims.is_empty());
}
