//! Documents that are made of the table of options.

use super::{OPTIONS, Opt};
use crate::config::entries::to_toml;
use crate::config::tables::TABLES;
use crate::config::{Alert, Config, Window};

/// Columns of the default file.
const WIDTH: usize = 100;
const FILTER_EXAMPLE: &str = "#\n# [[filter]]\n# type = \"sensor_data\"\n# field = \"value\"\n# min = 10.0\n";

/// The options as a Markdown table, for the README (a test compares).
pub fn markdown_table() -> String {
    let defaults = Config::default();
    let mut table = String::from("| key | default | what |\n| --- | --- | --- |\n");
    for option in OPTIONS {
        table.push_str(&format!(
            "| `{}` | `{}` | {} |\n",
            option.key,
            option.show(&defaults),
            explained(option)
        ));
    }
    table
}

/// A configuration file with every option at its default, explained (a test reads it back).
pub fn default_toml() -> String {
    let defaults = Config::default();
    let mut text = String::from(
        "# flumen: every option, at its default. Each has an environment variable as well:\n\
         # ingest.listen is FLUMEN_INGEST_LISTEN. What is not reloadable (SIGHUP) needs a restart.\n",
    );
    let mut section = "";
    for option in OPTIONS {
        if option.section() != section {
            section = option.section();
            text.push_str(&format!("\n[{section}]\n"));
        }
        text.push_str(&format!("# {}\n{} = {}\n", explained(option), option.name(), option.show(&defaults)));
    }
    for table in TABLES {
        text.push('\n');
        wrap(&mut text, "# ", "# ", table.help);
        text.push_str("#\n");
        let widest = table.keys.iter().map(|key| key.name.len()).max().unwrap_or(0);
        for key in table.keys {
            let first = format!("#   {:widest$}  ", key.name);
            let next = format!("#   {:widest$}  ", "");
            wrap(&mut text, &first, &next, key.help);
        }
        let members: Vec<_> = match table.name {
            "window" => defaults.windows.iter().map(Window::members).collect(),
            "alert" => defaults.alerts.iter().map(Alert::members).collect(),
            _ => Vec::new(),
        };
        for members in &members {
            text.push_str(&format!("[[{}]]\n", table.name));
            for (key, value) in members {
                text.push_str(&format!("{key} = {}\n", to_toml(value)));
            }
            text.push('\n');
        }
        if !members.is_empty() {
            text.pop();
        }
    }
    text.push_str(FILTER_EXAMPLE);
    text
}

/// All there is to say of an option.
fn explained(option: &Opt) -> String {
    let note = option.reload.note().map_or(String::new(), |note| format!("; {note}"));
    format!("{} Takes {}{note}.", option.help, option.expected())
}

/// Writes a text in lines of at most [`WIDTH`] columns.
fn wrap(out: &mut String, first: &str, next: &str, text: &str) {
    let mut line = first.to_owned();
    let mut empty = true;
    for word in text.split_whitespace() {
        if !empty && line.len() + 1 + word.len() > WIDTH {
            out.push_str(&line);
            out.push('\n');
            line = next.to_owned();
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    out.push_str(&line);
    out.push('\n');
}
