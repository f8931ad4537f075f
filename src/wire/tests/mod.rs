//! The codec against hand-made frames: one table per rule. Random input, compression and foreign
//! peers are in files of their own.

mod compression;
mod peers;
mod random;

use actix_codec::{Decoder, Encoder};
use bytes::{Bytes, BytesMut};

use super::*;

const LIMIT: usize = 1 << 20;

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;

/// A server's frame: first byte as given, shortest length, no mask.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..=125 => bytes.push(len as u8),
        len @ 126..=65535 => {
            bytes.push(126);
            bytes.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            bytes.push(127);
            bytes.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(payload);
    bytes
}

fn text(text: &str) -> Message {
    Message::Text(text.into())
}

/// Everything a codec yields for `pieces` and the end of the stream; at most one error, the last.
fn run(codec: &mut Codec, pieces: &[&[u8]]) -> (Vec<Message>, Option<WireError>) {
    let mut src = BytesMut::new();
    let mut messages = Vec::new();
    for piece in pieces {
        src.extend_from_slice(piece);
        loop {
            match codec.decode(&mut src) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => {
                    assert_dead(codec, &mut src);
                    return (messages, Some(error));
                }
            }
        }
    }
    loop {
        match codec.decode_eof(&mut src) {
            Ok(Some(message)) => messages.push(message),
            Ok(None) => return (messages, None),
            Err(error) => {
                assert_dead(codec, &mut src);
                return (messages, Some(error));
            }
        }
    }
}

/// After an error: nothing is yielded, nothing is kept.
fn assert_dead(codec: &mut Codec, src: &mut BytesMut) {
    assert!(src.is_empty());
    assert!(codec.has_ended());
    for _ in 0..2 {
        src.extend_from_slice(&frame(FIN | TEXT, b"late"));
        assert!(matches!(codec.decode(src), Ok(None)));
        assert!(src.is_empty());
        assert!(matches!(codec.decode_eof(src), Ok(None)));
    }
}

fn decode(bytes: &[u8]) -> (Vec<Message>, Option<WireError>) {
    run(&mut Codec::client(LIMIT, None), &[bytes])
}

#[test]
fn whole_messages_and_fragments() {
    let cases: &[(Vec<Vec<u8>>, Vec<Message>)] = &[
        (vec![frame(FIN | TEXT, b"")], vec![text("")]),
        (vec![frame(FIN | TEXT, "hé".as_bytes())], vec![text("hé")]),
        (
            vec![frame(FIN | BINARY, b"\xFF\x00")],
            vec![Message::Binary(Bytes::from_static(b"\xFF\x00"))],
        ),
        (
            vec![frame(TEXT, b"a"), frame(0, b"b"), frame(FIN, b"c")],
            vec![text("abc")],
        ),
        (
            vec![frame(TEXT, b""), frame(0, b""), frame(FIN, b"")],
            vec![text("")],
        ),
        (
            vec![
                frame(BINARY, b"a"),
                frame(FIN | PING, b"1"),
                frame(0, b"b"),
                frame(FIN | PONG, b""),
                frame(FIN, b""),
                frame(FIN | TEXT, b"next"),
            ],
            vec![
                Message::Ping(Bytes::from_static(b"1")),
                Message::Pong(Bytes::new()),
                Message::Binary(Bytes::from_static(b"ab")),
                text("next"),
            ],
        ),
        (
            vec![frame(FIN | PING, &[7; 125])],
            vec![Message::Ping(Bytes::from_static(&[7; 125]))],
        ),
    ];
    for (frames, wanted) in cases {
        let bytes = frames.concat();
        for cut in 0..=bytes.len() {
            let mut codec = Codec::client(LIMIT, None);
            let (messages, error) = run(&mut codec, &[&bytes[..cut], &bytes[cut..]]);
            assert_eq!(&messages, wanted);
            assert!(error.is_none(), "{error:?}");
            let seen = codec.seen();
            assert_eq!(seen.frames, frames.len() as u64);
            assert_eq!(seen.bytes, bytes.len() as u64);
        }
    }
}

