//! What is taken over, what is left, and that the table of options tells the truth about it.

use std::path::Path;

use super::*;
use crate::config::options::{Kind, Opt};
use crate::stages::settings::Settings;

fn config(toml: &str) -> Config {
    let file = tempfile(toml);
    let sources = crate::config::Sources { file: Some(&file), ..Default::default() };
    let loaded = crate::config::load(&sources);
    std::fs::remove_file(&file).unwrap();
    loaded.unwrap_or_else(|errors| panic!("{errors}")).config
}

fn tempfile(text: &str) -> std::path::PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let file = std::env::temp_dir().join(format!("flumen-reload-{}-{number}", std::process::id()));
    std::fs::write(&file, text).unwrap();
    assert!(Path::new(&file).exists());
    file
}

fn said(changes: &[Change]) -> Vec<String> {
    changes.iter().map(Change::to_string).collect()
}

/// Another value than the default.
fn other(option: &Opt) -> Config {
    let mut config = Config::default();
    let value = match &option.kind {
        Kind::Address(_) => "127.0.0.1:9",
        Kind::Bool(_) => "false",
        Kind::Whole(..) => "7",
        Kind::Size(min, max, _) => &*if *min > 0 { min } else { max }.to_string(),
        Kind::Span(..) => "700ms",
        Kind::Word(words, ..) => words[1],
        Kind::Path(_) => "letters.ndjson",
        Kind::Cores(_) => "[1, 0]",
        Kind::Texts(listed, _) => listed.example,
    };
    option.set_text(&mut config, value).unwrap();
    assert_ne!(config, Config::default(), "{}", option.key);
    config
}

/// An option is reloadable if and only if stages look at it in what a reload replaces.
#[test]
fn what_is_marked_reloadable_is_what_a_reload_replaces() {
    for option in OPTIONS {
        let (before, new) = (Config::default(), other(option));
        let mut in_force = InForce::new(&before);
        let outcome = in_force.take_over(&new);
        let reloadable = option.reload != Reload::Restart;
        let changed = Settings::new(&new) != Settings::new(&before);
        assert_eq!(changed, reloadable, "{}", option.key);
        let (got, not) = (&outcome.taken_over, &outcome.needs_restart);
        assert_eq!((got.len(), not.len()), if reloadable { (1, 0) } else { (0, 1) }, "{}", option.key);
        let change = format!("{}: {} → {}", option.key, option.show(&before), option.show(&new));
        assert_eq!(said(got.iter().chain(not).cloned().collect::<Vec<_>>().as_slice()), [change]);
        assert_eq!(*in_force.config(), if reloadable { new.clone() } else { before }, "{}", option.key);
        // Loaded once more: what is in force is no news, what waits still waits.
        let again = in_force.take_over(&new);
        assert_eq!((again.taken_over.len(), &again.needs_restart), (0, not), "{}", option.key);
    }
}

#[test]
fn event_types_may_shrink_and_come_back_but_not_grow_beyond_the_start() {
    let with = |types: usize| config(&format!("[limits]\nevent_types = {types}\n"));
    let mut in_force = InForce::new(&with(100));
    assert_eq!(said(&in_force.take_over(&with(10)).taken_over), ["limits.event_types: 100 → 10"]);
    let outcome = in_force.take_over(&with(200));
    assert_eq!(said(&outcome.taken_over), ["limits.event_types: 10 → 100"]);
    assert_eq!(
        said(&outcome.needs_restart),
        ["limits.event_types: 100 → 200 (a reload cannot make it more than at the start)"]
    );
    assert_eq!(in_force.config().limits.event_types, 100);
}

const WINDOW: &str = "[[window]]\nname = \"w\"\nkind = \"tumbling\"\nsize = \"1s\"\n";
const ALERT: &str = "[[alert]]\nname = \"a\"\nwindow = \"w\"\nfield = \"v\"\nstatistic = \"max\"\nabove = 5\n\
                     level = \"info\"\nmessage = \"m\"\n";

