//! An event as one line, in each of the three forms.

use std::fmt::{self, Write};
use std::time::SystemTime;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

use crate::event::time::format_rfc3339_us;

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `2026-11-28T06:40:12.123456Z  WARN message key=value`, for people.
    Text {
        /// With the level in colour.
        colour: bool,
    },
    /// `<4>message key=value`: the priority of sd-daemon(3), no time (the journal has its own).
    Journal,
    /// An object a line: `time` (RFC 3339), `level`, `message`, then the fields.
    Json,
}

/// The formatter of that form.
pub(super) struct Lines(pub(super) Form);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut said = Said::default();
        event.record(&mut said);
        let line = self.0.line(*event.metadata().level(), &said, SystemTime::now());
        writer.write_str(&line)
    }
}

/// Message and fields of an event.
#[derive(Debug, Default)]
pub(super) struct Said {
    message: String,
    fields: Vec<(&'static str, Value)>,
}

impl Said {
    /// A message without fields.
    pub(super) fn message(message: String) -> Self {
        Self { message, fields: Vec::new() }
    }

    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            (name, value) => self.fields.push((name, value)),
        }
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}").into());
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }
}

impl Form {
    /// The line, with its line feed.
    pub(super) fn line(self, level: Level, said: &Said, time: SystemTime) -> String {
        let mut line = String::with_capacity(128);
        match self {
            Self::Json => {
                let mut object = Map::new();
                object.insert("time".to_owned(), rfc3339(time).into());
                object.insert("level".to_owned(), level.as_str().to_ascii_lowercase().into());
                object.insert("message".to_owned(), said.message.as_str().into());
                // A field of one of the names above would be a mistake of ours: it loses.
                for (name, value) in &said.fields {
                    object.entry(*name).or_insert_with(|| value.clone());
                }
                line.push_str(&Value::Object(object).to_string());
            }
            Self::Journal => {
                line.push_str(match level {
                    Level::ERROR => "<3>",
                    Level::WARN => "<4>",
                    Level::INFO => "<6>",
                    _ => "<7>",
                });
                words(&mut line, said);
            }
            Self::Text { colour } => {
                let (on, off) = if colour { (tint(level), "\x1b[0m") } else { ("", "") };
                line.push_str(&rfc3339(time));
                line.push_str(&format!(" {on}{level:>5}{off} "));
                words(&mut line, said);
            }
        }
        line.push('\n');
        line
    }
}

/// The escape sequence of a level's colour.
fn tint(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        _ => "\x1b[2m",
    }
}

fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format_rfc3339_us(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// `message key=value key="two words"`.
fn words(line: &mut String, said: &Said) {
    escape(line, &said.message);
    for (name, value) in &said.fields {
        line.push(' ');
        line.push_str(name);
        line.push('=');
        match value {
            Value::String(text) if text.contains([' ', '"', '=']) || text.is_empty() => {
                line.push('"');
                escape(line, &text.replace('"', "\\\""));
                line.push('"');
            }
            Value::String(text) => escape(line, text),
            other => line.push_str(&other.to_string()),
        }
    }
}

/// What would end the line, steer a terminal or turn the direction of writing becomes `\u{..}`.
fn escape(line: &mut String, text: &str) {
    for c in text.chars() {
        let steers = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}');
        if c.is_control() || steers {
            // Writing to a string cannot fail.
            let written = write!(line, "{}", c.escape_unicode());
            debug_assert!(written.is_ok());
        } else {
            line.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn said(message: &str, fields: &[(&'static str, Value)]) -> Said {
        Said { message: message.to_owned(), fields: fields.to_vec() }
    }

    fn at() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(1_763_888_880_250)
    }

    #[test]
    fn each_form_is_one_line() {
        let said = said(
            "bad\nname \x1b[2J \u{202e}",
            &[("source", "a b\"c\r".into()), ("n", 7.into()), ("core", "x".into())],
        );
        let text = Form::Text { colour: false }.line(Level::WARN, &said, at());
        assert_eq!(
            text,
            "2025-11-23T09:08:00.250000Z  WARN bad\\u{a}name \\u{1b}[2J \\u{202e} \
             source=\"a b\\\"c\\u{d}\" n=7 core=x\n"
        );
        let journal = Form::Journal.line(Level::ERROR, &said, at());
        assert!(journal.starts_with("<3>bad\\u{a}name "), "{journal}");
        let json = Form::Json.line(Level::INFO, &said, at());
        assert_eq!(json.matches('\n').count(), 1);
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["message"], said.message);
        assert_eq!(json["level"], "info");
        assert_eq!(json["n"], 7);
        assert_eq!(json["time"], "2025-11-23T09:08:00.250000Z");
    }

    #[test]
    fn priorities_follow_syslog() {
        for (level, priority) in
            [(Level::ERROR, "<3>"), (Level::WARN, "<4>"), (Level::INFO, "<6>"), (Level::DEBUG, "<7>")]
        {
            assert_eq!(Form::Journal.line(level, &said("x", &[]), at()), format!("{priority}x\n"));
        }
    }
}
