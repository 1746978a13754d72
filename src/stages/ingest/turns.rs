//! Whose turn it is to be read, and what waits for the parse thread meanwhile.
//!
//! Chunks are parsed first come, first served, so what one client has waiting is time that all others
//! wait. Beyond a bound, therefore, only who has nothing waiting is read: a client that sends flat out is
//! held, and one that sends an event now and then finds the bound in front of it and never the whole ring.

use std::collections::VecDeque;

use crate::message::BUFFER_BYTES;

/// The queues of one lane. A slot stands in one of them at most, and for the connection that has it now: so they
/// are no longer than there are slots, whoever comes and goes while nobody is read.
#[derive(Debug)]
pub struct Turns {
    queues: Queues,
    /// Lengths of the chunks that wait for the parse thread or are with it.
    unparsed: VecDeque<u32>,
    unparsed_bytes: usize,
    /// From here on who has something unparsed is held.
    bound_bytes: usize,
    /// Chunks of the lane that have been parsed.
    parsed: u64,
}

impl Turns {
    /// Nobody is ready; `bound_bytes`: how much may be unparsed before a connection that has a part in it is
    /// held.
    pub fn new(bound_bytes: usize) -> Self {
        Self {
            queues: Queues::default(),
            unparsed: VecDeque::new(),
            unparsed_bytes: 0,
            bound_bytes,
            parsed: 0,
        }
    }

    /// A connection's socket has something to read; it goes behind the others, or stays where it is.
    pub fn queue(&mut self, slot: u32) {
        if !self.waits(slot) {
            self.queues.push(READY, slot);
        }
    }

    /// Whether a connection's socket has something to read and waits for its turn.
    pub fn waits(&self, slot: u32) -> bool {
        self.queues.has(slot)
    }

    /// A connection has gone; the next one in its slot begins anew.
    pub fn forget(&mut self, slot: u32) {
        self.queues.remove(slot);
    }

    /// Whose turn it is, of those that need not wait; `newest_chunk_of` a connection is a number of the lane,
    /// 0: none.
    pub fn take(&mut self, newest_chunk_of: impl Fn(u32) -> u64) -> Option<u32> {
        while let Some(slot) = self.queues.first(READY) {
            self.queues.remove(slot);
            if newest_chunk_of(slot) <= self.parsed || self.unparsed_bytes < self.bound_bytes {
                return Some(slot);
            }
            self.queues.push(HELD, slot);
        }
        None
    }

    /// Lets so many of those that were held go on as there is room for full reads; and while others are read,
    /// all that have nothing unparsed any more, or a crowd of others could keep them waiting for ever.
    pub fn let_go(&mut self, newest_chunk_of: impl Fn(u32) -> u64) {
        let mut expected = self.unparsed_bytes;
        while let Some(slot) = self.queues.first(HELD)
            && (expected < self.bound_bytes
                || (self.queues.first(READY).is_some() && newest_chunk_of(slot) <= self.parsed))
        {
            self.queues.remove(slot);
            self.queues.push(READY, slot);
            expected += BUFFER_BYTES;
        }
    }

    /// A chunk has been sent to the parse thread.
    pub fn sent(&mut self, len: usize) {
        self.unparsed.push_back(len as u32);
        self.unparsed_bytes += len;
    }

    /// The oldest chunk has been parsed: its buffer has come back.
    pub fn parsed(&mut self) {
        self.parsed += 1;
        self.unparsed_bytes -= self.unparsed.pop_front().unwrap_or(0) as usize;
    }

    /// Whether some are held.
    pub fn holds(&self) -> bool {
        self.queues.first(HELD).is_some()
    }

    /// Those that are held and, when reading has stopped for all, those that are ready.
    pub fn stopped(&self, all: bool) -> impl Iterator<Item = u32> {
        let ready = all.then(|| self.queues.iter(READY));
        ready.into_iter().flatten().chain(self.queues.iter(HELD))
    }

    /// Whether nobody has something to read.
    pub fn is_empty(&self) -> bool {
        self.queues.first(READY).is_none() && !self.holds()
    }

    /// Nobody is to be read any more.
    pub fn clear(&mut self) {
        self.queues = Queues::default();
    }
}

/// Connections whose socket has something to read, in turn.
const READY: u32 = 0;
/// Of those the ones that are to go on once there is room, in turn.
const HELD: u32 = 1;
/// Slots have the places behind those of the two queues.
const SLOTS: u32 = 2;

/// The two queues of slots, as rings of neighbours, so that who goes from the middle costs as little as the first.
#[derive(Debug)]
struct Queues {
    /// Those of the queues, between their last and their first, and of each slot.
    places: Vec<Place>,
}

/// The neighbours; of who stands nowhere, and of a queue that is empty, itself.
#[derive(Clone, Copy, Debug)]
struct Place {
    before: u32,
    behind: u32,
}

impl Place {
    const fn alone(at: u32) -> Self {
        Self { before: at, behind: at }
    }
}

impl Default for Queues {
    fn default() -> Self {
        Self { places: vec![Place::alone(READY), Place::alone(HELD)] }
    }
}

impl Queues {
    fn place(&mut self, at: u32) -> &mut Place {
        &mut self.places[at as usize]
    }

    fn has(&self, slot: u32) -> bool {
        let at = slot + SLOTS;
        self.places.get(at as usize).is_some_and(|place| place.behind != at)
    }

    /// Puts one that stands nowhere at the end.
    fn push(&mut self, queue: u32, slot: u32) {
        let at = slot + SLOTS;
        for new in self.places.len() as u32..=at {
            self.places.push(Place::alone(new));
        }
        let last = self.place(queue).before;
        *self.place(at) = Place { before: last, behind: queue };
        self.place(last).behind = at;
        self.place(queue).before = at;
    }

