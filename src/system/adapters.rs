//! What the API needs of listening and running, which it may not import: the traits of `api::ports`, filled in.

use actix::Addr;
use futures_util::future::{BoxFuture, LocalBoxFuture};
use tokio::sync::mpsc;

use super::ListeningSide;
use crate::{
    api::{ConnectionTest, Installed, Listening, ScriptCheck, ScriptFacts},
    runner::{
        self,
        packages::{self, Packages},
    },
    trigger::{
        CapturesChanged, Dialer, NotTried, Reconcile, Registry, Trial, TrialEvent, Tryouts,
        check_at_save, spec::TriggerSpec,
    },
    types::{Invalid, Language},
};

/// Reads scripts with the runner's languages.
pub(super) struct Scripts(pub(super) Packages);

impl ScriptCheck for Scripts {
    fn check(
        &self,
        language: Language,
        content: String,
    ) -> LocalBoxFuture<'static, Result<ScriptFacts, Invalid>> {
        Box::pin(async move {
            let facts = runner::check(language, &content).await?;
            Ok(ScriptFacts {
                schema: facts.schema,
                preprocessor: facts
                    .preprocessor
                    .map(|version| version.as_str().to_owned()),
            })
        })
    }

    fn check_condition(&self, expr: String) -> LocalBoxFuture<'static, Result<(), Invalid>> {
        Box::pin(runner::check_condition(expr))
    }

    fn install(
        &self,
        language: Language,
        script: (String, Option<String>),
    ) -> LocalBoxFuture<'static, Installed> {
        let packages = self.0.clone();
        Box::pin(async move {
            match runner::install(&packages, language, script).await {
                packages::Installed::Ready => Installed::Ready,
                packages::Installed::Underway => Installed::Underway,
                packages::Installed::Failed(why) => Installed::Failed(why),
            }
        })
    }

    fn check_flow(
        &self,
        value: serde_json::Value,
    ) -> LocalBoxFuture<'static, Result<Option<String>, Invalid>> {
        Box::pin(async move {
            let facts = runner::check_flow(&value).await?;
            Ok(facts
                .preprocessor
                .map(|version| version.as_str().to_owned()))
        })
    }
}

/// Speaks to the registry and to what is tried out.
pub(super) struct Listener {
    registry: Option<Addr<Registry>>,
    tryouts: Option<Addr<Tryouts>>,
    dialer: Dialer,
}

impl Listener {
    pub(super) fn new(listening: Option<&ListeningSide>, dialer: Dialer) -> Self {
        Self {
            registry: listening.map(|side| side.registry.clone()),
            tryouts: listening.map(|side| side.tryouts.clone()),
            dialer,
        }
    }
}

impl Listening for Listener {
    fn reconcile(&self) -> BoxFuture<'static, ()> {
        let registry = self.registry.clone();
        Box::pin(async move {
            if let Some(registry) = registry {
                // An error says that windsock is stopping.
                let _ = registry.send(Reconcile).await;
            }
        })
    }

    fn captures_changed(&self) -> BoxFuture<'static, ()> {
        let tryouts = self.tryouts.clone();
        Box::pin(async move {
            if let Some(tryouts) = tryouts {
                // An error says that windsock is stopping.
                let _ = tryouts.send(CapturesChanged).await;
            }
        })
    }

    fn check(&self, spec: TriggerSpec) -> BoxFuture<'static, Result<(), Invalid>> {
        let dialer = self.dialer.clone();
        Box::pin(async move { check_at_save(&dialer, &spec).await })
    }

    fn test(
        &self,
        test: ConnectionTest,
    ) -> BoxFuture<'static, Result<mpsc::Receiver<TrialEvent>, NotTried>> {
        let tryouts = self.tryouts.clone();
        Box::pin(async move {
            let Some(tryouts) = tryouts else {
                let text = "this process does not listen; ask a server";
                return Err(Invalid(text.to_owned()).into());
            };
            let trial = Trial {
                workspace: test.workspace.into(),
                path: test.path.into(),
                permissioned_as: test.permissioned_as.into(),
                settings: test.settings,
            };
            let stopping = || Invalid("windsock is stopping".to_owned());
            tryouts.send(trial).await.map_err(|_| stopping())?
        })
    }
}
