//! What an option is: its value read from text, shown, copied. The options themselves are in
//! `table`, each once.

mod defaults;
mod documents;
mod table;

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use super::Config;
use super::entries::to_toml;
use super::units::{format_duration, format_size, parse_duration, parse_size};
pub(super) use defaults::defaults;
pub use documents::{default_tables, default_toml, markdown_table};
pub use table::OPTIONS;

/// The highest core that a thread can be pinned to: sets of cores have so many bits (sched_setaffinity(2)).
const MAX_CORE: usize = 1_023;

/// One option.
pub struct Opt {
    /// `section.name`.
    pub key: &'static str,
    /// What it takes and where it goes.
    pub kind: Kind,
    /// One sentence.
    pub help: &'static str,
    /// What a reload does with it.
    pub reload: Reload,
    /// Whether a size of 0 is good besides those within bounds.
    pub zero: bool,
}

/// What a reload (SIGHUP) does with a changed option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// It is taken over.
    Takes,
    /// A value up to the one at the start is taken over; more needs a restart.
    TakesLess,
    /// Nothing: it needs a restart.
    Restart,
}

impl Reload {
    /// For people who read about the option; `None` for one that needs a restart, as most do.
    pub fn note(self) -> Option<&'static str> {
        match self {
            Self::Takes => Some("reloadable"),
            Self::TakesLess => Some("reloadable up to its value at the start"),
            Self::Restart => None,
        }
    }
}

/// A value's type, bounds and place.
pub enum Kind {
    /// `host:port`.
    Address(fn(&mut Config) -> &mut SocketAddr),
    /// `true` or `false`.
    Bool(fn(&mut Config) -> &mut bool),
    /// A whole number within bounds.
    Whole(usize, usize, fn(&mut Config) -> &mut usize),
    /// Bytes within bounds.
    Size(usize, usize, fn(&mut Config) -> &mut usize),
    /// A duration within bounds, milliseconds.
    Span(u64, u64, fn(&mut Config) -> &mut Duration),
    /// One of some words: set by, and read as, its position.
    Word(&'static [&'static str], fn(&mut Config, usize), fn(&Config) -> usize),
    /// A file's name, or nothing.
    Path(fn(&mut Config) -> &mut String),
    /// A list of core numbers.
    Cores(fn(&mut Config) -> &mut Vec<usize>),
    /// A list of texts of one sort.
    Texts(&'static Listed, fn(&mut Config) -> &mut Vec<String>),
}

/// The texts of a list. A good one needs no escapes between quotes, and has no comma.
pub struct Listed {
    /// What they are, plural.
    pub what: &'static str,
    /// A good one.
    pub example: &'static str,
    /// Whether a text is good.
    pub is_good: fn(&str) -> bool,
}

