//! Sessions by place. There may be a million, and each is met by every event of its group: they
//! lie in blocks, so that growing moves none of them, and a block whose last session has gone is
//! freed.

use super::Session;

/// Sessions of a block.
const BLOCK: usize = 1_024;

/// The sessions of one window.
#[derive(Debug, Default)]
pub(super) struct Slab {
    blocks: Vec<Block>,
    /// Blocks that have room.
    roomy: Vec<u32>,
}

#[derive(Debug, Default)]
struct Block {
    sessions: Vec<Session>,
    /// Places in it whose session has gone.
    free: Vec<u16>,
}

impl Block {
    fn has_room(&self) -> bool {
        !self.free.is_empty() || self.sessions.len() < BLOCK
    }
}

impl Slab {
    /// Puts a session somewhere.
    pub(super) fn insert(&mut self, session: Session) -> u32 {
        let at = match self.roomy.last() {
            Some(&at) => at as usize,
            None => {
                self.roomy.push(self.blocks.len() as u32);
                self.blocks.push(Block::default());
                self.blocks.len() - 1
            }
        };
        let block = &mut self.blocks[at];
        let index = match block.free.pop() {
            Some(index) => {
                block.sessions[usize::from(index)] = session;
                usize::from(index)
            }
            None => {
                // The first block grows, for most windows have few sessions.
                if at > 0 && block.sessions.capacity() == 0 {
                    block.sessions.reserve_exact(BLOCK);
                }
                block.sessions.push(session);
                block.sessions.len() - 1
            }
        };
        if !block.has_room() {
            self.roomy.pop();
        }
        (at * BLOCK + index) as u32
    }

    /// The session at a place, which must be there.
    #[inline]
    pub(super) fn get(&self, place: u32) -> &Session {
        &self.blocks[place as usize / BLOCK].sessions[place as usize % BLOCK]
    }

    /// The same.
    #[inline]
    pub(super) fn get_mut(&mut self, place: u32) -> &mut Session {
        &mut self.blocks[place as usize / BLOCK].sessions[place as usize % BLOCK]
    }

    /// Takes a session out; nobody may ask for it again.
    pub(super) fn remove(&mut self, place: u32) -> Session {
        let (at, index) = (place as usize / BLOCK, place as usize % BLOCK);
        let block = &mut self.blocks[at];
        if !block.has_room() {
            self.roomy.push(at as u32);
        }
        let gone = std::mem::take(&mut block.sessions[index]);
        block.free.push(index as u16);
        if block.free.len() == block.sessions.len() {
            *block = Block::default();
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(id: u32) -> Session {
        Session { id, ..Session::default() }
    }

    #[test]
    fn places_are_used_again_and_empty_blocks_freed() {
        let mut slab = Slab::default();
        let places: Vec<u32> = (0..5_000).map(|id| slab.insert(session(id))).collect();
        assert!(places.iter().zip(0..).all(|(&place, id)| slab.get(place).id == id));
        // All but every tenth go, and others come.
        for (at, &place) in places.iter().enumerate().filter(|(at, _)| at % 10 != 0) {
            assert_eq!(slab.remove(place).id as usize, at);
        }
        let again: Vec<u32> = (0..4_500).map(|id| slab.insert(session(10_000 + id))).collect();
        assert_eq!(slab.blocks.len(), 5, "no more blocks than before");
        assert!(again.iter().zip(10_000..).all(|(&place, id)| slab.get_mut(place).id == id));
        assert!(places.iter().step_by(10).zip(0..).all(|(&place, n)| slab.get(place).id == n * 10));
        again.iter().chain(places.iter().step_by(10)).for_each(|&place| drop(slab.remove(place)));
        assert!(slab.blocks.iter().all(|block| block.sessions.capacity() + block.free.capacity() == 0));
        assert_eq!(slab.insert(session(1)) as usize / BLOCK, slab.roomy[slab.roomy.len() - 1] as usize);
    }
}
