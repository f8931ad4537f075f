//! The frame layer: whatever arrives and however it is cut, the same messages, none beyond the bound, and what a slow,
//! obvious reference makes of them.
//!
//! Bytes: what was agreed, the bound, how reads are cut, then the stream. An even first byte is no compression.

use actix_codec::Decoder as _;
use bytes::BytesMut;
use flate2::{Decompress, FlushDecompress, Status};
use windsock::wire::{Agreed, Codec, Deflate, MAX_EMPTY_FRAGMENTS, Message, Offer, negotiate};

/// What may wait in the read buffer undecoded: less than the header and payload of the largest control frame.
const WAITING: usize = 127;

/// What a codec made of a stream.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    messages: Vec<Message>,
    /// The close code of its error, if there was one.
    error: Option<Option<u16>>,
}

struct Settings {
    deflate: Option<Agreed>,
    limit: usize,
}

impl Settings {
    fn codec(&self) -> Codec {
        Codec::client(self.limit, self.deflate.map(Deflate::new))
    }
}

fn decode(settings: &Settings, pieces: &[&[u8]]) -> Read {
    let mut codec = settings.codec();
    let (mut src, mut messages) = (BytesMut::new(), Vec::new());
    let mut at_end = false;
    let mut pieces = pieces.iter();
    loop {
        let next = if at_end {
            codec.decode_eof(&mut src)
        } else {
            codec.decode(&mut src)
        };
        match next {
            Ok(Some(message)) => {
                let bytes = match &message {
                    Message::Text(text) => text.len(),
                    Message::Binary(bytes) => bytes.len(),
                    Message::Ping(bytes) | Message::Pong(bytes) => {
                        assert!(bytes.len() <= 125);
                        0
                    }
                    Message::Close(_) => 0,
                };
                assert!(
                    bytes <= settings.limit,
                    "{bytes} bytes of at most {}",
                    settings.limit
                );
                messages.push(message);
            }
            Ok(None) if at_end => {
                return Read {
                    messages,
                    error: None,
                };
            }
            Ok(None) => {
                assert!(src.len() < WAITING, "{} bytes wait", src.len());
                assert!(
                    src.capacity() <= 64 << 10,
                    "room for {} bytes",
                    src.capacity()
                );
                match pieces.next() {
                    Some(piece) => src.extend_from_slice(piece),
                    None => at_end = true,
                }
            }
            Err(error) => {
                assert!(src.is_empty() && codec.has_ended());
                src.extend_from_slice(b"\x81\x01x");
                assert!(
                    matches!(codec.decode(&mut src), Ok(None)) && src.is_empty(),
                    "it goes on after an error"
                );
                return Read {
                    messages,
                    error: Some(error.close_code()),
                };
            }
        }
    }
}

/// The stream cut in pieces of 1 to 32 bytes, or as long as it is.
fn cut(stream: &[u8], seed: u8) -> Vec<&[u8]> {
    let (mut rest, mut state) = (stream, u32::from(seed));
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let size = (state >> 24) as usize % 32 + 1;
        let (piece, tail) = rest.split_at(size.min(rest.len()));
        pieces.push(piece);
        rest = tail;
    }
    pieces
}

/// What the reference makes of a stream.
struct Expected {
    /// What came whole before the first fault.
    messages: Vec<Message>,
    /// Whether that is all; not so behind a final block of deflate, where the reference gives up.
    all: bool,
}

/// A message of which fragments are to come.
struct Open {
    is_text: bool,
    is_packed: bool,
    joined: Vec<u8>,
    empty: u32,
}

/// The first frame of `bytes`: its first byte, its payload's length and what is behind the header.
fn header(bytes: &[u8]) -> Option<(u8, usize, &[u8])> {
    let [first, second, behind @ ..] = bytes else {
        return None;
    };
    let (length, size) = match second {
        0..=125 => (u64::from(*second), 0),
        126 => (
            u64::from(u16::from_be_bytes(behind.get(..2)?.try_into().ok()?)),
            2,
        ),
        127 => (u64::from_be_bytes(behind.get(..8)?.try_into().ok()?), 8),
        _ => return None,
    };
    let shortest = match size {
        0 => true,
        2 => length > 125,
        _ => length > 65_535,
    };
    let right = first & 0x30 == 0 && shortest && i64::try_from(length).is_ok();
    right.then_some((*first, usize::try_from(length).ok()?, &behind[size..]))
}

