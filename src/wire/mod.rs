//! The WebSocket frame layer of client connections: bytes ↔ whole messages (RFC 6455), with
//! permessage-deflate (RFC 7692).
//!
//! awc makes the connection and the HTTP upgrade; [`attach`] then puts [`Codec`] on the upgraded
//! stream in place of awc's own codec. The connection's actor owns the stream and talks to nothing
//! else here. Never here: sockets, timers, tasks, answers to a ping or a close (they are the
//! owner's), decisions about what a message means.
//!
//! ```text
//! Offer::header ──► handshake request          handshake response ──► negotiate ──► Deflate
//!                                                                                     │
//! Framed<_, awc codec> ───────────────────► attach(framed, Codec::client(limit, deflate))
//!                                                │ Stream<Message>      ▲ Sink<Outgoing>
//! ```
//!
//! # What is bounded
//!
//! * A message: `max_message_bytes`, refused by the header of the frame that would pass it, before
//!   its payload is read; for a compressed one also while it is inflated.
//! * The payload of a message under way is kept in a buffer of its own that grows with what has
//!   arrived (at most twice that), never with what was announced.
//! * Empty fragments of one message: [`MAX_EMPTY_FRAGMENTS`].
//! * After the first error nothing is yielded or kept any more.
//!
//! # What an idle connection holds
//!
//! Measured on 64-bit Linux: the codec with 112 bytes, a read buffer of [`IDLE_READ_BYTES`], a
//! write buffer of the size of the last small frame. What a busy connection has (8 to 16 KiB to
//! read, more after a large message was sent) is given back with the next small message or frame,
//! so within one ping interval; the block for a large message at once. Agreed compression adds
//! 300 bytes; the server's context adds 48 KB from the first compressed message on, unless
//! `server_no_context_takeover` was agreed; our own context would add 380 KB, which is why
//! [`Offer::default`] gives it up. Connections without a context share one state per thread.
//!
//! # What a message pins
//!
//! A small message that arrived whole is a slice of the read block (up to 8 KiB; 64 KiB behind a
//! large message): whoever keeps it longer than the handling of the next message copies it.

mod assemble;
mod codec;
mod deflate;
mod error;
mod frame;
mod negotiate;
#[cfg(test)]
mod tests;

pub use self::{
    codec::{Codec, IDLE_READ_BYTES, MAX_EMPTY_FRAGMENTS, MessageLimit, Seen},
    deflate::Deflate,
    error::WireError,
    negotiate::{Agreed, Offer, Refused, negotiate},
};

use actix_codec::Framed;
use bytes::{Bytes, BytesMut};
use bytestring::ByteString;

/// What the server sent: a whole message or a control frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A text, valid UTF-8.
    Text(ByteString),
    /// A binary message.
    Binary(Bytes),
    /// A ping; the owner answers with [`Outgoing::Pong`] and the same bytes.
    Ping(Bytes),
    /// A pong, asked for or not.
    Pong(Bytes),
    /// The server closes, with its reason if it gave one; nothing follows. The owner answers with
    /// [`Outgoing::Close`] unless it sent one before.
    Close(Option<CloseReason>),
}

/// What is sent to the server: each is one frame, masked with a fresh key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing {
    /// A text.
    Text(ByteString),
    /// A binary message.
    Binary(Bytes),
    /// A ping of at most 125 bytes.
    Ping(Bytes),
    /// A pong of at most 125 bytes.
    Pong(Bytes),
    /// Ends the sending side; a second one is swallowed, anything else after it is an error.
    Close(Option<CloseReason>),
}

/// Why a connection is closed (RFC 6455 §7.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseReason {
    /// The close code.
    pub code: u16,
    /// The text beside it; when sent, cut to 123 bytes between two characters.
    pub text: String,
}

impl CloseReason {
    /// A reason of `code` and `text`.
    pub fn new(code: u16, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }
}

/// The close codes that windsock itself sends (RFC 6455 §7.4.1).
pub mod close_code {
    /// Done: the trigger was edited, disabled or deleted.
    pub const NORMAL: u16 = 1000;
    /// The endpoint goes away: windsock stops, or gave the connection up for dead.
    pub const AWAY: u16 = 1001;
    /// Never sent: stands for a close frame without a code.
    pub const NONE: u16 = 1005;
    /// Never sent: stands for the end of a connection without a close frame.
    pub const ABNORMAL: u16 = 1006;
    /// A message larger than the receiver takes.
    pub const TOO_BIG: u16 = 1009;
}

/// Puts `codec` on an upgraded stream, keeping what was read behind the handshake's response.
///
/// Empty buffers are replaced by small ones: those of the handshake hold 16 KiB. `Framed` does not
/// flush when it is closed: who sends a last frame flushes it (`SinkExt::send` does).
#[must_use]
pub fn attach<T, U>(framed: Framed<T, U>, codec: Codec) -> Framed<T, Codec> {
    // Not `FramedParts::new`: it forgets that the buffer is readable, and frames that came with
    // the response would wait for the next read.
    let mut parts = framed.replace_codec(codec).into_parts();
    if parts.read_buf.is_empty() {
        parts.read_buf = BytesMut::with_capacity(IDLE_READ_BYTES);
    }
    if parts.write_buf.is_empty() {
        parts.write_buf = BytesMut::new();
    }
    Framed::from_parts(parts)
}
