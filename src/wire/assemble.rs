//! A message under way: the payload that has arrived of a frame not yet whole, or of fragments.
//!
//! The codec hands it every piece as it arrives, so the read buffer never holds more than one
//! block and no byte is looked at twice.

use bytes::Bytes;
use bytestring::ByteString;

use super::{Deflate, Message, WireError};

/// What a message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Binary,
}

/// A message of which more is to come.
#[derive(Debug)]
pub(super) struct Assembly {
    body: Body,
    /// Bytes still to come of the frame under way; `None` between two fragments.
    frame_rest: Option<usize>,
    /// Whether the frame under way is the last one.
    last: bool,
    /// Fragments without payload so far.
    empty_fragments: u32,
}

#[derive(Debug)]
enum Body {
    Text(TextBuffer),
    Binary(Vec<u8>),
    /// Compressed; inflated when it is complete.
    Packed(Kind, Vec<u8>),
}

impl Assembly {
    /// An empty message of `kind`.
    pub(super) fn new(kind: Kind, packed: bool) -> Self {
        let body = match (kind, packed) {
            (kind, true) => Body::Packed(kind, Vec::new()),
            (Kind::Text, false) => Body::Text(TextBuffer::default()),
            (Kind::Binary, false) => Body::Binary(Vec::new()),
        };
        Self {
            body,
            frame_rest: None,
            last: false,
            empty_fragments: 0,
        }
    }

    /// Bytes of payload so far.
    pub(super) fn len(&self) -> usize {
        match &self.body {
            Body::Text(text) => text.len(),
            Body::Binary(bytes) | Body::Packed(_, bytes) => bytes.len(),
        }
    }

    pub(super) fn is_packed(&self) -> bool {
        matches!(self.body, Body::Packed(..))
    }

    /// Bytes still to come of the frame under way; `None` between two fragments.
    pub(super) fn frame_rest(&self) -> Option<usize> {
        self.frame_rest
    }

    /// A frame of `len` bytes begins; answers how many empty ones the message has had.
    pub(super) fn begin_frame(&mut self, len: usize, last: bool) -> u32 {
        self.frame_rest = Some(len);
        self.last = last;
        if len == 0 {
            self.empty_fragments = self.empty_fragments.saturating_add(1);
        }
        self.empty_fragments
    }

    /// Takes the next piece of the frame under way; true when the message is complete.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<bool, WireError> {
        let rest = self.frame_rest.unwrap_or(0);
        // Only the last frame's length tells how much the message will have.
        let coming = if self.last { rest } else { usize::MAX };
        match &mut self.body {
            Body::Text(text) => text.push(piece, coming)?,
            Body::Binary(bytes) | Body::Packed(_, bytes) => {
                let room = bytes.capacity() - bytes.len();
                bytes.reserve_exact(growth(bytes.len(), room, piece.len(), coming));
                bytes.extend_from_slice(piece);
            }
        }
        let rest = rest.saturating_sub(piece.len());
        self.frame_rest = (rest > 0).then_some(rest);
        Ok(rest == 0 && self.last)
    }

    /// The complete message.
    pub(super) fn finish(
        self,
        deflate: Option<&mut Deflate>,
        limit: usize,
    ) -> Result<Message, WireError> {
        match self.body {
            Body::Text(text) => text.finish().map(Message::Text),
            Body::Binary(bytes) => Ok(Message::Binary(bytes.into())),
            Body::Packed(kind, bytes) => unpack(kind, &bytes, deflate, limit),
        }
    }
}

/// The message whose compressed payload is `packed`.
pub(super) fn unpack(
    kind: Kind,
    packed: &[u8],
    deflate: Option<&mut Deflate>,
    limit: usize,
) -> Result<Message, WireError> {
    let Some(deflate) = deflate else {
        return Err(WireError::Protocol("a compressed message was not agreed"));
    };
    whole(kind, deflate.inflate(packed, limit)?.into())
}

/// The message whose payload is `bytes`.
pub(super) fn whole(kind: Kind, bytes: Bytes) -> Result<Message, WireError> {
    match kind {
        Kind::Text => ByteString::try_from(bytes)
            .map(Message::Text)
            .map_err(|_| WireError::NotUtf8),
        Kind::Binary => Ok(Message::Binary(bytes)),
    }
}

/// What a buffer of `len` bytes must reserve to take `piece` bytes of at most `coming`: nothing
/// while there is room, else it doubles, so that small pieces do not copy it again and again, but
/// not beyond what comes.
fn growth(len: usize, room: usize, piece: usize, coming: usize) -> usize {
    if room >= piece {
        return 0;
    }
    piece.max(len.min(coming))
}

/// A text that grows by pieces cut anywhere, refused at the first byte that cannot be right.
#[derive(Debug, Default)]
struct TextBuffer {
    text: String,
    /// The first bytes of a character whose other bytes have not arrived.
    part: [u8; 4],
    part_len: usize,
}

impl TextBuffer {
    fn len(&self) -> usize {
        self.text.len() + self.part_len
    }

