//! A text message's way through the socket: rules, quick reject, filter, commit, and what follows a commit.

use std::sync::Arc;

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    Phase, Socket,
    intake::{Accepted, After},
};
use crate::{
    metrics::metrics,
    queue::{NewJob, QueueError, Stored},
    trigger::{
        filter_pool::{self, Candidate, Decide},
        reply::Reply,
        spec::{Binary, result_text},
        status::Verdict,
    },
    types::{Mode, Timestamp},
    wire::Outgoing,
};

/// Longest message that is decided on the socket's thread while somebody watches: a match of 190 bytes takes 0.55 µs
/// (`filter`), so this about 0.2 ms.
const WATCHED_BYTES: usize = 64 * 1024;

impl Socket {
    /// A whole text message.
    pub(super) fn text(&mut self, text: &str, now: Timestamp, ctx: &mut Context<Self>) {
        self.live.message(text.len(), now);
        let heard = self.hear(text, ctx);
        if self.common.echo {
            self.echo(Outgoing::Text(text.into()), ctx);
            return;
        }
        if heard.handled {
            self.live.handled.add(1);
            self.show((text, text.len()), (Verdict::Handled, false), now);
        } else if self.setup.plan.filter.accepts_everything() {
            self.matched(candidate(text, now), heard.after, ctx);
            return;
        } else {
            match self.verdict_here(text) {
                Some(false) => {
                    self.live.unmatched.add(1);
                    self.show((text, text.len()), (Verdict::Unmatched, false), now);
                }
                Some(true) => {
                    self.matched(candidate(text, now), heard.after, ctx);
                    return;
                }
                None => {
                    self.intake.candidate(candidate(text, now), heard.after);
                    self.pause_when_full();
                    self.decide(ctx);
                    return;
                }
            }
        }
        if !heard.after.is_nothing() {
            self.intake.only_after(heard.after);
            self.commit(ctx);
        }
    }

    /// What the filter says, where it is asked at once: what clearly cannot match, and, while somebody watches,
    /// whatever is small and has no message before it that is still being decided; so it is seen in the order it came.
    fn verdict_here(&self, text: &str) -> Option<bool> {
        let filter = &self.setup.plan.filter;
        if !self.is_watched() {
            return filter.rejects_quickly(text).then_some(false);
        }
        let at_once = text.len() <= WATCHED_BYTES && self.intake.is_decided();
        at_once.then(|| filter_pool::wants(filter, text))
    }

    /// Takes in a message that is wanted.
    fn matched(&mut self, message: Candidate, after: After, ctx: &mut Context<Self>) {
        self.live.matched.add(1);
        let verdict = (Verdict::Matched, message.is_base64);
        self.show((&message.text, message.text.len()), verdict, message.at);
        self.intake.accept(message, after);
        self.pause_when_full();
        self.commit(ctx);
    }

    /// A binary message as base64: no JSON, so filters want it only when there are none.
    pub(super) fn accept_binary(&mut self, bytes: &[u8], now: Timestamp, ctx: &mut Context<Self>) {
        let text = STANDARD.encode(bytes);
        if self.setup.plan.filter.accepts_everything() {
            let candidate = Candidate {
                text,
                at: now,
                is_base64: true,
            };
            let after = After {
                connection: self.connection(),
                ..After::default()
            };
            self.matched(candidate, after, ctx);
        } else {
            self.live.unmatched.add(1);
            self.show((&text, text.len()), (Verdict::Unmatched, true), now);
        }
    }

    /// A binary message: dropped and counted, or base64 (contract section 3).
    pub(super) fn binary(&mut self, bytes: &[u8], now: Timestamp, ctx: &mut Context<Self>) {
        self.live.message(bytes.len(), now);
        if self.common.echo {
            self.echo(Outgoing::Binary(bytes::Bytes::copy_from_slice(bytes)), ctx);
        } else if self.setup.plan.binary == Binary::Base64 {
            self.accept_binary(bytes, now, ctx);
        } else {
            self.live.binary.add(1);
            let text = format!("(binary, {} bytes)", bytes.len());
            self.show((&text, bytes.len()), (Verdict::Dropped, false), now);
        }
    }

    /// Stops reading while too much waits for its commit; TCP pushes back on the sender.
    pub(super) fn pause_when_full(&mut self) {
        if (self.held || self.intake.is_full())
            && let Phase::Open(open) = &self.phase
        {
            open.line.pause();
        }
    }

    pub(super) fn read_on(&mut self) {
        if !self.held
            && self.intake.has_room()
            && !self.stopping
            && let Phase::Open(open) = &mut self.phase
            && open.line.is_paused()
        {
            // The clocks stood still meanwhile (contract section 4).
            let now = tokio::time::Instant::now();
            open.heard = now;
            open.messaged = now;
            self.talk.expected = self.talk.expected.map(|_| now);
            open.line.resume();
        }
    }

