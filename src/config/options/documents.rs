//! Documents that are made of the table of options.

use super::{OPTIONS, Opt, Reload};
use crate::config::{Config, windows};

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
    text.push_str(windows::DEFAULT_TOML);
    text
}

/// All there is to say of an option.
fn explained(option: &Opt) -> String {
    let note = option.reload.note();
    let space = if option.reload == Reload::Restart { "" } else { " " };
    format!("{} Takes {}.{space}{note}", option.help, option.expected())
}
