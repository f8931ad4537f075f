//! What the registry does because there may be other servers: ends everything when its number is worthless, gives
//! triggers away, and has nothing read while another server may have taken over.

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};

use super::{Registry, tell};
use crate::{
    db::server,
    trigger::{
        farewell,
        leases::Key,
        socket::{Hold, Stop},
    },
    wire::close_code,
};

impl Registry {
    /// With another number everything that runs under the old one ends: other servers may have it.
    pub(super) fn take_number(&mut self) {
        let fence = self.common.presence.fence();
        if fence == std::mem::replace(&mut self.fence, fence) {
            return;
        }
        for (key, run) in self.running.drain() {
            tell(run.socket, Stop(close_code::AWAY));
            self.common.board.rest(&key.0, &key.1);
        }
    }

    /// Stops triggers of which another server is to have its share, then lets them go.
    pub(super) fn give_away(&mut self, keys: Vec<Key>, ctx: &mut Context<Self>) {
        if keys.is_empty() {
            return;
        }
        log::info!(triggers = keys.len(); "gives triggers to another server");
        for key in keys {
            let socket = self.running.remove(&key).map(|run| run.socket);
            self.common.board.rest(&key.0, &key.1);
            self.moving.insert(key.clone());
            let (pool, fence) = (self.common.pool.clone(), self.fence);
            let (workspace, path) = key.clone();
            let release = async move {
                // One that does not end keeps its lease, and is started again here.
                if farewell::stop(socket.into_iter().collect(), close_code::AWAY).await {
                    let released = pool
                        .run(move |conn| server::release(conn, fence, (&workspace, &path)))
                        .await;
                    if let Err(error) = released {
                        log::warn!("a trigger could not be given away: {error}");
                    }
                }
            };
            ctx.spawn(release.into_actor(self).map(move |(), registry, ctx| {
                registry.moving.remove(&key);
                if registry.moving.is_empty() {
                    registry.compare(ctx);
                }
            }));
        }
    }

    /// Has sockets read no more while another server may have taken over, and read on when that is settled.
    pub(super) fn hold_when_unsure(&mut self) {
        let hold = self.common.presence.fence() != 0 && !self.common.presence.is_sure();
        if std::mem::replace(&mut self.holding, hold) != hold {
            if hold {
                log::warn!("reading is paused until the database answers");
            }
            for run in self.running.values() {
                tell(run.socket.clone(), Hold(hold));
            }
        }
    }
}
