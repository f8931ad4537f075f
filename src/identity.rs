//! Who a running job is when it calls back: a token that says so and needs no row.
//!
//! A job may start thousands of times a second, so its token is signed, not stored: workspace, run-as and end,
//! with an HMAC-SHA-256 under a key that all processes of an installation share. `runner` mints, `access` verifies.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::types::{Invalid, JobId, Timestamp};

/// What a job's token begins with.
const PREFIX: &str = "wsjob_";
/// Bytes of the key: one block of the hash (RFC 2104 §2).
const KEY_BYTES: usize = 64;
/// Longest token that is looked at.
const MAX_TOKEN_BYTES: usize = 2_048;

/// Whose rights a job has, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobIdentity {
    /// The job's workspace; the token is good for nothing else.
    pub workspace: String,
    /// `u/<user>` or `g/<group>`.
    pub permissioned_as: String,
    /// The job: its token ends with it.
    pub job: JobId,
    /// How many jobs called each other to come to it.
    pub depth: i32,
    /// When the token ends.
    pub until: Timestamp,
}

/// Mints and verifies. Cheap to clone.
#[derive(Clone)]
pub struct JobTokens(Arc<[u8; KEY_BYTES]>);

impl std::fmt::Debug for JobTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JobTokens")
    }
}

impl JobTokens {
    /// A new random key, as hexadecimal text.
    #[must_use]
    pub fn new_key() -> String {
        hex::encode(rand::random::<[u8; KEY_BYTES]>())
    }

    /// Reads a key that [`JobTokens::new_key`] made.
    ///
    /// # Errors
    /// Another text.
    pub fn new(key: &str) -> Result<Self, Invalid> {
        let mut bytes = [0; KEY_BYTES];
        hex::decode_to_slice(key, &mut bytes)
            .map_err(|_| Invalid("the key of job tokens in the database is damaged".to_owned()))?;
        Ok(Self(Arc::new(bytes)))
    }

    /// The token of a job.
    #[must_use]
    pub fn mint(&self, identity: &JobIdentity) -> String {
        let JobIdentity {
            workspace,
            permissioned_as,
            job,
            depth,
            until,
        } = identity;
        let claims = format!("{} {job} {depth} {workspace} {permissioned_as}", until.0);
        let claims = URL_SAFE_NO_PAD.encode(claims);
        let signature = URL_SAFE_NO_PAD.encode(self.signed(&claims).finalize().into_bytes());
        format!("{PREFIX}{claims}.{signature}")
    }

    /// Whose token it is; none when it is no job's, is forged, or has ended.
    #[must_use]
    pub fn verify(&self, token: &str, now: Timestamp) -> Option<JobIdentity> {
        let rest = token.strip_prefix(PREFIX)?;
        if rest.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let (claims, signature) = rest.split_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        self.signed(claims).verify_slice(&signature).ok()?;
        let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
        let mut parts = claims.splitn(5, ' ');
        let until = Timestamp(parts.next()?.parse().ok()?);
        let job = parts.next()?.parse().ok()?;
        let depth = parts.next()?.parse().ok()?;
        let identity = JobIdentity {
            job,
            depth,
            workspace: parts.next()?.to_owned(),
            permissioned_as: parts.next()?.to_owned(),
            until,
        };
        (until > now).then_some(identity)
    }

    fn signed(&self, claims: &str) -> Hmac<Sha256> {
        // Never fails: HMAC takes keys of any length, this one has its own.
        let mut mac = Hmac::<Sha256>::new(&(*self.0).into());
        mac.update(claims.as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_what_was_minted_and_has_not_ended_is_good() {
        let tokens = JobTokens::new(&JobTokens::new_key()).unwrap();
        let now = Timestamp::now();
        let identity = JobIdentity {
            workspace: "main".to_owned(),
            permissioned_as: "u/admin".to_owned(),
            job: JobId::next(),
            depth: 3,
            until: now.plus(Duration::from_secs(60)),
        };
        let token = tokens.mint(&identity);
        assert_eq!(tokens.verify(&token, now).unwrap(), identity);
        assert!(
            tokens
                .verify(&token, now.plus(Duration::from_secs(61)))
                .is_none()
        );
        let others = JobTokens::new(&JobTokens::new_key()).unwrap();
        assert!(others.verify(&token, now).is_none());
        let (claims, signature) = token.strip_prefix(PREFIX).unwrap().split_once('.').unwrap();
        let forged = URL_SAFE_NO_PAD.encode(format!("{} 0 main u/root", i64::MAX));
        for bad in [
            format!("{PREFIX}{forged}.{signature}"),
            format!("{PREFIX}{claims}."),
            format!("{PREFIX}{claims}"),
            String::new(),
        ] {
            assert!(tokens.verify(&bad, now).is_none(), "{bad}");
        }
        assert!(JobTokens::new("abc").is_err());
    }
}
