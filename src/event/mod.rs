//! Events: taken out of messages, checked, flattened. Pure: bytes in, one reused [`Scratch`] out.
//!
//! [`Reader`] tells a message apart (JSON, JSON array, NDJSON, MessagePack) and splits it, so
//! that a bad event is rejected alone; `scan`, `json` and `msgpack` fill the scratch. `scan` is a
//! hand-written scanner for the usual shape of a JSON event; `json`, by serde_json, is the judge
//! of everything unusual. `shapes` are what events have in common, in either format.

mod elements;
pub mod filter;
pub mod frame;
mod json;
mod member;
mod msgpack;
mod reader;
pub mod rules;
mod scan;
mod scratch;
mod shapes;
pub mod time;

#[cfg(test)]
mod tests;

pub use member::{Member, field_name, written_field};
pub use reader::{Outcome, Reader};
pub use scratch::Scratch;
use time::TimestampUnit;

/// Longest `type`, bytes.
pub const MAX_KIND: usize = 64;
/// [`Limits::name_size`] at most, bytes.
pub const MAX_NAME: usize = 256;
/// [`Limits::string_size`] at most, bytes.
pub const MAX_STRING: usize = 256;
/// Names of nested objects are joined up to this many parts; what lies deeper is ignored.
pub const MAX_PARTS: usize = 4;

/// Why an event was rejected; the names are the contract's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reject {
    /// Not JSON, or not UTF-8.
    InvalidJson,
    /// Not MessagePack.
    InvalidMsgpack,
    /// A value, but not an object.
    NotAnObject,
    /// `source` is absent, empty or not a string.
    MissingSource,
    /// `type` is absent, empty or not a string.
    MissingType,
    /// `data` is absent or not an object.
    MissingData,
    /// `timestamp` is neither a number nor RFC 3339, or outside of the years 1 to 9999.
    BadTimestamp,
    /// Event time is too far ahead of the daemon's clock.
    FutureTimestamp,
    /// A number that f64 cannot hold.
    BadNumber,
    /// A name, a source, a type or a batch is too long.
    TooLong,
    /// Nested too deep.
    TooDeep,
    /// Too many fields and dimensions in one event.
    TooManyFields,
    /// A new event type beyond the limit.
    TooManyTypes,
    /// A new source or field name beyond the limit.
    TooManyKeys,
}

impl Reject {
    /// All reasons, in the order of [`Reject::index`].
    pub const ALL: [Self; 14] = [
        Self::InvalidJson,
        Self::InvalidMsgpack,
        Self::NotAnObject,
        Self::MissingSource,
        Self::MissingType,
        Self::MissingData,
        Self::BadTimestamp,
        Self::FutureTimestamp,
        Self::BadNumber,
        Self::TooLong,
        Self::TooDeep,
        Self::TooManyFields,
        Self::TooManyTypes,
        Self::TooManyKeys,
    ];

    /// The contract's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid_json",
            Self::InvalidMsgpack => "invalid_msgpack",
            Self::NotAnObject => "not_an_object",
            Self::MissingSource => "missing_source",
            Self::MissingType => "missing_type",
            Self::MissingData => "missing_data",
            Self::BadTimestamp => "bad_timestamp",
            Self::FutureTimestamp => "future_timestamp",
            Self::BadNumber => "bad_number",
            Self::TooLong => "too_long",
            Self::TooDeep => "too_deep",
            Self::TooManyFields => "too_many_fields",
            Self::TooManyTypes => "too_many_types",
            Self::TooManyKeys => "too_many_keys",
        }
    }

    /// Position in [`Reject::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }
}

/// A rejected event: the reason, and in words what was found where and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Why.
    pub reason: Reject,
    /// In words; foreign text in it is escaped and cut.
    pub message: String,
}

impl Rejection {
    fn new(reason: Reject, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// Limits of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Levels of objects and arrays, the event's own object being the first.
    pub nesting: usize,
    /// Numeric fields and dimensions of one event.
    pub fields_per_event: usize,
    /// Longest `source`, flattened name and `id`, bytes.
    pub name_size: usize,
    /// Longest string that becomes a dimension, bytes.
    pub string_size: usize,
    /// Events of one message; the rest of a longer one is one rejected event.
    pub events_per_message: usize,
    /// How to read numbers in `timestamp`.
    pub timestamp_unit: TimestampUnit,
}

impl Limits {
    /// As configured by default.
    pub const USUAL: Self = Self {
        nesting: 32,
        fields_per_event: 256,
        name_size: MAX_NAME,
        string_size: MAX_STRING,
        events_per_message: 10_000,
        timestamp_unit: TimestampUnit::Auto,
    };

    /// Members of one event's `data` and `metadata` at most, at all levels that get names, kept or not: each is
    /// compared with what is kept.
    fn members_per_event(&self) -> usize {
        1_024 + 4 * self.fields_per_event
    }
}

/// Foreign text for a message: escaped, and cut to 40 characters.
fn quote(text: &str) -> String {
    let cut: String = text.chars().take(40).collect();
    let dots = if cut.len() < text.len() { "…" } else { "" };
    format!("{cut:?}{dots}")
}
