//! The names strangers send, each stored once and known everywhere by a small number.
//!
//! Every parse thread keeps its own cache ([`Cache`]) and asks the shared table only for a name
//! it has not seen, so the lock is taken once a name and lane, not once an event. The tables
//! are bounded; a name beyond the bound is refused and the caller counts it. Hashing is seeded.

use std::sync::{Arc, Mutex, PoisonError};

use foldhash::fast::RandomState;
use hashbrown::HashMap;

#[derive(Debug, Default)]
struct Table {
    ids: HashMap<Arc<str>, u32, RandomState>,
    names: Vec<Arc<str>>,
}

/// A bounded table of distinct names, shared by all threads.
#[derive(Debug, Default)]
pub struct Names {
    table: Mutex<Table>,
}

impl Names {
    /// The number of `name`, given out now if it is new and fewer than `limit` are known.
    fn intern(&self, name: &str, limit: usize) -> Option<(Arc<str>, u32)> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, &id)) = table.ids.get_key_value(name) {
            return Some((Arc::clone(known), id));
        }
        let id = u32::try_from(table.names.len()).ok()?;
        if table.names.len() >= limit {
            return None;
        }
        let name: Arc<str> = Arc::from(name);
        table.names.push(Arc::clone(&name));
        table.ids.insert(Arc::clone(&name), id);
        Some((name, id))
    }

    /// The name behind a number; empty for a number never given out.
    pub fn name(&self, id: u32) -> Arc<str> {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.names.get(id as usize).map_or_else(|| Arc::from(""), Arc::clone)
    }

    /// The number of a name that is known.
    pub fn id(&self, name: &str) -> Option<u32> {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.ids.get(name).copied()
    }

    /// How many names are known.
    pub fn len(&self) -> usize {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.names.len()
    }

    /// Whether no name is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The three tables.
#[derive(Debug, Default)]
pub struct Dictionary {
    /// Event types (`type`).
    pub types: Names,
    /// Sources.
    pub sources: Names,
    /// Flattened names of numeric fields.
    pub fields: Names,
}

/// One thread's view of a table.
#[derive(Debug, Default)]
pub struct Cache {
    ids: HashMap<Arc<str>, u32, RandomState>,
}

impl Cache {
    /// The number of `name`; `None` when the shared table is full and does not know it.
    pub fn id(&mut self, names: &Names, name: &str, limit: usize) -> Option<u32> {
        if let Some(&id) = self.ids.get(name) {
            return Some(id);
        }
        let (name, id) = names.intern(name, limit)?;
        self.ids.insert(name, id);
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_caches_agree_and_the_bound_holds() {
        let names = Names::default();
        let (mut a, mut b) = (Cache::default(), Cache::default());
        assert_eq!(a.id(&names, "x", 2), Some(0));
        assert_eq!(b.id(&names, "y", 2), Some(1));
        assert_eq!(b.id(&names, "x", 2), Some(0));
        assert_eq!(a.id(&names, "z", 2), None);
        assert_eq!(a.id(&names, "y", 2), Some(1), "known names stay usable");
        assert_eq!(&*names.name(1), "y");
        assert_eq!(&*names.name(9), "");
    }
}
