//! Manual pages: those of the commands from the command line's own definition, flumen.toml(5) from
//! the tables of options.

use std::io;
use std::path::Path;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};

use crate::config::options::OPTIONS;
use crate::config::tables::TABLES;
use crate::config::{self, Config};

/// Exit codes and what they mean.
const EXIT_CODES: &[(u8, &str)] = &[
    (0, "Done; the daemon has drained."),
    (1, "It failed; the message says why. The daemon could not start: an address is taken, say."),
    (2, "The command line is wrong."),
    (
        crate::supervise::EXIT_THREAD_DIED,
        "A thread of the daemon died; without it the rest would only look alive.",
    ),
    (crate::supervise::EXIT_DRAIN_TIMEOUT, "The drain took longer than shutdown.timeout."),
    (super::EXIT_CONFIG, "The configuration is bad; each mistake is told with its place and its remedy."),
];

const SIGNALS: &[(&str, &str)] = &[
    (
        "SIGTERM, SIGINT",
        "The daemon drains: it stops accepting, reads what clients have sent, closes the windows, answers \
         every acknowledgement and ends, within shutdown.timeout.",
    ),
    (
        "SIGHUP",
        "The daemon reads its configuration again. Rules, alerts and the options that are reloadable are \
         taken over, all at once; what takes effect at the next start is listed. If anything is wrong \
         nothing changes, and the log says what it is. A demo ends.",
    ),
];

const FILES: &[(&str, &str)] = &[(
    "/etc/flumen/flumen.toml",
    "The configuration that the packaged service reads. Without --config and FLUMEN_CONFIG no file is read.",
)];

/// Where a page of commands stands.
const COMMANDS: &str = "1";
/// Where a page of files stands.
const FORMATS: &str = "5";

/// flumen(1), in roff.
pub fn top(command: Command) -> io::Result<Vec<u8>> {
    let command = built(command);
    page(&command, &command)
}

/// Writes a page for the command, one for each subcommand, and flumen.toml(5).
pub fn write(command: Command, dir: &Path) -> io::Result<()> {
    let command = built(command);
    super::write_file(dir, "flumen.1", &page(&command, &command)?)?;
    for subcommand in command.get_subcommands() {
        let name = format!("flumen-{}.1", subcommand.get_name());
        super::write_file(dir, &name, &page(&command, subcommand)?)?;
    }
    super::write_file(dir, "flumen.toml.5", options().as_bytes())
}

/// With the names by which subcommands are called; `help` needs no page.
fn built(command: Command) -> Command {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    command
}

fn page(top: &Command, command: &Command) -> io::Result<Vec<u8>> {
    let name = command.get_name();
    let is_top = name == top.get_name();
    let man = Man::new(command.clone());
    let mut out = title(command.get_display_name().unwrap_or(name), COMMANDS).into_bytes();
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    man.render_options_section(&mut out)?;
    if is_top {
        man.render_subcommands_section(&mut out)?;
    }
    let configured = is_top || command.get_arguments().any(|arg| arg.get_id() == "config");
    let mut rest = Roff::new();
    if configured {
        rest.control("SH", ["EXIT STATUS"]);
        for (code, meaning) in EXIT_CODES {
            item(&mut rest, &code.to_string(), meaning);
        }
        rest.control("SH", ["ENVIRONMENT"]);
        item(&mut rest, "FLUMEN_CONFIG", "The configuration file, if there is no --config; empty: none.");
        let each =
            "Every option has a variable: ingest.listen is FLUMEN_INGEST_LISTEN. It wins over the file.";
        item(&mut rest, "FLUMEN_SECTION_NAME", each);
        rest.control("SH", ["FILES"]);
        FILES.iter().for_each(|(file, what)| item(&mut rest, file, what));
    }
    if is_top || name == "serve" {
        rest.control("SH", ["SIGNALS"]);
        SIGNALS.iter().for_each(|(signal, what)| item(&mut rest, signal, what));
    }
    let subcommands = top.get_subcommands().map(|sub| format!("flumen-{}", sub.get_name()));
    let commands: Vec<_> = if is_top { subcommands.collect() } else { vec![top.get_name().to_owned()] };
    see_also(&mut rest, &commands);
    rest.to_writer(&mut out)?;
    Ok(out)
}

