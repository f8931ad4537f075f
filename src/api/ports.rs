//! What the API needs of the rest of windsock and may not import: `system.rs` fills it in.

use futures_util::future::{BoxFuture, LocalBoxFuture};
use serde_json::{Map, Value};
use tokio::sync::mpsc;

use crate::{
    trigger::{NotTried, TrialEvent, spec::TriggerSpec},
    types::{Invalid, Language},
};

/// What is known of a script once its text was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ScriptFacts {
    /// JSON Schema of `main`'s parameters, where the language can tell.
    pub schema: Option<Value>,
    /// `v1` or `v2` (windmill-facts §3) when the script has a preprocessor.
    pub preprocessor: Option<String>,
}

/// Reads scripts before they are saved.
pub trait ScriptCheck: Send + Sync {
    /// Checks that `content` is a script of `language`.
    ///
    /// # Errors
    /// It does not compile, or the language's program is missing; the text begins with the field.
    fn check(
        &self,
        language: Language,
        content: String,
    ) -> LocalBoxFuture<'static, Result<ScriptFacts, Invalid>>;

    /// Checks that `expr` is an expression of JavaScript; nothing of it runs.
    ///
    /// # Errors
    /// What is wrong with it.
    fn check_condition(&self, expr: String) -> LocalBoxFuture<'static, Result<(), Invalid>>;

    /// Where the packages that a saved script (its text and its lock) imports stand; begins to install what is missing.
    fn install(
        &self,
        language: Language,
        script: (String, Option<String>),
    ) -> LocalBoxFuture<'static, Installed>;

    /// Checks that `value` is a flow that can be run; answers `v1` or `v2` when it has a preprocessor.
    ///
    /// # Errors
    /// Names the module and the field that does not fit, or is not supported.
    fn check_flow(&self, value: Value) -> LocalBoxFuture<'static, Result<Option<String>, Invalid>>;
}

/// Where the installation of what a script imports stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Installed {
    /// It is there, or nothing is needed.
    Ready,
    /// It is under way.
    Underway,
    /// It failed: why.
    Failed(String),
}

/// A connection to be tried out.
#[derive(Debug, Clone)]
pub struct ConnectionTest {
    /// The workspace.
    pub workspace: String,
    /// The trigger whose stored values may be used, else any other text.
    pub path: String,
    /// Whose rights count.
    pub permissioned_as: String,
    /// The settings of the trigger it would be.
    pub settings: Map<String, Value>,
}

/// The side that listens.
pub trait Listening: Send + Sync {
    /// Says that rows of `triggers` have changed; answers when that has been taken up.
    fn reconcile(&self) -> BoxFuture<'static, ()>;

    /// Says that something is to be captured, or otherwise than before; answers when that has been taken up.
    fn captures_changed(&self) -> BoxFuture<'static, ()>;

    /// Checks what a trigger connects to as it is about to be saved: that addresses are public or allowed, that
    /// certificates can be used. What depends on templates, variables or runnables passes.
    ///
    /// # Errors
    /// Names the field that does not fit.
    fn check(&self, spec: TriggerSpec) -> BoxFuture<'static, Result<(), Invalid>>;

    /// Connects once and tells each step and message, as long as somebody reads the answer.
    ///
    /// # Errors
    /// The settings cannot be used, or too many connections are tried out already.
    fn test(
        &self,
        test: ConnectionTest,
    ) -> BoxFuture<'static, Result<mpsc::Receiver<TrialEvent>, NotTried>>;
}
