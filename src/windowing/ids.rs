//! Which names are still in use: what a window thread answers when the tables of names are to
//! be swept.

/// A set of small numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdSet {
    words: Vec<u64>,
}

impl IdSet {
    /// Adds a number.
    pub fn insert(&mut self, id: u32) {
        let word = id as usize / 64;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (id % 64);
    }

    /// Whether it has a number.
    pub fn contains(&self, id: u32) -> bool {
        self.words.get(id as usize / 64).is_some_and(|word| word >> (id % 64) & 1 == 1)
    }

    /// Adds all of `other`.
    pub fn union(&mut self, other: &Self) {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word |= more;
        }
    }
}

/// The names that windows still refer to, by table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InUse {
    /// Event types.
    pub types: IdSet,
    /// Sources.
    pub sources: IdSet,
    /// Numeric fields.
    pub fields: IdSet,
    /// Groups, by table.
    pub groups: Vec<IdSet>,
}

impl InUse {
    /// Nothing in use, of `tables` tables of groups.
    pub fn new(tables: usize) -> Self {
        Self { groups: vec![IdSet::default(); tables], ..Self::default() }
    }

    /// A group of a family is in use.
    pub fn group(&mut self, names: super::GroupNames, group: u32) {
        match names {
            super::GroupNames::Sources => self.sources.insert(group),
            super::GroupNames::Table(table) => {
                let table = usize::from(table);
                if table >= self.groups.len() {
                    self.groups.resize(table + 1, IdSet::default());
                }
                self.groups[table].insert(group);
            }
            super::GroupNames::Kinds => self.types.insert(group),
            super::GroupNames::None => {}
        }
    }

    /// Everything that an aggregate refers to is in use.
    pub fn aggregate(&mut self, aggregate: &crate::aggregate::Aggregate) {
        aggregate.fields().for_each(|(id, _)| self.fields.insert(id));
        aggregate.sources().for_each(|id| self.sources.insert(id));
        aggregate.types().for_each(|(id, _)| self.types.insert(u32::from(id)));
    }

    /// Adds all of `other`.
    pub fn union(&mut self, other: &Self) {
        self.types.union(&other.types);
        self.sources.union(&other.sources);
        self.fields.union(&other.fields);
        if self.groups.len() < other.groups.len() {
            self.groups.resize(other.groups.len(), IdSet::default());
        }
        for (set, more) in self.groups.iter_mut().zip(&other.groups) {
            set.union(more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::windowing::GroupNames;

    /// Nothing but the number of the group may be left of a window that can still be revised.
    #[test]
    fn groups_are_in_use_in_the_table_they_are_from() {
        let mut in_use = InUse::new(1);
        let names = [GroupNames::None, GroupNames::Kinds, GroupNames::Sources, GroupNames::Table(0)];
        (0..).zip(names).for_each(|(group, names)| in_use.group(names, group));
        let mut all = InUse::new(1);
        all.union(&in_use);
        let of = |set: &IdSet| (0..4).filter(|&id| set.contains(id)).collect::<Vec<_>>();
        let tables = [&all.types, &all.sources, &all.groups[0], &all.fields].map(of);
        assert_eq!(tables, [vec![1], vec![2], vec![3], vec![]]);
    }
}
