//! A value that is replaced now and then and read all the time: rules, limits, alerts.
//!
//! Readers look at a version number (one load) and take the lock only when it has changed, so
//! the hot path never waits for a writer that is at work somewhere else.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The shared value.
#[derive(Debug)]
pub struct Cell<T> {
    version: AtomicU64,
    value: Mutex<Arc<T>>,
}

impl<T> Cell<T> {
    /// A cell that holds `value`.
    pub fn new(value: T) -> Self {
        Self { version: AtomicU64::new(0), value: Mutex::new(Arc::new(value)) }
    }

    /// The current value.
    pub fn get(&self) -> Arc<T> {
        Arc::clone(&self.value.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the value with what `change` makes of it; readers see it at their next look.
    pub fn update(&self, change: impl FnOnce(&T) -> T) {
        let mut value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        *value = Arc::new(change(&value));
        self.version.fetch_add(1, Ordering::Release);
    }
}

/// A reader's own copy.
#[derive(Debug)]
pub struct Reader<T> {
    cell: Arc<Cell<T>>,
    version: u64,
    value: Arc<T>,
}

impl<T> Reader<T> {
    /// A reader of `cell`.
    pub fn new(cell: Arc<Cell<T>>) -> Self {
        let version = cell.version.load(Ordering::Acquire);
        let value = cell.get();
        Self { cell, version, value }
    }

    /// Takes over a newer value if there is one; says whether there was.
    pub fn refresh(&mut self) -> bool {
        let version = self.cell.version.load(Ordering::Acquire);
        if version == self.version {
            return false;
        }
        self.version = version;
        self.value = self.cell.get();
        true
    }

    /// The value of the last refresh.
    pub fn value(&self) -> &T {
        &self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_sees_an_update_at_its_next_refresh() {
        let cell = Arc::new(Cell::new(1));
        let mut reader = Reader::new(Arc::clone(&cell));
        assert!(!reader.refresh());
        cell.update(|old| old + 1);
        assert_eq!(*reader.value(), 1);
        assert!(reader.refresh());
        assert_eq!(*reader.value(), 2);
    }
}
