//! The codec of a client connection: decodes frames into whole messages, encodes what is sent.
//!
//! Owned by the connection's `Framed`. Holds what the rules of RFC 6455 §5.4 need to know of the
//! frames before, and nothing of what was delivered.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use actix_codec::{Decoder, Encoder};
use bytes::{Buf, BytesMut};

use super::{
    Deflate, Message, Outgoing, WireError,
    assemble::{self, Assembly, Kind},
    frame::{self, Header, MAX_CONTROL_BYTES, Opcode},
};

/// Most fragments without payload in one message. They cost the sender two bytes each and no
/// limit in bytes ever ends them; senders use one, at the end or at the start.
pub const MAX_EMPTY_FRAGMENTS: u32 = 1024;

/// Room of the read buffer while little arrives; enough for twice what `Framed` reads at least.
pub const IDLE_READ_BYTES: usize = 2048;

/// The least room `Framed` leaves as it is before a read; with less it makes 8 KiB.
const FRAMED_LOW_BYTES: usize = 1024;

/// The largest read buffer that is kept between reads.
const KEPT_READ_BYTES: usize = 16 * 1024;

/// The read buffer while a large message arrives: fewer system calls than with 8 KiB.
const LARGE_READ_BYTES: usize = 64 * 1024;

/// Frames up to this size get a write buffer of just their size.
const SMALL_WRITE_BYTES: usize = 1024;

/// What a connection has received since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Frames begun, control frames included.
    pub frames: u64,
    /// Bytes of frames, headers included, compressed as they came.
    pub bytes: u64,
}

/// How large a message of a connection may be (`max_message_bytes`); a clone changes it for the next frame.
#[derive(Debug, Clone)]
pub struct MessageLimit(Arc<AtomicUsize>);

impl MessageLimit {
    fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    /// Allows so many bytes from now on.
    pub fn set(&self, bytes: usize) {
        self.0.store(bytes, Ordering::Relaxed);
    }

    fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// The frame layer of one connection to a server.
///
/// Yields whole messages; control frames between fragments are yielded at once. After the first
/// error, and after a close, it yields nothing more and discards what arrives: the owner answers
/// (with [`WireError::close_reason`], or the peer's reason) and stops.
#[derive(Debug)]
pub struct Codec {
    limit: MessageLimit,
    deflate: Option<Box<Deflate>>,
    message: Option<Assembly>,
    /// A close or an error was yielded.
    ended: bool,
    close_sent: bool,
    seen: Seen,
    /// `seen.bytes` when decoding last ran dry.
    settled_bytes: u64,
}

impl Codec {
    /// The client's side of a connection whose messages have at most `max_message_bytes`, with
    /// the compression the handshake agreed on.
    #[must_use]
    pub fn client(max_message_bytes: usize, deflate: Option<Deflate>) -> Self {
        Self {
            limit: MessageLimit::new(max_message_bytes),
            deflate: deflate.map(Box::new),
            message: None,
            ended: false,
            close_sent: false,
            seen: Seen::default(),
            settled_bytes: 0,
        }
    }

    /// What bounds its messages.
    #[must_use]
    pub fn limit(&self) -> MessageLimit {
        self.limit.clone()
    }

    /// What has been received so far; a frame whose payload is on its way counts.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.seen
    }

    /// Whether nothing more will be yielded: the server closed or an error was found.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether a close frame was encoded.
    #[must_use]
    pub fn close_sent(&self) -> bool {
        self.close_sent
    }

    /// Ends reading and lets go of all that reading kept.
    fn end(&mut self, src: &mut BytesMut) {
        self.ended = true;
        self.message = None;
        self.deflate = None;
        *src = BytesMut::new();
    }

