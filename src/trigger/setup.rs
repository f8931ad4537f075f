//! [`Setup`]: one trigger as its socket follows it: the row, read and compiled; and the jobs it makes.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{
    filter_pool::Candidate,
    spec::{Plan, TriggerSpec},
};
use crate::{
    db::trigger::TriggerRow,
    queue::{Args, NewJob, Release, Runnable, references_in},
    types::{Invalid, JobId, Mode, TriggerKind},
};

/// See the file's documentation.
pub struct Setup {
    /// The trigger's workspace.
    pub workspace: Arc<str>,
    /// The trigger's path.
    pub path: Arc<str>,
    /// Grows with each edit.
    pub version: i64,
    /// Enabled or suspended.
    pub mode: Mode,
    /// Whose rights its jobs have.
    pub permissioned_as: Arc<str>,
    /// The settings as saved.
    pub spec: TriggerSpec,
    /// The settings as followed.
    pub plan: Plan,
    /// What is done when a job of a message fails.
    options: Option<String>,
    script_path: Arc<str>,
    url: Arc<str>,
    created_by: Arc<str>,
}

impl Setup {
    /// Reads and compiles a row.
    ///
    /// # Errors
    /// A row that no API of this version would have saved.
    pub fn new(row: &TriggerRow) -> Result<Self, Invalid> {
        let setup = Self::of_settings(
            (&row.workspace_id, &row.path),
            &row.permissioned_as,
            &row.settings(),
        )?;
        Ok(Self {
            version: row.version,
            mode: row.mode.parse()?,
            ..setup
        })
    }

    /// Reads and compiles settings that are saved nowhere (yet); `place` is workspace and path.
    ///
    /// # Errors
    /// Names the field that does not fit.
    pub fn of_settings(
        place: (&str, &str),
        permissioned_as: &str,
        settings: &Map<String, Value>,
    ) -> Result<Self, Invalid> {
        let spec = TriggerSpec::from_json(settings)?;
        let plan = spec.compile()?;
        Ok(Self {
            workspace: place.0.into(),
            path: place.1.into(),
            version: 0,
            mode: Mode::Enabled,
            permissioned_as: permissioned_as.into(),
            script_path: spec.script_path.as_str().into(),
            url: spec.url.as_str().into(),
            options: spec.failure().column(),
            created_by: format!("ws-{}", place.1).into(),
            spec,
            plan,
        })
    }

    /// Whether a trigger is saved so: one that is tried out or captured is no server's own.
    #[must_use]
    pub fn is_saved(&self) -> bool {
        self.version != 0
    }

    /// The job that a message becomes; its result goes back on `connection` if that is given.
    #[must_use]
    pub fn job(&self, message: Candidate, connection: Option<i64>) -> NewJob {
        let args = Args::Message {
            text: message.text,
            url: Arc::clone(&self.url),
            is_base64: message.is_base64,
        };
        NewJob {
            trigger: Some((TriggerKind::Websocket, Some(Arc::clone(&self.path)))),
            reply_to: connection,
            held: self.mode == Mode::Suspended,
            options: self.options.clone(),
            lane: self.plan.lane,
            ..self.blank_job(self.runnable(&self.script_path, self.spec.is_flow), args)
        }
    }

    /// What jobs become that it held while it was suspended.
    #[must_use]
    pub fn release(&self) -> Release {
        Release {
            runnable: self.runnable(&self.script_path, self.spec.is_flow),
            permissioned_as: Arc::clone(&self.permissioned_as),
            options: self.options.clone(),
            lane: self.plan.lane,
        }
    }

    /// A job that this trigger's connection waits for: a URL, a first message, an answer; `msg` is what it answers to.
    #[must_use]
    pub fn connect_job(
        &self,
        path: &str,
        is_flow: bool,
        (args, msg): (&Map<String, Value>, Option<&str>),
    ) -> NewJob {
        let mut args = args.clone();
        if let Some(msg) = msg {
            args.insert("msg".to_owned(), msg.into());
        }
        let args = Value::Object(args).to_string();
        let mut given = references_in(&args);
        given.retain(|name| msg.is_none() || name != "msg");
        let args = Args::Object(args);
        NewJob {
            given,
            trigger: Some((TriggerKind::Websocket, Some(path.into()))),
            priority: crate::queue::PRIORITY_CONNECT,
            skip_preprocessor: true,
            ..self.blank_job(self.runnable(&path.into(), is_flow), args)
        }
    }

    fn runnable(&self, path: &Arc<str>, is_flow: bool) -> Runnable {
        let path = Arc::clone(path);
        if is_flow {
            Runnable::Flow {
                path,
                version: None,
            }
        } else {
            Runnable::Script { path, hash: None }
        }
    }

    fn blank_job(&self, runnable: Runnable, args: Args) -> NewJob {
        NewJob {
            id: JobId::next(),
            workspace: Arc::clone(&self.workspace),
            runnable,
            args,
            created_by: Arc::clone(&self.created_by),
            permissioned_as: Arc::clone(&self.permissioned_as),
            trigger: None,
            parent: None,
            root: None,
            flow_step_id: None,
            tag: None,
            priority: 0,
            scheduled_at: None,
            timeout_secs: None,
            reply_to: None,
            held: false,
            skip_preprocessor: false,
            preprocessor: None,
            options: None,
            lane: None,
            depth: 0,
            given: Vec::new(),
            id_is_given: false,
        }
    }
}
