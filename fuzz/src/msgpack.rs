//! MessagePack of any bytes is read to its end or rejected, and allocates no more than came.

use flumen::event::{Limits, Reader};

use super::memory;
use super::report::{Report, USUAL, tight};

/// Panics if the reader does, or if what it says contradicts itself.
pub fn check(input: &[u8]) {
    // A message is MessagePack by its first byte. What is not gets an array in front, of so many
    // elements that most inputs end too early and some do not.
    if matches!(input.first(), Some(0x80..=0x9f | 0xdc..=0xdf)) {
        check_message(input);
    } else {
        check_message(&[&[0x92], input].concat());
    }
}

fn check_message(message: &[u8]) {
    for limits in [USUAL, tight(message)] {
        check_bounds(limits, message);
        check_pieces(limits, message);
    }
}

/// A declared length never allocates, only what came does.
fn check_bounds(limits: Limits, message: &[u8]) {
    let mut reader = Reader::new(limits);
    let ((), taken) = memory::taken_by(|| reader.read(message, &mut |_| ()));
    // A nested name of up to 256 bytes is written out for every field; vectors double, and a field
    // takes some 32 bytes of them at two bytes of message, a rejection's text takes its own.
    let bound = 4096 + 2 * 64 * message.len() + 2 * 256 * limits.fields_per_event.min(message.len());
    assert!(taken.largest <= bound, "{} bytes at once for {} bytes", taken.largest, message.len());
}

/// Each good event of a message reads the same alone, and events are counted as they are read.
fn check_pieces(limits: Limits, message: &[u8]) {
    let mut alone = Reader::new(limits);
    let mut reader = Reader::new(limits);
    let report = Report::with(&mut reader, &limits, message, &mut |outcome| {
        let Ok(event) = &outcome.event else { return };
        let mut wanted = Report::default();
        wanted.event(event);
        let mut found = 0;
        alone.read(outcome.raw, &mut |again| {
            let mut got = Report::default();
            got.event(again.event.expect("a good event is good alone"));
            got.must_be(&wanted, message, "to be read alone");
            found += 1;
        });
        assert_eq!(found, 1, "an event alone is one event");
    });
    let again = Report::of(&mut reader, &limits, message);
    again.must_be(&report, message, "to be read before");
    let count = reader.count(message);
    assert!(count <= limits.events_per_message as u64 + 1);
    if report.rejected == 0 {
        assert_eq!(count, report.outcomes as u64, "events counted and events read");
    }
}
