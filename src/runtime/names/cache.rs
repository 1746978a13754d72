//! One thread's view of a table of names: a hash table of its own, and in front of it a small memo
//! of short names, which most events repeat. Short names are told by their own bytes there as well,
//! so that nothing else has to be read for them.
//!
//! What must always hold: a memo answers only for the very name it was made for. Strangers who
//! choose names that share a place in it make it useless, and nothing worse: behind it stands the
//! seeded table.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashTable};

use super::{Names, Room};

/// Places of the memo.
const MEMOS: usize = 512;

/// One thread's view of a table.
#[derive(Debug, Default)]
pub struct Cache {
    short: HashTable<Memo>,
    hasher: RandomState,
    long: HashMap<Arc<str>, u32, RandomState>,
    /// Empty until the first short name comes.
    memos: Vec<Memo>,
    epoch: u32,
}

/// A name of 1 to 16 bytes, which its length and its first and last eight bytes make up, and its
/// number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Memo {
    first: u64,
    last: u64,
    len: u32,
    id: u32,
}

impl Memo {
    /// What a memo of this name looks like, with the number 0, and its place.
    #[inline]
    fn of(name: &str) -> Option<(Self, usize)> {
        let bytes = name.as_bytes();
        let (first, last) = match (bytes.first_chunk(), bytes.last_chunk()) {
            _ if bytes.is_empty() || bytes.len() > 16 => return None,
            (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
            _ => (bytes.iter().rev().fold(0, |word, &b| word << 8 | u64::from(b)), 0),
        };
        let len = bytes.len() as u32;
        // Multiplicative hashing (Knuth, TAOCP 6.4): the upper bits depend on all of them.
        let mixed = (first ^ last.rotate_left(23) ^ u64::from(len)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Some((Self { first, last, len, id: 0 }, (mixed >> 32) as usize % MEMOS))
    }
}

impl Memo {
    /// Seeded, of the name alone.
    fn hash(&self, hasher: &RandomState) -> u64 {
        hasher.hash_one((self.first, self.last, self.len))
    }
}

impl Cache {
    /// The number of `name`; `None` when the shared table does not know it and has no room for it.
    #[inline]
    pub fn id(&mut self, names: &Names, name: &str, room: impl Into<Room>) -> Option<u32> {
        let Some((memo, place)) = Memo::of(name) else {
            return self.look_up_long(names, name, room.into());
        };
        if let Some(&known) = self.memos.get(place)
            && (Memo { id: 0, ..known }) == memo
        {
            return Some(known.id);
        }
        let id = self.look_up_short(memo, names, name, room.into())?;
        if self.memos.is_empty() {
            self.memos.resize(MEMOS, Memo::default());
        }
        self.memos[place] = Memo { id, ..memo };
        Some(id)
    }

    fn look_up_short(&mut self, memo: Memo, names: &Names, name: &str, room: Room) -> Option<u32> {
        let hash = memo.hash(&self.hasher);
        if let Some(known) = self.short.find(hash, |&known| Memo { id: 0, ..known } == memo) {
            return Some(known.id);
        }
        let (_, id) = names.intern(name, room, self.epoch)?;
        let hasher = &self.hasher;
        self.short.insert_unique(hash, Memo { id, ..memo }, |known| known.hash(hasher));
        Some(id)
    }

    fn look_up_long(&mut self, names: &Names, name: &str, room: Room) -> Option<u32> {
        if let Some(&id) = self.long.get(name) {
            return Some(id);
        }
        let (name, id) = names.intern(name, room, self.epoch)?;
        self.long.insert(name, id);
        Some(id)
    }

    /// Step 2 of a sweep: forgets all numbers.
    pub fn begin_epoch(&mut self, epoch: u32) {
        *self = Self { epoch, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Far more names than places, of all lengths, alike at both ends: each keeps its number.
    #[test]
    fn a_memo_never_answers_for_another_name() {
        let names = Names::default();
        let mut cache = Cache::default();
        let name = |n: u32| {
            let text = format!("{:0width$}", n, width = n as usize % 20);
            format!("{}{}", &text[text.len() / 2..], &text[..text.len() / 2])
        };
        let alike = (0..3_000).map(|n| format!("the same{n}"));
        let all: Vec<String> = (0..5_000).map(name).chain(alike).collect();
        for _ in 0..3 {
            for name in &all {
                let id = cache.id(&names, name, 10_000).unwrap();
                assert_eq!(&*names.name(id), name);
                assert_eq!(names.id(name), Some(id));
            }
        }
        // A length is part of a name: these are alike in all their bytes but for it.
        let memo = |name| Memo::of(name).map(|(memo, _)| memo);
        assert_ne!(memo("zero"), memo("zero\0"));
        assert_ne!(memo("aaaaaaaaa"), memo("aaaaaaaaaa"));
        assert_eq!((memo(""), memo("seventeen letters")), (None, None));
    }
}
