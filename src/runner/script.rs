//! [`Script`]: one version of a script, ready to be run; [`ScriptCache`]: those this process ran lately.
//!
//! Shared by all workers. Which version a job runs was fixed when the job was committed.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::OnceCell;

use super::{
    flow::{FlowRaw, with_main},
    language::{bash, typescript},
    packages::Wanted,
    source::JobSource,
    warm::{ScriptKey, WarmKey},
};
use crate::{
    db::{DbError, script_content::ScriptContent},
    queue::{Job, script_envs},
    types::{JobKind, Language},
};

/// Script versions that are kept: a busy server runs some dozens; the one used longest ago goes first.
const KEPT_SCRIPTS: usize = 512;

/// One version of a script.
#[derive(Debug)]
pub(crate) struct Script {
    /// What its process or context is kept under; none for a preview, which is run once.
    pub(crate) key: Option<ScriptKey>,
    /// Where it is saved, or what a preview calls itself.
    pub(crate) path: String,
    /// Its text.
    pub(crate) content: String,
    /// Its language.
    pub(crate) language: Language,
    /// Longest run, if it names one.
    pub(crate) timeout: Option<Duration>,
    /// What it adds to the environment (`envs`).
    pub(crate) envs: Vec<(String, String)>,
    /// Whether its process stays up between jobs.
    pub(crate) warm: bool,
    /// The parameters its text declares, for `bash`.
    pub(crate) bash_params: Vec<bash::Param>,
    /// Its JavaScript, once it was needed.
    pub(crate) compiled: OnceLock<Result<Arc<typescript::Compiled>, typescript::SyntaxError>>,
    /// The versions that are pinned for it.
    pub(crate) lock: Option<String>,
    /// The packages it imports, once they were asked for.
    pub(crate) wanted: OnceCell<Option<Arc<Wanted>>>,
}

impl Script {
    /// A saved script.
    ///
    /// # Errors
    /// The row names no language that is known: the text to fail the job with.
    fn saved(key: ScriptKey, row: ScriptContent) -> Result<Self, String> {
        let language = row.language.parse().map_err(|error| format!("{error}"))?;
        let timeout = row.timeout_secs.and_then(|secs| u64::try_from(secs).ok());
        Ok(Self {
            timeout: timeout.filter(|secs| *secs > 0).map(Duration::from_secs),
            warm: row.dedicated_worker != Some(false),
            envs: envs_of(&row.settings),
            lock: row.lock,
            key: Some(key),
            ..Self::new(row.path, row.content, language)
        })
    }

    /// What the process or context that runs `job` is kept under.
    pub(crate) fn warm_key(&self, job: &Job) -> Option<WarmKey> {
        let key = self.key.clone()?;
        Some((key, job.permissioned_as.clone()))
    }

    /// A script that is run once.
    pub(crate) fn new(path: String, content: String, language: Language) -> Self {
        let bash_params = match language {
            Language::Bash => bash::params(&content),
            Language::Python3 | Language::Nativets | Language::Bun | Language::Deno => Vec::new(),
        };
        Self {
            key: None,
            path,
            content,
            language,
            timeout: None,
            envs: Vec::new(),
            warm: false,
            bash_params,
            lock: None,
            compiled: OnceLock::new(),
            wanted: OnceCell::new(),
        }
    }
}

/// Why there is no script to run.
#[derive(Debug)]
pub(crate) enum NoScript {
    /// The job fails with this text.
    Fails(String),
    /// The database gave no answer: later.
    Later(DbError),
}

/// Column `raw` of a preview.
#[derive(Deserialize)]
struct Preview {
    language: Language,
    content: String,
    lock: Option<String>,
}

/// The scripts this process ran lately.
pub(crate) struct ScriptCache {
    source: Arc<dyn JobSource>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    scripts: HashMap<ScriptKey, (Arc<Script>, u64)>,
    clock: u64,
}

impl ScriptCache {
    /// An empty one that loads from `source`.
    pub(crate) fn new(source: Arc<dyn JobSource>) -> Self {
        Self {
            source,
            kept: Mutex::default(),
        }
    }

    /// What `job` runs.
    ///
    /// # Errors
    /// The job cannot be run, or not now.
    pub(crate) async fn of(&self, job: &Job) -> Result<Arc<Script>, NoScript> {
        let fails = |text: String| Err(NoScript::Fails(text));
        match job.kind.parse() {
            Ok(JobKind::Script | JobKind::SingleStepFlow) => self.saved(job).await,
            Ok(JobKind::FlowScript) => self.part_of_flow(job).await,
            Ok(JobKind::Preview) => match serde_json::from_str(job.raw.as_deref().unwrap_or("")) {
                Ok(preview) => Ok(self.preview(job, preview)),
                Err(error) => fails(format!("the preview cannot be read: {error}")),
            },
            Ok(kind) => fails(format!("a job of kind '{kind}' is not run by a worker")),
            Err(error) => fails(error.0),
        }
    }

