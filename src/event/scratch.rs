//! One event, taken apart; reused from event to event, so that nothing is allocated once its
//! buffers have grown.

mod known;
mod span;
mod view;

use known::Known;
pub(super) use span::Span;

use super::time::{self, TimestampUnit};
use super::{Limits, MAX_KIND, Reject, Rejection, quote};

/// In front of the names of that section.
const METADATA: &str = "metadata.";
/// Bytes of room that each buffer keeps from event to event: what a large one took more, it gives back.
const KEPT_ROOM: usize = 256 << 10;

/// Which member a field or dimension came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Data,
    Metadata,
}

/// What a required string member turned out to be; a later member of the name replaces it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Text {
    #[default]
    Missing,
    /// It was kept all the same, to be shown.
    TooLong,
    Good,
}

/// What `timestamp` turned out to be.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Stamp {
    #[default]
    Absent,
    Bad,
    At(i64),
}

/// One event.
#[derive(Debug, Default)]
pub struct Scratch {
    source: Span,
    source_is: Text,
    kind: Span,
    kind_is: Text,
    id: Span,
    has_id: bool,
    stamp: Stamp,
    has_data: bool,
    /// Names and strings, one after the other, that are no piece of `whole`.
    text: String,
    /// The event's text, or the strings of it that are kept, if its spans point into it.
    whole: String,
    /// Names of members, if the event's shape is known.
    pub(super) known: Known,
    fields: Vec<(Span, f64)>,
    dims: Vec<(Span, Span, Section)>,
    /// Strings that would be dimensions if anybody asked for them.
    passed: usize,
    /// Strings that are too long to be dimensions, or the `id`.
    pub(super) long_strings: u32,
    /// Members that got names.
    members: usize,
    /// The flattened name being built, without `data.`; with `metadata.`.
    pub(super) path: String,
    /// For the scanner: the names of the section so far, and what they begin with.
    pub(super) seen: Vec<(u64, Span)>,
    /// The first thing wrong inside `data` or `metadata`.
    wrong: Option<Rejection>,
}

impl Scratch {
    #[inline]
    fn get(&self, span: Span) -> &str {
        // Spans are made on character boundaries only.
        match (span.in_known(), span.in_whole()) {
            (Some(number), _) => self.known.get(number),
            (None, Some(range)) => self.whole.get(range).unwrap_or(""),
            (None, None) => self.built(span),
        }
    }

    fn keep(text: &mut String, piece: &str) -> Span {
        let start = text.len() as u32;
        text.push_str(piece);
        Span { start, end: text.len() as u32 }
    }

