//! Rules that are taken are shown as rules that mean the same.

use flumen::event::rules::Rules;
use flumen::event::{Limits, Reader};

use super::EVENTS;

/// Moments, microseconds since the epoch: of the event and of the daemon's clock.
const MOMENTS: [(i64, i64); 3] = [(0, 1_000_000), (i64::MIN, i64::MAX), (1_763_888_880_000_000, 0)];

/// Panics if rules change by being shown, or if what is wrong is not said.
pub fn check(input: &[u8]) {
    let rules = match Rules::parse(input) {
        Ok(rules) => rules,
        Err(message) => return assert!(!message.is_empty()),
    };
    assert!(rules.filters.iter().all(|filter| filter.check().is_ok()), "{rules:?}");
    assert!(rules.max_age_seconds.is_none_or(|age| age > 0.0 && age.is_finite()), "{rules:?}");
    let shown = rules.to_json();
    let again = Rules::parse(shown.as_bytes()).unwrap_or_else(|wrong| panic!("{shown}: {wrong}"));
    assert_eq!(again, rules, "{shown}");
    assert_eq!(again.to_json(), shown);
    let young = Rules { max_age_seconds: None, ..rules.clone() };
    Reader::new(Limits::USUAL).read(EVENTS, &mut |outcome| {
        let event = outcome.event.expect("a good event");
        for (time_us, now_us) in MOMENTS {
            let keeps = rules.keeps(event, time_us, now_us);
            assert_eq!(again.keeps(event, time_us, now_us), keeps);
            assert!(!keeps || young.keeps(event, time_us, now_us), "an age only takes out more");
        }
    });
}