    /// A script that travels with its job. One that says which text it is (a step of a flow that is tried out) is
    /// kept warm, as the same step may run often.
    fn preview(&self, job: &Job, preview: Preview) -> Arc<Script> {
        let Preview {
            language,
            content,
            lock,
        } = preview;
        let key = job.runnable_hash.map(|hash| key_of(job, hash));
        if let Some(script) = key.as_ref().and_then(|key| self.kept.lock().get(key)) {
            return script;
        }
        let path = job.runnable_path.clone();
        let path = path.unwrap_or_else(|| "preview".to_owned());
        let content = content_of(job, language, content);
        let script = Arc::new(Script {
            warm: key.is_some(),
            key: key.clone(),
            lock,
            ..Script::new(path, content, language)
        });
        if let Some(key) = key {
            self.kept.lock().put(key, Arc::clone(&script));
        }
        script
    }

    /// A script that is part of a saved flow.
    async fn part_of_flow(&self, job: &Job) -> Result<Arc<Script>, NoScript> {
        let raw = FlowRaw::of(job);
        let missing = || {
            let path = job.runnable_path.as_deref().unwrap_or("");
            NoScript::Fails(format!("the flow of this step is gone: {path}"))
        };
        let (Some(hash), Some(version), Some(module)) = (job.runnable_hash, raw.flow, raw.module)
        else {
            return Err(missing());
        };
        let key = key_of(job, hash);
        if let Some(script) = self.kept.lock().get(&key) {
            return Ok(script);
        }
        let found = self
            .source
            .flow_script(job.workspace_id.clone(), version, module)
            .await;
        let (language, content, lock) = found.map_err(NoScript::Later)?.ok_or_else(missing)?;
        let script = Arc::new(Script {
            warm: true,
            key: Some(key.clone()),
            lock,
            ..Script::new(
                job.runnable_path.clone().unwrap_or_default(),
                content_of(job, language, content),
                language,
            )
        });
        self.kept.lock().put(key, Arc::clone(&script));
        Ok(script)
    }

    async fn saved(&self, job: &Job) -> Result<Arc<Script>, NoScript> {
        let path = job.runnable_path.as_deref().unwrap_or("");
        let missing = || NoScript::Fails(format!("script not found at path {path}"));
        let hash = job.runnable_hash.ok_or_else(missing)?;
        let key: ScriptKey = (job.workspace_id.as_str().into(), hash);
        if let Some(script) = self.kept.lock().get(&key) {
            return Ok(script);
        }
        let row = self.source.script(job.workspace_id.clone(), hash).await;
        let row = row.map_err(NoScript::Later)?.ok_or_else(missing)?;
        let script = Arc::new(Script::saved(key.clone(), row).map_err(NoScript::Fails)?);
        self.kept.lock().put(key, Arc::clone(&script));
        Ok(script)
    }
}

/// Those among the settings as they are stored.
fn envs_of(settings: &str) -> Vec<(String, String)> {
    if !settings.contains("\"envs\"") {
        return Vec::new();
    }
    let settings: Value = serde_json::from_str(settings).unwrap_or_default();
    script_envs(&settings["envs"]).unwrap_or_default()
}

fn key_of(job: &Job, hash: i64) -> ScriptKey {
    (job.workspace_id.as_str().into(), hash)
}

/// The text that is run. The preprocessor of a flow may have no `main`, which scripts need; it is not called then.
fn content_of(job: &Job, language: Language, content: String) -> String {
    if job.flow_step_id.as_deref() != Some(crate::flow::PREPROCESSOR) {
        return content;
    }
    let has_main = match language {
        Language::Nativets | Language::Bun | Language::Deno => {
            typescript::compile(&content).is_ok()
        }
        Language::Python3 | Language::Bash => false,
    };
    if has_main {
        return content;
    }
    with_main(language, &content).unwrap_or(content)
}

impl Kept {
    fn get(&mut self, key: &ScriptKey) -> Option<Arc<Script>> {
        self.clock += 1;
        let clock = self.clock;
        self.scripts.get_mut(key).map(|(script, used)| {
            *used = clock;
            Arc::clone(script)
        })
    }

    fn put(&mut self, key: ScriptKey, script: Arc<Script>) {
        if self.scripts.len() >= KEPT_SCRIPTS {
            let oldest = self.scripts.iter().min_by_key(|(_, (_, used))| *used);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                self.scripts.remove(&oldest);
            }
        }
        self.clock += 1;
        self.scripts.insert(key, (script, self.clock));
    }
}
