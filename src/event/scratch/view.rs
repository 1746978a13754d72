//! What a good event tells.

use super::{Scratch, Section, Stamp};
use crate::event::Member;

impl Scratch {
    /// `source`.
    #[inline]
    pub fn source(&self) -> &str {
        self.get(self.source)
    }

    /// `type`.
    #[inline]
    pub fn kind(&self) -> &str {
        self.get(self.kind)
    }

    /// `id`, if it was a string no longer than `limits.name_size`.
    pub fn id(&self) -> Option<&str> {
        self.has_id.then(|| self.get(self.id))
    }

    /// Event time, microseconds since the Unix epoch; `None`: arrival time is to be taken.
    pub fn time_us(&self) -> Option<i64> {
        match self.stamp {
            Stamp::At(us) => Some(us),
            Stamp::Absent | Stamp::Bad => None,
        }
    }

    /// Numeric fields of `data` by flattened name.
    pub fn fields(&self) -> impl Iterator<Item = (&str, f64)> + Clone {
        self.fields.iter().map(|&(name, value)| (self.get(name), value))
    }

    /// The same, each with the number of its name if the event's shape is known. Such a number is of
    /// the same name for as long as [`Scratch::generation`] is the same, and small.
    pub fn numbered_fields(&self) -> impl Iterator<Item = (Option<u32>, &str, f64)> {
        self.fields.iter().map(|&(name, value)| (name.in_known(), self.get(name), value))
    }

    /// The generation of the numbers of names.
    pub fn generation(&self) -> u32 {
        self.known.generation()
    }

    /// One numeric field.
    pub fn field(&self, name: &str) -> Option<f64> {
        self.fields().find(|&(n, _)| n == name).map(|(_, value)| value)
    }

    /// Strings by flattened name, without `data.` for those of `data`, with `metadata.` for
    /// those of `metadata`. A member `metadata` of `data` may give a name twice;
    /// [`Scratch::text_of`] tells the two apart.
    pub fn dims(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.dims.iter().map(|&(name, value, _)| (self.get(name), self.get(value)))
    }

    /// Strings that are none of [`Scratch::dims`] because they are longer than `limits.string_size`.
    pub fn long_strings(&self) -> u32 {
        self.long_strings
    }

    /// The string that a member holds; `None`: it is absent, or no string.
    pub fn text_of(&self, member: &Member) -> Option<&str> {
        match member {
            Member::Source => Some(self.source()),
            Member::Kind => Some(self.kind()),
            Member::Data(wanted) => self.dim(Section::Data, |name| name == wanted),
            Member::Metadata(wanted) => {
                self.dim(Section::Metadata, |name| name.strip_prefix("metadata.") == Some(wanted))
            }
        }
    }

    fn dim(&self, section: Section, is_it: impl Fn(&str) -> bool) -> Option<&str> {
        let found = self.dims.iter().find(|&&(name, _, s)| s == section && is_it(self.get(name)));
        found.map(|&(_, value, _)| self.get(value))
    }

    /// The number that a member holds; `None`: it is absent, or no number. Only `data` has any.
    pub fn number_of(&self, member: &Member) -> Option<f64> {
        match member {
            Member::Data(name) => self.field(name),
            Member::Source | Member::Kind | Member::Metadata(_) => None,
        }
    }
}