/// RFC 6455 word by word over the whole stream. A close is not told: nothing follows it.
fn reference(settings: &Settings, stream: &[u8]) -> Expected {
    let mut expected = Expected {
        messages: Vec::new(),
        all: true,
    };
    let mut inflater = settings.deflate.map(|agreed| (agreed, fresh(agreed)));
    let (mut rest, mut open) = (stream, None);
    while let Some((first, length, body)) = header(rest) {
        let fin = first & 0x80 != 0;
        let payload = body.get(..length);
        match (first & 0x0f, payload) {
            (9 | 10, Some(payload)) if fin && first & 0x40 == 0 && length <= 125 => {
                let payload = payload.to_vec().into();
                let ping = first & 0x0f == 9;
                expected.messages.push(if ping {
                    Message::Ping(payload)
                } else {
                    Message::Pong(payload)
                });
            }
            (opcode @ 0..=2, Some(payload)) => {
                let Some(message) = fragment(settings, &mut open, (first, opcode), payload) else {
                    return expected;
                };
                if fin {
                    open = None;
                    let plain = if message.is_packed {
                        let Some(inflater) = &mut inflater else {
                            return expected;
                        };
                        match unpack(inflater, &message.joined, settings.limit) {
                            Ok(plain) => plain,
                            Err(ended) => {
                                expected.all = !ended;
                                return expected;
                            }
                        }
                    } else {
                        message.joined
                    };
                    expected.messages.push(match String::from_utf8(plain) {
                        Ok(text) if message.is_text => Message::Text(text.into()),
                        Err(_) if message.is_text => return expected,
                        Ok(text) => Message::Binary(text.into_bytes().into()),
                        Err(error) => Message::Binary(error.into_bytes().into()),
                    });
                }
            }
            _ => return expected,
        }
        rest = &body[length..];
    }
    expected
}

/// Joins a frame's payload to what came before; none where a rule is broken.
fn fragment(
    settings: &Settings,
    open: &mut Option<Open>,
    (first, opcode): (u8, u8),
    payload: &[u8],
) -> Option<Open> {
    let packed = first & 0x40 != 0;
    if (opcode == 0) != open.is_some() || (packed && (opcode == 0 || settings.deflate.is_none())) {
        return None;
    }
    let mut message = open.take().unwrap_or(Open {
        is_text: opcode == 1,
        is_packed: packed,
        joined: Vec::new(),
        empty: 0,
    });
    let most = settings.limit
        + if message.is_packed {
            settings.limit / 8 + 1024
        } else {
            0
        };
    message.empty += u32::from(payload.is_empty());
    message.joined.extend_from_slice(payload);
    if message.joined.len() > most || message.empty > MAX_EMPTY_FRAGMENTS {
        return None;
    }
    // A text that cannot become right is refused at once, so a ping behind it is not seen.
    let wrong =
        std::str::from_utf8(&message.joined).is_err_and(|error| error.error_len().is_some());
    if message.is_text && !message.is_packed && wrong {
        return None;
    }
    let whole = first & 0x80 != 0;
    if !whole {
        let Open {
            is_text,
            is_packed,
            empty,
            ..
        } = message;
        *open = Some(Open {
            is_text,
            is_packed,
            empty,
            joined: message.joined.clone(),
        });
    }
    Some(message)
}

fn fresh(agreed: Agreed) -> Decompress {
    // Where nothing is kept between messages, any window will do.
    let bits = if agreed.server_no_context_takeover {
        15
    } else {
        agreed.server_max_window_bits.max(9)
    };
    Decompress::new_with_window_bits(false, bits)
}

/// RFC 7692 §7.2.2: the content, or whether it is a final block that is in the way. One byte beyond the limit is enough.
fn unpack(
    (agreed, state): &mut (Agreed, Decompress),
    packed: &[u8],
    limit: usize,
) -> Result<Vec<u8>, bool> {
    if agreed.server_no_context_takeover {
        *state = fresh(*agreed);
    }
    let packed = [packed, &[0, 0, 255, 255]].concat();
    let mut plain = Vec::with_capacity(limit + 64);
    let before = state.total_in();
    let status = state.decompress_vec(&packed, &mut plain, FlushDecompress::Sync);
    if plain.len() > limit {
        return Err(false);
    }
    match status {
        Ok(Status::StreamEnd) => Err(true),
        Ok(_) if (state.total_in() - before) as usize == packed.len() => Ok(plain),
        _ => Err(false),
    }
}

pub(crate) fn run(data: &[u8]) {
    let [agreed, limit, seed, stream @ ..] = data else {
        return;
    };
    if *agreed == 0xff {
        // What a server may say of compression in its handshake.
        let lines = stream.split(|byte| *byte == b'\n');
        let _ = negotiate(Some(&Offer::default()), lines);
        return;
    }
    let deflate = (agreed & 1 == 1).then_some(Agreed {
        server_no_context_takeover: agreed & 2 != 0,
        client_no_context_takeover: true,
        server_max_window_bits: 9 + (agreed >> 2) % 7,
        client_max_window_bits: 15,
    });
    let settings = Settings {
        deflate,
        limit: 1 << (limit % 17),
    };
    let whole = decode(&settings, &[stream]);
    let pieces = decode(&settings, &cut(stream, *seed));
    assert_eq!(
        whole.messages, pieces.messages,
        "it depends on how the stream was cut"
    );
    assert_eq!(
        whole.error.is_some(),
        pieces.error.is_some(),
        "so does whether there is an error"
    );
    let single: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(
        pieces,
        decode(&settings, &single),
        "it depends on how the stream was cut"
    );
    let mut known = whole.messages.as_slice();
    if let [before @ .., Message::Close(_)] = known {
        known = before;
    }
    let expected = reference(&settings, stream);
    if !expected.all && known.len() > expected.messages.len() {
        known = &known[..expected.messages.len()];
    }
    assert_eq!(known, expected.messages, "the reference");
}
