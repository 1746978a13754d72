//! What a server owes its peer for what the peer's frames said.

use super::{Item, Violation};

/// An answer of the protocol itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer<'a> {
    /// To a ping, with its payload.
    Pong(&'a [u8]),
    /// The last frame: to the peer's close frame, or to a violation.
    Close {
        /// Status code; the peer's own, where it gave one.
        code: u16,
        /// A few words about a violation.
        reason: &'static str,
    },
}

impl<'a> Item<'a> {
    /// What the protocol asks to answer; messages are the application's.
    pub fn answer(&self) -> Option<Answer<'a>> {
        match *self {
            Self::Message { .. } | Self::Pong(_) => None,
            Self::Ping(payload) => Some(Answer::Pong(payload)),
            Self::Close { code, .. } => Some(Answer::Close { code: code.unwrap_or(1000), reason: "" }),
        }
    }
}

impl Violation {
    /// How the connection has to end.
    pub fn answer(self) -> Answer<'static> {
        Answer::Close { code: self.close_code, reason: self.what }
    }
}
