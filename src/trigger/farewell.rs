//! The end of sockets: they are told to stop, commit what they read, close, and are waited for; and so are, at the end of
//! the process, the last words of their connections ([`Farewells`]), which outlive them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use actix::Addr;
use futures_util::future::join_all;

use super::socket::{Socket, Stop};

/// How long sockets may take to commit and close; their own bound is shorter.
const STOP_TIMEOUT: Duration = Duration::from_secs(6);
/// How often it is looked whether they have ended.
const STOP_POLL: Duration = Duration::from_millis(10);

/// How long farewells are waited for: a little longer than each may take.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Connections whose close frame is on its way, or not answered yet: ended at once they would be reset, and the peer
/// lose the frame (RFC 6455 section 7.1.1). Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Farewells(Arc<AtomicUsize>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct Farewell(Arc<AtomicUsize>);

impl Farewells {
    pub(super) fn begin(&self) -> Farewell {
        self.0.fetch_add(1, Relaxed);
        Farewell(Arc::clone(&self.0))
    }

    /// Resolves when all have ended. Each has a bound of its own; another one is for a thread that does not get on.
    pub(super) async fn over(&self) {
        let all_over = async {
            while self.0.load(Relaxed) > 0 {
                tokio::time::sleep(STOP_POLL).await;
            }
        };
        if tokio::time::timeout(LAST_WORDS, all_over).await.is_err() {
            log::warn!("some connections were not closed in time");
        }
    }
}

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Stops `sockets` with the close code `code`; answers whether all of them ended in time.
pub(super) async fn stop(sockets: Vec<Addr<Socket>>, code: u16) -> bool {
    join_all(sockets.iter().map(|socket| socket.send(Stop(code)))).await;
    let weak: Vec<_> = sockets.iter().map(Addr::downgrade).collect();
    drop(sockets);
    let all_ended = async {
        while weak
            .iter()
            .any(|socket| socket.upgrade().is_some_and(|s| s.connected()))
        {
            tokio::time::sleep(STOP_POLL).await;
        }
    };
    tokio::time::timeout(STOP_TIMEOUT, all_ended).await.is_ok()
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;

    use super::*;

    #[actix::test]
    async fn farewells_are_over_when_the_last_has_ended() {
        let farewells = Farewells::default();
        farewells.over().await;
        let (first, second) = (farewells.begin(), farewells.clone().begin());
        let mut over = pin!(farewells.over());
        assert!(poll!(&mut over).is_pending());
        drop(first);
        assert!(poll!(&mut over).is_pending());
        drop(second);
        over.await;
        assert_eq!(farewells.0.load(Relaxed), 0);
    }
}
