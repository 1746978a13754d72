//! A reader with the scanner and one without tell the same of a message.

use std::cell::RefCell;

use flumen::event::{Limits, Reader};

use super::report::{Report, tight};
use super::spread;

/// Leaves something in every corner of the scratch, names that are pieces of the text and others.
const OTHER: &[u8] = br#"{"id":"i","source":"o","type":"t","timestamp":1,"data":{"a":1,"b":"x","c":{"d":2,"e":"y"}},"metadata":{"a":"z","c":{"d":"w"}}}"#;

thread_local! {
    /// Kept, because making them and their tables costs more than most messages do. Other limits, which
    /// they get twice for every input, make them forget the shapes they know.
    static READERS: RefCell<(Reader, Reader)> =
        RefCell::new((Reader::without_scanner(Limits::USUAL), Reader::new(Limits::USUAL)));
}

/// Panics if the scanner makes a difference to any message, under usual limits or tight ones.
pub fn check(message: &[u8]) {
    READERS.with_borrow_mut(|(careful, fast)| {
        for limits in [tight(message), Limits::USUAL] {
            careful.set_limits(limits);
            fast.set_limits(limits);
            compare(careful, fast, limits, message);
        }
    });
}

fn compare(careful: &mut Reader, fast: &mut Reader, limits: Limits, message: &[u8]) {
    let wanted = Report::of(careful, &limits, message);
    // What one message leaves in the scratch must not be seen in the next.
    fast.read(OTHER, &mut |_| ());
    Report::of(fast, &limits, message).must_be(&wanted, message, "the scanner");
    // By now it knows the shapes of the events: of the same, and of others that differ in values.
    Report::of(fast, &limits, message).must_be(&wanted, message, "the scanner, the second time");
    let (from, to) = [("null", "1"), ("1", "null"), ("{}", "true"), ("0", "\"0\"")][spread(message) % 4];
    let text = String::from_utf8_lossy(message);
    if text.contains(from) {
        let other = text.replace(from, to).into_bytes();
        let wanted = Report::of(careful, &limits, &other);
        Report::of(fast, &limits, &other).must_be(&wanted, &other, "the scanner, behind another");
    }
    // It is about right only, for JSON.
    assert!(fast.count(message) <= limits.events_per_message as u64 + 1);
}
