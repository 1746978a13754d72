//! All that a reader tells of a message, as bytes that can be compared.
//!
//! What must always hold: two reports are equal only if places, bytes, reasons, messages and all
//! of the events are, numbers by their bits.

use flumen::event::time::TimestampUnit;
use flumen::event::{Limits, Member, Outcome, Reader, Scratch};

/// Limits that small messages meet. The unit changes with the length, so that all have their turn.
pub fn tight(message: &[u8]) -> Limits {
    use TimestampUnit::*;
    let timestamp_unit = [Auto, Seconds, Millis, Micros, Nanos][message.len() % 5];
    Limits {
        nesting: 4,
        fields_per_event: 3,
        name_size: 11,
        string_size: 4,
        events_per_message: 2,
        timestamp_unit,
    }
}

/// Everything that a reader reported.
#[derive(Default, PartialEq, Eq)]
pub struct Report {
    /// For every outcome its place, where its bytes lie, and the event or the rejection.
    bytes: Vec<u8>,
    /// How many outcomes there were.
    pub outcomes: usize,
    /// How many of them were rejections.
    pub rejected: usize,
}

impl Report {
    /// Reads a message, and checks what holds for any report of any message.
    pub fn of(reader: &mut Reader, limits: &Limits, message: &[u8]) -> Self {
        Self::with(reader, limits, message, &mut |_| ())
    }

    /// The same, and shows every outcome to `look`.
    pub fn with(
        reader: &mut Reader,
        limits: &Limits,
        message: &[u8],
        look: &mut dyn FnMut(&Outcome<'_>),
    ) -> Self {
        let mut report = Self::default();
        let mut behind = 0;
        reader.read(message, &mut |outcome| {
            assert_eq!(outcome.index as usize, report.outcomes, "places count from 0");
            let (start, end) = place(outcome.raw, message);
            assert!(start >= behind && end <= message.len(), "{start}..{end} of a later event, {behind}");
            behind = end;
            report.outcomes += 1;
            for number in [outcome.index as usize, start, end] {
                report.number(number as u64);
            }
            match &outcome.event {
                Ok(event) => {
                    check_limits(event, limits);
                    report.event(event);
                }
                Err(rejection) => {
                    report.rejected += 1;
                    report.text(rejection.reason.as_str());
                    report.text(&rejection.message);
                }
            }
            look(&outcome);
        });
        assert!(report.outcomes <= limits.events_per_message + 1, "{} events", report.outcomes);
        report
    }

    /// Everything that an event tells.
    pub fn event(&mut self, event: &Scratch) {
        self.text(event.source());
        self.text(event.kind());
        self.maybe_text(event.id());
        self.number(event.time_us().map_or(u64::MAX, |us| us as u64));
        self.number(event.long_strings().into());
        for (name, value) in event.fields() {
            self.text(name);
            self.number(value.to_bits());
        }
        self.text("strings");
        for (name, value) in event.dims() {
            self.text(name);
            self.text(value);
            // Such a name may be of both sections; a member is of one.
            if let Some(inner) = name.strip_prefix("metadata.") {
                self.maybe_text(event.text_of(&Member::Data(name.to_owned())));
                self.maybe_text(event.text_of(&Member::Metadata(inner.to_owned())));
            }
        }
    }

    fn number(&mut self, number: u64) {
        self.bytes.extend_from_slice(&number.to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        // With the length in front, or two texts could pass for two others.
        self.number(text.len() as u64);
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn maybe_text(&mut self, text: Option<&str>) {
        self.text(text.map_or("absent", |_| "here"));
        self.text(text.unwrap_or_default());
    }

    /// Panics if the reports differ, and shows both from where they do.
    pub fn must_be(&self, wanted: &Self, message: &[u8], what: &str) {
        if self == wanted {
            return;
        }
        let both = self.bytes.iter().zip(&wanted.bytes);
        let same = both.take_while(|(a, b)| a == b).count();
        let show = |report: &Self| {
            let from = same.saturating_sub(40);
            let part = &report.bytes[from..report.bytes.len().min(same + 80)];
            format!("{} outcomes, {} rejected, … {}", report.outcomes, report.rejected, part.escape_ascii())
        };
        panic!(
            "{what} makes a difference to this message:\n{}\nwith it:    {}\nwithout it: {}",
            message.escape_ascii(),
            show(self),
            show(wanted)
        );
    }
}

/// Where in the message a piece of it lies.
pub fn place(piece: &[u8], message: &[u8]) -> (usize, usize) {
    let start = (piece.as_ptr() as usize).wrapping_sub(message.as_ptr() as usize);
    (start, start.wrapping_add(piece.len()))
}

/// What the rest of the daemon relies on in a good event.
fn check_limits(event: &Scratch, limits: &Limits) {
    let is_name = |name: &str| (1..=limits.name_size).contains(&name.len());
    assert!(is_name(event.source()) && event.id().is_none_or(is_name));
    assert!((1..=flumen::event::MAX_KIND).contains(&event.kind().len()));
    assert!(event.fields().count() + event.dims().count() <= limits.fields_per_event);
    // A member may have the empty name.
    let is_short = |name: &str| name.len() <= limits.name_size;
    assert!(event.fields().all(|(name, value)| is_short(name) && value.is_finite()));
    assert!(event.dims().all(|(name, value)| is_short(name) && value.len() <= limits.string_size));
}