/// The head of a page. It has no date: pages are made anew with every build, and a build from the
/// same source is to be the same.
fn title(name: &str, section: &str) -> String {
    format!(".TH \"{name}\" \"{section}\" \"\" \"flumen {}\" \"flumen\"\n", env!("CARGO_PKG_VERSION"))
}

/// A term and what it means.
fn item(roff: &mut Roff, term: &str, meaning: &str) {
    roff.control("TP", []);
    roff.text([bold(term)]);
    roff.text([roman(meaning)]);
}

fn see_also(roff: &mut Roff, commands: &[String]) {
    roff.control("SH", ["SEE ALSO"]);
    let pages = commands.iter().map(|name| (name.as_str(), COMMANDS)).chain([("flumen.toml", FORMATS)]);
    let mut line: Vec<Inline> = Vec::new();
    for (name, section) in pages {
        if !line.is_empty() {
            line.push(roman(", "));
        }
        line.extend([bold(name), roman(format!("({section})"))]);
    }
    roff.text(line);
}

/// flumen.toml(5), in roff.
fn options() -> String {
    let defaults = Config::default();
    let mut roff = Roff::new();
    roff.control("SH", ["NAME"]);
    roff.text([roman("flumen.toml - configuration of flumen")]);
    roff.control("SH", ["DESCRIPTION"]);
    let paragraphs = [
        "A file in TOML: sections of options, and tables for windows, alerts and filters. All of it is optional.",
        "Options are taken from, each winning over those before it: the defaults, the file (--config, or \
         FLUMEN_CONFIG), the environment, and flags (--set KEY=VALUE for any option). A key that is not known \
         is an error.",
        "Durations are written \"250ms\", \"5s\", \"5m\", \"1h\" or \"1d\", sizes \"64KiB\" or \"1MiB\".",
        "What is reloadable is taken over when the daemon gets SIGHUP; everything else takes effect at its next \
         start. \"flumen check FILE\" says what is wrong with a file, \"flumen config FILE\" what is in effect, and \
         where it came from.",
    ];
    for (at, paragraph) in paragraphs.into_iter().enumerate() {
        if at > 0 {
            roff.control("PP", []);
        }
        roff.text([roman(paragraph)]);
    }
    roff.control("SH", ["OPTIONS"]);
    let mut section = "";
    for option in OPTIONS {
        if option.section() != section {
            section = option.section();
            roff.control("SS", [format!("[{section}]").as_str()]);
        }
        roff.control("TP", []);
        roff.text([bold(option.name()), roman(format!(" = {}", option.show(&defaults)))]);
        roff.text([roman(option.explained())]);
        roff.text([roman(format!("In the environment {}.", option.variable()))]);
    }
    roff.control("SH", ["TABLES"]);
    for table in TABLES {
        roff.control("SS", [format!("[[{}]]", table.name).as_str()]);
        roff.text([roman(table.help)]);
        table.keys.iter().for_each(|key| item(&mut roff, key.name, key.help));
    }
    roff.control("SH", ["EXAMPLE"]);
    roff.text([roman("The windows and alerts that there are without any of them in the file:")]);
    roff.control("PP", []);
    roff.control("nf", []);
    roff.control("RS", ["4"]);
    for line in config::options::default_tables().lines() {
        if line.is_empty() {
            roff.control("sp", []);
        } else {
            roff.text([roman(line)]);
        }
    }
    roff.control("RE", []);
    roff.control("fi", []);
    roff.control("SH", ["FILES"]);
    FILES.iter().for_each(|(file, what)| item(&mut roff, file, what));
    let commands = ["flumen", "flumen-check", "flumen-config", "flumen-serve"].map(str::to_owned);
    see_also(&mut roff, &commands);
    title("flumen.toml", FORMATS) + &roff.render()
}
