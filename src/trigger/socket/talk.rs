//! [`Talk`]: what the socket says by itself on an open connection, such as answers of conversation rules; and the values
//! it keeps for that. `alarms` says what it says because time has passed.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::{Phase, Socket, connect, intake::After, round::for_logs};
use crate::{
    trigger::{
        setup::Setup,
        spec::ReplyRule,
        template::{Counter, Template, Values},
    },
    types::Timestamp,
    wire::Outgoing,
};

/// Answers of runnables that one connection may wait for: past it the rule's answer is counted as failed.
const MAX_ANSWERS: usize = 256;
/// Values that a connection is asked for and stored by (contract section 3).
pub(super) type Vars = std::collections::BTreeMap<String, Box<RawValue>>;

/// See the file's documentation.
pub(super) struct Talk {
    /// Stored by `set`; none until they were read from the database. They outlive connections.
    pub(super) vars: Option<Vars>,
    /// Counts the messages of this connection that ask for a number.
    counter: Counter,
    /// The heartbeat's last state value; it outlives connections, so that a session can be resumed.
    state: Option<Box<RawValue>>,
    /// The interval the server asked for.
    pub(super) interval: Option<Duration>,
    /// When something was last sent.
    pub(super) spoke: Instant,
    /// When the last heartbeat was due; at first when the connection was made.
    pub(super) beat: Instant,
    /// Since when the expected message is awaited: since the first heartbeat that has not been answered.
    pub(super) expected: Option<Instant>,
    /// Which rules have fired on this connection.
    fired: Vec<bool>,
    /// Answers of runnables in the order they are owed; none while the runnable runs, an empty one when there is nothing
    /// to send.
    answers: VecDeque<(u64, Option<Option<String>>)>,
    next_answer: u64,
}

/// What a message meant to the conversation.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// It is kept away from the filters.
    pub(super) handled: bool,
    /// What is to be done with its commit.
    pub(super) after: After,
}

impl Talk {
    pub(super) fn new(setup: &Setup) -> Self {
        Self {
            vars: None,
            counter: Counter::default(),
            state: None,
            interval: None,
            spoke: Instant::now(),
            beat: Instant::now(),
            expected: None,
            fired: vec![false; setup.plan.conversation.len()],
            answers: VecDeque::new(),
            next_answer: 0,
        }
    }

    /// A new connection: what belongs to one connection begins again.
    pub(super) fn connected(&mut self, setup: &Setup, vars: Vars) {
        self.vars = Some(vars);
        self.counter = Counter::default();
        self.interval = None;
        self.spoke = Instant::now();
        self.beat = self.spoke;
        self.expected = None;
        self.fired = vec![false; setup.plan.conversation.len()];
        self.answers.clear();
    }

    /// Forgets what was stored (`on_close: reset`).
    pub(super) fn reset(&mut self) {
        self.vars = Some(Vars::new());
        self.state = None;
    }

    /// What templates of this connection may use; `msg` in an answer to it.
    pub(super) fn values<'a>(&'a self, setup: &'a Variables, msg: Option<&'a str>) -> Values<'a> {
        Values {
            state: self.state.as_deref(),
            vars: self.vars.as_ref(),
            counter: Some(&self.counter),
            now_ms: Timestamp::now().0 / 1_000,
            msg,
            variables: Some(setup),
        }
    }
}

/// The values of `$var:` references, read at each connect.
pub(super) type Variables = std::collections::BTreeMap<crate::types::ObjectPath, String>;

impl Socket {
    /// What a message means besides being one: state, interval, the expected sign of life, the step that
    /// waits for it, the rules of the conversation.
    pub(super) fn hear(&mut self, text: &str, ctx: &mut Context<Self>) -> Heard {
        let mut heard = Heard::default();
        heard.after.connection = self.connection();
        if self.only_listens() {
            return heard;
        }
        let setup = Arc::clone(&self.setup);
        if let Some(heartbeat) = &setup.plan.heartbeat {
            if let Some(value) = heartbeat.state.as_ref().and_then(|field| field.pick(text)) {
                self.talk.state = Some(value.to_owned());
            }
            let interval = heartbeat
                .interval_field
                .as_ref()
                .and_then(|field| field.pick(text));
            if let Some(interval) = interval.and_then(|value| value.get().parse::<f64>().ok()) {
                self.interval_is(interval, ctx);
            }
            if let Some((expect, _)) = &heartbeat.expect
                && expect.matches(text)
            {
                self.talk.expected = None;
            }
        }
        for (index, rule) in setup.plan.conversation.iter().enumerate() {
            let fired = self.talk.fired.get(index).copied().unwrap_or(false);
            if (rule.once && fired) || !rule.on.matches(text) {
                continue;
            }
            if let Some(fired) = self.talk.fired.get_mut(index) {
                *fired = true;
            }
            heard.handled |= !rule.trigger;
            self.apply(rule, text, &mut heard, ctx);
        }
        // An answer waits for its message's commit only when there is one.
        if heard.handled {
            for text in std::mem::take(&mut heard.after.sends) {
                self.say(text, ctx);
            }
        }
        // After the rules: the next step may ask for what they have stored.
        self.awaited(text, ctx);
        heard
    }

