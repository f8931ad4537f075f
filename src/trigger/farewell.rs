//! The end of sockets: they are told to stop, commit what they read, close, and are waited for.

use std::time::Duration;

use actix::Addr;
use futures_util::future::join_all;

use super::socket::{Socket, Stop};

/// How long sockets may take to commit and close; their own bound is shorter.
const STOP_TIMEOUT: Duration = Duration::from_secs(6);
/// How often it is looked whether they have ended.
const STOP_POLL: Duration = Duration::from_millis(10);

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
