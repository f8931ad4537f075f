//! Live tails across servers: who watches a trigger here sees the messages that another server on the same PostgreSQL
//! receives (contract section 5).
//!
//! A server says once a second which triggers of others are watched on it; whoever listens for one of them tells
//! samples of it for a little longer than that. Words that nobody hears are lost: a sample is only looked at.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::{
    db::{self, Pool},
    presence::Presence,
    trigger::{
        Board,
        status::{Place, Sample, Tail},
    },
};

/// How a word for this begins.
pub(super) const WORD: &str = "tail ";
/// How often a server says what is watched on it.
const ASK: Duration = Duration::from_secs(1);
/// How long samples of a trigger are told after it was asked for.
const TOLD: Duration = Duration::from_secs(3);
/// Samples are told this often: each time is a transaction.
const TELL: Duration = Duration::from_millis(200);
/// Samples that wait to be told; more are dropped, as they are for a slow watcher.
const WAITING: usize = 100;
/// PostgreSQL's longest word has 8,000 bytes.
const LONGEST: usize = 7_900;
/// How much of a message is told where the whole sample does not fit: escaped, each of its bytes may be six.
const CUT: usize = 1_000;

/// What servers tell each other.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    /// These triggers are watched.
    Wanted(Vec<Place>),
    /// A message of one of them.
    Seen(Sample),
}

impl Word {
    fn text(&self) -> Option<String> {
        let json = serde_json::to_string(self).ok()?;
        let text = format!("{WORD}{json}");
        (text.len() <= LONGEST).then_some(text)
    }
}

/// The words about `places`: as many as they need.
fn wanted(places: &[Place]) -> Vec<String> {
    match Word::Wanted(places.to_vec()).text() {
        Some(text) => vec![text],
        None if places.len() > 1 => {
            let (some, others) = places.split_at(places.len() / 2);
            [wanted(some), wanted(others)].concat()
        }
        None => Vec::new(),
    }
}

/// The word about a sample, which is cut where it is too long.
fn seen(sample: &Sample) -> Option<String> {
    Word::Seen(sample.clone()).text().or_else(|| {
        let cut = sample.text.floor_char_boundary(CUT);
        let shorter = Sample {
            text: sample.text[..cut].into(),
            why: None,
            ..sample.clone()
        };
        Word::Seen(shorter).text()
    })
}

/// Says and tells for as long as the process lives; `heard` are the words of others.
pub(super) async fn relay(
    (pool, board): (Pool, Board),
    presence: Presence,
    mut heard: mpsc::Receiver<String>,
) {
    let mut samples = board.samples();
    let mut tails: HashMap<Place, (Tail, Instant)> = HashMap::new();
    let mut waiting = Vec::new();
    let (mut ask, mut tell) = (tokio::time::interval(ASK), tokio::time::interval(TELL));
    loop {
        tokio::select! {
            word = heard.recv() => {
                let Some(word) = word else { return };
                hear(&word, &board, &mut tails);
                continue;
            }
            // One that lagged has lost what nobody had time to look at.
            Ok(sample) = samples.recv() => {
                let place = (sample.workspace.clone(), sample.path.clone());
                if waiting.len() < WAITING && tails.contains_key(&place) {
                    waiting.extend(seen(&sample));
                }
                continue;
            }
            _ = ask.tick() => {
                tails.retain(|_, (_, until)| *until > Instant::now());
                if presence.has_others() {
                    waiting.extend(wanted(&board.watched_elsewhere()));
                }
            }
            _ = tell.tick() => {}
        }
        if !waiting.is_empty() {
            say(&pool, std::mem::take(&mut waiting)).await;
        }
    }
}

fn hear(word: &str, board: &Board, tails: &mut HashMap<Place, (Tail, Instant)>) {
    match serde_json::from_str(word) {
        Ok(Word::Wanted(places)) => {
            for place in places {
                let kept = tails.remove(&place).map(|(tail, _)| tail);
                let tail = kept
                    .filter(|tail| board.is_current(tail))
                    .or_else(|| board.tail(&place.0, &place.1));
                if let Some(tail) = tail {
                    tails.insert(place, (tail, Instant::now() + TOLD));
                }
            }
        }
        // What this server listens for itself it has shown already.
        Ok(Word::Seen(sample)) => {
            if board.get(&sample.workspace, &sample.path).is_none() {
                board.show(sample);
            }
        }
        Err(error) => log::debug!("a word of another version is not understood: {error}"),
    }
}

async fn say(pool: &Pool, words: Vec<String>) {
    let said = pool.run(move |conn| {
        db::transaction(conn, |conn| {
            for word in &words {
                db::notify(conn, word)?;
            }
            Ok(())
        })
    });
    if let Err(error) = said.await {
        log::debug!("live messages were not passed on: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{trigger::Verdict, types::Timestamp};

    fn sample(text: &str) -> Sample {
        Sample {
            workspace: "main".into(),
            path: "u/a/t".into(),
            at: Timestamp(1),
            text: text.into(),
            bytes: text.len(),
            verdict: Verdict::Matched,
            skipped: 0,
            why: None,
        }
    }

    #[test]
    fn a_sample_of_any_length_fits_a_word() {
        for text in ["", &"x".repeat(4_096), &"\u{1}".repeat(4_096)] {
            let word = seen(&sample(text)).unwrap();
            assert!(word.len() <= LONGEST);
            let word: Word = serde_json::from_str(&word[WORD.len()..]).unwrap();
            let Word::Seen(told) = word else {
                panic!("{word:?}")
            };
            assert!(text.starts_with(&*told.text) && told.bytes == text.len());
        }
    }

    #[test]
    fn any_number_of_wishes_is_said() {
        let places: Vec<Place> = (0..1_000)
            .map(|n| ("main".into(), format!("f/some_folder/trigger_{n}").into()))
            .collect();
        let words = wanted(&places);
        assert!(words.len() > 1 && words.iter().all(|word| word.len() <= LONGEST));
        let said: usize = words
            .iter()
            .map(|word| match serde_json::from_str(&word[WORD.len()..]) {
                Ok(Word::Wanted(places)) => places.len(),
                other => panic!("{other:?}"),
            })
            .sum();
        assert_eq!(said, 1_000);
    }
}
