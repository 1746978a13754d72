//! The configuration in effect, as `flumen config` shows it: it can be read back, and behind each
//! value stands where it came from, and which other values that shadows.

use serde_json::{Value, json};

use super::entries::{self, Members};
use super::layers::{Loaded, Origin};
use super::options::{OPTIONS, Reload};
use super::{Config, alerts, filters, windows};

/// Tables of one kind.
struct Kind {
    name: &'static str,
    each: Vec<Members>,
}

/// In the order of the file.
fn kinds(config: &Config) -> [Kind; 3] {
    [
        Kind { name: windows::TABLE.name, each: config.windows.iter().map(|w| w.members()).collect() },
        Kind { name: alerts::TABLE.name, each: config.alerts.iter().map(|a| a.members()).collect() },
        Kind { name: filters::TABLE.name, each: config.filters.iter().map(entries::filter).collect() },
    ]
}

/// As a file. With `changed` only what a file, a variable or a flag has set.
pub fn toml(loaded: &Loaded, changed: bool) -> String {
    let Loaded { config, origins } = loaded;
    let mut text = String::from(
        "# The configuration in effect, and where each value came from. What is not reloadable (SIGHUP)\n\
         # needs a restart.\n",
    );
    // That there are no alerts has to be said, or there would be the default ones. Such a line has
    // to come before all sections.
    if config.alerts.is_empty() && !(changed && origins.tables(alerts::TABLE.name).is_none()) {
        let at = origins.tables(alerts::TABLE.name).map_or(&Origin::Default, |given| &given.at);
        text.push_str(&format!("\n{} = []  # {at}\n", alerts::TABLE.name));
    }
    let mut section = "";
    for option in OPTIONS {
        let origin = origins.option(option);
        if changed && *origin == Origin::Default {
            continue;
        }
        if option.section() != section {
            section = option.section();
            text.push_str(&format!("\n[{section}]\n"));
        }
        let note = option.reload.note().map_or(String::new(), |note| format!("; {note}"));
        let shadowed = origins.shadowed(option).iter().rev();
        let over: String = shadowed.map(|s| format!(" over {} = {}", s.at, s.value)).collect();
        text.push_str(&format!("{} = {}  # {origin}{over}{note}\n", option.name(), option.show(config)));
    }
    for Kind { name, each } in kinds(config) {
        let given = origins.tables(name);
        if changed && given.is_none() {
            continue;
        }
        for (at, members) in each.iter().enumerate() {
            let origin = given.and_then(|given| given.each.get(at)).unwrap_or(&Origin::Default);
            text.push('\n');
            text.push_str(&entries::table(name, &format!("  # {origin}"), members));
        }
    }
    text
}

/// The same for programs.
pub fn json(loaded: &Loaded, changed: bool) -> Value {
    let Loaded { config, origins } = loaded;
    let options: Vec<Value> = OPTIONS
        .iter()
        .filter(|option| !changed || *origins.option(option) != Origin::Default)
        .map(|option| {
            // What an option looks like in TOML is JSON as well.
            let json_of = |shown: &str| -> Value { serde_json::from_str(shown).unwrap_or_default() };
            let value = json_of(&option.show(config));
            let shadowed = origins.shadowed(option).iter().rev();
            let over: Value =
                shadowed.map(|s| json!({"value": json_of(&s.value), "from": s.at.to_string()})).collect();
            let reloadable = option.reload != Reload::Restart;
            let from = origins.option(option).to_string();
            json!({"key": option.key, "value": value, "from": from, "over": over, "reloadable": reloadable})
        })
        .collect();
    let mut all = json!({"options": options});
    for Kind { name, each } in kinds(config) {
        let given = origins.tables(name);
        if changed && given.is_none() {
            continue;
        }
        let tables = each.into_iter().enumerate().map(|(at, members)| {
            let origin = given.and_then(|given| given.each.get(at)).unwrap_or(&Origin::Default);
            let members: serde_json::Map<_, _> =
                members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
            json!({"from": origin.to_string(), "value": members})
        });
        all[name] = tables.collect();
    }
    all
}
