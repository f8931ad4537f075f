//! One frame: its header, its mask, the payload of a close (RFC 6455 §5). No state.

use bytes::{BufMut, BytesMut};

use super::{CloseReason, WireError};

/// Most bytes the payload of a control frame may have (RFC 6455 §5.5).
pub(super) const MAX_CONTROL_BYTES: usize = 125;

/// Longest header a client writes: two bytes, a 64-bit length, the mask.
const MAX_HEADER_BYTES: usize = 14;

/// What a frame is (RFC 6455 §5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation = 0x0,
    Text = 0x1,
    Binary = 0x2,
    Close = 0x8,
    Ping = 0x9,
    Pong = 0xA,
}

impl Opcode {
    pub(super) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The header of a frame from a server, as far as it can be judged without knowing the frames
/// before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// The last frame of its message.
    pub(super) fin: bool,
    /// The first reserved bit: a compressed message begins (RFC 7692 §6).
    pub(super) rsv1: bool,
    pub(super) opcode: Opcode,
    /// Bytes of the payload.
    pub(super) len: u64,
    /// Bytes of the header itself.
    pub(super) size: usize,
}

/// Reads the header at the start of `src`; `None` while it is not there whole.
///
/// Wrong bits are an error as soon as their byte is there.
pub(super) fn parse(src: &[u8]) -> Result<Option<Header>, WireError> {
    let Some(&first) = src.first() else {
        return Ok(None);
    };
    if first & 0x30 != 0 {
        return Err(WireError::Protocol("a reserved bit is set"));
    }
    let opcode = match first & 0x0F {
        0x0 => Opcode::Continuation,
        0x1 => Opcode::Text,
        0x2 => Opcode::Binary,
        0x8 => Opcode::Close,
        0x9 => Opcode::Ping,
        0xA => Opcode::Pong,
        _ => return Err(WireError::Protocol("a frame has an unknown opcode")),
    };
    let Some(&second) = src.get(1) else {
        return Ok(None);
    };
    if second & 0x80 != 0 {
        return Err(WireError::Protocol("a frame of a server is masked"));
    }
    let (len, size) = match second {
        126 => match src.get(2..4) {
            Some(&[a, b]) => (u64::from(u16::from_be_bytes([a, b])), 4),
            _ => return Ok(None),
        },
        127 => match src.get(2..10) {
            Some(&[a, b, c, d, e, f, g, h]) => (u64::from_be_bytes([a, b, c, d, e, f, g, h]), 10),
            _ => return Ok(None),
        },
        short => (u64::from(short), 2),
    };
    if len >> 63 != 0 {
        return Err(WireError::Protocol("a frame's length has its top bit set"));
    }
    if (size == 4 && len < 126) || (size == 10 && len < 0x1_0000) {
        return Err(WireError::Protocol(
            "a frame's length takes more bytes than it needs",
        ));
    }
    Ok(Some(Header {
        fin: first & 0x80 != 0,
        rsv1: first & 0x40 != 0,
        opcode,
        len,
        size,
    }))
}

/// Bytes that [`write`] appends for a payload of `len` bytes, or a few more.
pub(super) fn size_bound(len: usize) -> usize {
    len.saturating_add(MAX_HEADER_BYTES)
}

/// Appends one whole frame of a client, masked with a fresh key.
pub(super) fn write(dst: &mut BytesMut, opcode: Opcode, rsv1: bool, payload: &[u8]) {
    dst.reserve(size_bound(payload.len()));
    dst.put_u8(0x80 | if rsv1 { 0x40 } else { 0 } | opcode as u8);
    match payload.len() {
        len @ 0..=125 => dst.put_u8(0x80 | len as u8),
        len @ 126..=0xFFFF => {
            dst.put_u8(0x80 | 126);
            dst.put_u16(len as u16);
        }
        len => {
            dst.put_u8(0x80 | 127);
            dst.put_u64(len as u64);
        }
    }
    // The thread's generator is a cryptographic one: RFC 6455 §5.3 wants keys nobody can predict.
    let key: [u8; 4] = rand::random();
    dst.put_slice(&key);
    let start = dst.len();
    dst.put_slice(payload);
    if let Some(written) = dst.get_mut(start..) {
        mask(written, key);
    }
}

/// Masks or unmasks `bytes` in place (RFC 6455 §5.3).
pub(super) fn mask(bytes: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, tail) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// Whether `code` may stand in a close frame: what RFC 6455 §7.4.1 and its registry define (1012
/// to 1014 came later), libraries' 3000–3999 and applications' 4000–4999.
pub(super) fn is_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Reads the payload of a close frame.
pub(super) fn parse_close(payload: &[u8]) -> Result<Option<CloseReason>, WireError> {
    let (code, text) = match payload {
        [] => return Ok(None),
        [_] => {
            return Err(WireError::Protocol("a close frame has half a close code"));
        }
        [high, low, text @ ..] => (u16::from_be_bytes([*high, *low]), text),
    };
    if !is_close_code(code) {
        return Err(WireError::Protocol(
            "a close frame has a code that must not be sent",
        ));
    }
    let text = std::str::from_utf8(text).map_err(|_| WireError::NotUtf8)?;
    Ok(Some(CloseReason::new(code, text)))
}