    /// Whether no message means anything besides being one.
    fn only_listens(&self) -> bool {
        let plan = &self.setup.plan;
        let is_open = matches!(&self.phase, Phase::Open(open) if open.opening.is_done());
        is_open && plan.heartbeat.is_none() && plan.conversation.is_empty()
    }

    fn apply(&mut self, rule: &ReplyRule, text: &str, heard: &mut Heard, ctx: &mut Context<Self>) {
        for (name, field) in &rule.set {
            if let Some(value) = field.pick(text) {
                let value = value.to_owned();
                heard
                    .after
                    .sets
                    .push((name.clone(), value.get().to_owned()));
                self.talk
                    .vars
                    .get_or_insert_default()
                    .insert(name.clone(), value);
            }
        }
        if let Some(send) = &rule.send {
            match self.render(send, Some(text)) {
                Ok(answer) => heard.after.sends.push(answer),
                Err(error) => self.answer_failed(&error),
            }
        }
        if let Some(runnable) = &rule.send_runnable {
            if self.talk.answers.len() >= MAX_ANSWERS {
                self.answer_failed("too many answers are under way");
                return;
            }
            let number = self.talk.next_answer;
            self.talk.next_answer += 1;
            self.talk.answers.push_back((number, None));
            let run = connect::answer(&self.common, &self.setup, runnable, text);
            ctx.spawn(run.into_actor(self).map(move |result, socket, ctx| {
                socket.answered(number, result.map_err(|failure| failure.text), ctx);
            }));
        }
    }

    /// The answer of a runnable is there: sends it, and those behind it that waited for it.
    fn answered(
        &mut self,
        number: u64,
        result: Result<Option<String>, String>,
        ctx: &mut Context<Self>,
    ) {
        let answer = result.unwrap_or_else(|error| {
            self.answer_failed(&error);
            None
        });
        let owed = self.talk.answers.iter_mut().find(|(n, _)| *n == number);
        match owed {
            Some((_, slot)) => *slot = Some(answer),
            // A new connection owes nothing to the messages of the one before.
            None if answer.is_some() => self.live.undeliverable(),
            None => {}
        }
        while let Some((_, Some(_))) = self.talk.answers.front() {
            let Some((_, Some(Some(text)))) = self.talk.answers.pop_front() else {
                continue;
            };
            if !matches!(self.phase, Phase::Open(_)) {
                self.live.undeliverable();
            } else if self.speak(text, ctx) {
                self.live.replied.add(1);
            } else {
                self.live.reply_failed.add(1);
            }
        }
    }

    fn answer_failed(&self, error: &str) {
        self.live.reply_failed.add(1);
        self.note("unanswered", error);
        let why = for_logs(error);
        log::warn!(trigger = &*self.setup.path; "an answer was not sent: {why}");
    }

    /// Sends a text of our own.
    pub(super) fn say(&mut self, text: String, ctx: &mut Context<Self>) {
        if !self.speak(text, ctx) {
            self.live.reply_failed.add(1);
        }
    }

    /// Sends a text; answers whether it is on its way.
    pub(super) fn speak(&mut self, text: String, ctx: &mut Context<Self>) -> bool {
        self.talk.spoke = Instant::now();
        self.send(Outgoing::Text(text.into()), ctx)
    }

    /// Fills in a template with what this connection knows.
    pub(super) fn render(&self, template: &Template, msg: Option<&str>) -> Result<String, String> {
        let Phase::Open(open) = &self.phase else {
            return Err("the connection is gone".to_owned());
        };
        let values = self.talk.values(open.opening.variables(), msg);
        template.render(&values).map_err(|error| error.to_string())
    }
}
