//! A reader with the scanner and one without tell the same of a message.

use flumen::event::{Limits, Reader};

use super::report::{Report, USUAL, tight};

/// Leaves something in every corner of the scratch, names that are pieces of the text and others.
const OTHER: &[u8] = br#"{"id":"i","source":"o","type":"t","timestamp":1,"data":{"a":1,"b":"x","c":{"d":2,"e":"y"}},"metadata":{"a":"z","c":{"d":"w"}}}"#;

/// Panics if the scanner makes a difference to any message, under usual limits or tight ones.
pub fn check(message: &[u8]) {
    for limits in [USUAL, tight(message)] {
        compare(limits, message);
    }
}

fn compare(limits: Limits, message: &[u8]) {
    let wanted = Report::of(&mut Reader::without_scanner(limits), &limits, message);
    let mut fast = Reader::new(limits);
    // What one message leaves in the scratch must not be seen in the next.
    fast.read(OTHER, &mut |_| ());
    Report::of(&mut fast, &limits, message).must_be(&wanted, message, "the scanner");
    // By now it knows the shapes of the events: of the same, and of others that differ in values.
    Report::of(&mut fast, &limits, message).must_be(&wanted, message, "the scanner, the second time");
    for (from, to) in [("null", "1"), ("1", "null"), ("{}", "true"), ("0", "\"0\"")] {
        let other = String::from_utf8_lossy(message).replace(from, to).into_bytes();
        let wanted = Report::of(&mut Reader::without_scanner(limits), &limits, &other);
        Report::of(&mut fast, &limits, &other).must_be(&wanted, &other, "the scanner, behind another");
    }
    // It is about right only, for JSON.
    assert!(fast.count(message) <= limits.events_per_message as u64 + 1);
}
