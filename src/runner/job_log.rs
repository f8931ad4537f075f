//! [`JobLog`]: what one job printed, up to a bound, and the last line of it (the result of `bash`).
//!
//! [`LogSink`] hands pieces of it on while the job runs. Who reads the pipe is in `warm`.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;
use memchr::{memchr, memrchr};

use super::source::JobSource;
use crate::{queue::Job, secret::mask::Masks, types::JobId};

/// The output of one run.
#[derive(Debug)]
pub(crate) struct JobLog {
    /// Not handed on yet.
    pending: Vec<u8>,
    /// Bytes that may still be kept.
    room: usize,
    cap: usize,
    truncated: bool,
    last_line: Option<LastLine>,
}

impl JobLog {
    /// Keeps at most `cap` bytes.
    pub(crate) fn new(cap: usize) -> Self {
        Self {
            pending: Vec::new(),
            room: cap,
            cap,
            truncated: false,
            last_line: None,
        }
    }

    /// Also remembers the last line, up to `max` bytes of it.
    pub(crate) fn remember_last_line(&mut self, max: usize) {
        self.last_line = Some(LastLine {
            max,
            ..LastLine::default()
        });
    }

    /// Takes what was printed; past the bound it is dropped and one line says so.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if let Some(last_line) = &mut self.last_line {
            last_line.push(bytes);
        }
        if bytes.len() <= self.room {
            self.pending.extend_from_slice(bytes);
            self.room -= bytes.len();
            return;
        }
        if !self.truncated {
            self.pending.extend_from_slice(&bytes[..self.room]);
            self.room = 0;
            self.truncated = true;
            let line = format!(
                "\n[windsock: the log ends here, it may have {} bytes]\n",
                self.cap
            );
            self.pending.extend_from_slice(line.as_bytes());
        }
    }

    /// Whether something waits to be handed on.
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// What is left at the end of the job, behind what was `held_back`.
    pub(crate) fn take_rest(&mut self, mut held_back: Vec<u8>) -> String {
        held_back.append(&mut self.pending);
        text(&held_back)
    }

    /// The last few lines that are still here, for an error text; at most `max` bytes.
    pub(crate) fn last_lines(&self, lines: usize, max: usize) -> String {
        let end = self.pending.trim_ascii_end();
        let mut start = end.len();
        for _ in 0..lines {
            match memrchr(b'\n', &end[..start]) {
                Some(newline) => start = newline,
                None => {
                    start = 0;
                    break;
                }
            }
        }
        let start = start.max(end.len().saturating_sub(max));
        text(end[start..].trim_ascii())
    }

    /// The last line, trimmed, when something was printed; `Err` when it is longer than was to be remembered.
    pub(crate) fn last_line(&self) -> Option<Result<String, ()>> {
        let last_line = self.last_line.as_ref()?;
        let line = match (&last_line.open, &last_line.whole) {
            (line, _) if !line.is_empty() => line,
            (_, Some(line)) => line,
            (_, None) => return None,
        };
        if line.len() > last_line.max {
            return Some(Err(()));
        }
        Some(Ok(text(line.trim_ascii())))
    }
}

/// Stores what a running job prints, one piece at a time, so that people can follow it.
pub(crate) struct LogSink {
    target: Option<(Arc<dyn JobSource>, JobId)>,
    next_piece: i32,
    interval: Duration,
    /// Answers what it has held back.
    storing: Option<tokio::task::JoinHandle<Vec<u8>>>,
}

impl LogSink {
    /// Hands the output of `job` on every `interval`.
    pub(crate) fn new(source: Arc<dyn JobSource>, job: &Job, interval: Duration) -> Self {
        Self {
            target: Some((source, job.id)),
            next_piece: crate::queue::Queue::first_piece(job),
            interval,
            storing: None,
        }
    }

    /// Keeps everything for the end.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self {
            target: None,
            next_piece: 0,
            interval: Duration::from_secs(3600),
            storing: None,
        }
    }

    /// How often [`LogSink::hand_on`] is to be called.
    pub(crate) fn interval(&self) -> Duration {
        self.interval
    }

    /// Stores what has been printed, unless the piece before is still on its way: then it waits in `log`,
    /// which is bounded.
    pub(crate) fn hand_on(&mut self, log: &mut JobLog) {
        let busy = self
            .storing
            .as_ref()
            .is_some_and(|task| !task.is_finished());
        let Some((source, job)) = self.target.as_ref().filter(|_| !busy && !log.is_empty()) else {
            return;
        };
        let before = self.storing.take().and_then(|task| task.now_or_never());
        // A panic in it was reported by the runtime.
        let mut bytes = before.and_then(Result::ok).unwrap_or_default();
        bytes.append(&mut log.pending);
        let piece = self.next_piece;
        self.next_piece += 1;
        let stored = store(Arc::clone(source), (*job, piece), bytes);
        self.storing = Some(tokio::spawn(stored));
    }

    /// Waits for the last piece, so that the end of the log is not stored before it; answers what is left of it.
    pub(crate) async fn settled(&mut self) -> Vec<u8> {
        match self.storing.take() {
            // A panic in it was reported by the runtime.
            Some(task) => task.await.unwrap_or_default(),
            None => Vec::new(),
        }
    }
}

