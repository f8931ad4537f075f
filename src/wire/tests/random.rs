//! Random messages, fragments, reads and bytes.

use proptest::prelude::*;

use super::{
    compression::{ServerDeflate, deflate},
    *,
};

fn any_message() -> impl Strategy<Value = Message> {
    prop_oneof![
        4 => any::<String>().prop_map(|t| Message::Text(t.into())),
        2 => "[a-c]{0,300}".prop_map(|t| Message::Text(t.into())),
        2 => prop::collection::vec(any::<u8>(), 0..400).prop_map(|b| Message::Binary(b.into())),
        1 => prop::collection::vec(any::<u8>(), 0..=125).prop_map(|b| Message::Ping(b.into())),
        1 => prop::collection::vec(any::<u8>(), 0..=125).prop_map(|b| Message::Pong(b.into())),
    ]
}

/// The frames of `message`, cut at `cuts` (per cent of its payload), a ping after each.
fn fragments(message: &Message, cuts: &[usize], server: Option<&mut ServerDeflate>) -> Vec<u8> {
    let (opcode, payload) = match message {
        Message::Text(text) => (TEXT, text.as_bytes().to_vec()),
        Message::Binary(bytes) => (BINARY, bytes.to_vec()),
        Message::Ping(bytes) => return frame(FIN | PING, bytes),
        Message::Pong(bytes) => return frame(FIN | PONG, bytes),
        Message::Close(_) => return frame(FIN | CLOSE, b""),
    };
    let (mut first, payload) = match server {
        Some(server) => (opcode | RSV1, server.pack(&payload)),
        None => (opcode, payload),
    };
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| payload.len() * cut / 100).collect();
    cuts.sort_unstable();
    let mut bytes = Vec::new();
    let mut start = 0;
    for cut in cuts {
        bytes.extend(frame(first, &payload[start..cut]));
        bytes.extend(frame(FIN | PING, b"between"));
        (first, start) = (0, cut);
    }
    bytes.extend(frame(FIN | first, &payload[start..]));
    bytes
}

fn is_between(message: &Message) -> bool {
    matches!(message, Message::Ping(bytes) if bytes == "between")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn random_messages_survive_fragments_and_reads(
        messages in prop::collection::vec(
            (any_message(), prop::collection::vec(0..=100usize, 0..4)), 0..12),
        reads in prop::collection::vec(1..200usize, 1..40),
        compress in prop::option::of((any::<bool>(), 9..=15u8)),
    ) {
        let mut server = compress.map(|(fresh, bits)| ServerDeflate::new(fresh, bits));
        let mut bytes = Vec::new();
        for (message, cuts) in &messages {
            bytes.extend(fragments(message, cuts, server.as_mut()));
        }
        let mut pieces = Vec::new();
        let mut rest = bytes.as_slice();
        for read in reads.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, tail) = rest.split_at((*read).min(rest.len()));
            pieces.push(piece);
            rest = tail;
        }
        let agreed = compress.and_then(|(fresh, bits)| deflate(fresh, true, bits));
        let (decoded, error) = run(&mut Codec::client(LIMIT, agreed), &pieces);
        prop_assert!(error.is_none(), "{:?}", error);
        let decoded: Vec<Message> = decoded.into_iter().filter(|m| !is_between(m)).collect();
        let wanted: Vec<Message> = messages.into_iter().map(|(message, _)| message)
            .filter(|m| !is_between(m)).collect();
        prop_assert_eq!(decoded, wanted);
    }

    #[test]
    fn random_bytes_stay_within_bounds(
        chunks in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..300),
                (any::<u8>(), prop::collection::vec(any::<u8>(), 0..200))
                    .prop_map(|(first, payload)| frame(first, &payload)),
                (prop::sample::select(vec![TEXT, BINARY, FIN, 0, FIN | TEXT, FIN | RSV1 | TEXT]),
                    prop::collection::vec(0..128u8, 0..200))
                    .prop_map(|(first, payload)| frame(first, &payload)),
            ], 0..40),
        compress in any::<bool>(),
    ) {
        let limit = 1000;
        let agreed = if compress { deflate(false, false, 15) } else { None };
        let mut codec = Codec::client(limit, agreed);
        let mut src = BytesMut::new();
        for chunk in chunks {
            src.extend_from_slice(&chunk);
            loop {
                match codec.decode(&mut src) {
                    Ok(Some(Message::Text(text))) => prop_assert!(text.len() <= limit),
                    Ok(Some(Message::Binary(bytes))) => prop_assert!(bytes.len() <= limit),
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => assert_dead(&mut codec, &mut src),
                }
            }
            // Nothing but a control frame's beginning or a header waits in the read buffer.
            prop_assert!(src.len() < 127, "{} bytes wait", src.len());
        }
        let _ = codec.decode_eof(&mut src);
        assert_dead(&mut codec, &mut src);
    }
}
