//! What is looked at again because time has passed: whether what is edited is what was read.

use super::error::Error;
use crate::types::Timestamp;

/// Refuses an edit of what somebody else has edited meanwhile, where the client says (`edited_at`) what it has read.
pub(super) fn unchanged(
    read: Option<Timestamp>,
    edited_at: Timestamp,
    what: &str,
) -> Result<(), Error> {
    match read {
        Some(read) if read != edited_at => Err(Error::Conflict(format!(
            "edited_at: the {what} was edited meanwhile; load it again"
        ))),
        _ => Ok(()),
    }
}