/// The payload of a close frame for `reason`, its text cut to what fits.
pub(super) fn close_payload(reason: Option<&CloseReason>) -> Result<Vec<u8>, WireError> {
    let Some(reason) = reason else {
        return Ok(Vec::new());
    };
    if !is_close_code(reason.code) {
        return Err(WireError::CloseCode(reason.code));
    }
    let end = reason.text.floor_char_boundary(MAX_CONTROL_BYTES - 2);
    let text = reason.text.get(..end).unwrap_or_default();
    Ok([&reason.code.to_be_bytes(), text.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_or_refused() {
        let header = |fin, opcode, len, size| Header {
            fin,
            rsv1: false,
            opcode,
            len,
            size,
        };
        let good: &[(&[u8], Header)] = &[
            (&[0x81, 0], header(true, Opcode::Text, 0, 2)),
            (&[0x02, 125], header(false, Opcode::Binary, 125, 2)),
            (
                &[0x80, 126, 0, 126],
                header(true, Opcode::Continuation, 126, 4),
            ),
            (
                &[0x82, 126, 255, 255],
                header(true, Opcode::Binary, 65535, 4),
            ),
            (
                &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0],
                header(true, Opcode::Binary, 65536, 10),
            ),
            (&[0x89, 3], header(true, Opcode::Ping, 3, 2)),
            (&[0x8A, 3], header(true, Opcode::Pong, 3, 2)),
            (&[0x88, 3], header(true, Opcode::Close, 3, 2)),
        ];
        for (bytes, wanted) in good {
            assert_eq!(parse(bytes).unwrap(), Some(*wanted), "{bytes:?}");
            for cut in 0..bytes.len() {
                assert_eq!(
                    parse(&bytes[..cut]).unwrap(),
                    None,
                    "{bytes:?} cut at {cut}"
                );
            }
        }
        let bad: &[&[u8]] = &[
            &[0xA1],
            &[0x91],
            &[0xF1],
            &[0x83],
            &[0x87],
            &[0x8B],
            &[0x8F],
            &[0x81, 0x80],
            &[0x81, 126, 0, 125],
            &[0x81, 127, 0, 0, 0, 0, 0, 0, 255, 255],
            &[0x81, 127, 0x80, 0, 0, 0, 0, 0, 0, 0],
        ];
        for bytes in bad {
            assert_eq!(
                parse(bytes).unwrap_err().close_code(),
                Some(1002),
                "{bytes:?}"
            );
        }
        assert!(parse(&[0xC1, 0]).unwrap().unwrap().rsv1);
    }

    #[test]
    fn close_codes_on_the_wire() {
        let good = [
            1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999,
            4000, 4999,
        ];
        let bad = [
            0u16, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535,
        ];
        for code in good {
            let payload = close_payload(Some(&CloseReason::new(code, "why"))).unwrap();
            assert_eq!(
                parse_close(&payload).unwrap(),
                Some(CloseReason::new(code, "why"))
            );
        }
        for code in bad {
            let payload = code.to_be_bytes();
            assert_eq!(
                parse_close(&payload).unwrap_err().close_code(),
                Some(1002),
                "{code}"
            );
            assert!(matches!(
                close_payload(Some(&CloseReason::new(code, ""))),
                Err(WireError::CloseCode(wrong)) if wrong == code
            ));
        }
        assert_eq!(parse_close(&[]).unwrap(), None);
        assert_eq!(parse_close(&[3]).unwrap_err().close_code(), Some(1002));
        assert_eq!(
            parse_close(&[3, 232, 0xFF]).unwrap_err().close_code(),
            Some(1007)
        );
    }

    #[test]
    fn a_long_close_text_is_cut_between_characters() {
        let text = format!("x{}", "é".repeat(100));
        let payload = close_payload(Some(&CloseReason::new(1000, text.clone()))).unwrap();
        let sent = parse_close(&payload).unwrap().unwrap().text;
        assert_eq!(sent.len(), 123);
        assert!(text.starts_with(&sent));
        let odd = close_payload(Some(&CloseReason::new(1000, "é".repeat(100)))).unwrap();
        assert_eq!(odd.len(), 2 + 122);
    }

    #[test]
    fn masking_twice_is_nothing() {
        let key = [1, 2, 4, 8];
        for len in 0..40 {
            let plain: Vec<u8> = (0..len).collect();
            let mut bytes = plain.clone();
            mask(&mut bytes, key);
            for (at, byte) in bytes.iter().enumerate() {
                assert_eq!(*byte, plain[at] ^ key[at % 4]);
            }
            mask(&mut bytes, key);
            assert_eq!(bytes, plain);
        }
    }
}
