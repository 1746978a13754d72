//! A configuration that loads is shown as one that loads as the same; of one that does not, everything
//! that is wrong has its line.

use flumen::config::{Loaded, effective, load_text};

/// Stands in messages.
const FILE: &str = "flumen.toml";

/// Panics if a configuration changes by being shown, or if a complaint has no place.
pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    // A host in an address is looked up, which is not to be done here.
    if text.contains("listen") || text.contains("\\u") || text.contains("\\U") || text.contains("\\x") {
        return;
    }
    let loaded = match load_text(FILE, text) {
        Ok(loaded) => loaded,
        Err(errors) => {
            assert!(!errors.0.is_empty());
            let lines = text.matches('\n').count() + 1;
            errors.0.iter().for_each(|error| has_place(error, lines));
            return;
        }
    };
    for changed in [false, true] {
        let shown = effective::toml(&loaded, changed);
        let again = again(&shown);
        assert_eq!(again.config, loaded.config, "{text}\nbecame\n{shown}");
    }
    // As JSON it has as many options whatever was typed.
    assert!(effective::json(&loaded, false)["options"].as_array().is_some_and(|all| all.len() > 20));
}

fn again(shown: &str) -> Loaded {
    load_text(FILE, shown).unwrap_or_else(|errors| panic!("{shown}\n{errors}"))
}

/// `flumen.toml:LINE:COLUMN: what`, in one line.
fn has_place(error: &str, lines: usize) {
    let place = error.strip_prefix(FILE).and_then(|rest| rest.strip_prefix(':'));
    let mut parts = place.unwrap_or_default().splitn(3, ':');
    let mut number = || parts.next().and_then(|part| part.parse::<usize>().ok());
    let (line, column) = (number(), number());
    let what = parts.next().unwrap_or_default();
    let placed = line.is_some_and(|line| (1..=lines).contains(&line)) && column.is_some_and(|c| c > 0);
    assert!(placed && !what.trim().is_empty(), "{error:?} of {lines} lines");
    assert!(!error.contains(['\n', '\r']), "{error:?}");
}
