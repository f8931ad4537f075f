//! Passwords: Argon2id with a salt of their own, a few at a time, on threads that may block.
//!
//! One hash takes 19 MiB and some 20 ms of a core (OWASP's first choice for Argon2id), so that guessing is dear.
//! [`Passwords`] keeps many logins at once from taking all memory and all blocking threads.

use std::sync::{Arc, LazyLock};

use argon2::{
    Argon2, PasswordHasher as _, PasswordVerifier as _, password_hash::phc::PasswordHash,
};
use tokio::sync::Semaphore;

/// Hashes worked out at once: two cores and 38 MiB.
const AT_ONCE: usize = 2;
/// Logins that may wait for their turn: a second or two. Past it they are told to come again.
const WAITING: usize = 64;
/// Fewest and most bytes of a password; hashing reads all of them.
const BYTES: std::ops::RangeInclusive<usize> = 8..=256;

/// Why a password was not hashed or compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotHashed {
    /// Too many wait already.
    Busy,
    /// The thread that did it died, or the hash in the database is damaged.
    Failed,
}

/// The turns of those who log in. One per process.
#[derive(Debug)]
pub(crate) struct Passwords {
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(WAITING)),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

impl Passwords {
    /// What is kept of a password: a string in PHC format.
    pub(crate) async fn hash(&self, password: String) -> Result<String, NotHashed> {
        self.work(move || hash(&password)).await?
    }

    /// Whether the password is the one that was kept. Without one the work is the same and the answer is no, so
    /// that the time it takes does not tell which addresses are known.
    pub(crate) async fn matches(
        &self,
        password: String,
        kept: Option<String>,
    ) -> Result<bool, NotHashed> {
        self.work(move || matches(&password, kept.as_deref())).await
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotHashed> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| NotHashed::Busy)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let turn = turn.map_err(|_| NotHashed::Failed)?;
        // Both stay until the work is done, also when the client has gone away meanwhile.
        let done = actix_rt::task::spawn_blocking(move || {
            let _both = (place, turn);
            work()
        });
        done.await.map_err(|_| NotHashed::Failed)
    }
}

/// Why a text cannot be a password; none when it can.
pub(crate) fn unfit(password: &str) -> Option<String> {
    (!BYTES.contains(&password.len())).then(|| {
        let (least, most) = BYTES.into_inner();
        format!("must be {least} to {most} bytes")
    })
}

fn hash(password: &str) -> Result<String, NotHashed> {
    let salt: [u8; 16] = rand::random();
    let hashed: Result<PasswordHash, _> =
        Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
    hashed
        .map(|hash| hash.to_string())
        .map_err(|_| NotHashed::Failed)
}

/// What is compared where there is nothing to compare with.
static NOBODY: LazyLock<String> = LazyLock::new(|| hash("nobody's password").unwrap_or_default());

fn matches(password: &str, kept: Option<&str>) -> bool {
    let fits = password.len() <= *BYTES.end();
    // A text that is too long is not read; that tells nothing of the address.
    let password = if fits { password } else { "" };
    let verified = PasswordHash::new(kept.unwrap_or(&NOBODY)).map(|hash| {
        Argon2::default()
            .verify_password(password.as_bytes(), &hash)
            .is_ok()
    });
    fits && kept.is_some() && verified.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use parking_lot::{Condvar, Mutex};

    use super::*;

    #[test]
    fn only_the_same_password_matches() {
        let kept = hash("correct horse").unwrap();
        assert!(
            kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{kept}"
        );
        assert_ne!(kept, hash("correct horse").unwrap(), "a salt of its own");
        assert!(matches("correct horse", Some(&kept)));
        for other in ["correct horsf", "", "correct horse "] {
            assert!(!matches(other, Some(&kept)), "{other}");
        }
        assert!(!matches("nobody's password", None));
        assert!(!matches("correct horse", Some("damaged")));
        let long = "x".repeat(257);
        assert!(unfit(&long).is_some() && unfit("1234567").is_some());
        assert!(unfit("12345678").is_none());
        assert!(!matches(&long, Some(&hash(&long).unwrap())));
    }

    #[actix_rt::test]
    async fn a_crowd_is_sent_away() {
        let passwords = Passwords::default();
        // No work ends before all have asked.
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        let wait = |gate: Arc<(Mutex<bool>, Condvar)>| {
            let mut open = gate.0.lock();
            while !*open {
                gate.1.wait(&mut open);
            }
        };
        let ask = |_| {
            let gate = Arc::clone(&gate);
            passwords.work(move || wait(gate))
        };
        let mut all = futures_util::future::join_all((0..WAITING + 8).map(ask));
        assert!(futures_util::poll!(&mut all).is_pending());
        *gate.0.lock() = true;
        gate.1.notify_all();
        let all = all.await;
        let busy = all.iter().filter(|one| **one == Err(NotHashed::Busy));
        assert_eq!(busy.count(), 8);
        assert_eq!(all.iter().filter(|one| one.is_ok()).count(), WAITING);
        assert!(passwords.work(|| ()).await.is_ok(), "places are given back");
    }
}
