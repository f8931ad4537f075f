//! permessage-deflate's data path (RFC 7692 §7.2): one message in, one message out.
//!
//! Used by the codec alone. A context that must live from message to message is kept here; where
//! the handshake did away with it, connections of a thread share one state.

use std::cell::RefCell;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::{Agreed, WireError};

/// What ends every message and is left out on the wire (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];

/// Shorter messages are sent as they are: deflate gains nothing on them.
const MIN_DEFLATE_BYTES: usize = 64;

/// zlib cannot make raw streams for the window of 256 bytes (2⁸) the RFC allows.
const MIN_ZLIB_BITS: u8 = 9;

/// The largest window, also the default.
const MAX_BITS: u8 = 15;

/// How far a deflate stream can look back.
const MAX_WINDOW_BYTES: usize = 1 << MAX_BITS;

/// The first room given to an inflated message, at most.
const FIRST_ROOM_BYTES: usize = 64 * 1024;

/// What is left for a flush marker (zlib's manual asks for more than six bytes).
const FLUSH_ROOM_BYTES: usize = 64;

thread_local! {
    /// The inflate state of all connections of the thread that keep no context: 48 KB.
    static SHARED_INFLATE: RefCell<Option<Decompress>> = const { RefCell::new(None) };
    /// The same for deflate, with the window it was made for: up to 380 KB.
    static SHARED_DEFLATE: RefCell<Option<(u8, Compress)>> = const { RefCell::new(None) };
}

/// The compression of one connection.
#[derive(Debug)]
pub struct Deflate {
    agreed: Agreed,
    /// The server's context, from its first compressed message on; none without takeover.
    inflate: Option<Decompress>,
    /// Our context, from our first compressed message on; none without takeover.
    deflate: Option<Compress>,
}

impl Deflate {
    /// Compression as agreed, no message seen yet.
    #[must_use]
    pub fn new(agreed: Agreed) -> Self {
        Self {
            agreed,
            inflate: None,
            deflate: None,
        }
    }

    /// What was agreed.
    #[must_use]
    pub fn agreed(&self) -> Agreed {
        self.agreed
    }

    /// The content of a message whose compressed payload is `packed`, at most `limit` bytes.
    pub(super) fn inflate(&mut self, packed: &[u8], limit: usize) -> Result<Vec<u8>, WireError> {
        if !self.agreed.server_no_context_takeover {
            let bits = self
                .agreed
                .server_max_window_bits
                .clamp(MIN_ZLIB_BITS, MAX_BITS);
            let state = self
                .inflate
                .get_or_insert_with(|| Decompress::new_with_window_bits(false, bits));
            return inflate(state, packed, limit);
        }
        SHARED_INFLATE.with_borrow_mut(|shared| {
            let state = shared.get_or_insert_with(|| Decompress::new(false));
            state.reset(false);
            inflate(state, packed, limit)
        })
    }

    /// The compressed payload for a message of `plain`; `None` if it is better sent as it is.
    pub(super) fn deflate(&mut self, plain: &[u8]) -> Result<Option<Vec<u8>>, WireError> {
        let bits = self.agreed.client_max_window_bits;
        if plain.len() < MIN_DEFLATE_BYTES || !(MIN_ZLIB_BITS..=MAX_BITS).contains(&bits) {
            return Ok(None);
        }
        let fresh = || Compress::new_with_window_bits(Compression::default(), false, bits);
        if !self.agreed.client_no_context_takeover {
            // Always sent as deflated: the server's context must see what ours has seen.
            let state = self.deflate.get_or_insert_with(fresh);
            return deflate(state, plain).map(Some);
        }
        let packed = SHARED_DEFLATE.with_borrow_mut(|shared| {
            let (_, state) = match shared {
                Some((made_for, state)) if *made_for == bits => {
                    state.reset();
                    shared.get_or_insert_with(|| (bits, fresh()))
                }
                _ => shared.insert((bits, fresh())),
            };
            deflate(state, plain)
        })?;
        Ok(Some(packed).filter(|packed| packed.len() < plain.len()))
    }
}

fn inflate(state: &mut Decompress, packed: &[u8], limit: usize) -> Result<Vec<u8>, WireError> {
    let first_room = packed.len().saturating_mul(4).clamp(256, FIRST_ROOM_BYTES);
    let mut out = Vec::with_capacity(first_room.min(limit.saturating_add(1)));
    let stream_ended = inflate_part(state, packed, &mut out, limit)?;
    if !stream_ended {
        inflate_part(state, &TAIL, &mut out, limit)?;
    }
    if out.capacity() / 2 > out.len() {
        // What is kept of a message is its own size, not the guess.
        out.shrink_to_fit();
    }
    Ok(out)
}

/// Inflates `part` to the end of `out`; answers whether it ended with a final block.
fn inflate_part(
    state: &mut Decompress,
    mut part: &[u8],
    out: &mut Vec<u8>,
    limit: usize,
) -> Result<bool, WireError> {
    loop {
        if out.len() == out.capacity() {
            // One byte past the limit is enough to know that it was passed.
            let room = limit.saturating_add(1).saturating_sub(out.len());
            out.reserve_exact(out.len().max(256).min(room));
        }
        let (seen, made) = (state.total_in(), out.len());
        let status = state
            .decompress_vec(part, out, FlushDecompress::Sync)
            .map_err(|_| WireError::Inflate)?;
        let used = usize::try_from(state.total_in() - seen).unwrap_or(part.len());
        part = part.get(used..).unwrap_or_default();
        if out.len() > limit {
            return Err(WireError::TooBig { limit_bytes: limit });
        }
        if matches!(status, Status::StreamEnd) {
            restart(state, out)?;
            if part.is_empty() {
                return Ok(true);
            }
        } else if part.is_empty() && out.len() < out.capacity() {
            return Ok(false);
        } else if used == 0 && out.len() == made && out.len() < out.capacity() {
            return Err(WireError::Inflate);
        }
    }
}

