//! MessagePack of any bytes is read to its end or rejected, allocates no more than came, and the
//! quick reader makes no difference to the careful one.
//!
//! Where a value ends, and whether its strings are UTF-8, is told by a second reading of the format, which knows
//! lengths only.

use flumen::event::{Limits, Outcome, Reader, Reject};

use super::memory;
use super::report::{Report, place, tight};

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
    for limits in [Limits::USUAL, tight(message)] {
        check_bounds(limits, message);
        check_pieces(limits, message);
        check_agreement(limits, message);
    }
}

/// What the quick reader reads, it reads like the careful one: the message, what is nearly the same,
/// and the message again, by the shapes learned from both.
fn check_agreement(limits: Limits, message: &[u8]) {
    let (mut careful, mut quick) = (Reader::without_scanner(limits), Reader::new(limits));
    let mut agree = |message: &[u8]| {
        let wanted = Report::of(&mut careful, &limits, message);
        Report::of(&mut quick, &limits, message).must_be(&wanted, message, "by the careful reader");
    };
    agree(message);
    // Where, and what instead, depends on all of the bytes; the first one says what a message is.
    let sum = message.iter().fold(7, |sum: usize, &b| sum.wrapping_mul(31).wrapping_add(b.into()));
    let mut other = message.to_vec();
    if let Some(byte) = other.get_mut(1 + sum % message.len()) {
        *byte = (sum >> 16) as u8;
    }
    agree(&other);
    agree(&message[..1 + sum % message.len()]);
    agree(message);
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
        check_end(outcome, message);
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
    assert_eq!(
        reader.count(message),
        report.outcomes as u64,
        "events counted and events read of {message:x?}"
    );
}

/// An event ends where its value does, and only what is no value, or is none by a string, is no MessagePack.
fn check_end(outcome: &Outcome<'_>, message: &[u8]) {
    let (start, end) = place(outcome.raw, message);
    let mut is_utf8 = true;
    let value_end = value_end(message, start, &mut is_utf8);
    let is_rest = end == message.len();
    let is_value = value_end == Some(end);
    let reason = outcome.event.as_ref().err().map(|rejection| rejection.reason);
    let right = match reason {
        Some(Reject::InvalidMsgpack) if is_rest && (value_end.is_none() || is_behind(outcome)) => true,
        Some(Reject::InvalidMsgpack) => is_value && !is_utf8,
        Some(Reject::TooDeep) if value_end.is_none() => is_rest,
        // An event, or all that is too much.
        Some(Reject::TooLong) => is_rest || is_value && is_utf8,
        _ => is_value && is_utf8,
    };
    assert!(right, "{outcome:?} at {start}..{end}, the value ends at {value_end:?}");
}

fn is_behind(outcome: &Outcome<'_>) -> bool {
    outcome.event.as_ref().is_err_and(|rejection| rejection.message.starts_with("bytes behind the end"))
}

/// Where the value that begins at `at` ends; `None`: the bytes end before, or hold what is no
/// MessagePack. Counts the values to come instead of calling itself.
fn value_end(bytes: &[u8], mut at: usize, is_utf8: &mut bool) -> Option<usize> {
    let mut values = 1;
    while values > 0 {
        values -= 1;
        let first = *bytes.get(at)?;
        at += 1;
        let mut length = |size: usize| {
            let bytes = bytes.get(at..at + size)?;
            at += size;
            bytes.iter().try_fold(0usize, |sum, &b| sum.checked_mul(256)?.checked_add(b.into()))
        };
        let (mut skipped, mut is_text) = (0, false);
        match first {
            0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => {}
            0x80..=0x8f => values += 2 * usize::from(first - 0x80),
            0x90..=0x9f => values += usize::from(first - 0x90),
            0xa0..=0xbf => (skipped, is_text) = (usize::from(first - 0xa0), true),
            0xc1 => return None,
            0xc4 => skipped = length(1)?,
            0xc5 => skipped = length(2)?,
            0xc6 => skipped = length(4)?,
            // An extension has a type in front.
            0xc7 => skipped = length(1)? + 1,
            0xc8 => skipped = length(2)? + 1,
            0xc9 => skipped = length(4)? + 1,
            0xcc | 0xd0 => skipped = 1,
            0xcd | 0xd1 => skipped = 2,
            0xca | 0xce | 0xd2 => skipped = 4,
            0xcb | 0xcf | 0xd3 => skipped = 8,
            0xd4 => skipped = 2,
            0xd5 => skipped = 3,
            0xd6 => skipped = 5,
            0xd7 => skipped = 9,
            0xd8 => skipped = 17,
            0xd9 => (skipped, is_text) = (length(1)?, true),
            0xda => (skipped, is_text) = (length(2)?, true),
            0xdb => (skipped, is_text) = (length(4)?, true),
            0xdc => values += length(2)?,
            0xdd => values += length(4)?,
            0xde => values += 2 * length(2)?,
            0xdf => values += 2 * length(4)?,
        }
        let inside = bytes.get(at..at + skipped)?;
        *is_utf8 &= !is_text || std::str::from_utf8(inside).is_ok();
        at += skipped;
    }
    Some(at)
}
