//! Who may do what: tokens, sessions, login links, and rights by path.
//!
//! `authenticate` turns a token into a [`Caller`], who then answers every question about rights. Used by `api`
//! and by whoever starts jobs; knows no HTTP.

mod caller;
mod enter;
mod members;
mod password;
pub(crate) mod references;
mod token;

pub use self::{
    caller::{Caller, FolderRights, SharedRunnable},
    enter::job_tokens,
    members::{email_of, first_start},
    token::{end_session, end_token, new_login_link, new_setup_token},
};
pub(crate) use self::{
    enter::{authenticate, renewed},
    members::{new_workspace, prepare_to_save, prepare_to_save_runnable, read_variables},
    password::{NotHashed, Passwords, unfit},
    token::{
        NewToken, PREFIX, SESSION, new_session, new_session_of, new_session_of_link, new_token,
    },
};

/// The user of the first start, and whom `SUPERADMIN_SECRET` acts as.
const ADMIN: &str = "admin";
/// The address of that user.
const ADMIN_EMAIL: &str = "admin@windsock.local";

/// Why somebody was turned away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No token, or one that is unknown or has expired.
    #[error("no valid token: send 'Authorization: Bearer <token>' or log in")]
    NotLoggedIn,
    /// Nobody has that address and that password.
    #[error("the email or the password is wrong")]
    BadLogin,
    /// Logged in, but not for this.
    #[error("{0}")]
    Forbidden(String),
    /// There is no such workspace (said to super admins only).
    #[error("workspace '{0}' not found")]
    NoWorkspace(String),
    /// The folder of the path does not exist, and only an admin's save would make it; or one may not know of it.
    #[error("path: folder '{0}' does not exist, or is not yours; ask an admin for it")]
    NoFolder(String),
}