    /// Sends the next batch to the filter's thread, unless one is there.
    fn decide(&mut self, ctx: &mut Context<Self>) {
        let Some((messages, slots)) = self.intake.next_to_decide() else {
            return;
        };
        let setup = Arc::clone(&self.setup);
        let messages = Arc::new(messages);
        let request = self.filter.send(Decide {
            setup: Arc::clone(&setup),
            messages: Arc::clone(&messages),
        });
        ctx.spawn(request.into_actor(self).map(move |answer, socket, ctx| {
            // The filter's thread died: decide here, rather than lose the batch.
            let verdicts = answer.unwrap_or_else(|_| {
                let decide = |message: &Candidate| setup.plan.filter.matches(&message.text);
                messages.iter().map(decide).collect()
            });
            let messages = Arc::try_unwrap(messages).unwrap_or_else(|shared| shared.to_vec());
            for (message, wanted) in messages.iter().zip(&verdicts) {
                let verdict = if *wanted {
                    Verdict::Matched
                } else {
                    Verdict::Unmatched
                };
                let text = message.text.as_str();
                socket.show((text, text.len()), (verdict, false), message.at);
            }
            let count = verdicts.len();
            let wanted = socket.intake.decided(messages, &verdicts, slots);
            socket.live.matched.add(wanted as u64);
            socket.live.unmatched.add((count - wanted) as u64);
            // In this order: the next batch may be nothing but values to store, which wait for no verdict.
            socket.decide(ctx);
            socket.commit(ctx);
            socket.read_on();
        }));
    }

    /// Sends the next batch to the queue, unless one is there.
    pub(super) fn commit(&mut self, ctx: &mut Context<Self>) {
        let Some(batch) = self.intake.next_to_commit() else {
            return;
        };
        let replies = self.setup.spec.can_return_message && self.setup.mode == Mode::Enabled;
        let mut jobs: Vec<NewJob> = Vec::with_capacity(batch.len());
        let (mut sets, mut afters, mut bytes) = (Vec::new(), Vec::new(), 0);
        let (mut oldest, mut forget) = (None, false);
        for Accepted { message, mut after } in batch {
            if let Some(message) = message {
                bytes += message.text.len();
                oldest = oldest.or(Some(message.at));
                // The connection it came on, which may be gone by now: a result goes on no other.
                let reply_to = replies.then_some(after.connection);
                jobs.push(self.setup.job(message, reply_to));
            }
            if after.forget {
                forget = true;
                sets.clear();
            }
            sets.append(&mut after.sets);
            if !after.sends.is_empty() {
                afters.push(after);
            }
        }
        let count = jobs.len();
        if !self.role.is_for_good() {
            jobs.clear();
            sets.clear();
            forget = false;
        }
        let stored = (forget || !sets.is_empty()).then(|| Stored {
            workspace: Arc::clone(&self.setup.workspace),
            path: Arc::clone(&self.setup.path),
            version: self.setup.version,
            forget,
            values: sets,
        });
        let (queue, fence) = (self.common.queue.clone(), self.common.fence);
        let push = async move {
            if jobs.is_empty() && stored.is_none() {
                return Ok(());
            }
            queue.push_leased(jobs, stored, fence).await?;
            if let Some(oldest) = oldest {
                let micros = (Timestamp::now().0 - oldest.0).max(0);
                metrics().message_seconds.observe(micros as f64 / 1e6);
            }
            Ok(())
        };
        ctx.spawn(push.into_actor(self).map(move |pushed, socket, ctx| {
            socket.pushed(pushed, (count, bytes), afters, ctx);
        }));
    }

    fn pushed(
        &mut self,
        pushed: Result<(), QueueError>,
        (count, bytes): (usize, usize),
        afters: Vec<After>,
        ctx: &mut Context<Self>,
    ) {
        self.intake.committed(count, bytes);
        match pushed {
            Ok(()) => {
                self.live.enqueued.add(count as u64);
                for after in afters {
                    self.send_on(after.connection, after.sends, ctx);
                }
            }
            Err(QueueError::Fenced) => {
                self.live.fenced(count as u64);
                metrics().messages_fenced.inc_by(count as u64);
                log::warn!(
                    trigger = &*self.setup.path, messages = count;
                    "messages were lost: another server had taken over before they were committed"
                );
            }
            // They stay `pending` in the counters: nothing is called enqueued that is not committed.
            Err(error) => log::error!(
                trigger = &*self.setup.path, messages = count; "messages were not committed: {error}"
            ),
        }
        self.commit(ctx);
        self.read_on();
    }

    fn send_on(&mut self, connection: i64, texts: Vec<String>, ctx: &mut Context<Self>) {
        for text in texts {
            let is_same = matches!(&self.phase, Phase::Open(open) if open.number == connection);
            if is_same {
                self.say(text, ctx);
            }
        }
    }

    /// Sends a message back as if it were its own result.
    pub(super) fn echo(&mut self, message: Outgoing, ctx: &mut Context<Self>) {
        self.live.handled.add(1);
        self.send(message, ctx);
    }

    /// Sends a job's result back, when the trigger says so and its connection still stands.
    pub(super) fn reply(&mut self, reply: &Reply, ctx: &mut Context<Self>) {
        let is_same = matches!(&self.phase, Phase::Open(open) if open.number == reply.connection);
        let outcome = &reply.finished.outcome;
        if !outcome.success && !self.setup.spec.can_return_error_result {
            return;
        }
        let Some(text) = result_text(&outcome.result) else {
            return;
        };
        if !is_same {
            self.live.undeliverable();
        } else if self.speak(text, ctx) {
            self.live.replied.add(1);
            self.common.notes.replied(reply.finished.job.id);
        } else {
            self.live.reply_failed.add(1);
        }
    }
}

/// A copy of a text message: a slice would keep its whole read block alive while it waits.
fn candidate(text: &str, at: Timestamp) -> Candidate {
    Candidate {
        text: text.to_owned(),
        at,
        is_base64: false,
    }
}
