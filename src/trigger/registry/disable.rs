//! The end of a trigger that has used up its attempts, or whose server said so: its row is disabled, unless it was edited
//! meanwhile or listens on another server by now. Tried until it is written: nobody else would.

use std::{collections::HashMap, sync::Arc, time::Duration};

use actix::{ActorFutureExt, AsyncContext, Context, Handler, Message, WrapFuture};

use super::Registry;
use crate::{
    db::{
        self, Conn, DbError, alert,
        audit::{self, NewAudit},
        server, trigger,
    },
    trigger::leases::Key,
    types::Timestamp,
};

/// How often it is tried again while the database does not take it.
pub(super) const AGAIN: Duration = Duration::from_secs(1);

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
    /// The number under which it was listened for.
    pub fence: i64,
    /// Why.
    pub error: String,
}

impl Exhausted {
    fn key(&self) -> Key {
        (Arc::clone(&self.workspace), Arc::clone(&self.path))
    }
}

/// What is to be disabled and is not yet.
#[derive(Default)]
pub(super) struct Disabling {
    waiting: HashMap<Key, Exhausted>,
    pub(super) under_way: bool,
}

impl Handler<Exhausted> for Registry {
    type Result = ();

    fn handle(&mut self, exhausted: Exhausted, ctx: &mut Self::Context) {
        self.disabling.waiting.insert(exhausted.key(), exhausted);
        self.disable(ctx);
    }
}

impl Registry {
    /// Writes what is to be disabled, unless that is under way.
    pub(super) fn disable(&mut self, ctx: &mut Context<Self>) {
        if self.disabling.under_way || self.disabling.waiting.is_empty() {
            return;
        }
        self.disabling.under_way = true;
        let all: Vec<Exhausted> = self.disabling.waiting.values().cloned().collect();
        let pool = self.common.pool.clone();
        let write = async move {
            let mut settled = Vec::new();
            for one in all {
                let what = one.clone();
                let disabled = pool
                    .run(move |conn| db::transaction(conn, |conn| disable(conn, &what)))
                    .await;
                match disabled {
                    Ok(true) => log::warn!(trigger = &*one.path; "disabled: {}", one.error),
                    Ok(false) => {}
                    Err(error) => {
                        log::error!(trigger = &*one.path; "not disabled yet, it will be: {error}");
                        continue;
                    }
                }
                settled.push(one);
            }
            settled
        };
        ctx.spawn(write.into_actor(self).map(|settled, registry, ctx| {
            let disabling = &mut registry.disabling;
            disabling.under_way = false;
            for one in &settled {
                let key = one.key();
                // A newer word on the same trigger stays.
                if disabling.waiting.get(&key).map(|left| left.version) == Some(one.version) {
                    disabling.waiting.remove(&key);
                }
            }
            if !settled.is_empty() {
                registry.compare(ctx);
            }
        }));
    }
}

/// Answers whether it was disabled: it was still what it was, and this server's.
fn disable(conn: &mut Conn, what: &Exhausted) -> Result<bool, DbError> {
    let place = (&*what.workspace, &*what.path);
    if matches!(conn, Conn::Postgres(_)) {
        let fence = what.fence;
        if !server::holds(conn, fence)? || server::is_elsewhere(conn, fence, place)? {
            return Ok(false);
        }
    }
    if !trigger::disable(conn, place, what.version, &what.error)? {
        return Ok(false);
    }
    let now = Timestamp::now();
    let message = format!(
        "websocket trigger {} was disabled: {}",
        what.path, what.error
    );
    alert::raise_with(conn, place, &message, now)?;
    let entry = NewAudit {
        workspace_id: place.0,
        at: now,
        username: "windsock",
        email: "",
        operation: "websocket_triggers.disable",
        resource: place.1,
        token_prefix: "",
        source: "worker",
        changes: None,
    };
    audit::insert(conn, &entry)?;
    Ok(true)
}