/// Stores a piece, secrets masked; answers what it holds back: half a character, what may be the beginning of a secret,
/// and everything while it is not known what is one. Asked after it was printed: what was read before is known then.
async fn store(source: Arc<dyn JobSource>, (job, piece): (JobId, i32), bytes: Vec<u8>) -> Vec<u8> {
    if source.learn_secrets(job).await.is_err() {
        return bytes;
    }
    let (text, rest) = whole(bytes, &Masks::of(job));
    if !text.is_empty()
        && let Err(error) = source.append_log(job, piece, text).await
    {
        log::warn!(job:% = job, error:% = error; "a piece of a log could not be stored");
    }
    rest
}

/// What may be stored of `bytes`, masked, and the rest.
fn whole(mut bytes: Vec<u8>, masks: &Masks) -> (String, Vec<u8>) {
    let whole = match std::str::from_utf8(&bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    };
    let rest = bytes.split_off(whole - masks.begun(&bytes[..whole]));
    (masks.apply(text(&bytes)), rest)
}

/// The text that was meant; what is no text, and what PostgreSQL cannot store, becomes a replacement mark.
fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    if memchr(0, text.as_bytes()).is_some() {
        return text.replace('\0', "\u{fffd}");
    }
    text.into_owned()
}

#[derive(Debug, Default)]
struct LastLine {
    max: usize,
    /// The last line that has ended.
    whole: Option<Vec<u8>>,
    /// What stands behind it.
    open: Vec<u8>,
}

impl LastLine {
    fn push(&mut self, bytes: &[u8]) {
        let Some(end) = memrchr(b'\n', bytes) else {
            return Self::extend(&mut self.open, bytes, self.max);
        };
        let mut line = match memrchr(b'\n', &bytes[..end]) {
            Some(begin) => {
                self.open.clear();
                (begin + 1, std::mem::take(&mut self.open))
            }
            None => (0, std::mem::take(&mut self.open)),
        };
        Self::extend(&mut line.1, &bytes[line.0..end], self.max);
        self.whole = Some(line.1);
        Self::extend(&mut self.open, &bytes[end + 1..], self.max);
    }

    /// One byte more than `max` is kept, to know that it was too long.
    fn extend(line: &mut Vec<u8>, bytes: &[u8], max: usize) {
        let room = (max + 1).saturating_sub(line.len());
        line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_cut_once_and_says_so() {
        let mut log = JobLog::new(8);
        for _ in 0..1000 {
            log.push(b"12345");
        }
        assert_eq!(
            log.take_rest(Vec::new()),
            "12345123\n[windsock: the log ends here, it may have 8 bytes]\n"
        );
        log.push(b"more");
        assert!(log.is_empty());
    }

    #[actix_rt::test]
    async fn a_quiet_spell_after_a_stored_piece_is_no_harm() {
        let source = crate::runner::tests::FakeSource::new();
        let job = crate::runner::tests::job(1, &serde_json::json!({}));
        let mut sink = LogSink::new(source.clone(), &job, Duration::from_secs(1));
        let mut log = JobLog::new(100);
        log.push(b"one");
        sink.hand_on(&mut log);
        let stored = "the piece is stored";
        source.until(stored, |state| !state.pieces.is_empty()).await;
        tokio::task::yield_now().await;
        for _ in 0..3 {
            sink.hand_on(&mut log);
        }
        sink.settled().await;
        assert_eq!(source.state.lock().pieces.len(), 1);
    }

    #[test]
    fn half_a_character_waits_for_its_other_half() {
        let masks = Masks::default();
        let (text, mut rest) = whole("aé".as_bytes()[..2].to_vec(), &masks);
        assert_eq!(text, "a");
        rest.extend_from_slice(&"é".as_bytes()[1..]);
        rest.extend_from_slice(b"\xff\0");
        assert_eq!(
            whole(rest, &masks),
            ("é\u{fffd}\u{fffd}".to_owned(), Vec::new())
        );
    }

    #[test]
    fn the_last_line_is_found_across_pieces() {
        for (pieces, expected) in [
            (&[][..], None),
            (&["a"], Some("a")),
            (&["a\n"], Some("a")),
            (&["a\nb", "c\n"], Some("bc")),
            (&["a\nb", "c\nd\n", " e "], Some("e")),
            (&["a\n\n"], Some("")),
            (&["ab", "c\n"], Some("abc")),
            (&["x\ny\nz\n"], Some("z")),
            (&["x", "\ny\nz"], Some("z")),
        ] {
            let mut log = JobLog::new(1);
            log.remember_last_line(4);
            for piece in pieces {
                log.push(piece.as_bytes());
            }
            let found = log.last_line().map(Result::unwrap);
            assert_eq!(found.as_deref(), expected, "{pieces:?}");
        }
        let mut log = JobLog::new(1);
        log.remember_last_line(4);
        log.push(b"12345");
        assert_eq!(log.last_line(), Some(Err(())));
    }

    #[test]
    fn the_last_lines_are_cut_to_size() {
        let mut log = JobLog::new(100);
        log.push(b"one\ntwo\nthree\n\n");
        assert_eq!(log.last_lines(2, 100), "two\nthree");
        assert_eq!(log.last_lines(9, 100), "one\ntwo\nthree");
        assert_eq!(log.last_lines(2, 3), "ree");
    }
}
