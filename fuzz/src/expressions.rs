//! A `where` that is taken is shown as one that means the same, and what is wrong with one that is not
//! has a place in it.

use flumen::event::filter::{Filter, MAX_TEXT};
use flumen::event::{Limits, Reader};

use super::EVENTS;

/// Panics if an expression changes by being shown, or contradicts itself.
pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let filter = match Filter::parse(text) {
        Ok(filter) => filter,
        Err(error) => {
            assert!(text.is_char_boundary(error.at) && !error.message.is_empty(), "{error:?} in {text:?}");
            return;
        }
    };
    let shown = filter.to_string();
    assert!(shown.len() <= MAX_TEXT, "{} bytes", shown.len());
    let again = Filter::parse(&shown).unwrap_or_else(|wrong| panic!("{text:?} became {shown:?}: {wrong}"));
    assert_eq!(again, filter, "{text:?} became {shown:?}");
    assert_eq!(again.to_string(), shown);
    // These may be too long or too deep.
    let not = Filter::parse(&format!("not ({text})")).ok();
    let twice = Filter::parse(&format!("({text}) and ({text})")).ok();
    Reader::new(Limits::USUAL).read(EVENTS, &mut |outcome| {
        let event = outcome.event.expect("a good event");
        let matches = filter.matches(event);
        assert_eq!(again.matches(event), matches, "{shown:?}");
        assert!(not.as_ref().is_none_or(|not| not.matches(event) != matches), "not {shown:?}");
        assert!(twice.as_ref().is_none_or(|twice| twice.matches(event) == matches), "{shown:?} twice");
    });
}