/// Frames that break a rule on their own, and the code the server is told.
fn broken_frames() -> Vec<(&'static str, Vec<u8>, u16)> {
    vec![
        ("rsv1", frame(FIN | RSV1 | TEXT, b"x"), 1002),
        ("rsv2", frame(FIN | 0x20 | TEXT, b"x"), 1002),
        ("rsv3", frame(FIN | 0x10 | PING, b"x"), 1002),
        ("opcode 3", frame(FIN | 3, b""), 1002),
        ("opcode 11", frame(FIN | 11, b""), 1002),
        ("masked", vec![FIN | TEXT, 0x81, 0, 0, 0, 0, b'x'], 1002),
        ("fragmented ping", frame(PING, b""), 1002),
        ("fragmented close", frame(CLOSE, b""), 1002),
        ("long ping", frame(FIN | PING, &[0; 126]), 1002),
        ("compressed ping", frame(FIN | RSV1 | PING, b""), 1002),
        ("continuation of nothing", frame(FIN, b"x"), 1002),
        ("open continuation of nothing", frame(0, b"x"), 1002),
        (
            "continuation of a finished message",
            [frame(TEXT, b"a"), frame(FIN, b"b"), frame(FIN, b"c")].concat(),
            1002,
        ),
        (
            "text inside a message",
            [frame(TEXT, b"a"), frame(FIN | TEXT, b"b")].concat(),
            1002,
        ),
        (
            "binary inside a message",
            [frame(TEXT, b"a"), frame(BINARY, b"b")].concat(),
            1002,
        ),
        ("half a close code", frame(FIN | CLOSE, b"\x03"), 1002),
        (
            "close code 1005",
            frame(FIN | CLOSE, &1005u16.to_be_bytes()),
            1002,
        ),
        ("close text", frame(FIN | CLOSE, b"\x03\xE8\xC0"), 1007),
        ("text", frame(FIN | TEXT, b"\xC3\x28"), 1007),
        ("unfinished text", frame(FIN | TEXT, b"\xC3"), 1007),
        (
            "unfinished text in fragments",
            [frame(TEXT, b"a\xE4"), frame(FIN, b"\xBA")].concat(),
            1007,
        ),
        (
            "long length",
            vec![FIN | TEXT, 126, 0, 5, 1, 2, 3, 4, 5],
            1002,
        ),
        (
            "negative length",
            vec![FIN | TEXT, 127, 255, 0, 0, 0, 0, 0, 0, 0],
            1002,
        ),
        (
            "huge",
            vec![FIN | TEXT, 127, 0x7F, 0, 0, 0, 0, 0, 0, 0],
            1009,
        ),
    ]
}

#[test]
fn broken_rules_end_the_connection() {
    for (name, bytes, code) in broken_frames() {
        let before = frame(FIN | TEXT, b"good");
        let bytes = [before, bytes].concat();
        for cut in 0..=bytes.len() {
            let mut codec = Codec::client(LIMIT, None);
            let (mut messages, error) = run(&mut codec, &[&bytes[..cut], &bytes[cut..]]);
            // One case has a good message of its own before the bad frame.
            messages.retain(|message| *message != text("ab"));
            assert_eq!(messages, [text("good")], "{name}");
            let error = error.unwrap_or_else(|| panic!("{name} was accepted"));
            assert_eq!(error.close_code(), Some(code), "{name}: {error}");
            let reason = error.close_reason().unwrap();
            assert_eq!(reason.code, code);
            assert!(!reason.text.is_empty());
        }
    }
}

#[test]
fn a_bad_byte_is_refused_before_its_message_ends() {
    // Fragmented, and in a frame of which half has arrived.
    let fragmented = [frame(TEXT, b"ok"), frame(0, b"\xF4\x90")].concat();
    let mut half = frame(
        FIN | TEXT,
        &[b"ok\xF4\x90".as_slice(), &[b'x'; 50]].concat(),
    );
    half.truncate(6);
    for bytes in [fragmented, half] {
        let mut src = BytesMut::from(bytes.as_slice());
        let error = Codec::client(LIMIT, None).decode(&mut src).unwrap_err();
        assert_eq!(error.close_code(), Some(1007));
    }
}

#[test]
fn nothing_follows_a_close() {
    let close = frame(FIN | CLOSE, b"\x03\xE9bye");
    let bytes = [close.as_slice(), &frame(FIN | TEXT, b"late"), &[0xFF; 9]].concat();
    let (messages, error) = decode(&bytes);
    assert_eq!(
        messages,
        [Message::Close(Some(CloseReason::new(1001, "bye")))]
    );
    assert!(error.is_none());
    let (messages, _) = decode(&frame(FIN | CLOSE, b""));
    assert_eq!(messages, [Message::Close(None)]);
}