    fn next(&mut self, src: &mut BytesMut) -> Result<Option<Message>, WireError> {
        loop {
            if let Some(rest) = self.message.as_ref().and_then(Assembly::frame_rest) {
                if rest > 0 && src.is_empty() {
                    return Ok(None);
                }
                if let Some(message) = self.take_payload(src, rest)? {
                    return Ok(Some(message));
                }
                continue;
            }
            let Some(header) = frame::parse(src)? else {
                return Ok(None);
            };
            let len = self.admit(&header)?;
            let there = src.len() >= header.size + len;
            if header.opcode.is_control() {
                if !there {
                    return Ok(None);
                }
                self.count(header.size + len);
                src.advance(header.size);
                let payload = src.split_to(len);
                return control(header.opcode, payload).map(Some);
            }
            self.count(header.size);
            src.advance(header.size);
            if there && header.fin && self.message.is_none() {
                self.seen.bytes += len as u64;
                return self.whole(&header, src.split_to(len)).map(Some);
            }
            self.begin_frame(&header, len)?;
        }
    }

    fn count(&mut self, bytes: usize) {
        self.seen.frames += 1;
        self.seen.bytes += bytes as u64;
    }

    /// Checks a header against the frames before it and the limit; answers the payload's length.
    fn admit(&self, header: &Header) -> Result<usize, WireError> {
        let limit = self.limit.bytes();
        let too_big = WireError::TooBig { limit_bytes: limit };
        let Ok(len) = usize::try_from(header.len) else {
            return Err(too_big);
        };
        let wrong = |what| Err(WireError::Protocol(what));
        if header.opcode.is_control() {
            if !header.fin {
                return wrong("a control frame is fragmented");
            }
            if len > MAX_CONTROL_BYTES {
                return wrong("a control frame has more than 125 bytes");
            }
            if header.rsv1 {
                return wrong("a control frame is compressed");
            }
            return Ok(len);
        }
        let (so_far, packed) = match (&self.message, header.opcode) {
            (None, Opcode::Continuation) => {
                return wrong("a continuation frame continues nothing");
            }
            (Some(_), Opcode::Continuation) if header.rsv1 => {
                return wrong("the compression bit is set inside a message");
            }
            (Some(message), Opcode::Continuation) => (message.len(), message.is_packed()),
            (Some(_), _) => {
                return wrong("a new message starts inside a fragmented one");
            }
            (None, _) if header.rsv1 && self.deflate.is_none() => {
                return wrong("a message is compressed though nothing was agreed");
            }
            (None, _) => (0, header.rsv1),
        };
        let limit = if packed { packed_limit(limit) } else { limit };
        if len > limit.saturating_sub(so_far) {
            return Err(too_big);
        }
        Ok(len)
    }

    /// An unfragmented message that is in the read buffer as a whole: the common case.
    fn whole(&mut self, header: &Header, payload: BytesMut) -> Result<Message, WireError> {
        let kind = kind(header.opcode);
        if header.rsv1 {
            let limit = self.limit.bytes();
            return assemble::unpack(kind, &payload, self.deflate.as_deref_mut(), limit);
        }
        assemble::whole(kind, payload.freeze())
    }

    fn begin_frame(&mut self, header: &Header, len: usize) -> Result<(), WireError> {
        let message = self
            .message
            .get_or_insert_with(|| Assembly::new(kind(header.opcode), header.rsv1));
        if message.begin_frame(len, header.fin) > MAX_EMPTY_FRAGMENTS {
            return Err(WireError::TooManyFragments);
        }
        Ok(())
    }

    /// Moves what has arrived of the frame under way out of the read buffer.
    fn take_payload(
        &mut self,
        src: &mut BytesMut,
        rest: usize,
    ) -> Result<Option<Message>, WireError> {
        let piece = src.get(..rest).unwrap_or(src);
        let (taken, complete) = match &mut self.message {
            Some(message) => (piece.len(), message.push(piece)?),
            None => (0, false),
        };
        self.seen.bytes += taken as u64;
        src.advance(taken);
        match self.message.take_if(|_| complete) {
            Some(message) => message
                .finish(self.deflate.as_deref_mut(), self.limit.bytes())
                .map(Some),
            None => Ok(None),
        }
    }

