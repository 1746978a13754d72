//! Documents that are made of the table of options.

use super::OPTIONS;
use crate::config::tables::TABLES;
use crate::config::{Alert, Config, Window, entries};

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
            option.explained()
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
        text.push_str(&format!("# {}\n{} = {}\n", option.explained(), option.name(), option.show(&defaults)));
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
        text.push_str(&tables(table.name, &defaults));
    }
    text.push_str(FILTER_EXAMPLE);
    text
}

/// The default windows and alerts, as they would stand in a file.
pub fn default_tables() -> String {
    let defaults = Config::default();
    let all: Vec<_> = TABLES.iter().map(|table| tables(table.name, &defaults)).collect();
    all.join("\n")
}

/// The tables of one kind, with an empty line between two of them.
fn tables(name: &str, config: &Config) -> String {
    let members: Vec<_> = match name {
        "window" => config.windows.iter().map(Window::members).collect(),
        "alert" => config.alerts.iter().map(Alert::members).collect(),
        _ => config.filters.iter().map(entries::filter).collect(),
    };
    let tables: Vec<_> = members.iter().map(|members| entries::table(name, "", members)).collect();
    tables.join("\n")
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