#[test]
fn an_end_in_the_middle_is_one_error() {
    let whole = frame(FIN | TEXT, b"whole");
    let cut: &[&[u8]] = &[
        &[FIN | TEXT],
        &[FIN | TEXT, 126, 1],
        &[FIN | TEXT, 5, b'a'],
        &[FIN | PING, 5, b'a'],
        &frame(TEXT, b"first"),
        &[FIN | TEXT, 5],
    ];
    for rest in cut {
        let (messages, error) = decode(&[&whole, *rest].concat());
        assert_eq!(messages, [text("whole")]);
        let error = error.unwrap();
        assert!(matches!(error, WireError::Truncated), "{error}");
        assert_eq!(error.close_code(), None);
    }
    let (_, error) = decode(&whole);
    assert!(error.is_none());
    assert!(decode(b"").1.is_none());
}

#[test]
fn sizes_are_refused_by_the_header() {
    let limit = 1000;
    let exact = [
        frame(FIN | TEXT, &[b'x'; 1000]),
        [frame(TEXT, &[b'x'; 600]), frame(FIN, &[b'x'; 400])].concat(),
    ];
    for bytes in exact {
        let mut codec = Codec::client(limit, None);
        let (messages, error) = run(&mut codec, &[&bytes]);
        assert_eq!(messages.len(), 1);
        assert!(error.is_none());
    }
    let headers: [Vec<u8>; 3] = [
        vec![FIN | BINARY, 126, 0x03, 0xE9],
        vec![FIN | BINARY, 127, 0, 0, 0, 0, 0x20, 0, 0, 0],
        [frame(TEXT, &[b'x'; 600]), vec![0, 126, 0x01, 0x91]].concat(),
    ];
    for bytes in headers {
        let (messages, error) = run(&mut Codec::client(limit, None), &[&bytes]);
        assert!(messages.is_empty());
        assert!(matches!(
            error,
            Some(WireError::TooBig { limit_bytes: 1000 })
        ));
    }
}

#[test]
fn empty_fragments_are_counted() {
    let most = MAX_EMPTY_FRAGMENTS as usize;
    let endless = [frame(TEXT, b"a"), frame(0, b"").repeat(most + 1)].concat();
    let (messages, error) = decode(&endless);
    assert!(messages.is_empty());
    assert!(matches!(error, Some(WireError::TooManyFragments)));
    let many = [
        frame(TEXT, b"a"),
        frame(0, b"").repeat(most),
        frame(0, b"b").repeat(10_000),
        frame(FIN, b"c"),
    ]
    .concat();
    let (messages, error) = decode(&many);
    assert_eq!(messages, [text(&format!("a{}c", "b".repeat(10_000)))]);
    assert!(error.is_none());
}

/// Feeds `bytes` in reads like `Framed`'s and answers the largest capacity the read buffer had.
fn feed(codec: &mut Codec, src: &mut BytesMut, mut bytes: &[u8]) -> (usize, usize) {
    let (mut largest, mut yielded) = (0, 0);
    while !bytes.is_empty() {
        if src.capacity() - src.len() < 1024 {
            src.reserve(8192 - (src.capacity() - src.len()));
        }
        let room = (src.capacity() - src.len()).min(bytes.len());
        src.extend_from_slice(&bytes[..room]);
        bytes = &bytes[room..];
        largest = largest.max(src.capacity());
        while codec.decode(src).unwrap().is_some() {
            yielded += 1;
        }
    }
    (largest, yielded)
}

#[test]
fn the_read_buffer_is_given_back() {
    let mut codec = Codec::client(LIMIT, None);
    let mut src = BytesMut::with_capacity(8192);
    let (largest, yielded) = feed(&mut codec, &mut src, &frame(FIN | BINARY, &[1; LIMIT]));
    assert_eq!(yielded, 1);
    assert!(largest <= 128 * 1024, "{largest}");
    let small = frame(FIN | TEXT, &[b'x'; 200]);
    for _ in 0..50 {
        let (_, yielded) = feed(&mut codec, &mut src, &small);
        assert_eq!(yielded, 1);
        assert!(src.capacity() <= IDLE_READ_BYTES, "{}", src.capacity());
    }
    // A block that slices still point into is replaced, not kept.
    src.extend_from_slice(&frame(FIN | TEXT, &[b'y'; 1500]));
    let kept = codec.decode(&mut src).unwrap().unwrap();
    assert!(codec.decode(&mut src).unwrap().is_none());
    feed(&mut codec, &mut src, &small);
    assert!(src.capacity() <= IDLE_READ_BYTES);
    assert_eq!(kept, text(&"y".repeat(1500)));
}