/// A value as it stands in a file.
pub enum Raw<'a> {
    /// A string.
    Text(&'a str),
    /// A whole number's digits.
    Whole(&'a str),
    /// A boolean.
    Bool(bool),
    /// A list of whole numbers; an empty one may be one of texts.
    List(Vec<&'a str>),
    /// A list of strings.
    Texts(Vec<&'a str>),
    /// Anything else.
    Other,
}

/// The option of that key.
pub fn by_key(key: &str) -> Option<&'static Opt> {
    OPTIONS.iter().find(|option| option.key == key)
}

/// The option of that environment variable.
pub fn by_variable(name: &str) -> Option<&'static Opt> {
    OPTIONS.iter().find(|option| option.variable() == name)
}

impl Opt {
    /// `ingest.listen` → `FLUMEN_INGEST_LISTEN`.
    pub fn variable(&self) -> String {
        format!("FLUMEN_{}", self.key.replace('.', "_").to_uppercase())
    }

    /// The section of the file.
    pub fn section(&self) -> &'static str {
        self.key.split('.').next().unwrap_or(self.key)
    }

    /// The key within its section.
    pub fn name(&self) -> &'static str {
        self.key.split('.').nth(1).unwrap_or(self.key)
    }

    /// Copies the option's value.
    pub fn copy(&self, from: &Config, to: &mut Config) {
        // The places are given for writing; a copy serves for reading.
        let mut from = from.clone();
        match &self.kind {
            Kind::Address(place) => *place(to) = *place(&mut from),
            Kind::Bool(place) => *place(to) = *place(&mut from),
            Kind::Whole(_, _, place) | Kind::Size(_, _, place) => *place(to) = *place(&mut from),
            Kind::Span(_, _, place) => *place(to) = *place(&mut from),
            Kind::Word(_, set, at) => set(to, at(&from)),
            Kind::Path(place) => place(to).clone_from(place(&mut from)),
            Kind::Cores(place) => place(to).clone_from(place(&mut from)),
            Kind::Texts(_, place) => place(to).clone_from(place(&mut from)),
        }
    }

    /// Whether its value is at most the other one; `false` for what has no order.
    pub fn is_at_most(&self, config: &Config, other: &Config) -> bool {
        let (mut a, mut b) = (config.clone(), other.clone());
        match &self.kind {
            Kind::Whole(_, _, place) | Kind::Size(_, _, place) => *place(&mut a) <= *place(&mut b),
            Kind::Span(_, _, place) => *place(&mut a) <= *place(&mut b),
            _ => false,
        }
    }

    /// What the option takes, in words.
    pub fn expected(&self) -> String {
        match &self.kind {
            Kind::Address(_) => "an address such as \"127.0.0.1:8001\" (port 0 takes any)".to_owned(),
            Kind::Bool(_) => "true or false".to_owned(),
            Kind::Whole(min, max, _) => format!("a whole number from {min} to {max}"),
            Kind::Size(min, max, _) => {
                let small = *max < 1 << 20;
                let (min, max) = (format_size(*min), format_size(*max));
                let example = if small { format!("{max:?}") } else { "\"64KiB\" or \"1MiB\"".to_owned() };
                let zero = if self.zero { "0 or " } else { "" };
                format!("{zero}a size from {min} to {max} such as {example}")
            }
            Kind::Span(min, max, _) => {
                let [min, max] = [min, max].map(|ms| format_duration(Duration::from_millis(*ms)));
                format!(
                    "a duration of whole milliseconds from {min} to {max} such as \"250ms\", \"5s\" or \"5m\""
                )
            }
            Kind::Word(words, _, _) => {
                let quoted: Vec<_> = words.iter().map(|word| format!("{word:?}")).collect();
                format!("one of {}", quoted.join(", "))
            }
            Kind::Path(_) => "the path of a file such as \"/var/lib/flumen/deadletters.ndjson\"".to_owned(),
            Kind::Cores(_) => format!("a list of core numbers from 0 to {MAX_CORE} such as [0, 2]"),
            Kind::Texts(listed, _) => format!("a list of {} such as [{:?}]", listed.what, listed.example),
        }
    }

    /// All there is to say of it, sentences.
    pub fn explained(&self) -> String {
        let note = self.reload.note().map_or(String::new(), |note| format!("; {note}"));
        format!("{} Takes {}{note}.", self.help, self.expected())
    }

    /// Sets the option from a file's value; the error says what was expected.
    pub fn set(&self, config: &mut Config, raw: &Raw<'_>) -> Result<(), String> {
        self.try_set(config, raw).ok_or_else(|| {
            let unresolved = match (&self.kind, raw) {
                (Kind::Address(_), Raw::Text(text)) => host(text),
                _ => None,
            };
            let why = unresolved.map_or(String::new(), |host| format!("; {host:?} cannot be resolved"));
            self.expected() + &why
        })
    }

    /// Sets the option from text (environment, flags).
    pub fn set_text(&self, config: &mut Config, text: &str) -> Result<(), String> {
        let raw = match &self.kind {
            Kind::Bool(_) => text.parse().map_or(Raw::Other, Raw::Bool),
            Kind::Whole(..) => Raw::Whole(text),
            Kind::Cores(_) => Raw::List(split(text)),
            Kind::Texts(..) => Raw::Texts(split(text)),
            _ => Raw::Text(text),
        };
        self.set(config, &raw)
    }

    fn try_set(&self, config: &mut Config, raw: &Raw<'_>) -> Option<()> {
        match (&self.kind, raw) {
            (Kind::Address(place), Raw::Text(text)) => *place(config) = address(text)?,
            (Kind::Bool(place), Raw::Bool(value)) => *place(config) = *value,
            (Kind::Whole(min, max, place), Raw::Whole(text)) => {
                let value = text.replace('_', "").parse().ok()?;
                *place(config) = (*min..=*max).contains(&value).then_some(value)?;
            }
            (Kind::Size(min, max, place), Raw::Text(text) | Raw::Whole(text)) => {
                let value = parse_size(text)?;
                let good = (*min..=*max).contains(&value) || self.zero && value == 0;
                *place(config) = good.then_some(value)?;
            }
            (Kind::Span(min, max, place), Raw::Text(text)) => {
                // What cannot be shown could not be read back.
                let value = parse_duration(text).filter(|d| d.subsec_nanos() % 1_000_000 == 0)?;
                let bounds = Duration::from_millis(*min)..=Duration::from_millis(*max);
                *place(config) = bounds.contains(&value).then_some(value)?;
            }
            (Kind::Word(words, set, _), Raw::Text(text)) => {
                set(config, words.iter().position(|word| word == text)?);
            }
            (Kind::Path(place), Raw::Text(text)) => {
                let names_a_file = !text.ends_with('/') && !text.contains(char::is_control);
                *place(config) = names_a_file.then(|| (*text).to_owned())?;
            }
            (Kind::Cores(place), Raw::List(list)) => {
                let core = |text: &&str| text.parse().ok().filter(|core| *core <= MAX_CORE);
                *place(config) = list.iter().map(core).collect::<Option<_>>()?;
            }
            (Kind::Texts(listed, place), Raw::Texts(list)) => {
                let all_good = list.iter().all(|text| (listed.is_good)(text));
                *place(config) = all_good.then(|| list.iter().map(|text| (*text).to_owned()).collect())?;
            }
            (Kind::Texts(_, place), Raw::List(list)) if list.is_empty() => place(config).clear(),
            _ => return None,
        }
        Some(())
    }

    /// The option's value as it would stand in a file.
    pub fn show(&self, config: &Config) -> String {
        // The places are given for writing; a copy serves for reading.
        let mut copy = config.clone();
        match &self.kind {
            Kind::Address(place) => format!("\"{}\"", place(&mut copy)),
            Kind::Bool(place) => place(&mut copy).to_string(),
            Kind::Whole(_, _, place) => place(&mut copy).to_string(),
            Kind::Size(_, _, place) => format!("\"{}\"", format_size(*place(&mut copy))),
            Kind::Span(_, _, place) => format!("\"{}\"", format_duration(*place(&mut copy))),
            Kind::Word(words, _, at) => format!("\"{}\"", words[at(config)]),
            Kind::Path(place) => to_toml(&place(&mut copy).as_str().into()),
            Kind::Cores(place) => format!("{:?}", place(&mut copy)),
            Kind::Texts(_, place) => format!("{:?}", place(&mut copy)),
        }
    }
}

/// A list as it is typed: with or without brackets and quotes.
fn split(text: &str) -> Vec<&str> {
    let text = text.trim();
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let items = inner.split(',').map(|item| item.trim().trim_matches('"'));
    items.filter(|item| !item.is_empty()).collect()
}

/// The name in `name:port`.
fn host(text: &str) -> Option<&str> {
    let (host, port) = text.rsplit_once(':')?;
    (!host.is_empty() && port.parse::<u16>().is_ok()).then_some(host)
}

fn address(text: &str) -> Option<SocketAddr> {
    text.parse().ok().or_else(|| text.to_socket_addrs().ok()?.next())
}
