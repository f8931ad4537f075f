//! What this server's board says, written for the other servers: at most once in [`PUBLISH`], in one statement, and
//! only what has changed. While there is no other server nothing is written.

use std::{collections::HashMap, time::Duration};

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};

use super::Registry;
use crate::{db::trigger_status, trigger::leases::Key};

/// How often: with the write itself, and the time until others read it (half a second where they follow it live), what
/// they show is at most a second old (contract section 5).
pub(super) const PUBLISH: Duration = Duration::from_millis(300);

/// What was written last.
#[derive(Default)]
pub(super) struct Published {
    seen: HashMap<Key, u64>,
    under_way: bool,
}

impl Registry {
    /// Writes what has changed, unless the last write is under way.
    pub(super) fn publish(&mut self, ctx: &mut Context<Self>) {
        if !self.common.presence.has_others() {
            self.published.seen.clear();
            return;
        }
        if self.published.under_way || self.fence == 0 {
            return;
        }
        let changed = self.common.board.changed_since(&mut self.published.seen);
        if changed.is_empty() {
            return;
        }
        self.published.under_way = true;
        let said: Vec<trigger_status::Said> = changed
            .into_iter()
            .filter_map(|((workspace, path), status)| {
                let text = serde_json::to_string(&status).ok()?;
                Some((workspace.to_string(), path.to_string(), text))
            })
            .collect();
        let (pool, fence) = (self.common.pool.clone(), self.fence);
        let id = self.common.board.server_id().to_owned();
        let write = async move {
            pool.run(move |conn| trigger_status::write(conn, (&id, fence), &said))
                .await
        };
        ctx.spawn(write.into_actor(self).map(|written, registry, _| {
            registry.published.under_way = false;
            if let Err(error) = written {
                log::debug!("statuses were not written, they will be: {error}");
                registry.published.seen.clear();
            }
        }));
    }
}