    /// A piece of `text`.
    pub(super) fn built(&self, span: Span) -> &str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or("")
    }

    /// The known name that is this one from now on, which was built, or lies in the event.
    pub(super) fn know(&mut self, name: Span, event: &[u8]) -> Option<Span> {
        let name = match name.in_whole() {
            Some(range) => std::str::from_utf8(event.get(range)?).ok()?,
            None => self.text.get(name.start as usize..name.end as usize)?,
        };
        // A name that nobody asks for is empty.
        Some(if name.is_empty() { Span::default() } else { Span::of_known(self.known.number(name)) })
    }

    /// A name as it is.
    pub(super) fn build(&mut self, name: &str) -> Span {
        Self::keep(&mut self.text, name)
    }

    /// The name of a member of `metadata`.
    pub(super) fn build_metadata(&mut self, key: &str) -> Span {
        let start = self.text.len() as u32;
        self.text.reserve(METADATA.len() + key.len());
        self.text.push_str(METADATA);
        self.text.push_str(key);
        Span { start, end: self.text.len() as u32 }
    }

    /// The name of a member of an object.
    pub(super) fn build_names(&mut self, object: &str, key: &str) -> Span {
        let start = self.text.len() as u32;
        self.text.push_str(object);
        self.text.push('.');
        self.text.push_str(key);
        Span { start, end: self.text.len() as u32 }
    }

    /// The same, where the object's name was built.
    pub(super) fn build_below(&mut self, object: Span, key: &str) -> Span {
        let start = self.text.len() as u32;
        self.text.extend_from_within(object.start as usize..object.end as usize);
        self.text.push('.');
        self.text.push_str(key);
        Span { start, end: self.text.len() as u32 }
    }

    /// Counts a member that gets a name, kept or not; `None`: there are more than an event may have.
    #[inline]
    pub(super) fn count_member(&mut self, limits: &Limits) -> Option<()> {
        self.members += 1;
        (self.members <= limits.members_per_event()).then_some(())
    }

    /// Fields and dimensions so far.
    pub(super) fn kept(&self) -> usize {
        self.fields.len() + self.dims.len()
    }

    /// A number; `None`: there is no room for it.
    #[inline]
    pub(super) fn put_field(&mut self, name: Span, value: f64, limits: &Limits) -> Option<()> {
        if self.fields.len() + self.dims.len() + self.passed >= limits.fields_per_event {
            return None;
        }
        self.fields.push((name, value));
        Some(())
    }

    /// A string that nobody asks for; `None`: there would be no room for it.
    #[inline]
    pub(super) fn pass_dim(&mut self, limits: &Limits) -> Option<()> {
        self.passed += 1;
        (self.fields.len() + self.passed <= limits.fields_per_event).then_some(())
    }

    /// A string; `None`: there is no room for it.
    #[inline]
    pub(super) fn put_dim(
        &mut self,
        name: Span,
        value: Span,
        section: Section,
        limits: &Limits,
    ) -> Option<()> {
        if self.fields.len() + self.dims.len() >= limits.fields_per_event {
            return None;
        }
        self.dims.push((name, value, section));
        Some(())
    }

    /// The text of an event, which its spans point into.
    pub(super) fn keep_text(&mut self, whole: &str) {
        self.whole.push_str(whole);
    }

    /// Room for the strings of an event of MessagePack, to be given back by [`Scratch::keep_ascii`].
    pub(super) fn take_room(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.whole).into_bytes()
    }

    /// The strings of an event, which its spans point into, all of them ASCII.
    pub(super) fn keep_ascii(&mut self, strings: Vec<u8>) {
        self.whole = String::from_utf8(strings).unwrap_or_default();
    }

    /// Ends a good event whose text was kept, and whose fields and dimensions were put: its own
    /// members, of the right length.
    pub(super) fn complete(&mut self, source: Span, kind: Span, id: Option<Span>, time_us: Option<i64>) {
        (self.source, self.source_is) = (source, Text::Good);
        (self.kind, self.kind_is) = (kind, Text::Good);
        (self.id, self.has_id) = (id.unwrap_or_default(), id.is_some());
        self.stamp = time_us.map_or(Stamp::Absent, Stamp::At);
        self.has_data = true;
    }

    pub(super) fn clear(&mut self) {
        self.source_is = Text::Missing;
        self.kind_is = Text::Missing;
        self.has_id = false;
        self.stamp = Stamp::Absent;
        self.has_data = false;
        for buffer in [&mut self.text, &mut self.whole, &mut self.path] {
            buffer.clear();
            if buffer.capacity() > KEPT_ROOM {
                *buffer = String::new();
            }
        }
        self.fields.clear();
        self.dims.clear();
        self.passed = 0;
        self.long_strings = 0;
        self.members = 0;
        self.wrong = None;
    }

    /// Bytes that the buffers take.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.text.capacity() + self.whole.capacity() + self.path.capacity()
    }

    /// Replaces `source`; `None`: it was not a string.
    pub(super) fn set_source(&mut self, value: Option<&str>, limits: &Limits) {
        self.source_is = set(&mut self.text, &mut self.source, value, limits.name_size);
    }

    /// Replaces `type`.
    pub(super) fn set_kind(&mut self, value: Option<&str>) {
        self.kind_is = set(&mut self.text, &mut self.kind, value, MAX_KIND);
    }

    /// Replaces `id`; one longer than `limits.name_size` is left out.
    pub(super) fn set_id(&mut self, value: Option<&str>, limits: &Limits) {
        let id_is = set(&mut self.text, &mut self.id, value, limits.name_size);
        self.has_id = id_is == Text::Good;
        self.long_strings += u32::from(id_is == Text::TooLong);
    }

    pub(super) fn no_timestamp(&mut self) {
        self.stamp = Stamp::Absent;
    }

    pub(super) fn bad_timestamp(&mut self) {
        self.stamp = Stamp::Bad;
    }

    pub(super) fn timestamp_us(&mut self, us: Option<i64>) {
        self.stamp = us.map_or(Stamp::Bad, Stamp::At);
    }

    pub(super) fn timestamp_int(&mut self, value: i128, unit: TimestampUnit) {
        self.timestamp_us(time::from_int(value, unit));
    }

    pub(super) fn timestamp_float(&mut self, value: f64, unit: TimestampUnit) {
        self.timestamp_us(time::from_float(value, unit));
    }

    pub(super) fn timestamp_text(&mut self, text: &str) {
        self.timestamp_us(time::parse_rfc3339_us(text));
    }

    /// A `data` or `metadata` begins: it replaces one that came before.
    pub(super) fn begin(&mut self, section: Section) {
        self.path.clear();
        match section {
            Section::Data => {
                self.has_data = true;
                self.fields.clear();
            }
            Section::Metadata => self.path.push_str("metadata"),
        }
        self.dims.retain(|&(_, _, s)| s != section);
    }

    /// `data` or `metadata` was something else than an object.
    pub(super) fn not_an_object(&mut self, section: Section) {
        self.begin(section);
        if section == Section::Data {
            self.has_data = false;
        }
    }

    /// A member of this name begins, below the path, which goes on by it. The last of repeated members wins: what
    /// the path, or anything below it, held in this section is forgotten. The same name in the other section is
    /// another member.
    pub(super) fn enter(&mut self, name: &str, section: Section, limits: &Limits) {
        // Of an event that is rejected anyway nothing is kept: a hostile one may have a hundred thousand members,
        // each with a long name.
        if self.wrong.is_some() {
            return;
        }
        if self.count_member(limits).is_none() {
            return self.too_many_members(limits);
        }
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(name);
        if self.path.len() > limits.name_size {
            return self.name_too_long(limits);
        }
        self.forget_path(section);
    }

    #[cold]
    fn too_many_members(&mut self, limits: &Limits) {
        let (most, of) = (limits.members_per_event(), limits.fields_per_event);
        self.fail(Reject::TooManyFields, || {
            format!("more than {most} members, kept or not; limits.fields_per_event = {of} allows no more")
        });
    }

    #[cold]
    fn name_too_long(&mut self, limits: &Limits) {
        let (name, size, most) = (quote(&self.path), self.path.len(), limits.name_size);
        self.fail(Reject::TooLong, || {
            format!("the name {name} has {size} bytes; limits.name_size allows {most}")
        });
    }

    fn forget_path(&mut self, section: Section) {
        let (text, path) = (&self.text, self.path.as_str());
        let below = |span: Span| {
            let name = &text.as_bytes()[span.start as usize..span.end as usize];
            is_at_or_below(name, path.as_bytes())
        };
        if section == Section::Data && self.fields.iter().any(|&(name, _)| below(name)) {
            self.fields.retain(|&(name, _)| !below(name));
        }
        if self.dims.iter().any(|&(name, _, s)| s == section && below(name)) {
            self.dims.retain(|&(name, _, s)| s != section || !below(name));
        }
    }

    /// A number under the current path.
    pub(super) fn add_field(&mut self, value: f64, limits: &Limits) {
        if self.wrong.is_none() && !value.is_finite() {
            let name = quote(&self.path);
            return self.fail(Reject::BadNumber, || format!("{name} is not a finite number"));
        }
        if self.has_room(limits) {
            let name = Self::keep(&mut self.text, &self.path);
            self.fields.push((name, value));
        }
    }

    /// A string under the current path; one longer than `limits.string_size` is no dimension.
    pub(super) fn add_dim(&mut self, value: &str, section: Section, limits: &Limits) {
        if value.len() > limits.string_size {
            self.long_strings += 1;
        } else if self.has_room(limits) {
            let name = Self::keep(&mut self.text, &self.path);
            let value = Self::keep(&mut self.text, value);
            self.dims.push((name, value, section));
        }
    }

    fn has_room(&mut self, limits: &Limits) -> bool {
        if self.wrong.is_some() {
            return false;
        }
        if self.fields.len() + self.dims.len() < limits.fields_per_event {
            return true;
        }
        let limit = limits.fields_per_event;
        self.fail(Reject::TooManyFields, || {
            format!("more than {limit} numbers and strings; limits.fields_per_event allows no more")
        });
        false
    }

    pub(super) fn too_deep(&mut self, limits: &Limits) {
        let limit = limits.nesting;
        self.fail(Reject::TooDeep, || format!("nested deeper than the {limit} levels of limits.nesting"));
    }

    fn fail(&mut self, reason: Reject, message: impl FnOnce() -> String) {
        if self.wrong.is_none() {
            self.wrong = Some(Rejection::new(reason, message()));
        }
    }

    /// Whether the event, all of it read, is good.
    pub(super) fn judge(&mut self, limits: &Limits) -> Result<(), Rejection> {
        let text = |is: Text, span: Span, reason, name: &str, most: usize, by: &str| match is {
            Text::Good => Ok(()),
            Text::Missing => {
                Err(Rejection::new(reason, format!("{name:?} must be a string of 1 to {most} bytes")))
            }
            Text::TooLong => {
                let value = self.built(span);
                let (shown, size) = (quote(value), value.len());
                let message = format!("{name:?} is {shown}, which has {size} bytes; {by} {most}");
                Err(Rejection::new(Reject::TooLong, message))
            }
        };
        let (most, by) = (limits.name_size, "limits.name_size allows");
        text(self.source_is, self.source, Reject::MissingSource, "source", most, by)?;
        text(self.kind_is, self.kind, Reject::MissingType, "type", MAX_KIND, "it may have")?;
        if !self.has_data {
            return Err(Rejection::new(Reject::MissingData, "\"data\" must be an object"));
        }
        if self.stamp == Stamp::Bad {
            return Err(Rejection::new(
                Reject::BadTimestamp,
                "\"timestamp\" must be a number (seconds, ms, us or ns since 1970) or an RFC 3339 \
                 time such as \"2025-11-23T09:08:00Z\", in the years 1 to 9999",
            ));
        }
        self.wrong.take().map_or(Ok(()), Err)
    }

    /// What is wrong, though the event's end was not found: it is nested too deep.
    pub(super) fn is_too_deep(&mut self) -> Option<Rejection> {
        self.wrong.take_if(|wrong| wrong.reason == Reject::TooDeep)
    }
}

/// Whether a flattened name is `path`, or that of a member of it.
pub(super) fn is_at_or_below(name: &[u8], path: &[u8]) -> bool {
    name.strip_prefix(path).is_some_and(|rest| rest.first().is_none_or(|&b| b == b'.'))
}

fn set(text: &mut String, target: &mut Span, value: Option<&str>, max: usize) -> Text {
    match value {
        None | Some("") => Text::Missing,
        Some(value) => {
            // What a repeated member replaces stays in the text, which the message bounds.
            *target = Scratch::keep(text, value);
            if value.len() > max { Text::TooLong } else { Text::Good }
        }
    }
}
