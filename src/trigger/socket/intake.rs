//! [`Intake`]: the bounded way of a socket's messages from the wire to their commit.
//!
//! Two steps, each with one batch under way: the filter's thread decides, the queue commits. Whatever comes
//! meanwhile makes the next batch, so batches grow with the load and a lone message waits for nobody; order is
//! kept. The bound counts messages and bytes until their commit; past it the socket is not read.

use crate::{config::Limits, trigger::filter_pool::Candidate};

/// Messages decided in one go: enough to pay for the way to the filter's thread, few enough to share it.
const DECIDE_MESSAGES: usize = 512;
/// Messages in one commit: the queue's ledger takes as many in one transaction.
const COMMIT_MESSAGES: usize = 2_000;

/// What the conversation rules want done with a message's commit, besides the job it may become.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct After {
    /// All that was stored before is to be forgotten (`on_close: reset`). In the same transaction.
    pub(super) forget: bool,
    /// Values to store (`set`), in order: name and JSON. In the same transaction.
    pub(super) sets: Vec<(String, String)>,
    /// Texts to send (`send`), in order, once it is durable.
    pub(super) sends: Vec<String>,
    /// The connection the message came on, and the one to answer on; no other.
    pub(super) connection: i64,
}

impl After {
    /// Whether nothing is wanted.
    pub(super) fn is_nothing(&self) -> bool {
        !self.forget && self.sets.is_empty() && self.sends.is_empty()
    }
}

/// A message, or what is to be done after one, that waits for its commit.
#[derive(Debug)]
pub(super) struct Accepted {
    /// The message; none when it becomes no job.
    pub(super) message: Option<Candidate>,
    /// What is to be done with it.
    pub(super) after: After,
}

/// The place of a message, or of what is to be done after one, in a batch that is being decided.
#[derive(Debug)]
pub(super) struct Slot {
    has_message: bool,
    after: After,
}

/// See the file's documentation.
#[derive(Debug)]
pub(super) struct Intake {
    limits: (usize, usize),
    candidates: Vec<(Option<Candidate>, After)>,
    deciding: bool,
    accepted: Vec<Accepted>,
    committing: bool,
    messages: usize,
    bytes: usize,
}

