//! Secrets: how the values of secret variables are kept in the database ([`cipher`]), and kept out of the logs of
//! jobs that read them ([`mask`]) and out of the arguments that flows compute from them ([`sealed`]).
//!
//! One key for an installation; `db::secrets` finds it at the start and gives it to [`install`]. Values are sealed and
//! opened by `db::variable`: above it they are in clear, and on the disk they never are.

pub(crate) mod cipher;
pub(crate) mod mask;
pub(crate) mod sealed;

use std::sync::{Arc, LazyLock};

use parking_lot::RwLock;

use self::cipher::Cipher;

/// The key of this process. Until one is installed it is a random one, which unit tests are content with.
static CIPHER: LazyLock<RwLock<Option<Arc<Cipher>>>> =
    LazyLock::new(|| RwLock::new(Some(Arc::new(Cipher::random()))));

/// Uses `cipher` from now on; none = this process keeps no secrets.
pub(crate) fn install(cipher: Option<Cipher>) {
    *CIPHER.write() = cipher.map(Arc::new);
}

/// What seals and opens.
pub(crate) fn cipher() -> Option<Arc<Cipher>> {
    CIPHER.read().clone()
}
