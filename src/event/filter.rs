//! The `where` of a window: an expression over one event, as a person types it, that says
//! whether the event counts.
//!
//! ```text
//! type in ('sensor_data', 'system_metric') and value >= 10 and metadata.rack != 'r7'
//! not (source like 'test_*') and has(data.user_id)
//! ```
//!
//! What must hold: all that can be wrong is found by [`Filter::parse`]; [`Filter::matches`] has
//! no errors, allocates nothing and knows true and false only. A comparison with a member that
//! is absent or of the other sort is false, and `a != b` is exactly `not (a == b)`. What a filter
//! prints parses back to an equal one.

mod lex;
mod parse;

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::fmt;

use super::{Member, Scratch};

/// Longest expression, bytes; as typed, and as [`Filter`] prints it.
pub const MAX_TEXT: usize = 4096;
/// Parentheses and `not`s inside of each other.
pub const MAX_NESTING: usize = 32;

/// A parsed expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    root: Node,
}

/// Why a text is no expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Where, in bytes from the text's beginning; always between two characters.
    pub at: usize,
    /// What was found, what was expected and, where there is one, the remedy.
    pub message: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: {}", self.at, self.message)
    }
}

impl std::error::Error for ParseError {}

/// `All` and `Any` have two parts or more, none of them of its own kind ([`Node::join`]): of the
/// expressions that mean the same but for their parentheses there is one tree.
#[derive(Clone, Debug, PartialEq)]
enum Node {
    Any(Vec<Node>),
    All(Vec<Node>),
    Not(Box<Node>),
    Has(Member),
    Compare(Member, Op, Literal),
    /// The list is not empty.
    In(Member, Polarity, Vec<Literal>),
    Like(Member, Polarity, String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// `in` or `not in`, `like` or `not like`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Polarity {
    Is,
    IsNot,
}

/// What a member is compared with. `true` and `false` are 1 and 0, as in events.
#[derive(Clone, Debug, PartialEq)]
enum Literal {
    /// Finite.
    Number(f64),
    Text(String),
}

impl Filter {
    /// Reads an expression.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let filter = Self { root: parse::expression(text)? };
        // So that a filter that was printed somewhere can be typed in again.
        let len = filter.to_string().len();
        if len > MAX_TEXT {
            let message = format!(
                "the expression has {len} bytes when it is written out in full; at most {MAX_TEXT} are allowed"
            );
            return Err(ParseError { at: 0, message });
        }
        Ok(filter)
    }

    /// Whether the event is one of those that the expression describes.
    pub fn matches(&self, event: &Scratch) -> bool {
        self.root.matches(event)
    }

    /// Whether it looks at a member for which `is` holds.
    pub fn looks_at(&self, is: &dyn Fn(&Member) -> bool) -> bool {
        self.root.looks_at(is)
    }
}

impl Node {
    /// Joins parts with `and` or `or` (`wrap`), dissolving those that are so joined themselves.
    fn join(parts: Vec<Self>, wrap: fn(Vec<Self>) -> Self) -> Self {
        let kind = std::mem::discriminant(&wrap(Vec::new()));
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            let is_same = std::mem::discriminant(&part) == kind;
            match part {
                Self::Any(inner) | Self::All(inner) if is_same => flat.extend(inner),
                part => flat.push(part),
            }
        }
        match flat.pop() {
            Some(only) if flat.is_empty() => only,
            last => {
                flat.extend(last);
                wrap(flat)
            }
        }
    }

    fn looks_at(&self, is: &dyn Fn(&Member) -> bool) -> bool {
        match self {
            Self::Any(parts) | Self::All(parts) => parts.iter().any(|part| part.looks_at(is)),
            Self::Not(inner) => inner.looks_at(is),
            Self::Has(member) | Self::Compare(member, ..) | Self::In(member, ..) | Self::Like(member, ..) => {
                is(member)
            }
        }
    }

    fn matches(&self, event: &Scratch) -> bool {
        match self {
            Self::Any(parts) => parts.iter().any(|part| part.matches(event)),
            Self::All(parts) => parts.iter().all(|part| part.matches(event)),
            Self::Not(inner) => !inner.matches(event),
            Self::Has(member) => event.number_of(member).is_some() || event.text_of(member).is_some(),
            Self::Compare(member, op, literal) => op.holds(literal.order(member, event)),
            Self::In(member, polarity, list) => {
                let equal = |literal: &Literal| literal.order(member, event) == Some(Ordering::Equal);
                polarity.apply(list.iter().any(equal))
            }
            Self::Like(member, polarity, pattern) => {
                polarity.apply(event.text_of(member).is_some_and(|text| is_like(text, pattern)))
            }
        }
    }
}

