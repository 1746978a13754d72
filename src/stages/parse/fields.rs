//! The numbers of the names of fields: looked up, or remembered by the number that the reader has
//! given a name of a known shape.
//!
//! What must always hold: what is remembered is of the epoch of names and of the reader's generation.

use crate::runtime::names::Cache;

/// What a name of a field is to this thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Field {
    /// It has not come yet, or there was no room for it.
    #[default]
    Unknown,
    /// No window shows it.
    Hidden,
    Number(u32),
}

/// What is known of them.
#[derive(Default)]
pub(super) struct Fields {
    cache: Cache,
    /// By the reader's number; the reader bounds these.
    known: Vec<Field>,
    generation: u32,
}

impl Fields {
    pub(super) fn begin_epoch(&mut self, epoch: u32) {
        self.cache.begin_epoch(epoch);
        self.known.clear();
    }

    /// The generation of the reader's numbers of an event.
    #[inline]
    pub(super) fn begin_event(&mut self, generation: u32) {
        if generation != self.generation {
            self.generation = generation;
            self.known.clear();
        }
    }

    /// What the name is whose number with the reader this is, if it has one; else, and the first
    /// time, it is looked up.
    #[inline]
    pub(super) fn find(&mut self, number: Option<u32>, look_up: impl FnOnce(&mut Cache) -> Field) -> Field {
        let place = number.map(|number| number as usize);
        if let Some(&known) = place.and_then(|place| self.known.get(place))
            && known != Field::Unknown
        {
            return known;
        }
        let found = look_up(&mut self.cache);
        if let Some(place) = place {
            if place >= self.known.len() {
                self.known.resize(place + 1, Field::Unknown);
            }
            self.known[place] = found;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_of_one_epoch_and_one_generation() {
        let mut fields = Fields::default();
        let found = |fields: &mut Fields, number, id| fields.find(number, |_| Field::Number(id));
        assert_eq!(found(&mut fields, Some(3), 7), Field::Number(7));
        assert_eq!(found(&mut fields, Some(3), 8), Field::Number(7));
        // Without a number nothing is remembered, and other numbers are other names.
        assert_eq!(found(&mut fields, None, 8), Field::Number(8));
        assert_eq!(found(&mut fields, Some(2), 9), Field::Number(9));
        fields.begin_event(0);
        assert_eq!(found(&mut fields, Some(3), 8), Field::Number(7));
        fields.begin_event(1);
        assert_eq!(found(&mut fields, Some(3), 8), Field::Number(8));
        fields.begin_epoch(1);
        assert_eq!(found(&mut fields, Some(3), 9), Field::Number(9));
        // What had no room may have some later.
        assert_eq!(fields.find(Some(5), |_| Field::Unknown), Field::Unknown);
        assert_eq!(found(&mut fields, Some(5), 1), Field::Number(1));
    }
}
