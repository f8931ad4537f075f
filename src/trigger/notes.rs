//! Actor `Scribe` and its [`Notes`]: what connections leave behind for people, written down in batches.
//!
//! A socket notes something in memory and goes on; the scribe writes what waits, a second at a time, in one transaction.
//! Everything is bounded: a storm of events repeats itself and is counted, and what is more than the bound gives way to
//! what is newer. What cannot be written is lost: it tells of the past and nothing depends on it.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use actix::{
    Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, ResponseFuture,
    Supervised, Supervisor, WrapFuture,
};
use parking_lot::Mutex;

use crate::db::{
    self, Conn, DbError, Pool,
    capture::{self, CaptureKey, NewCapture},
    connection_log,
    connection_log::LogEntry,
    job_note,
};
use crate::types::{JobId, Timestamp};

/// How often what waits is written: soon enough for a person who looks, seldom enough for the disk.
const WRITE: Duration = Duration::from_secs(1);
/// Events of one trigger that wait; of a storm the newest stay.
const EVENTS: usize = 20;
/// Events written at once, of all triggers; the rest waits for the next time.
const WRITTEN: usize = 2_000;

/// Captured messages of one runnable that wait: as many as are kept.
const CAPTURED: usize = 100;
/// Bytes of them: what the disk is given a second.
const CAPTURED_BYTES: usize = 2 * 1024 * 1024;

/// Replies of all triggers whose moments wait; of more in a second the newest stay.
const REPLIES: usize = 500;

type Place = (Arc<str>, Arc<str>);

#[derive(Debug, Default)]
struct Waiting {
    events: HashMap<Place, VecDeque<LogEntry>>,
    captured: HashMap<CaptureKey, Captured>,
    replies: VecDeque<(JobId, Timestamp)>,
}

/// Captured messages of one runnable that wait.
#[derive(Debug, Default)]
struct Captured {
    messages: VecDeque<NewCapture>,
    bytes: usize,
}

/// What is written in one go.
#[derive(Debug, Default)]
struct Taken {
    events: Vec<LogEntry>,
    captured: HashMap<CaptureKey, Captured>,
    replies: VecDeque<(JobId, Timestamp)>,
}

impl Taken {
    fn is_empty(&self) -> bool {
        self.events.is_empty() && self.captured.is_empty() && self.replies.is_empty()
    }

    fn write(&self, conn: &mut Conn, server_id: &str) -> Result<(), DbError> {
        connection_log::append(conn, &self.events, Some(server_id))?;
        for (key, captured) in &self.captured {
            let (messages, _) = captured.messages.as_slices();
            capture::keep(conn, key, messages)?;
        }
        for (job, at) in &self.replies {
            job_note::replied(conn, *job, *at)?;
        }
        Ok(())
    }
}

/// Where sockets leave their notes. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Notes(Arc<Mutex<Waiting>>);

impl Notes {
    /// Notes an event of a trigger's connection; `text` holds nothing secret.
    pub fn event(&self, place: (&Arc<str>, &Arc<str>), event: &'static str, text: &str) {
        let entry = LogEntry::now((place.0, place.1), event, text);
        let key = (Arc::clone(place.0), Arc::clone(place.1));
        let mut waiting = self.0.lock();
        let events = waiting.events.entry(key).or_default();
        match events.back_mut() {
            Some(last) if entry.repeats(last.event, &last.text) => {
                last.at = entry.at;
                last.times += 1;
            }
            _ => {
                if events.len() >= EVENTS {
                    events.pop_front();
                }
                events.push_back(entry);
            }
        }
    }

    /// Keeps a captured message; of a flood, the newest that the bounds allow.
    pub fn capture(&self, key: &CaptureKey, message: NewCapture) {
        let mut waiting = self.0.lock();
        let captured = waiting.captured.entry(key.clone()).or_default();
        captured.bytes += message.text.len();
        captured.messages.push_back(message);
        while captured.messages.len() > CAPTURED || captured.bytes > CAPTURED_BYTES {
            match captured.messages.pop_front() {
                Some(oldest) => captured.bytes -= oldest.text.len(),
                None => break,
            }
        }
    }

    /// The result of a job was sent back just now: people who look at the job see when.
    pub fn replied(&self, job: JobId) {
        let replies = &mut self.0.lock().replies;
        if replies.len() == REPLIES {
            replies.pop_front();
        }
        replies.push_back((job, Timestamp::now()));
    }