impl Op {
    fn as_str(self) -> &'static str {
        match self {
            Self::Eq => "==",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
        }
    }

    /// The operator that means the same with its sides exchanged.
    fn flipped(self) -> Self {
        match self {
            Self::Eq | Self::Ne => self,
            Self::Lt => Self::Gt,
            Self::Le => Self::Ge,
            Self::Gt => Self::Lt,
            Self::Ge => Self::Le,
        }
    }

    /// `order`: of the member against the literal; `None` if they cannot be compared.
    fn holds(self, order: Option<Ordering>) -> bool {
        match self {
            Self::Eq => order == Some(Ordering::Equal),
            Self::Ne => order != Some(Ordering::Equal),
            Self::Lt => order == Some(Ordering::Less),
            Self::Le => order.is_some_and(Ordering::is_le),
            Self::Gt => order == Some(Ordering::Greater),
            Self::Ge => order.is_some_and(Ordering::is_ge),
        }
    }
}

impl Polarity {
    fn apply(self, holds: bool) -> bool {
        holds == (self == Self::Is)
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Is => "",
            Self::IsNot => "not ",
        }
    }
}

impl Literal {
    /// The member's value against this one; `None`: it is absent or of the other sort.
    fn order(&self, member: &Member, event: &Scratch) -> Option<Ordering> {
        match self {
            Self::Number(wanted) => event.number_of(member)?.partial_cmp(wanted),
            Self::Text(wanted) => Some(event.text_of(member)?.cmp(wanted)),
        }
    }
}

/// Whether a text is like a pattern: `*` is any run of characters, `?` is one. Only the last `*`
/// is ever gone back to (what an earlier one could give is had by the later as well), so that the
/// time is bounded by the product of the two lengths.
fn is_like(text: &str, pattern: &str) -> bool {
    let (mut text, mut pattern) = (text, pattern);
    // The pattern behind the last `*`, and the text that was tried against it.
    let mut retry: Option<(&str, &str)> = None;
    loop {
        let (mut wanted, mut found) = (pattern.chars(), text.chars());
        match (wanted.next(), found.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                pattern = wanted.as_str();
                retry = Some((pattern, text));
            }
            // A shorter rest of the text will not do either.
            (Some(_), None) => return false,
            (Some(w), Some(f)) if w == '?' || w == f => {
                pattern = wanted.as_str();
                text = found.as_str();
            }
            (_, Some(_)) => {
                let Some((behind, tried)) = retry else {
                    return false;
                };
                let mut next = tried.chars();
                next.next();
                pattern = behind;
                text = next.as_str();
                retry = Some((pattern, text));
            }
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.fmt(f)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |f: &mut fmt::Formatter<'_>, parts: &[Self], word: &str| {
            for (n, part) in parts.iter().enumerate() {
                f.write_str(if n > 0 { word } else { "" })?;
                match part {
                    // An `or` in an `and`; an `and` in an `or` binds tighter by itself.
                    Self::Any(_) => write!(f, "({part})")?,
                    part => part.fmt(f)?,
                }
            }
            Ok(())
        };
        match self {
            Self::Any(parts) => joined(f, parts, " or "),
            Self::All(parts) => joined(f, parts, " and "),
            Self::Not(inner) => match **inner {
                Self::Any(_) | Self::All(_) => write!(f, "not ({inner})"),
                _ => write!(f, "not {inner}"),
            },
            Self::Has(member) => write!(f, "has({})", lex::Name(member)),
            Self::Compare(member, op, literal) => {
                write!(f, "{} {} {literal}", lex::Name(member), op.as_str())
            }
            Self::In(member, polarity, list) => {
                write!(f, "{} {}in (", lex::Name(member), polarity.as_str())?;
                for (n, literal) in list.iter().enumerate() {
                    write!(f, "{}{literal}", if n > 0 { ", " } else { "" })?;
                }
                f.write_str(")")
            }
            Self::Like(member, polarity, pattern) => {
                write!(f, "{} {}like {}", lex::Name(member), polarity.as_str(), lex::Quoted(pattern))
            }
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => lex::Quoted(text).fmt(f),
            // Digits where they are readable, or 1e300 would be 301 of them.
            Self::Number(x) if *x == 0.0 || (1e-5..1e16).contains(&x.abs()) => write!(f, "{x}"),
            Self::Number(x) => write!(f, "{x:e}"),
        }
    }
}