    /// Fits the read buffer to what is expected, once all that arrived is decoded.
    fn settle(&mut self, src: &mut BytesMut) {
        let round = self.seen.bytes - self.settled_bytes;
        self.settled_bytes = self.seen.bytes;
        if !src.is_empty() {
            return;
        }
        let rest = self.message.as_ref().and_then(Assembly::frame_rest);
        if let Some(rest) = rest
            && rest > FRAMED_LOW_BYTES
            && round > IDLE_READ_BYTES as u64
        {
            src.reserve(rest.min(LARGE_READ_BYTES));
        } else if round <= FRAMED_LOW_BYTES as u64 {
            let fits =
                |src: &BytesMut| (FRAMED_LOW_BYTES..=IDLE_READ_BYTES).contains(&src.capacity());
            let reclaimed = fits(src) || src.try_reclaim(FRAMED_LOW_BYTES);
            if !reclaimed || !fits(src) {
                *src = BytesMut::with_capacity(IDLE_READ_BYTES);
            }
        } else if src.capacity() > KEPT_READ_BYTES {
            *src = BytesMut::new();
        }
    }
}

fn kind(opcode: Opcode) -> Kind {
    match opcode {
        Opcode::Text => Kind::Text,
        _ => Kind::Binary,
    }
}

/// Most bytes of a compressed message whose content has `limit`: deflate's fixed codes turn eight
/// bits into nine at worst, and small blocks have headers.
fn packed_limit(limit: usize) -> usize {
    limit.saturating_add(limit / 8).saturating_add(1024)
}

fn control(opcode: Opcode, payload: BytesMut) -> Result<Message, WireError> {
    match opcode {
        Opcode::Ping => Ok(Message::Ping(payload.freeze())),
        Opcode::Pong => Ok(Message::Pong(payload.freeze())),
        _ => frame::parse_close(&payload).map(Message::Close),
    }
}

impl Decoder for Codec {
    type Item = Message;
    type Error = WireError;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Message>, WireError> {
        if self.ended {
            src.clear();
            return Ok(None);
        }
        let result = self.next(src);
        match &result {
            Ok(Some(Message::Close(_))) | Err(_) => self.end(src),
            Ok(None) => self.settle(src),
            Ok(Some(_)) => {}
        }
        result
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<Message>, WireError> {
        if let Some(message) = self.decode(src)? {
            return Ok(Some(message));
        }
        let truncated = !src.is_empty() || self.message.is_some();
        self.end(src);
        if truncated {
            return Err(WireError::Truncated);
        }
        Ok(None)
    }
}

impl Encoder<Outgoing> for Codec {
    type Error = WireError;

    fn encode(&mut self, item: Outgoing, dst: &mut BytesMut) -> Result<(), WireError> {
        if self.close_sent {
            return match item {
                Outgoing::Close(_) => Ok(()),
                _ => Err(WireError::AfterClose),
            };
        }
        let (opcode, payload) = match &item {
            Outgoing::Text(text) => (Opcode::Text, text.as_bytes()),
            Outgoing::Binary(bytes) => (Opcode::Binary, bytes),
            Outgoing::Ping(bytes) => (Opcode::Ping, bytes),
            Outgoing::Pong(bytes) => (Opcode::Pong, bytes),
            Outgoing::Close(reason) => {
                let payload = frame::close_payload(reason.as_ref())?;
                self.close_sent = true;
                write(dst, Opcode::Close, false, &payload);
                return Ok(());
            }
        };
        if opcode.is_control() {
            if payload.len() > MAX_CONTROL_BYTES {
                return Err(WireError::ControlTooLong(payload.len()));
            }
        } else if let Some(deflate) = &mut self.deflate
            && let Some(packed) = deflate.deflate(payload)?
        {
            write(dst, opcode, true, &packed);
            return Ok(());
        }
        write(dst, opcode, false, payload);
        Ok(())
    }
}

/// Appends a frame; a small one on its own gets a buffer of its size, so that the 8 KiB `Framed`
/// makes room for, or what a large frame left, do not stay with an idle connection.
fn write(dst: &mut BytesMut, opcode: Opcode, packed: bool, payload: &[u8]) {
    if dst.is_empty() && payload.len() <= SMALL_WRITE_BYTES {
        *dst = BytesMut::with_capacity(frame::size_bound(payload.len()));
    }
    frame::write(dst, opcode, packed, payload);
}