/// A server's frames read back: first byte and payload, unmasked.
fn read_client_frame(bytes: &mut BytesMut) -> (u8, Vec<u8>) {
    let first = bytes[0];
    assert_eq!(bytes[1] & 0x80, 0x80, "a client's frame is masked");
    let (len, at) = match bytes[1] & 0x7F {
        126 => (usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), 4),
        127 => (
            u64::from_be_bytes(bytes[2..10].try_into().unwrap()) as usize,
            10,
        ),
        len => (usize::from(len), 2),
    };
    let key = bytes[at..at + 4].to_vec();
    let frame = bytes.split_to(at + 4 + len);
    let payload = frame[at + 4..].iter().enumerate();
    (
        first,
        payload.map(|(at, byte)| byte ^ key[at % 4]).collect(),
    )
}

#[test]
fn frames_are_written_masked() {
    let mut codec = Codec::client(LIMIT, None);
    let mut dst = BytesMut::new();
    for len in [0, 1, 125, 126, 127, 65535, 65536, 70000] {
        let payload = Bytes::from((0..len).map(|at| at as u8).collect::<Vec<_>>());
        codec
            .encode(Outgoing::Binary(payload.clone()), &mut dst)
            .unwrap();
        assert_eq!(
            read_client_frame(&mut dst),
            (FIN | BINARY, payload.to_vec())
        );
        assert!(dst.is_empty());
    }
    let items = [
        (
            Outgoing::Text("hé".into()),
            FIN | TEXT,
            "hé".as_bytes().to_vec(),
        ),
        (
            Outgoing::Ping(Bytes::from_static(b"1")),
            FIN | PING,
            b"1".to_vec(),
        ),
        (
            Outgoing::Pong(Bytes::from_static(b"2")),
            FIN | PONG,
            b"2".to_vec(),
        ),
        (
            Outgoing::Close(Some(CloseReason::new(1000, "done"))),
            FIN | CLOSE,
            b"\x03\xE8done".to_vec(),
        ),
    ];
    for (item, first, payload) in items {
        codec.encode(item, &mut dst).unwrap();
        assert_eq!(read_client_frame(&mut dst), (first, payload));
    }
    assert!(codec.close_sent());
    let late = codec.encode(Outgoing::Text("late".into()), &mut dst);
    assert!(matches!(late, Err(WireError::AfterClose)));
    codec.encode(Outgoing::Close(None), &mut dst).unwrap();
    assert!(dst.is_empty());
}

#[test]
fn what_cannot_be_sent_is_refused() {
    let mut codec = Codec::client(LIMIT, None);
    let mut dst = BytesMut::new();
    let long = Bytes::from_static(&[0; 126]);
    for item in [
        Outgoing::Ping(long.clone()),
        Outgoing::Pong(long),
        Outgoing::Close(Some(CloseReason::new(1006, ""))),
    ] {
        let error = codec.encode(item, &mut dst).unwrap_err();
        assert!(matches!(
            error,
            WireError::ControlTooLong(126) | WireError::CloseCode(1006)
        ));
        assert!(dst.is_empty());
    }
    assert!(!codec.close_sent());
}

#[test]
fn masking_keys_differ() {
    let mut codec = Codec::client(LIMIT, None);
    let mut keys = std::collections::HashSet::new();
    for _ in 0..100 {
        let mut dst = BytesMut::new();
        codec
            .encode(Outgoing::Ping(Bytes::new()), &mut dst)
            .unwrap();
        keys.insert(dst[2..6].to_vec());
    }
    assert!(keys.len() > 90);
}

#[test]
fn a_small_frame_takes_a_small_buffer() {
    let mut codec = Codec::client(LIMIT, None);
    let mut dst = BytesMut::with_capacity(1 << 20);
    codec
        .encode(Outgoing::Pong(Bytes::from_static(b"x")), &mut dst)
        .unwrap();
    assert!(dst.capacity() < 64);
}
