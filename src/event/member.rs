//! A member of an event, as people name it: in a list such as `group_by`, in an expression.
//!
//! What must hold: every label parses back to the member it came from, and two members never
//! share one, so that labels may stand for members in results and messages.

use std::fmt;

use super::{MAX_NAME, quote};

const DATA: &str = "data.";
const METADATA: &str = "metadata.";

/// What a name names. Names of `data` and `metadata` are flattened: `a.b` is `b` in the object
/// `a`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Member {
    /// `source`.
    Source,
    /// `type`.
    Kind,
    /// A number or string of `data`; without `data.` in front.
    Data(String),
    /// A string of `metadata`; without `metadata.` in front.
    Metadata(String),
}

impl Member {
    /// Reads a name: `source`, `type`, `metadata.x`, and anything else, with `data.` in front or
    /// without, is of `data`. The error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let alone = |section: &str| {
            Err(format!("{} names no member; write one after the dot, as in \"{section}x\"", quote(text)))
        };
        // The limit is the one of flattened names, which have `metadata.` in front, but no `data.`.
        let flattened = text.strip_prefix(DATA).unwrap_or(text);
        if flattened.len() > MAX_NAME {
            return Err(format!(
                "the name {} has {} bytes; no event has a name of more than {MAX_NAME}",
                quote(text),
                flattened.len()
            ));
        }
        match text {
            "" => Err("the name is empty; expected one such as \"source\", \"type\", \"user_id\" or \
                       \"metadata.rack\""
                .to_owned()),
            "source" => Ok(Self::Source),
            "type" => Ok(Self::Kind),
            DATA => alone(DATA),
            METADATA => alone(METADATA),
            _ => Ok(match text.strip_prefix(METADATA) {
                Some(name) => Self::Metadata(name.to_owned()),
                None => Self::Data(flattened.to_owned()),
            }),
        }
    }

    /// The short name: `source`, `type`, `user_id`, `metadata.rack`. A member of `data` keeps
    /// `data.` in front where it would be taken for another without.
    pub fn label(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source => f.write_str("source"),
            Self::Kind => f.write_str("type"),
            Self::Metadata(name) => write!(f, "{METADATA}{name}"),
            Self::Data(name) => {
                let taken = matches!(name.as_str(), "source" | "type")
                    || name.starts_with(DATA)
                    || name.starts_with(METADATA);
                write!(f, "{}{name}", if taken { DATA } else { "" })
            }
        }
    }
}

/// The flattened name of a numeric field as people may write it: `data.` in front is taken off.
pub fn field_name(written: &str) -> &str {
    written.strip_prefix(DATA).unwrap_or(written)
}

/// The same as it has to be written to be read back: a name that begins with `data.` itself gets
/// another one in front.
pub fn written_field(name: &str) -> String {
    format!("{}{name}", if name.starts_with(DATA) { DATA } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_and_their_labels() {
        let (data, metadata) = (|n: &str| Member::Data(n.into()), |n: &str| Member::Metadata(n.into()));
        for (text, member, label) in [
            ("source", Member::Source, "source"),
            ("type", Member::Kind, "type"),
            ("user_id", data("user_id"), "user_id"),
            ("data.user_id", data("user_id"), "user_id"),
            ("a.b", data("a.b"), "a.b"),
            ("data.source", data("source"), "data.source"),
            ("data.type", data("type"), "data.type"),
            ("data.data.x", data("data.x"), "data.data.x"),
            ("data.data.", data("data."), "data.data."),
            ("data.metadata.x", data("metadata.x"), "data.metadata.x"),
            ("metadata.rack", metadata("rack"), "metadata.rack"),
            ("metadata.metadata.x", metadata("metadata.x"), "metadata.metadata.x"),
            ("metadata.data.x", metadata("data.x"), "metadata.data.x"),
            ("data", data("data"), "data"),
            ("metadata", data("metadata"), "metadata"),
            ("Source", data("Source"), "Source"),
            ("a b'`é", data("a b'`é"), "a b'`é"),
            (" ", data(" "), " "),
        ] {
            let parsed = Member::parse(text);
            assert_eq!(parsed.as_ref(), Ok(&member), "{text}");
            assert_eq!(member.label(), label, "{text}");
        }
    }

    #[test]
    fn what_names_nothing_is_refused() {
        for (text, said) in [
            (String::new(), "the name is empty"),
            ("data.".into(), "names no member"),
            ("metadata.".into(), "\"metadata.x\""),
            ("n".repeat(257), "257 bytes"),
            (format!("metadata.{}", "n".repeat(248)), "257 bytes"),
        ] {
            let error = Member::parse(&text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
        for text in
            ["n".repeat(256), format!("data.{}", "n".repeat(256)), format!("metadata.{}", "n".repeat(247))]
        {
            assert!(Member::parse(&text).is_ok(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn labels_parse_back(text in "((data|metadata)\\.){0,3}(source|type|data|metadata|\\PC{0,8})") {
            if let Ok(member) = Member::parse(&text) {
                prop_assert_eq!(Member::parse(&member.label()), Ok(member));
            }
        }
    }
}