/// Goes on behind a final block, which RFC 7692 §7.2.3.4 allows: the stream is a new one, what it
/// may refer to is not. zlib gives its window away only by what it wrote, so what earlier
/// messages left in the context is lost; a sender that ends its stream has lost it too.
fn restart(state: &mut Decompress, out: &[u8]) -> Result<(), WireError> {
    state.reset(false);
    let window = out.get(out.len().saturating_sub(MAX_WINDOW_BYTES)..);
    match window {
        Some(window) if !window.is_empty() => state
            .set_dictionary(window)
            .map(|_| ())
            .map_err(|_| WireError::Inflate),
        _ => Ok(()),
    }
}

fn deflate(state: &mut Compress, plain: &[u8]) -> Result<Vec<u8>, WireError> {
    let mut out = Vec::with_capacity(plain.len() / 2 + FLUSH_ROOM_BYTES);
    let mut rest = plain;
    loop {
        let seen = state.total_in();
        state
            .compress_vec(rest, &mut out, FlushCompress::Sync)
            .map_err(|_| WireError::Deflate)?;
        let used = usize::try_from(state.total_in() - seen).unwrap_or(rest.len());
        rest = rest.get(used..).unwrap_or_default();
        if out.len() < out.capacity() {
            break;
        }
        out.reserve(out.len().max(FLUSH_ROOM_BYTES));
    }
    match out.strip_suffix(&TAIL) {
        Some(packed) if rest.is_empty() => {
            out.truncate(packed.len());
            Ok(out)
        }
        _ => Err(WireError::Deflate),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agreed(takeover: bool, server_bits: u8, client_bits: u8) -> Agreed {
        Agreed {
            server_no_context_takeover: !takeover,
            client_no_context_takeover: !takeover,
            server_max_window_bits: server_bits,
            client_max_window_bits: client_bits,
        }
    }

    #[test]
    fn the_examples_of_the_rfc() {
        let hello: &[&[u8]] = &[
            &[0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00],
            &[
                0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00,
            ],
            &[0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00],
            &[
                0xF2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0x00,
            ],
            // A final block without the octet the RFC wants behind it.
            &[0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00],
        ];
        for takeover in [true, false] {
            for packed in hello {
                let mut deflate = Deflate::new(agreed(takeover, 15, 15));
                assert_eq!(deflate.inflate(packed, 5).unwrap(), b"Hello", "{packed:x?}");
                let error = Deflate::new(agreed(takeover, 15, 15)).inflate(packed, 4);
                assert!(matches!(error, Err(WireError::TooBig { limit_bytes: 4 })));
            }
        }
        let mut kept = Deflate::new(agreed(true, 15, 15));
        assert_eq!(kept.inflate(hello[0], 5).unwrap(), b"Hello");
        let again = [0xF2, 0x00, 0x11, 0x00, 0x00];
        assert_eq!(kept.inflate(&again, 5).unwrap(), b"Hello");
        let mut dropped = Deflate::new(agreed(false, 15, 15));
        assert_eq!(dropped.inflate(hello[0], 5).unwrap(), b"Hello");
        assert!(matches!(
            dropped.inflate(&again, 5),
            Err(WireError::Inflate)
        ));
        let mut empty = Deflate::new(agreed(true, 15, 15));
        assert_eq!(empty.inflate(&[0x00], 5).unwrap(), b"");
    }

    #[test]
    fn garbage_is_refused() {
        let mut deflate = Deflate::new(agreed(true, 15, 15));
        let garbage = [0xFF; 32];
        assert!(matches!(
            deflate.inflate(&garbage, 100),
            Err(WireError::Inflate)
        ));
    }

    #[test]
    fn a_bomb_is_refused_at_the_limit() {
        let mut state = Compress::new(Compression::best(), false);
        let packed = super::deflate(&mut state, &vec![b'x'; 8 << 20]).unwrap();
        assert!(packed.len() < 16 << 10);
        let limit = 1 << 16;
        let error = Deflate::new(agreed(false, 15, 15)).inflate(&packed, limit);
        assert!(matches!(error, Err(WireError::TooBig { .. })));
        let whole = Deflate::new(agreed(true, 15, 15)).inflate(&packed, 8 << 20);
        assert_eq!(whole.unwrap().len(), 8 << 20);
    }

    #[test]
    fn a_window_of_eight_bits_is_never_compressed_for() {
        let mut deflate = Deflate::new(agreed(true, 8, 8));
        assert_eq!(deflate.deflate(&[b'x'; 1000]).unwrap(), None);
        assert_eq!(
            Deflate::new(agreed(true, 8, 9)).deflate(b"short").unwrap(),
            None
        );
    }

    #[test]
    fn what_does_not_shrink_is_sent_as_it_is() {
        let noise: Vec<u8> = (0..500).map(|_| rand::random()).collect();
        let mut dropped = Deflate::new(agreed(false, 15, 15));
        assert_eq!(dropped.deflate(&noise).unwrap(), None);
        let mut kept = Deflate::new(agreed(true, 15, 15));
        assert!(kept.deflate(&noise).unwrap().is_some());
    }
}
