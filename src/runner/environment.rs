//! [`Environment`]: what a job finds in its environment (windmill-facts §8), and nothing of windsock's own.
//!
//! Pure: settings and a job in, names and values out. The order of the names never changes.

use super::{RunnerSettings, flow::FlowRaw, language::JobEnv, source::JobIdentity};
use crate::queue::Job;

/// The values that are the same for every job.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    base_url: String,
    base_internal_url: String,
    path: String,
    proxies: Vec<(&'static str, String)>,
}

impl Environment {
    /// From the settings and the `PATH` of this process.
    pub(crate) fn new(settings: &RunnerSettings) -> Self {
        let given = &settings.proxies;
        let both = [
            (["HTTP_PROXY", "http_proxy"], &given.http),
            (["HTTPS_PROXY", "https_proxy"], &given.https),
            (["ALL_PROXY", "all_proxy"], &given.all),
            (["NO_PROXY", "no_proxy"], &given.none_for),
        ];
        let proxies = both.into_iter().flat_map(|(names, value)| {
            let value = value.clone();
            names
                .into_iter()
                .filter_map(move |name| value.clone().map(|value| (name, value)))
        });
        Self {
            base_url: settings.base_url.clone(),
            base_internal_url: settings.base_internal_url.clone(),
            path: std::env::var("PATH")
                .unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned()),
            proxies: proxies.collect(),
        }
    }

    /// What a process is started with, before it knows a job.
    pub(crate) fn of_process(&self) -> Vec<(String, String)> {
        let mut env = vec![
            ("PATH".to_owned(), self.path.clone()),
            ("LANG".to_owned(), "C.UTF-8".to_owned()),
        ];
        let proxies = self.proxies.iter();
        env.extend(proxies.map(|(name, value)| ((*name).to_owned(), value.clone())));
        env
    }

    /// What `job` finds on top of that. What is not known is empty, not missing.
    pub(crate) fn of_job(&self, job: &Job, identity: JobIdentity) -> JobEnv {
        let path = job.runnable_path.clone().unwrap_or_default();
        let id = job.id.to_string();
        let parent = job.parent_job.map(|id| id.to_string()).unwrap_or_default();
        let root = job.root_job.map(|id| id.to_string());
        let step = job.flow_step_id.clone().unwrap_or_default();
        let flow_path = match &job.flow_step_id {
            Some(_) => FlowRaw::of(job).flow_path.unwrap_or_default(),
            None => String::new(),
        };
        let state_path = if !flow_path.is_empty() {
            format!("{flow_path}/{step}_user")
        } else if path.is_empty() {
            format!("u/{}/tmp_state", identity.username)
        } else {
            format!("{path}/user")
        };
        vec![
            ("WM_WORKSPACE", job.workspace_id.clone()),
            ("WM_TOKEN", identity.token),
            ("WM_EMAIL", identity.email.clone()),
            ("WM_USERNAME", identity.username),
            ("WM_BASE_URL", self.base_url.clone()),
            ("BASE_URL", self.base_url.clone()),
            ("BASE_INTERNAL_URL", self.base_internal_url.clone()),
            ("WM_JOB_ID", id.clone()),
            ("WM_JOB_PATH", path),
            (
                "WM_FLOW_JOB_ID",
                if step.is_empty() {
                    String::new()
                } else {
                    parent
                },
            ),
            ("WM_ROOT_FLOW_JOB_ID", root.clone().unwrap_or_default()),
            ("WM_ROOT_JOB_ID", root.unwrap_or(id)),
            ("WM_FLOW_PATH", flow_path),
            ("WM_FLOW_STEP_ID", step),
            ("WM_SCHEDULE_PATH", String::new()),
            ("WM_SCHEDULED_FOR", job.scheduled_at.to_string()),
            ("WM_PERMISSIONED_AS", job.permissioned_as.clone()),
            ("WM_STATE_PATH", state_path),
            ("WM_OBJECT_PATH", String::new()),
            ("WM_WORKER_GROUP", "default".to_owned()),
            (
                "WM_RUNNABLE_ID",
                job.runnable_hash
                    .map(|hash| format!("{hash:016x}"))
                    .unwrap_or_default(),
            ),
            ("WM_END_USER_EMAIL", identity.email),
        ]
    }
}
