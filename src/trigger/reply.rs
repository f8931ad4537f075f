//! Actor `Replies`: takes finished jobs that owe an answer to the socket their message came from.
//!
//! The queue sends it [`JobFinished`] after the results are committed; sockets register their connections
//! in [`Connections`]. A result whose connection is gone is counted, never sent on another one.

use std::{collections::HashMap, sync::Arc};

use actix::{Actor, Context, Handler, Message, Recipient, Supervised};
use parking_lot::Mutex;

use super::status::Board;
use crate::queue::{Finished, JobFinished};

/// A result for the peer of a connection.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Reply {
    /// The connection it belongs to.
    pub connection: i64,
    /// The job.
    pub finished: Finished,
}

/// Open connections of this process by their number. Cheap to clone.
#[derive(Clone, Default)]
pub struct Connections(Arc<Mutex<Open>>);

#[derive(Default)]
struct Open {
    sockets: HashMap<i64, Recipient<Reply>>,
    last: u32,
}

impl Connections {
    /// Registers a new connection. Its number is unique over all servers and restarts: the upper half is the number
    /// this process writes under (`presence`), the lower half counts, never 0.
    #[must_use]
    pub fn open(&self, fence: i64, socket: Recipient<Reply>) -> i64 {
        let mut open = self.0.lock();
        open.last = open.last.wrapping_add(1).max(1);
        let number = fence << 32 | i64::from(open.last);
        open.sockets.insert(number, socket);
        number
    }

    /// Takes the connection out: its results are undeliverable from now on.
    pub fn close(&self, number: i64) {
        self.0.lock().sockets.remove(&number);
    }

    fn get(&self, number: i64) -> Option<Recipient<Reply>> {
        self.0.lock().sockets.get(&number).cloned()
    }
}

/// See the file's documentation.
pub struct Replies {
    connections: Connections,
    board: Board,
}

impl Replies {
    /// Passes results on to `connections`; counts on `board` what finds none.
    #[must_use]
    pub fn new(connections: Connections, board: Board) -> Self {
        Self { connections, board }
    }
}

impl Actor for Replies {
    type Context = Context<Self>;
}

impl Supervised for Replies {}

impl Handler<JobFinished> for Replies {
    type Result = ();

    fn handle(&mut self, JobFinished(jobs): JobFinished, _: &mut Self::Context) {
        for finished in jobs {
            let Some(connection) = finished.job.reply_to else {
                continue;
            };
            let path = finished.job.trigger_path.clone().unwrap_or_default();
            let workspace = finished.job.workspace_id.clone();
            let reply = Reply {
                connection,
                finished,
            };
            let sent = match self.connections.get(connection) {
                // As many as jobs have ended; the socket takes each in microseconds.
                Some(socket) => {
                    socket.connected() && {
                        socket.do_send(reply);
                        true
                    }
                }
                None => false,
            };
            if !sent {
                self.board.undeliverable(&workspace, &path);
            }
        }
    }
}
