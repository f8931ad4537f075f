//! [`Line`]: an upgraded connection that one actor reads and writes on one thread.
//!
//! Reading is a stream with a [gate](Line::pause): while it is closed nothing is read, so TCP pushes back on
//! the sender, and the actor's mailbox, timers and writes go on. Writing goes through a buffer with a bound.

use std::{
    cell::{Cell, RefCell},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use actix_codec::{AsyncRead, AsyncWrite, Framed, ReadBuf};
use futures_util::Stream;

use crate::{
    trigger::transport::Transport,
    wire::{Codec, Message, Outgoing, WireError},
};

/// Bytes that may wait to be written: a peer that reads nothing gets no further replies, and the memory of
/// a connection stays bounded. One reply of the largest size a worker gives (2 MiB) fits several times.
const UNSENT_BYTES: usize = 8 * 1024 * 1024;

/// Most bytes thrown away behind our close frame: a flood that was under way ends within it, and a peer that never
/// stops costs no more.
const DRAINED_BYTES: usize = 16 * 1024 * 1024;
/// Bytes thrown away in one read: they stand on the stack.
const DRAINED_PIECE: usize = 4 * 1024;

type Shared = Rc<RefCell<Framed<Transport, Codec>>>;

/// The writing end, and the gate of the reading one.
pub(super) struct Line {
    framed: Shared,
    gate: Rc<Gate>,
    /// Bytes written since the buffer was last empty: at least what waits in it.
    unsent: Rc<Cell<usize>>,
}

/// The reading end: whole messages, until the end or the first error.
pub(super) struct Incoming {
    framed: Shared,
    gate: Rc<Gate>,
    ended: bool,
}

#[derive(Default)]
struct Gate {
    closed: Cell<bool>,
    reader: RefCell<Option<Waker>>,
}

/// Why something was not sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unsent {
    /// The peer does not read: too much waits already.
    Full,
    /// The connection is broken.
    Broken,
}

impl Line {
    /// Both ends of a connection that the upgrade has just been made on.
    pub(super) fn new(framed: Framed<Transport, Codec>) -> (Self, Incoming) {
        let framed = Rc::new(RefCell::new(framed));
        let gate = Rc::new(Gate::default());
        let incoming = Incoming {
            framed: Rc::clone(&framed),
            gate: Rc::clone(&gate),
            ended: false,
        };
        let line = Self {
            framed,
            gate,
            unsent: Rc::default(),
        };
        (line, incoming)
    }

    /// Puts a message into the buffer; [`Line::flush`] sends it.
    pub(super) fn write(&self, message: Outgoing) -> Result<(), Unsent> {
        if self.unsent.get() >= UNSENT_BYTES {
            return Err(Unsent::Full);
        }
        let bytes = match &message {
            Outgoing::Text(text) => text.len(),
            Outgoing::Binary(bytes) | Outgoing::Ping(bytes) | Outgoing::Pong(bytes) => bytes.len(),
            Outgoing::Close(_) => 0,
        };
        self.unsent.set(self.unsent.get() + bytes);
        let mut framed = self.framed.borrow_mut();
        Pin::new(&mut *framed)
            .write(message)
            .map_err(|_| Unsent::Broken)
    }

    /// Resolves when everything in the buffer has gone to the system.
    pub(super) fn flush(&self) -> impl Future<Output = Result<(), WireError>> + use<> {
        let framed = Rc::clone(&self.framed);
        let unsent = Rc::clone(&self.unsent);
        std::future::poll_fn(move |cx| {
            let mut framed = framed.borrow_mut();
            let flushed = Pin::new(&mut *framed).flush::<Outgoing>(cx);
            if flushed.is_ready() {
                unsent.set(0);
            }
            flushed
        })
    }

    /// Resolves when the connection is shut down on our side.
    pub(super) fn shutdown(&self) -> impl Future<Output = io::Result<()>> + use<> {
        let framed = Rc::clone(&self.framed);
        std::future::poll_fn(move |cx| {
            let mut framed = framed.borrow_mut();
            Pin::new(framed.io_mut()).poll_shutdown(cx)
        })
    }

    /// Resolves when the peer has ended its side too, or has sent so much more that it is not going to. What it
    /// still sends is thrown away: a socket dropped with unread bytes is reset, and a reset takes from the peer
    /// what it has not read yet, such as our last messages and the close frame (RFC 6455 section 7.1.1).
    pub(super) fn drain(&self) -> impl Future<Output = ()> + use<> {
        let framed = Rc::clone(&self.framed);
        let mut left = DRAINED_BYTES;
        std::future::poll_fn(move |cx| {
            let mut framed = framed.borrow_mut();
            let mut piece = [0; DRAINED_PIECE];
            loop {
                let mut unread = ReadBuf::new(&mut piece);
                match Pin::new(framed.io_mut()).poll_read(cx, &mut unread) {
                    Poll::Ready(Ok(())) if !unread.filled().is_empty() && left > 0 => {
                        left = left.saturating_sub(unread.filled().len());
                    }
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
    }

    /// Bytes of frames that have come so far, also of a message that is not whole yet.
    pub(super) fn arrived(&self) -> u64 {
        self.framed.borrow().codec_ref().seen().bytes
    }

    /// Stops reading.
    pub(super) fn pause(&self) {
        self.gate.closed.set(true);
    }

    /// Reads on.
    pub(super) fn resume(&self) {
        if self.gate.closed.replace(false)
            && let Some(reader) = self.gate.reader.borrow_mut().take()
        {
            reader.wake();
        }
    }

    /// Whether reading is stopped.
    pub(super) fn is_paused(&self) -> bool {
        self.gate.closed.get()
    }
}

impl Stream for Incoming {
    type Item = Result<Message, WireError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if self.gate.closed.get() {
            *self.gate.reader.borrow_mut() = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let next = {
            let mut framed = self.framed.borrow_mut();
            Pin::new(&mut *framed).next_item(cx)
        };
        if matches!(next, Poll::Ready(None | Some(Err(_)))) {
            self.ended = true;
        }
        next
    }
}