    /// Adds `piece`, the next of at most `coming` bytes.
    fn push(&mut self, mut piece: &[u8], coming: usize) -> Result<(), WireError> {
        let room = self.text.capacity() - self.text.len();
        let needed = piece.len() + self.part_len;
        let coming = coming.saturating_add(self.part_len);
        self.text
            .reserve_exact(growth(self.text.len(), room, needed, coming));
        while self.part_len > 0 {
            let Some((&byte, tail)) = piece.split_first() else {
                return Ok(());
            };
            piece = tail;
            self.extend_part(byte)?;
        }
        let (whole, part) = piece.split_at(piece.len() - unfinished(piece));
        self.text
            .push_str(std::str::from_utf8(whole).map_err(|_| WireError::NotUtf8)?);
        part.iter().try_for_each(|&byte| self.extend_part(byte))
    }

    /// Adds a byte to the character under way, and the character to the text once it is whole.
    fn extend_part(&mut self, byte: u8) -> Result<(), WireError> {
        let end = self.part_len;
        let Some(slot) = self.part.get_mut(end) else {
            return Err(WireError::NotUtf8);
        };
        *slot = byte;
        self.part_len = end + 1;
        let part = self.part.get(..self.part_len).unwrap_or_default();
        match std::str::from_utf8(part) {
            Ok(character) => {
                self.text.push_str(character);
                self.part_len = 0;
                Ok(())
            }
            Err(error) if error.error_len().is_none() => Ok(()),
            Err(_) => Err(WireError::NotUtf8),
        }
    }

    fn finish(self) -> Result<ByteString, WireError> {
        if self.part_len > 0 {
            return Err(WireError::NotUtf8);
        }
        Ok(self.text.into())
    }
}

/// How many bytes at the end of `piece` may begin a character that goes on in the next piece.
fn unfinished(piece: &[u8]) -> usize {
    for (back, byte) in piece.iter().rev().take(3).enumerate() {
        let needed = match byte {
            0x80..=0xBF => continue,
            0xC0..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xFF => 4,
            _ => 1,
        };
        return if needed > back + 1 { back + 1 } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assemble(pieces: &[&[u8]]) -> Result<String, WireError> {
        let mut buffer = TextBuffer::default();
        for piece in pieces {
            buffer.push(piece, piece.len())?;
        }
        buffer.finish().map(String::from)
    }

    #[test]
    fn texts_survive_every_cut() {
        let text = "aß水𝄞é\u{7FF}\u{800}\u{FFFF}\u{10000}\u{10FFFF}\u{D7FF}\u{E000}z";
        let bytes = text.as_bytes();
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                assert_eq!(assemble(&pieces).unwrap(), text);
            }
        }
    }

    #[test]
    fn wrong_bytes_are_refused_at_every_cut() {
        let cases: &[&[u8]] = &[
            b"\x80",
            b"\xBF",
            b"\xC0\xAF",
            b"\xC1\xBF",
            b"\xE0\x80\xAF",
            b"\xED\xA0\x80",
            b"\xED\xBF\xBF",
            b"\xF0\x80\x80\xAF",
            b"\xF4\x90\x80\x80",
            b"\xF5\x80\x80\x80",
            b"\xFE",
            b"\xFF",
            b"\xCE",
            b"\xE4\xBA",
            b"\xF0\x9D\x84",
            b"\xCEx",
            b"\xE4\xBAx",
            b"\xF0\x9D\x84x",
            b"\xC3\xA9\xA9",
        ];
        for case in cases {
            let bytes = [b"ok ", *case].concat();
            for cut in 0..=bytes.len() {
                let error = assemble(&[&bytes[..cut], &bytes[cut..]]).unwrap_err();
                assert_eq!(error.close_code(), Some(1007), "{case:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn a_wrong_byte_is_refused_before_the_text_ends() {
        let mut buffer = TextBuffer::default();
        buffer.push(b"\xCE\xBA\xF4", 9).unwrap();
        assert!(buffer.push(b"\x90", 6).is_err());
        let mut buffer = TextBuffer::default();
        assert!(buffer.push(b"\xED\xA0", 9).is_err());
    }

    fn room(assembly: &Assembly) -> usize {
        match &assembly.body {
            Body::Text(text) => text.text.capacity(),
            Body::Binary(bytes) | Body::Packed(_, bytes) => bytes.capacity(),
        }
    }

    #[test]
    fn buffers_grow_with_what_arrives() {
        for kind in [Kind::Binary, Kind::Text] {
            let mut assembly = Assembly::new(kind, false);
            assembly.begin_frame(1 << 24, true);
            for _ in 0..100 {
                assembly.push(&[0; 100]).unwrap();
                assert!(room(&assembly) <= 2 * assembly.len());
            }
            let mut exact = Assembly::new(kind, false);
            exact.begin_frame(1000, true);
            for _ in 0..10 {
                exact.push(&[0; 100]).unwrap();
            }
            assert_eq!(room(&exact), 1000);
        }
    }

    #[test]
    fn buffers_do_not_grow_with_every_fragment() {
        for (kind, packed) in [
            (Kind::Binary, false),
            (Kind::Text, false),
            (Kind::Text, true),
        ] {
            let mut assembly = Assembly::new(kind, packed);
            let (mut grown, mut before) = (0, 0);
            for _ in 0..10_000 {
                assembly.begin_frame(2, false);
                assembly.push("é".as_bytes()).unwrap();
                grown += usize::from(room(&assembly) != before);
                before = room(&assembly);
            }
            assert!(grown < 20, "grown {grown} times");
            assert!(room(&assembly) <= 2 * assembly.len());
        }
    }
}
