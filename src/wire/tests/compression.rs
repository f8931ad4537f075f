//! permessage-deflate through the codec, against flate2's bare interface in the server's role.

use flate2::{Compress, Compression, FlushCompress};

use super::*;

pub(super) fn deflate(server_fresh: bool, client_fresh: bool, bits: u8) -> Option<Deflate> {
    Some(Deflate::new(Agreed {
        server_no_context_takeover: server_fresh,
        client_no_context_takeover: client_fresh,
        server_max_window_bits: bits,
        client_max_window_bits: bits,
    }))
}

/// The sending half of a server's permessage-deflate, by flate2's bare interface.
pub(super) struct ServerDeflate {
    state: Compress,
    fresh: bool,
}

impl ServerDeflate {
    pub(super) fn new(fresh: bool, bits: u8) -> Self {
        let state = Compress::new_with_window_bits(Compression::new(9), false, bits.max(9));
        Self { state, fresh }
    }

    pub(super) fn pack(&mut self, plain: &[u8]) -> Vec<u8> {
        if self.fresh {
            self.state.reset();
        }
        if plain.is_empty() {
            // RFC 7692 §7.2.3.6: zlib flushes nothing twice.
            return vec![0];
        }
        let mut packed = Vec::with_capacity(plain.len() * 2 + 1024);
        self.state
            .compress_vec(plain, &mut packed, FlushCompress::Sync)
            .unwrap();
        assert!(packed.ends_with(&[0, 0, 255, 255]));
        packed.truncate(packed.len() - 4);
        packed
    }
}

fn unpack(state: &mut flate2::Decompress, packed: &[u8]) -> Vec<u8> {
    let whole = [packed, &[0, 0, 255, 255]].concat();
    let mut plain = Vec::with_capacity(1 << 20);
    state
        .decompress_vec(&whole, &mut plain, flate2::FlushDecompress::Sync)
        .unwrap();
    plain
}

#[test]
fn compressed_messages_with_and_without_context() {
    let feed: Vec<String> = (0..50)
        .map(|n| {
            format!(
                r#"{{"e":"trade","s":"BTCUSDT","price":"{}.5","n":{n}}}"#,
                n * 977
            )
        })
        .collect();
    for fresh in [false, true] {
        for bits in [8, 9, 12, 15] {
            let mut server = ServerDeflate::new(fresh, bits);
            let mut bytes = Vec::new();
            for (n, message) in feed.iter().enumerate() {
                let packed = server.pack(message.as_bytes());
                if n % 3 == 0 {
                    let (head, tail) = packed.split_at(packed.len() / 2);
                    bytes.extend(frame(RSV1 | TEXT, head));
                    bytes.extend(frame(FIN | PING, b""));
                    bytes.extend(frame(FIN, tail));
                } else {
                    bytes.extend(frame(FIN | RSV1 | TEXT, &packed));
                }
                bytes.extend(frame(FIN | TEXT, b"plain"));
            }
            let mut codec = Codec::client(1000, deflate(fresh, true, bits));
            let (messages, error) = run(&mut codec, &[&bytes]);
            assert!(error.is_none(), "{error:?}");
            let texts: Vec<Message> = messages
                .into_iter()
                .filter(|m| matches!(m, Message::Text(t) if t != "plain"))
                .collect();
            let wanted: Vec<Message> = feed.iter().map(|message| text(message)).collect();
            assert_eq!(texts, wanted, "fresh {fresh}, {bits} bits");
        }
    }
}

#[test]
fn sent_messages_are_compressed_with_and_without_context() {
    for fresh in [false, true] {
        for bits in [8, 9, 15] {
            let mut codec = Codec::client(LIMIT, deflate(true, fresh, bits));
            let mut server = flate2::Decompress::new_with_window_bits(false, bits.max(9));
            let mut sizes = Vec::new();
            for n in 0..5 {
                let message = format!("{{\"n\":{n},\"text\":\"{}\"}}", "abc def ghi ".repeat(40));
                let mut dst = BytesMut::new();
                codec
                    .encode(Outgoing::Text(message.as_str().into()), &mut dst)
                    .unwrap();
                let (first, payload) = read_client_frame(&mut dst);
                let packed = bits > 8;
                assert_eq!(first, FIN | TEXT | if packed { RSV1 } else { 0 });
                if packed {
                    if fresh {
                        server.reset(false);
                    }
                    assert_eq!(unpack(&mut server, &payload), message.as_bytes());
                } else {
                    assert_eq!(payload, message.as_bytes());
                }
                sizes.push(payload.len());
            }
            assert_eq!(bits == 15 && !fresh, sizes[4] * 2 < sizes[0], "{sizes:?}");
            let mut dst = BytesMut::new();
            codec
                .encode(Outgoing::Text("short".into()), &mut dst)
                .unwrap();
            assert_eq!(read_client_frame(&mut dst), (FIN | TEXT, b"short".to_vec()));
        }
    }
}

#[test]
fn broken_compression_ends_the_connection() {
    let packed = ServerDeflate::new(true, 15).pack(b"\xFF not a text");
    let bomb = ServerDeflate::new(true, 15).pack(&vec![b'x'; 2 * LIMIT]);
    let cases: Vec<(&str, Vec<u8>, u16)> = vec![
        ("not deflate", frame(FIN | RSV1 | TEXT, &[0xFF; 20]), 1007),
        ("not UTF-8", frame(FIN | RSV1 | TEXT, &packed), 1007),
        ("bomb", frame(FIN | RSV1 | BINARY, &bomb), 1009),
        (
            "long",
            frame(FIN | RSV1 | BINARY, &vec![1; LIMIT / 8 * 9 + 2000]),
            1009,
        ),
        ("compressed ping", frame(FIN | RSV1 | PING, b""), 1002),
        (
            "bit on a continuation",
            [frame(RSV1 | TEXT, b"a"), frame(FIN | RSV1, b"b")].concat(),
            1002,
        ),
    ];
    for (name, bytes, code) in cases {
        for fresh in [true, false] {
            let mut codec = Codec::client(LIMIT, deflate(fresh, true, 15));
            let (messages, error) = run(&mut codec, &[&bytes]);
            assert!(messages.is_empty(), "{name}");
            let error = error.unwrap_or_else(|| panic!("{name} was accepted"));
            assert_eq!(error.close_code(), Some(code), "{name}: {error}");
        }
    }
}
