//! The layers: defaults < file < environment < flags, put together, with the origin of each value.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::options::{OPTIONS, Opt, by_key, by_variable};
use super::tables::TABLES;
use super::{Config, file, read, together};

/// Where the configuration comes from.
#[derive(Clone, Debug, Default)]
pub struct Sources<'a> {
    /// A TOML file.
    pub file: Option<&'a Path>,
    /// Whether this is a reload: the daemon is running and must not wait for a file.
    pub again: bool,
    /// The environment. Variables whose names do not begin with `FLUMEN_` are passed over.
    pub env: Vec<(OsString, OsString)>,
    /// Flags, the last one wins.
    pub flags: Vec<Flag>,
}

/// A flag that sets an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// As it is typed: `--ingest-listen`, `--set`.
    pub name: String,
    /// The option's key.
    pub key: String,
    /// What it is set to.
    pub value: String,
}

impl Flag {
    /// The flag that an option has of its own: `--ingest-listen`.
    pub fn own(key: &str, value: &str) -> Self {
        let name = format!("--{}", key.replace(['.', '_'], "-"));
        Self { name, key: key.to_owned(), value: value.to_owned() }
    }

    /// `--set key=value`.
    ///
    /// # Errors
    /// What was expected instead.
    pub fn set(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, value)) => {
                let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
                Ok(Self { name: "--set".to_owned(), key, value })
            }
            None => Err("expected key=value, such as limits.keys=5000".to_owned()),
        }
    }
}

/// The flag as it was typed.
impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, key, value } = self;
        if name == "--set" { write!(f, "{name} {key}={value}") } else { write!(f, "{name}={value}") }
    }
}

/// Everything that is wrong, a line each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Errors(pub Vec<String>);

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Errors {}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody has set it.
    Default,
    /// A line of the file.
    File {
        /// As it was named.
        file: Arc<str>,
        /// From 1.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
    /// A flag.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            // It may stand in a comment, which a line feed would end.
            Self::File { file, line } => write!(f, "{}:{line}", in_one_line(file)),
            Self::Variable(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}

/// Without a line feed or another control character, which are escaped.
fn in_one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

/// Tables of one kind that a file has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// The first of them, or `alert = []`.
    pub at: Origin,
    /// Each of them.
    pub each: Vec<Origin>,
}

/// A value that has no effect, because a later layer has set another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadowed {
    /// Where it stands.
    pub at: Origin,
    /// As it would stand in a file.
    pub value: String,
}

/// Where each value came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    options: BTreeMap<&'static str, Origin>,
    shadowed: BTreeMap<&'static str, Vec<Shadowed>>,
    tables: BTreeMap<&'static str, Given>,
}

impl Origins {
    /// Of an option.
    pub fn option(&self, option: &Opt) -> &Origin {
        self.options.get(option.key).unwrap_or(&Origin::Default)
    }

    /// What the origin of an option shadows, from the file on.
    pub fn shadowed(&self, option: &Opt) -> &[Shadowed] {
        self.shadowed.get(option.key).map_or(&[], Vec::as_slice)
    }

    /// Of `[[window]]`, `[[alert]]` or `[[filter]]`; `None`: they are the default ones.
    pub fn tables(&self, name: &str) -> Option<&Given> {
        self.tables.get(name)
    }

    /// Notes that the file has tables of this kind; their origins are to be added.
    pub(super) fn give(&mut self, name: &'static str, at: Origin) -> &mut Vec<Origin> {
        let given = self.tables.entry(name).or_insert(Given { at, each: Vec::new() });
        &mut given.each
    }
}

/// A configuration that was put together.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// Where that came from.
    pub origins: Origins,
}

/// A configuration being put together.
#[derive(Debug, Default)]
pub(super) struct Loading {
    pub(super) config: Config,
    pub(super) origins: Origins,
    pub(super) errors: Errors,
}

impl Loading {
    fn loaded(self) -> Result<Loaded, Errors> {
        let Self { config, origins, errors } = self;
        if errors.0.is_empty() {
            return Ok(Loaded { config, origins });
        }
        // Keys and values that were typed stand in them.
        Err(Errors(errors.0.iter().map(|error| in_one_line(error)).collect()))
    }

    pub(super) fn note(&mut self, option: &'static Opt, origin: Origin) {
        self.origins.options.insert(option.key, origin);
    }

    fn set_text(&mut self, option: &'static Opt, value: &str, typed: &str, origin: Origin) {
        let before = option.show(&self.config);
        match option.set_text(&mut self.config, value) {
            Ok(()) => {
                if let Some(at) = self.origins.options.get(option.key).cloned() {
                    let shadowed = self.origins.shadowed.entry(option.key).or_default();
                    shadowed.push(Shadowed { at, value: before });
                }
                self.note(option, origin);
            }
            Err(expected) => self.errors.0.push(format!("{typed}: {}: expected {expected}", option.key)),
        }
    }

