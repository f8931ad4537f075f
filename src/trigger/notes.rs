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

use crate::db::{self, Pool, connection_log, connection_log::LogEntry};

/// How often what waits is written: soon enough for a person who looks, seldom enough for the disk.
const WRITE: Duration = Duration::from_secs(1);
/// Events of one trigger that wait; of a storm the newest stay.
const EVENTS: usize = 20;
/// Events written at once, of all triggers; the rest waits for the next time.
const WRITTEN: usize = 2_000;

type Place = (Arc<str>, Arc<str>);

#[derive(Debug, Default)]
struct Waiting {
    events: HashMap<Place, VecDeque<LogEntry>>,
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

    /// Takes what is to be written next.
    fn take(&self) -> Vec<LogEntry> {
        let mut waiting = self.0.lock();
        let mut taken = Vec::new();
        waiting.events.retain(|_, events| {
            if taken.len() + events.len() > WRITTEN {
                return true;
            }
            taken.extend(events.drain(..));
            false
        });
        taken
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
        let (pool, entries) = (self.pool.clone(), self.notes.take());
        let server_id = Arc::clone(&self.server_id);
        async move {
            if entries.is_empty() {
                return false;
            }
            let written = pool.run(move |conn| {
                db::transaction(conn, |conn| {
                    connection_log::append(conn, &entries, Some(&server_id))
                })
            });
            if let Err(error) = written.await {
                log::warn!("events of connections were not written down: {error}");
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
        let taken = notes.take();
        let told: Vec<(&str, i64)> = taken
            .iter()
            .map(|entry| (entry.event, entry.times))
            .collect();
        assert_eq!(told, [("failed", 1_000), ("connected", 1)]);
        for n in 0..1_000 {
            notes.event((&t.0, &t.1), "failed", &n.to_string());
        }
        let taken = notes.take();
        assert_eq!((taken.len(), &*taken[EVENTS - 1].text), (EVENTS, "999"));
        assert!(notes.take().is_empty());
    }

    #[test]
    fn one_write_is_bounded_and_the_rest_waits() {
        let notes = Notes::default();
        for n in 0..3_000 {
            let t = place(&format!("u/a/t{n}"));
            notes.event((&t.0, &t.1), "failed", "");
        }
        assert_eq!(notes.take().len(), WRITTEN);
        assert_eq!(notes.take().len(), 1_000);
    }
}
