//! What an edit means for a socket: another connection, another wait, or nothing but other settings (contract section 5).

use std::sync::Arc;

use actix::{AsyncContext, Context};

use super::{Phase, Socket, talk::Talk};
use crate::{
    trigger::{setup::Setup, spec::connection_differs},
    wire::close_code,
};

impl Socket {
    /// Goes on with `setup`, on the same connection when it is still made from the same.
    pub(super) fn edited(&mut self, setup: Arc<Setup>, ctx: &mut Context<Self>) {
        let old = std::mem::replace(&mut self.setup, setup);
        let new = &self.setup;
        if old.path != new.path {
            let live = self.common.board.entry(&new.workspace, &new.path);
            live.continues(&self.live);
            self.live = live;
        }
        let reconnect = connection_differs(&old.spec, &new.spec)
            || old.permissioned_as != new.permissioned_as
            || matches!(self.phase, Phase::Idle);
        let other_rate = old.plan.connect_rate != new.plan.connect_rate;
        let other_wait = old.plan.backoff != new.plan.backoff;
        if reconnect {
            // What the messages so far have stored may not be committed yet.
            let vars = self.talk.vars.take();
            self.talk = Talk::new(&self.setup);
            self.talk.vars = vars;
            self.attempt = 0;
            self.note("closed", "its settings were edited");
            self.close_line(Some(close_code::NORMAL), ctx);
            self.attempt_now(ctx);
            return;
        }
        match &self.phase {
            Phase::Open(open) => open.limit.set(self.setup.plan.max_message_bytes),
            Phase::Attempting(_) if other_rate => {
                self.drop_line(ctx);
                self.attempt_now(ctx);
            }
            Phase::Waiting(handle, cause) if other_wait => {
                ctx.cancel_future(*handle);
                let cause = cause.clone();
                self.phase = Phase::Idle;
                self.wait_for(cause, ctx);
            }
            Phase::Idle | Phase::Attempting(_) | Phase::Waiting(..) => {}
        }
        self.show_listening();
        self.set_alarms(ctx);
    }
}