    /// Takes one out, if it stands somewhere.
    fn remove(&mut self, slot: u32) {
        let at = slot + SLOTS;
        if let Some(&Place { before, behind }) = self.places.get(at as usize) {
            self.place(before).behind = behind;
            self.place(behind).before = before;
            *self.place(at) = Place::alone(at);
        }
    }

    fn first(&self, queue: u32) -> Option<u32> {
        self.next(queue, queue)
    }

    fn next(&self, queue: u32, at: u32) -> Option<u32> {
        let next = self.places[at as usize].behind;
        (next != queue).then(|| next - SLOTS)
    }

    fn iter(&self, queue: u32) -> impl Iterator<Item = u32> {
        std::iter::successors(self.first(queue), move |slot| self.next(queue, slot + SLOTS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: usize = BUFFER_BYTES;

    /// Whether a connection whose newest chunk is this one has to wait.
    fn must_wait(turns: &mut Turns, newest_chunk: u64) -> bool {
        turns.queue(7);
        let waits = turns.take(|_| newest_chunk).is_none();
        turns.clear();
        waits
    }

    #[test]
    fn beyond_the_bound_only_who_has_nothing_waiting_is_read() {
        let mut turns = Turns::new(2 * FULL);
        // Chunks 1 and 2 are the greedy one's; the polite one's newest, 0, is none.
        turns.sent(FULL);
        assert!(!must_wait(&mut turns, 1), "below the bound");
        turns.sent(FULL);
        assert!(must_wait(&mut turns, 2));
        assert!(!must_wait(&mut turns, 0));
        turns.sent(100);
        assert!(must_wait(&mut turns, 3), "whoever it is has a part in it now");
        turns.parsed();
        assert!(!must_wait(&mut turns, 2), "there is room again");
        turns.sent(FULL);
        turns.parsed();
        turns.sent(FULL);
        assert!(must_wait(&mut turns, 3) && !must_wait(&mut turns, 2), "chunk 2 has been parsed");
    }

    #[test]
    fn who_was_held_goes_on_in_turn_as_there_is_room() {
        let mut turns = Turns::new(2 * FULL);
        turns.sent(FULL);
        turns.sent(FULL);
        for slot in [7, 8, 9] {
            turns.queue(slot);
        }
        assert_eq!(turns.take(|_| 2), None);
        turns.let_go(|_| 2);
        assert_eq!(turns.take(|_| 2), None);
        assert_eq!(turns.stopped(false).collect::<Vec<_>>(), [7, 8, 9]);
        turns.parsed();
        turns.queue(1);
        turns.let_go(|_| 2);
        assert_eq!([(); 3].map(|()| turns.take(|_| 2)), [Some(1), Some(7), None], "room for one");
        turns.parsed();
        turns.let_go(|_| 2);
        assert_eq!([(); 3].map(|()| turns.take(|_| 2)), [Some(8), Some(9), None]);
        assert!(turns.is_empty());
    }

    /// Nobody is read, and those that come go again: their slots are taken by the next ones.
    #[test]
    fn who_has_gone_stands_nowhere_and_the_next_in_its_slot_has_a_turn_of_its_own() {
        let mut turns = Turns::new(FULL);
        turns.sent(FULL);
        for slot in [5, 6, 7] {
            turns.queue(slot);
        }
        assert_eq!(turns.take(|_| 1), None, "all are held");
        for _ in 0..1_000 {
            for slot in [6, 8] {
                turns.forget(slot);
                turns.queue(slot);
                turns.queue(slot);
            }
        }
        assert_eq!(
            turns.stopped(true).collect::<Vec<_>>(),
            [6, 8, 5, 7],
            "once each, and who came in is not held"
        );
        assert_eq!(turns.take(|slot| u64::from(slot != 6)), Some(6));
        assert!(!turns.waits(6) && turns.waits(8) && turns.waits(5));
        turns.forget(8);
        assert_eq!(turns.take(|_| 0), None);
        turns.parsed();
        turns.let_go(|_| 1);
        assert_eq!([(); 3].map(|()| turns.take(|_| 1)), [Some(5), Some(7), None]);
        assert!(turns.is_empty() && !turns.holds());
    }

    /// More connections than the ring has places, all with more to read at any time.
    #[test]
    fn a_crowd_keeps_nobody_waiting() {
        const RING: usize = 126;
        const ALL: usize = 210;
        let mut turns = Turns::new(8 * FULL);
        let (mut newest, mut reads, mut sent, mut parsed) = ([0; ALL], [0; ALL], 0, 0);
        let mut crowd_comes = 10;
        for round in 0..1_000 {
            // Ten are there first, and are held; then come the others.
            let come = if round == 5 { ALL } else { crowd_comes };
            (if round == 0 { 0 } else { crowd_comes }..come).for_each(|slot| turns.queue(slot as u32));
            crowd_comes = come;
            turns.let_go(|slot| newest[slot as usize]);
            for _ in 0..64 {
                if sent - parsed >= RING as u64 {
                    break;
                }
                let Some(slot) = turns.take(|slot| newest[slot as usize]) else { break };
                sent += 1;
                (newest[slot as usize], reads[slot as usize]) = (sent, reads[slot as usize] + 1);
                turns.sent(FULL);
                turns.queue(slot);
            }
            for _ in 0..8.min(sent - parsed) {
                parsed += 1;
                turns.parsed();
            }
        }
        let (least, most) = (reads.iter().min(), reads.iter().max());
        assert!(least >= Some(&20), "{least:?} to {most:?} reads");
    }
}