    fn file(&mut self, path: &Path, again: bool) {
        let name = path.display().to_string();
        match read::read(path, again) {
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => file::apply(self, &name, &text),
                Err(error) => self.errors.0.push(file::not_utf8(&name, &error)),
            },
            Err(error) => {
                let remedy = match error.kind() {
                    io::ErrorKind::NotFound => "; check the path, or name none and use the defaults",
                    io::ErrorKind::IsADirectory => "; name the file in it",
                    io::ErrorKind::PermissionDenied => "; let the user read it who runs flumen",
                    _ => "",
                };
                self.errors.0.push(format!("{name}: {error}{remedy}"));
            }
        }
    }

    fn variable(&mut self, name: &OsStr, value: &OsStr) {
        let name = name.to_string_lossy();
        if !name.starts_with("FLUMEN_") || OTHER_VARIABLES.contains(&&*name) {
            return;
        }
        let Some(option) = by_variable(&name) else {
            let hint = match KUBERNETES.iter().any(|start| name.starts_with(start)) {
                true => {
                    "; Kubernetes makes it where a service is called flumen: `enableServiceLinks: false` in \
                         the pod's spec keeps it out"
                        .to_owned()
                }
                false => hint(&name, OPTIONS.iter().map(Opt::variable)),
            };
            self.errors.0.push(format!("{name}: unknown variable{hint}"));
            return;
        };
        match value.to_str() {
            Some(value) => {
                let origin = Origin::Variable(option.variable());
                self.set_text(option, value, &format!("{name}={value}"), origin);
            }
            None => {
                let expected = option.expected();
                self.errors.0.push(format!("{name}={value:?}: not UTF-8: expected {expected}"));
            }
        }
    }

    fn flag(&mut self, flag: &Flag) {
        match by_key(&flag.key) {
            Some(option) => {
                let origin = Origin::Flag(flag.name.clone());
                self.set_text(option, &flag.value, &flag.to_string(), origin);
            }
            None => {
                let table = flag.key.split('.').next().filter(|name| TABLES.iter().any(|t| t.name == *name));
                let hint = match table {
                    Some(name) => format!("; [[{name}]] can only stand in a file"),
                    None => unknown_key(&flag.key),
                };
                self.errors.0.push(format!("{flag}: unknown key{hint}"));
            }
        }
    }
}

/// `FLUMEN_*` variables that are not options.
const OTHER_VARIABLES: &[&str] = &["FLUMEN_CONFIG"];

/// What Kubernetes' variables for a service named flumen begin with.
const KUBERNETES: &[&str] = &["FLUMEN_SERVICE_", "FLUMEN_PORT"];

/// Puts the layers together.
///
/// # Errors
/// All that is wrong in any of them.
pub fn load(sources: &Sources<'_>) -> Result<Loaded, Errors> {
    let mut loading = Loading::default();
    if let Some(path) = sources.file {
        loading.file(path, sources.again);
    }
    for (name, value) in &sources.env {
        loading.variable(name, value);
    }
    for flag in &sources.flags {
        loading.flag(flag);
    }
    together::check(&mut loading);
    loading.loaded()
}

/// The text of a file on top of the defaults; `name` stands in messages.
///
/// # Errors
/// All that is wrong in it.
pub fn load_text(name: &str, text: &str) -> Result<Loaded, Errors> {
    let mut loading = Loading::default();
    file::apply(&mut loading, name, text);
    together::check(&mut loading);
    loading.loaded()
}

/// What is near a key that is none: its name in another section, or one that is spelled alike.
pub(super) fn unknown_key(key: &str) -> String {
    let name = key.rsplit('.').next().unwrap_or(key);
    match OPTIONS.iter().find(|option| option.name() == name) {
        Some(option) => format!("; did you mean {:?}?", option.key),
        None => hint(key, OPTIONS.iter().map(|option| option.key)),
    }
}

/// `; did you mean "..."?` for the nearest of the known names, if one is near.
pub(super) fn hint(name: &str, known: impl Iterator<Item = impl AsRef<str>>) -> String {
    known
        .map(|known| (strsim::damerau_levenshtein(name, known.as_ref()), known))
        .min_by_key(|&(distance, _)| distance)
        .filter(|&(distance, _)| distance <= 2.max(name.len() / 3))
        .map(|(_, known)| format!("; did you mean {:?}?", known.as_ref()))
        .unwrap_or_default()
}
