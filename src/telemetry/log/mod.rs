//! What the daemon says while it runs: `tracing` events, one line each, on stderr.
//!
//! Three forms ([`Form`]): for people, for the journal and JSON. Nothing is said per event, and what
//! may happen often is summarised by its teller (`supervise::problems`, alerts). Text from outside
//! is escaped in every form, so that a line is one line and a terminal is not steered.
//!
//! No thread waits for stderr: lines go through a bounded channel to a thread that writes them, and
//! those that find it full are counted and said to be missing.

mod form;
mod writer;

use std::fs::Metadata;
use std::io::IsTerminal;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use tracing::level_filters::LevelFilter;

pub use form::Form;
use form::Lines;
use writer::Lines as Channel;

use crate::config::{Log, LogForm, LogLevel};

/// How long the end of the process waits for the last lines to be written.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Keeps the log going; the last lines are written when it is dropped.
#[derive(Debug)]
pub struct Guard(Channel);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.flush(LAST_LINES);
    }
}

/// Sends what is said from here on to stderr, panics included. Once a process; an error says that
/// it was not the first time, or that no thread could be made.
pub fn start(config: &Log) -> std::io::Result<Guard> {
    let form = match config.format {
        LogForm::Auto => guess(),
        LogForm::Text => Form::Text { colour: false },
        LogForm::Journal => Form::Journal,
        LogForm::Json => Form::Json,
    };
    let level = match config.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let channel = Channel::start(form)?;
    let lines = tracing_subscriber::fmt()
        .with_max_level(level)
        .event_format(Lines(form))
        .with_writer(channel.clone())
        .finish();
    // Not `try_init`: in builds with the libraries of the tests that would bring in what libraries say
    // through `log`, and only in those.
    tracing::subscriber::set_global_default(lines).map_err(std::io::Error::other)?;
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let why =
            text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
        tracing::error!(thread = thread.name().unwrap_or("?"), at = place, "panic: {why}");
    }));
    Ok(Guard(channel))
}

/// The journal's form when stderr goes there, else the one for people.
fn guess() -> Form {
    let journal = std::env::var("JOURNAL_STREAM").ok();
    let stderr = std::fs::metadata("/proc/self/fd/2").ok();
    if let (Some(journal), Some(stderr)) = (journal, stderr)
        && is_stream(&journal, &stderr)
    {
        return Form::Journal;
    }
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    Form::Text { colour }
}

/// Whether a descriptor is the one that `JOURNAL_STREAM` names, `device:inode` (systemd.exec(5)).
fn is_stream(journal: &str, stderr: &Metadata) -> bool {
    journal == format!("{}:{}", stderr.dev(), stderr.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_is_told_by_device_and_inode() {
        let this = std::fs::metadata("/dev/null").unwrap();
        let name = format!("{}:{}", this.dev(), this.ino());
        assert!(is_stream(&name, &this));
        for other in ["", "0:0", "8:", &format!("{name}1")] {
            assert!(!is_stream(other, &this), "{other}");
        }
    }
}