#[test]
fn alerts_are_taken_over_and_windows_wait() {
    let mut in_force = InForce::new(&config(&format!("{WINDOW}{ALERT}")));
    let second = ALERT.replace("\"a\"", "\"b\"");
    let more = ALERT.replace("above = 5", "below = 2.5").replace("\"m\"", "\"n\"");
    let outcome = in_force.take_over(&config(&format!("{WINDOW}{second}{more}")));
    assert_eq!(
        said(&outcome.taken_over),
        [
            "[[alert]] \"b\" is new",
            "[[alert]] \"a\": above: no longer 5.0",
            "[[alert]] \"a\": below: now 2.5",
            "[[alert]] \"a\": message: \"m\" → \"n\"",
        ]
    );
    assert_eq!(outcome.needs_restart, []);
    // Another order, one gone.
    let outcome = in_force.take_over(&config(&format!("{WINDOW}{more}{second}")));
    assert_eq!(said(&outcome.taken_over), ["[[alert]] order: b, a → a, b"]);
    let outcome = in_force.take_over(&config(&format!("{WINDOW}{second}")));
    assert_eq!(said(&outcome.taken_over), ["[[alert]] \"a\" is gone"]);
    // Windows wait, and alerts on them with them.
    let slower = WINDOW.replace("1s", "2s");
    let new = WINDOW.replace("\"w\"", "\"x\"");
    let on_new = ALERT.replace("\"w\"", "\"x\"");
    let outcome = in_force.take_over(&config(&format!("{slower}{new}{second}{on_new}")));
    assert_eq!(outcome.taken_over, []);
    assert_eq!(
        said(&outcome.needs_restart),
        [
            "[[window]] \"w\": size: \"1s\" → \"2s\"",
            "[[window]] \"x\" is new",
            "[[alert]] \"a\" (window \"x\" is there after the next start only)",
        ]
    );
    let session = "[[window]]\nname = \"w\"\nkind = \"session\"\ngap = \"1s\"\n";
    let mut in_force = InForce::new(&config(session));
    let outcome = in_force.take_over(&config(&format!("{WINDOW}{ALERT}for = \"9s\"\n")));
    let last = said(&outcome.needs_restart).pop().unwrap();
    assert!(
        last.starts_with("[[alert]] \"a\" (for: for window \"w\" as it is now expected no `for`"),
        "{last}"
    );
    assert_eq!(in_force.config().alerts, []);
}

const FILTER: &str = "[[filter]]\nfield = \"v\"\nmin = 10\n";

#[test]
fn a_file_that_has_rules_or_had_some_owns_them() {
    let mut in_force = InForce::new(&Config::default());
    let mut take = |toml: &str| {
        let outcome = in_force.take_over(&config(toml));
        assert_eq!(outcome.needs_restart, []);
        (outcome.rules, said(&outcome.taken_over))
    };
    let none: [String; 0] = [];
    assert_eq!(take(""), (Rules::Kept, none.to_vec()));
    let filter = "{ field = \"v\", min = 10.0 }";
    assert_eq!(take(FILTER), (Rules::Configured, vec![format!("[[filter]]: now {filter}")]));
    assert_eq!(take(FILTER), (Rules::Configured, none.to_vec()));
    assert_eq!(take(""), (Rules::Configured, vec![format!("[[filter]]: no longer {filter}")]));
    assert_eq!(take(""), (Rules::Kept, none.to_vec()));
    let (rules, changes) = take("[rules]\nmax_age = \"1h\"\n");
    assert_eq!(
        (rules, &changes[..]),
        (Rules::Configured, &["rules.max_age: \"0s\" → \"1h\"".to_owned()][..])
    );
    assert_eq!(take("").0, Rules::Configured);
    assert_eq!(take("").0, Rules::Kept);
}
