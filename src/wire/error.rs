//! Why a connection cannot go on, and what the server is told about it.

use std::io;

use super::CloseReason;

/// A failure of the frame layer. After one that came from reading, the connection is over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The server broke a rule of RFC 6455 or RFC 7692.
    #[error("the server broke the websocket protocol: {0}")]
    Protocol(&'static str),
    /// A text message or a close reason is not UTF-8.
    #[error("the server sent a text that is not UTF-8")]
    NotUtf8,
    /// A compressed message is not a valid deflate stream.
    #[error("the server sent a compressed message that cannot be inflated")]
    Inflate,
    /// A message is, or would inflate to, more than `max_message_bytes`.
    #[error(
        "the server sent a message of more than {limit_bytes} bytes; raise max_message_bytes to receive it"
    )]
    TooBig {
        /// The limit, in bytes.
        limit_bytes: usize,
    },
    /// A message has more empty fragments than any sender has a use for.
    #[error(
        "the server sent a message with more than {} empty fragments",
        super::MAX_EMPTY_FRAGMENTS
    )]
    TooManyFragments,
    /// The stream ended inside a frame or between the fragments of a message.
    #[error("the connection ended in the middle of a message")]
    Truncated,
    /// A ping or pong to be sent is longer than 125 bytes.
    #[error("a ping or pong carries at most 125 bytes, not {0}")]
    ControlTooLong(usize),
    /// A close frame to be sent has a code that must not be on the wire (RFC 6455 §7.4).
    #[error("{0} is not a close code that can be sent; use 1000 or 3000 to 4999")]
    CloseCode(u16),
    /// A frame was to be sent after the close frame.
    #[error("nothing can be sent after the close frame")]
    AfterClose,
    /// A message to be sent could not be compressed.
    #[error("the message could not be compressed")]
    Deflate,
    /// The socket failed.
    #[error("the socket failed: {0}")]
    Io(#[from] io::Error),
}

impl WireError {
    /// The close code that tells the server, if it is to be told: 1002 for the protocol, 1007 for
    /// a bad payload, 1009 for too much.
    #[must_use]
    pub fn close_code(&self) -> Option<u16> {
        match self {
            Self::Protocol(_) => Some(1002),
            Self::NotUtf8 | Self::Inflate => Some(1007),
            Self::TooBig { .. } | Self::TooManyFragments => Some(1009),
            Self::Truncated
            | Self::ControlTooLong(_)
            | Self::CloseCode(_)
            | Self::AfterClose
            | Self::Deflate
            | Self::Io(_) => None,
        }
    }

    /// Code and text of the close frame that tells the server, if it is to be told.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.close_code()
            .map(|code| CloseReason::new(code, self.to_string()))
    }
}
