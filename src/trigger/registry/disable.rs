//! The end of a trigger that has used up its attempts: its row is disabled, unless it was edited meanwhile.

use std::sync::Arc;

use actix::{ActorFutureExt, AsyncContext, Handler, Message, WrapFuture};

use super::Registry;
use crate::{
    db::{alert, trigger},
    types::{Mode, Timestamp},
};

/// A trigger has used up its attempts, or a close code says so: it is to be disabled, with the reason.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Exhausted {
    /// Its workspace.
    pub workspace: Arc<str>,
    /// Its path.
    pub path: Arc<str>,
    /// The version that was followed: a newer one is left alone.
    pub version: i64,
    /// Why.
    pub error: String,
}

impl Handler<Exhausted> for Registry {
    type Result = ();

    fn handle(&mut self, exhausted: Exhausted, ctx: &mut Self::Context) {
        let pool = self.common.pool.clone();
        let disable = async move {
            let Exhausted {
                workspace,
                path,
                version,
                error,
            } = exhausted;
            let (log_path, log_error) = (Arc::clone(&path), error.clone());
            let disabled = pool
                .run(move |conn| {
                    let is_same = trigger::by_path(conn, &workspace, &path)?
                        .is_some_and(|row| row.version == version);
                    if is_same {
                        trigger::set_mode(conn, (&workspace, &path), Mode::Disabled, Some(&error))?;
                        let message = format!("websocket trigger {path} was disabled: {error}");
                        alert::raise(conn, (&workspace, &path), &message, Timestamp::now())?;
                    }
                    Ok(is_same)
                })
                .await;
            match disabled {
                Ok(true) => log::warn!(trigger = &*log_path; "disabled: {log_error}"),
                Ok(false) => {}
                Err(error) => log::error!(trigger = &*log_path; "could not be disabled: {error}"),
            }
        };
        ctx.spawn(
            disable
                .into_actor(self)
                .map(|(), registry, ctx| registry.compare(ctx)),
        );
    }
}
