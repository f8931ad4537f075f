//! What this process counts and measures, for `GET /metrics`. One set a process, like the log: whoever does
//! something says so here in passing. No label has more than a few dozen values, and none names a trigger, a path or
//! a person, so that whoever may reach the port may read it.

use std::{collections::BTreeMap, sync::LazyLock};

use parking_lot::Mutex;
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts,
    Registry, TextEncoder, core::Collector,
};

/// From a commit's half millisecond to a job that runs for minutes.
const SECONDS: [f64; 16] = [
    0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0, 60.0, 300.0,
];
/// Rows of one commit, up to the most the queue takes.
const ROWS: [f64; 9] = [1.0, 2.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1_000.0, 2_000.0];
/// Workspaces whose jobs are counted apart; further ones are left out of the page's curve.
const WORKSPACES: usize = 1_000;

/// See the file's documentation.
pub struct Metrics {
    registry: Registry,
    /// Transactions of the queue that were committed.
    pub commits: IntCounter,
    /// Transactions of the queue that failed and are tried again.
    pub commit_failures: IntCounter,
    /// How long a transaction of the queue took.
    pub commit_seconds: Histogram,
    /// Rows it wrote or claimed.
    pub commit_rows: Histogram,
    /// The oldest message of each commit: from the wire until it was durable.
    pub message_seconds: Histogram,
    /// From the moment a job could start until it did.
    pub job_wait_seconds: Histogram,
    /// From a job's start until its result was durable.
    pub job_run_seconds: Histogram,
    /// From a job's commit until its result was durable.
    pub job_seconds: Histogram,
    /// Runs, by language and outcome (`success`, `failure`).
    pub jobs: IntCounterVec,
    /// Connections lost or refused, each followed by a wait.
    pub reconnects: IntCounter,
    /// Messages that another server's takeover made worthless.
    pub messages_fenced: IntCounter,
    /// Workers of this process.
    pub workers: IntGauge,
    /// Of them, running a job.
    pub workers_busy: IntGauge,
    /// How late a timer was, or a thread came to what is new, by thread: what keeps it from its work.
    pub loop_lag_seconds: HistogramVec,
    /// Ended jobs by workspace: all, and failed ones.
    ended: Mutex<BTreeMap<String, (u64, u64)>>,
}

static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

/// The metrics of this process.
#[must_use]
pub fn metrics() -> &'static Metrics {
    &METRICS
}

impl Metrics {
    fn new() -> Self {
        let registry = Registry::new();
        let counter =
            |name: &str, help: &str| keep(&registry, IntCounter::with_opts(Opts::new(name, help)));
        let gauge =
            |name: &str, help: &str| keep(&registry, IntGauge::with_opts(Opts::new(name, help)));
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            keep(&registry, Histogram::with_opts(opts))
        };
        Self {
            commits: counter("windsock_commits_total", "Transactions of the queue."),
            commit_failures: counter(
                "windsock_commit_failures_total",
                "Transactions of the queue that failed and are tried again.",
            ),
            commit_seconds: histogram(
                "windsock_commit_seconds",
                "How long a transaction of the queue took.",
                &SECONDS,
            ),
            commit_rows: histogram(
                "windsock_commit_rows",
                "Rows a transaction of the queue wrote or claimed.",
                &ROWS,
            ),
            message_seconds: histogram(
                "windsock_message_commit_seconds",
                "From the wire until durable, for the oldest message of each commit.",
                &SECONDS,
            ),
            job_wait_seconds: histogram(
                "windsock_job_wait_seconds",
                "From the moment a job could start until it did.",
                &SECONDS,
            ),
            job_run_seconds: histogram(
                "windsock_job_run_seconds",
                "From a job's start until its result was durable.",
                &SECONDS,
            ),
            job_seconds: histogram(
                "windsock_job_seconds",
                "From a job's commit until its result was durable.",
                &SECONDS,
            ),
            jobs: job_runs(&registry),
            reconnects: counter(
                "windsock_reconnects_total",
                "Connections lost or refused, each followed by a wait.",
            ),
            messages_fenced: counter(
                "windsock_messages_fenced_total",
                "Messages lost because another server had taken over.",
            ),
            workers: gauge("windsock_workers", "Workers of this process."),
            workers_busy: gauge("windsock_workers_busy", "Workers that run a job."),
            loop_lag_seconds: loop_lag(&registry),
            ended: Mutex::default(),
            registry,
        }
    }

    /// Counts an ended job of a workspace, for [`Metrics::ended_by_workspace`].
    pub fn ended(&self, workspace: &str, success: bool) {
        let mut ended = self.ended.lock();
        if !ended.contains_key(workspace) && ended.len() >= WORKSPACES {
            return;
        }
        let counts = ended.entry(workspace.to_owned()).or_default();
        counts.0 += 1;
        counts.1 += u64::from(!success);
    }

    /// Ended jobs since the start, by workspace: all, and failed ones.
    #[must_use]
    pub fn ended_by_workspace(&self) -> BTreeMap<String, (u64, u64)> {
        self.ended.lock().clone()
    }

    /// Everything in Prometheus' text format.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        // Writing to memory does not fail.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        String::from_utf8_lossy(&text).into_owned()
    }
}

fn job_runs(registry: &Registry) -> IntCounterVec {
    let opts = Opts::new(
        "windsock_job_runs_total",
        "Runs of jobs, by language and outcome.",
    );
    keep(registry, IntCounterVec::new(opts, &["language", "outcome"]))
}

fn loop_lag(registry: &Registry) -> HistogramVec {
    let opts = HistogramOpts::new(
        "windsock_event_loop_lag_seconds",
        "How late a timer was, or a thread came to what is new, by kind of thread.",
    );
    let opts = opts.buckets(SECONDS.to_vec());
    keep(registry, HistogramVec::new(opts, &["thread"]))
}

/// Registers a metric.
///
/// # Panics
/// A name or label that Prometheus refuses: all of them stand above, and a test reads them.
fn keep<T: Collector + Clone + 'static>(registry: &Registry, made: prometheus::Result<T>) -> T {
    let kept = made.and_then(|metric| {
        registry.register(Box::new(metric.clone()))?;
        Ok(metric)
    });
    match kept {
        Ok(metric) => metric,
        Err(error) => panic!("a metric cannot be made: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_can_be_made_and_read() {
        let metrics = Metrics::new();
        metrics.commits.inc();
        metrics.jobs.with_label_values(&["bash", "failure"]).inc();
        metrics
            .loop_lag_seconds
            .with_label_values(&["main"])
            .observe(0.003);
        metrics.ended("main", false);
        let text = metrics.text();
        for line in [
            "windsock_commits_total 1",
            r#"windsock_job_runs_total{language="bash",outcome="failure"} 1"#,
            r#"windsock_event_loop_lag_seconds_bucket{thread="main",le="0.005"} 1"#,
            "windsock_job_seconds_count 0",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} in {text}");
        }
        assert_eq!(metrics.ended_by_workspace()["main"], (1, 1));
    }
}