    /// Takes what is to be written next.
    fn take(&self) -> Taken {
        let mut waiting = self.0.lock();
        let mut captured = std::mem::take(&mut waiting.captured);
        for captured in captured.values_mut() {
            captured.messages.make_contiguous();
        }
        let mut taken = Vec::new();
        waiting.events.retain(|_, events| {
            if taken.len() + events.len() > WRITTEN {
                return true;
            }
            taken.extend(events.drain(..));
            false
        });
        Taken {
            events: taken,
            captured,
            replies: std::mem::take(&mut waiting.replies),
        }
    }
}

/// Writes everything that waits; answers when that is done.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct WriteAll;

/// See the file's documentation.
pub struct Scribe {
    notes: Notes,
    pool: Pool,
    server_id: Arc<str>,
    writing: bool,
}

impl Scribe {
    /// Starts it where it is called.
    pub fn start(notes: Notes, pool: Pool, server_id: &str) -> Addr<Self> {
        let server_id = server_id.into();
        Supervisor::start(move |_| Self {
            notes,
            pool,
            server_id,
            writing: false,
        })
    }

    /// Writes what waits; answers whether anything did.
    fn write(&self) -> impl Future<Output = bool> + use<> {
        let (pool, taken) = (self.pool.clone(), self.notes.take());
        let server_id = Arc::clone(&self.server_id);
        async move {
            if taken.is_empty() {
                return false;
            }
            let written =
                pool.run(move |conn| db::transaction(conn, |conn| taken.write(conn, &server_id)));
            if let Err(error) = written.await {
                log::warn!("what connections noted was not written down: {error}");
            }
            true
        }
    }
}

impl Actor for Scribe {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(WRITE, |scribe, ctx| {
            if !std::mem::replace(&mut scribe.writing, true) {
                let write = scribe.write().into_actor(scribe);
                ctx.spawn(write.map(|_, scribe, _| scribe.writing = false));
            }
        });
    }
}

impl Supervised for Scribe {
    fn restarting(&mut self, _: &mut Self::Context) {
        self.writing = false;
    }
}

impl Handler<WriteAll> for Scribe {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: WriteAll, _: &mut Self::Context) -> Self::Result {
        let write = self.write();
        Box::pin(async move {
            write.await;
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &str) -> (Arc<str>, Arc<str>) {
        ("main".into(), path.into())
    }

    #[test]
    fn repeats_are_counted_and_a_storm_is_bounded() {
        let (notes, t) = (Notes::default(), place("u/a/t"));
        for _ in 0..1_000 {
            notes.event((&t.0, &t.1), "failed", "connect: refused");
        }
        notes.event((&t.0, &t.1), "connected", "");
        let taken = notes.take().events;
        let told: Vec<(&str, i64)> = taken
            .iter()
            .map(|entry| (entry.event, entry.times))
            .collect();
        assert_eq!(told, [("failed", 1_000), ("connected", 1)]);
        for n in 0..1_000 {
            notes.event((&t.0, &t.1), "failed", &n.to_string());
        }
        let taken = notes.take().events;
        assert_eq!((taken.len(), &*taken[EVENTS - 1].text), (EVENTS, "999"));
        assert!(notes.take().events.is_empty());
    }

    #[test]
    fn one_write_is_bounded_and_the_rest_waits() {
        let notes = Notes::default();
        for n in 0..3_000 {
            let t = place(&format!("u/a/t{n}"));
            notes.event((&t.0, &t.1), "failed", "");
        }
        assert_eq!(notes.take().events.len(), WRITTEN);
        assert_eq!(notes.take().events.len(), 1_000);
    }

    #[test]
    fn of_many_replies_the_newest_are_remembered() {
        let notes = Notes::default();
        let jobs: Vec<JobId> = (0..=REPLIES).map(|_| JobId::next()).collect();
        for job in &jobs {
            notes.replied(*job);
        }
        let taken = notes.take().replies;
        let kept: Vec<JobId> = taken.iter().map(|(job, _)| *job).collect();
        assert_eq!(kept, jobs[1..]);
        assert!(notes.take().is_empty());
    }

    #[test]
    fn of_a_flood_the_newest_messages_stay() {
        let (notes, key) = (Notes::default(), ("main".into(), "u/a/s".into(), false));
        let message = |text: String| NewCapture {
            created_at: crate::types::Timestamp(1),
            bytes: 1,
            text,
            is_base64: false,
            url: String::new(),
            verdict: "matched",
        };
        for n in 0..1_000 {
            notes.capture(&key, message(n.to_string()));
        }
        let taken = notes.take();
        let messages = &taken.captured[&key].messages;
        assert_eq!((messages.len(), &*messages[0].text), (CAPTURED, "900"));
        for _ in 0..100 {
            notes.capture(&key, message("x".repeat(CAPTURED_BYTES / 4)));
        }
        assert_eq!(notes.take().captured[&key].messages.len(), 4);
    }
}