impl Intake {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            limits: (limits.uncommitted_messages, limits.uncommitted_bytes),
            candidates: Vec::new(),
            deciding: false,
            accepted: Vec::new(),
            committing: false,
            messages: 0,
            bytes: 0,
        }
    }

    /// Takes a message in; it counts until it is committed or not wanted.
    pub(super) fn candidate(&mut self, message: Candidate, after: After) {
        self.messages += 1;
        self.bytes += message.text.len();
        self.candidates.push((Some(message), after));
    }

    /// Wants something done for a message that becomes no job; in its place among those that do.
    pub(super) fn only_after(&mut self, after: After) {
        if self.is_decided() {
            self.accepted.push(Accepted {
                message: None,
                after,
            });
        } else {
            self.candidates.push((None, after));
        }
    }

    /// Whether no message waits for its verdict: one that has its own may be taken in and keeps its place.
    pub(super) fn is_decided(&self) -> bool {
        !self.deciding && self.candidates.is_empty()
    }

    /// The next batch for the filter's thread, unless one is there, and what belongs to it but stays here.
    pub(super) fn next_to_decide(&mut self) -> Option<(Vec<Candidate>, Vec<Slot>)> {
        if self.deciding {
            return None;
        }
        let count = self.candidates.len().min(DECIDE_MESSAGES);
        let (mut messages, mut slots) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for (message, after) in self.candidates.drain(..count) {
            slots.push(Slot {
                has_message: message.is_some(),
                after,
            });
            messages.extend(message);
        }
        if messages.is_empty() {
            self.decided(Vec::new(), &[], slots);
            return None;
        }
        self.deciding = true;
        Some((messages, slots))
    }

    /// Takes what the filter's thread answered; answers how many messages were wanted.
    pub(super) fn decided(
        &mut self,
        messages: Vec<Candidate>,
        verdicts: &[bool],
        slots: Vec<Slot>,
    ) -> usize {
        self.deciding = false;
        let mut decided = messages.into_iter().zip(verdicts);
        let mut wanted = 0;
        for Slot { has_message, after } in slots {
            let message = match if has_message { decided.next() } else { None } {
                Some((message, true)) => Some(message),
                Some((message, false)) => {
                    self.release(1, message.text.len());
                    None
                }
                None => None,
            };
            wanted += usize::from(message.is_some());
            if message.is_some() || !after.is_nothing() {
                self.accepted.push(Accepted { message, after });
            }
        }
        wanted
    }

    /// What was under way is lost with the context that waited for it; what waits goes on.
    pub(super) fn restart(&mut self) {
        self.deciding = false;
        self.committing = false;
        let waiting = self
            .candidates
            .iter()
            .filter_map(|(message, _)| message.as_ref());
        let accepted = self
            .accepted
            .iter()
            .filter_map(|accepted| accepted.message.as_ref());
        let lengths: Vec<usize> = waiting.chain(accepted).map(|m| m.text.len()).collect();
        (self.messages, self.bytes) = (lengths.len(), lengths.iter().sum());
    }

    /// Takes a message that needs no decision: there is no filter.
    pub(super) fn accept(&mut self, message: Candidate, after: After) {
        self.messages += 1;
        self.bytes += message.text.len();
        self.accepted.push(Accepted {
            message: Some(message),
            after,
        });
    }

    /// The next batch for the queue, unless one is there.
    pub(super) fn next_to_commit(&mut self) -> Option<Vec<Accepted>> {
        if self.committing || self.accepted.is_empty() {
            return None;
        }
        self.committing = true;
        let count = self.accepted.len().min(COMMIT_MESSAGES);
        Some(self.accepted.drain(..count).collect())
    }

    /// The batch with so many messages and bytes is committed.
    pub(super) fn committed(&mut self, messages: usize, bytes: usize) {
        self.committing = false;
        self.release(messages, bytes);
    }

    fn release(&mut self, messages: usize, bytes: usize) {
        self.messages -= messages;
        self.bytes -= bytes;
    }

    /// Whether no more may be read.
    pub(super) fn is_full(&self) -> bool {
        self.messages >= self.limits.0 || self.bytes >= self.limits.1
    }

    /// Whether there is room again: half of the bound, so that reading does not stutter.
    pub(super) fn has_room(&self) -> bool {
        self.messages <= self.limits.0 / 2 && self.bytes <= self.limits.1 / 2
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.messages == 0 && self.accepted.is_empty() && !self.committing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Timestamp;

    fn intake(messages: usize, bytes: usize) -> Intake {
        let limits = Limits {
            uncommitted_messages: messages,
            uncommitted_bytes: bytes,
            ..Limits::default()
        };
        Intake::new(&limits)
    }

    fn message(text: &str) -> Candidate {
        Candidate {
            text: text.into(),
            at: Timestamp(1),
            is_base64: false,
        }
    }

    fn texts(batch: &[Accepted]) -> Vec<&str> {
        batch
            .iter()
            .map(|accepted| accepted.message.as_ref().map_or("", |m| m.text.as_str()))
            .collect()
    }

    #[test]
    fn one_batch_a_step_in_order() {
        let mut intake = intake(10, 100);
        intake.candidate(message("a"), After::default());
        let (first, slots) = intake.next_to_decide().unwrap();
        intake.candidate(message("b"), After::default());
        assert!(intake.next_to_decide().is_none(), "one batch at a time");
        assert_eq!(intake.decided(first, &[true], slots), 1);
        let batch = intake.next_to_commit().unwrap();
        assert_eq!(texts(&batch), ["a"]);
        let (second, slots) = intake.next_to_decide().unwrap();
        assert_eq!(intake.decided(second, &[false], slots), 0);
        assert!(!intake.is_empty());
        intake.committed(1, 1);
        assert!(intake.is_empty());
    }

    #[test]
    fn both_bounds_close_and_half_of_them_opens() {
        let mut intake = intake(4, 10);
        intake.accept(message("0123456789"), After::default());
        assert!(intake.is_full(), "by bytes");
        let batch = intake.next_to_commit().unwrap();
        intake.committed(batch.len(), 10);
        for _ in 0..4 {
            intake.accept(message("x"), After::default());
        }
        assert!(intake.is_full(), "by count");
        intake.next_to_commit().unwrap();
        intake.committed(2, 2);
        assert!(intake.has_room() && !intake.is_full());
    }

    #[test]
    fn stored_values_keep_their_place_among_the_messages() {
        let mut intake = intake(10, 100);
        let set = |value: &str| After {
            sets: vec![("seq".to_owned(), value.to_owned())],
            ..After::default()
        };
        intake.candidate(message("a"), set("1"));
        let (batch, slots) = intake.next_to_decide().unwrap();
        intake.only_after(set("2"));
        intake.decided(batch, &[false], slots);
        assert!(intake.next_to_decide().is_none());
        intake.only_after(set("3"));
        let batch = intake.next_to_commit().unwrap();
        let values: Vec<&str> = batch
            .iter()
            .flat_map(|accepted| accepted.after.sets.iter().map(|(_, value)| value.as_str()))
            .collect();
        assert_eq!(values, ["1", "2", "3"]);
    }
}
