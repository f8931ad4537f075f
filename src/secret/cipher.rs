//! [`Cipher`]: seals a value for the place it stands at. XChaCha20-Poly1305; the nonce is made of the key, the
//! place and the value, so that the same value at the same place is sealed alike (what `wmill sync` compares)
//! and no two values share one.
//!
//! Pure: no I/O.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead, KeyInit, Payload},
};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::types::Invalid;

/// What a sealed value begins with.
const PREFIX: &str = "wssealed1:";
/// Bytes of a nonce of XChaCha20.
const NONCE_BYTES: usize = 24;
/// Shortest text that is taken for a key: 32 hexadecimal digits are 128 bits.
const KEY_TEXT_BYTES: usize = 32;

/// See the file's documentation.
pub(crate) struct Cipher {
    aead: XChaCha20Poly1305,
    nonces: [u8; 32],
    id: String,
}

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cipher")
    }
}

impl Cipher {
    /// One whose keys are made of `text`, which may be anything that is long enough and hard to guess.
    ///
    /// # Errors
    /// It is too short.
    pub(crate) fn new(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        if text.len() < KEY_TEXT_BYTES {
            return Err(Invalid(format!(
                "the key of secrets must have at least {KEY_TEXT_BYTES} characters; make one with: openssl rand -hex 32"
            )));
        }
        Ok(Self::from_text(text))
    }

    /// One that nobody else has.
    pub(crate) fn random() -> Self {
        Self::from_text(&Self::new_key())
    }

    /// The text of a new key.
    pub(crate) fn new_key() -> String {
        hex::encode(rand::random::<[u8; 32]>())
    }

    fn from_text(text: &str) -> Self {
        let part = |what: &str| -> [u8; 32] { hmac(text.as_bytes(), &[what.as_bytes()]) };
        Self {
            aead: XChaCha20Poly1305::new(&part("windsock values 1").into()),
            nonces: part("windsock nonces 1"),
            id: hex::encode(&part("windsock key id 1")[..8]),
        }
    }

    /// Tells this key from others without giving it away.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Seals `value` for `(workspace, path)`.
    pub(crate) fn seal(&self, place: (&str, &str), value: &str) -> String {
        let place = format!("{}\0{}", place.0, place.1);
        let parts = [place.as_bytes(), b"\0", value.as_bytes()];
        let made: [u8; 32] = hmac(&self.nonces, &parts);
        let mut sealed = made[..NONCE_BYTES].to_vec();
        let mut nonce = [0; NONCE_BYTES];
        nonce.copy_from_slice(&sealed);
        let payload = Payload {
            msg: value.as_bytes(),
            aad: place.as_bytes(),
        };
        // Fails only for texts of 256 GiB.
        let text = self.aead.encrypt(&XNonce::from(nonce), payload);
        sealed.extend(text.unwrap_or_default());
        format!("{PREFIX}{}", STANDARD.encode(sealed))
    }

    /// Whether `text` looks like a sealed value.
    pub(crate) fn is_sealed(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    /// The value that was sealed for `(workspace, path)`; none when it was not, or with another key.
    pub(crate) fn open(&self, place: (&str, &str), sealed: &str) -> Option<String> {
        let bytes = STANDARD.decode(sealed.strip_prefix(PREFIX)?).ok()?;
        let (nonce, text) = bytes.split_first_chunk::<NONCE_BYTES>()?;
        let place = format!("{}\0{}", place.0, place.1);
        let payload = Payload {
            msg: text,
            aad: place.as_bytes(),
        };
        let value = self.aead.decrypt(&XNonce::from(*nonce), payload).ok()?;
        String::from_utf8(value).ok()
    }
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut block = [0; 64];
    let short: [u8; 32];
    let key = if key.len() > block.len() {
        use sha2::Digest;
        short = Sha256::digest(key).into();
        &short[..]
    } else {
        key
    };
    block[..key.len()].copy_from_slice(key);
    // A key of one block is used as it is (RFC 2104 §2), whatever its length was.
    let mut mac = Hmac::<Sha256>::new(&block.into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: (&str, &str) = ("main", "u/admin/key");

    #[test]
    fn a_value_opens_at_its_place_with_its_key_alone() {
        let cipher = Cipher::new(&"k".repeat(32)).unwrap();
        for value in ["", "s3cret", "é\n\0"] {
            let sealed = cipher.seal(PLACE, value);
            assert!(Cipher::is_sealed(&sealed) && !sealed.contains("s3cret"));
            assert_eq!(cipher.open(PLACE, &sealed).as_deref(), Some(value));
            assert_eq!(cipher.seal(PLACE, value), sealed, "the same again");
            assert_eq!(cipher.open(("main", "u/eve/key"), &sealed), None);
            assert_eq!(cipher.open(("other", "u/admin/key"), &sealed), None);
            assert_eq!(Cipher::random().open(PLACE, &sealed), None);
            let mut changed = sealed.into_bytes();
            let last = changed.len() - 4;
            changed[last] = if changed[last] == b'A' { b'B' } else { b'A' };
            assert_eq!(
                cipher.open(PLACE, &String::from_utf8(changed).unwrap()),
                None
            );
        }
        assert_ne!(cipher.seal(PLACE, "a")[..40], cipher.seal(PLACE, "b")[..40]);
        for bad in ["", "plain", "wssealed1:", "wssealed1:AAAA", "wssealed1:?"] {
            assert_eq!(cipher.open(PLACE, bad), None, "{bad}");
        }
    }

    #[test]
    fn a_key_is_long_and_known_by_its_id() {
        assert!(Cipher::new("short").is_err());
        let key = Cipher::new_key();
        let cipher = Cipher::new(&format!("{key}\n")).unwrap();
        assert_eq!(cipher.id(), Cipher::new(&key).unwrap().id());
        assert!(cipher.id() != Cipher::random().id() && !key.contains(cipher.id()));
        assert!(Cipher::new(&"long ".repeat(40)).is_ok());
    }
}
