//! What other processes on the same PostgreSQL say, passed on to who acts on it. On SQLite nobody says anything.

use std::time::Duration;

use actix::Addr;
use tokio::sync::mpsc;

use super::relay;
use crate::{
    config::DatabaseUrl,
    db::{
        Pool,
        listen::{Heard, listen},
        trigger::CHANGED,
    },
    presence::Presence,
    queue::{CANCEL, JOBS, Queue, REPLIES},
    trigger::{Board, Hearing, Reconcile, Registry},
};

/// How often replies are looked for in case a word was missed.
const LOOK: Duration = Duration::from_secs(2);

/// What is to be done; each stands for itself however often it was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Replies,
    Triggers,
    Hearing(bool),
}

/// Words about live messages that wait to be acted on; more are lost, as those of a fast feed are.
const LIVE_WORDS: usize = 256;

/// Follows the words for as long as the process lives.
pub(super) fn follow(
    (pool, queue, board): (&Pool, &Queue, &Board),
    presence: Presence,
    registry: Option<Addr<Registry>>,
) {
    let DatabaseUrl::Postgres(url) = pool.url().clone() else {
        return;
    };
    let (live, live_words) = mpsc::channel(LIVE_WORDS);
    if registry.is_some() {
        let shared = (pool.clone(), board.clone());
        actix_rt::spawn(relay::relay(shared, presence, live_words));
    }
    // Acts of one kind that wait need no second one; a few kinds fit always.
    let (act, acts) = mpsc::channel(16);
    let for_registry = registry.is_some();
    let on_words = queue.clone();
    let name = pool.name().to_owned();
    actix_rt::spawn(listen(url, name, move |heard| {
        let todo: &[Act] = match &heard {
            Heard::Listening => {
                on_words.ready().notify_one();
                &[Act::Hearing(true), Act::Replies]
            }
            Heard::Deaf => &[Act::Hearing(false)],
            Heard::Word(word) if word == JOBS => {
                on_words.ready().notify_one();
                &[]
            }
            Heard::Word(word) if word == CANCEL => {
                on_words.look_for_cancellations();
                &[]
            }
            Heard::Word(word) if word == CHANGED && for_registry => &[Act::Triggers],
            Heard::Word(word) => {
                if let Some(word) = word.strip_prefix(relay::WORD) {
                    let _ = live.try_send(word.to_owned());
                }
                match word.strip_prefix(REPLIES) {
                    Some(fence) if fence.parse() == Ok(on_words.fence()) => &[Act::Replies],
                    Some(_) | None => &[],
                }
            }
        };
        for act_now in todo {
            // Full: as many are waiting to be done, and the timers below catch the rest.
            let _ = act.try_send(*act_now);
        }
    }));
    actix_rt::spawn(perform(acts, queue.clone(), registry));
}

async fn perform(mut acts: mpsc::Receiver<Act>, queue: Queue, registry: Option<Addr<Registry>>) {
    loop {
        let mut todo = Vec::new();
        tokio::select! {
            count = acts.recv_many(&mut todo, 16) => if count == 0 { return },
            () = tokio::time::sleep(LOOK) => todo.push(Act::Replies),
        }
        todo.dedup();
        for act in todo {
            match (act, &registry) {
                (Act::Replies, _) => {
                    if let Err(error) = queue.fetch_replies().await {
                        log::debug!("replies could not be fetched, they stay: {error}");
                    }
                }
                // An error says that windsock is stopping.
                (Act::Triggers, Some(registry)) => {
                    let _ = registry.send(Reconcile).await;
                }
                (Act::Hearing(hearing), Some(registry)) => {
                    let _ = registry.send(Hearing(hearing)).await;
                }
                (Act::Triggers | Act::Hearing(_), None) => {}
            }
        }
    }
}
