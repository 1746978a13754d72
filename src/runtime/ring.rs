//! The two ends of a ring: rtrb's wait-free single-producer single-consumer queue, plus the
//! bells of both threads and a gauge of how full it has been.
//!
//! The producer rings the consumer's bell once a batch ([`Tx::flush`]); the consumer rings the
//! producer's after it has made space ([`Rx::release`]), and not for every place: a producer that
//! found the ring full is roused when half of it is empty, so that it has something to do. Dropping
//! an end wakes the other side *after* the drop, so that a sleeper always sees the abandoned ring.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::wake::{Bell, INPUT, SPACE};

/// How full a ring is and has been; written by its consumer, and by a producer that finds it full: a
/// consumer that hangs does not look. Read by anybody.
#[derive(Debug, Default)]
pub struct Gauge {
    len: AtomicUsize,
    high_water: AtomicUsize,
    capacity: usize,
}

impl Gauge {
    /// Items seen waiting at the last look.
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Whether nothing waited at the last look.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most items ever seen waiting.
    pub fn high_water(&self) -> usize {
        self.high_water.load(Ordering::Relaxed)
    }

    /// Items the ring can hold.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    fn observe(&self, len: usize) {
        self.len.store(len, Ordering::Relaxed);
        if len > self.high_water.load(Ordering::Relaxed) {
            self.high_water.fetch_max(len, Ordering::Relaxed);
        }
    }
}

/// Makes a ring of `capacity` items between the threads that own the two bells.
pub fn ring<T>(capacity: usize, producer: &Arc<Bell>, consumer: &Arc<Bell>) -> (Tx<T>, Rx<T>) {
    let (tx, rx) = rtrb::RingBuffer::new(capacity);
    let gauge = Arc::new(Gauge { capacity, ..Gauge::default() });
    (
        Tx { inner: Some(tx), consumer: Arc::clone(consumer), gauge: Arc::clone(&gauge), dirty: false },
        Rx { inner: Some(rx), producer: Arc::clone(producer), gauge, freed: false },
    )
}

/// The producing end.
#[derive(Debug)]
pub struct Tx<T> {
    // `None` only while being dropped.
    inner: Option<rtrb::Producer<T>>,
    consumer: Arc<Bell>,
    gauge: Arc<Gauge>,
    dirty: bool,
}

impl<T> Tx<T> {
    /// Puts one item in, or gives it back when the ring is full. That the consumer has gone is told by
    /// [`Tx::is_abandoned`] only.
    pub fn push(&mut self, item: T) -> Result<(), T> {
        let Some(inner) = self.inner.as_mut() else {
            return Err(item);
        };
        match inner.push(item) {
            Ok(()) => {
                self.dirty = true;
                Ok(())
            }
            Err(rtrb::PushError::Full(item)) => {
                self.gauge.observe(self.gauge.capacity);
                Err(item)
            }
        }
    }

    /// Free places.
    pub fn slots(&self) -> usize {
        let free = self.inner.as_ref().map_or(0, rtrb::Producer::slots);
        // Some need two places at a time.
        if free < 2 {
            self.gauge.observe(self.gauge.capacity - free);
        }
        free
    }

    /// Places in all.
    pub fn capacity(&self) -> usize {
        self.inner.as_ref().map_or(0, |p| p.buffer().capacity())
    }

    /// Whether the consumer's end has been dropped.
    pub fn is_abandoned(&self) -> bool {
        self.inner.as_ref().is_none_or(rtrb::Producer::is_abandoned)
    }

    /// Wakes the consumer if it sleeps and something was pushed since the last flush.
    pub fn flush(&mut self) {
        self.flush_as(INPUT);
    }

    /// As [`Tx::flush`], for a ring whose items are not work but room to work (returned
    /// buffers): wakes the consumer only if it awaits `reason`.
    pub fn flush_as(&mut self, reason: u8) {
        if self.dirty {
            self.dirty = false;
            self.consumer.ring(reason);
        }
    }
}

impl<T: Copy> Tx<T> {
    /// Puts in as many items from the front of `items` as fit; says how many.
    pub fn push_slice(&mut self, items: &[T]) -> usize {
        let Some(inner) = self.inner.as_mut() else {
            return 0;
        };
        let (pushed, rest) = inner.push_partial_slice(items);
        if !rest.is_empty() {
            self.gauge.observe(self.gauge.capacity);
        }
        self.dirty |= !pushed.is_empty();
        pushed.len()
    }
}

impl<T> Drop for Tx<T> {
    fn drop(&mut self) {
        drop(self.inner.take());
        self.consumer.ring(INPUT);
    }
}

/// The consuming end.
#[derive(Debug)]
pub struct Rx<T> {
    // `None` only while being dropped.
    inner: Option<rtrb::Consumer<T>>,
    producer: Arc<Bell>,
    gauge: Arc<Gauge>,
    freed: bool,
}

impl<T> Rx<T> {
    /// Takes the oldest item.
    pub fn pop(&mut self) -> Option<T> {
        let item = self.inner.as_mut()?.pop().ok()?;
        self.freed = true;
        Some(item)
    }

    /// Looks at the oldest item.
    pub fn peek(&self) -> Option<&T> {
        self.inner.as_ref()?.peek().ok()
    }

    /// Items waiting; also updates the gauge.
    pub fn len(&self) -> usize {
        let len = self.inner.as_ref().map_or(0, rtrb::Consumer::slots);
        self.gauge.observe(len);
        len
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.inner.as_ref().is_none_or(rtrb::Consumer::is_empty)
    }

    /// Whether the producer has gone; something it sent may still wait.
    pub fn is_abandoned(&self) -> bool {
        self.inner.as_ref().is_none_or(rtrb::Consumer::is_abandoned)
    }

    /// Whether the producer has gone and everything it sent has been taken.
    pub fn ended(&self) -> bool {
        // The order matters: looked at the other way round, a last item could slip between.
        let Some(inner) = self.inner.as_ref() else {
            return true;
        };
        let abandoned = inner.is_abandoned();
        abandoned && inner.is_empty()
    }

    /// Wakes the producer if it sleeps for want of space and half of the ring is empty; whether it
    /// is. A consumer that goes on taking gets there, so the producer never sleeps for good.
    pub fn release(&mut self) -> bool {
        let waiting = self.inner.as_ref().map_or(0, rtrb::Consumer::slots);
        let roomy = waiting * 2 <= self.gauge.capacity;
        if self.freed && roomy {
            self.freed = false;
            self.producer.ring(SPACE);
        }
        roomy
    }

    /// Wakes the producer if it sleeps, to look at what it has.
    pub fn nudge(&self) {
        self.producer.ring(INPUT);
    }

    /// The gauge of this ring.
    pub fn gauge(&self) -> Arc<Gauge> {
        Arc::clone(&self.gauge)
    }
}

impl<T: Copy> Rx<T> {
    /// Moves what waits, at most `limit` items, to the end of `into`; says how many.
    pub fn pop_into(&mut self, into: &mut Vec<T>, limit: usize) -> usize {
        let waiting = self.len().min(limit);
        let Some(inner) = self.inner.as_mut() else {
            return 0;
        };
        let Ok(chunk) = inner.read_chunk(waiting) else {
            return 0;
        };
        let (first, second) = chunk.as_slices();
        into.extend_from_slice(first);
        into.extend_from_slice(second);
        chunk.commit_all();
        self.freed |= waiting > 0;
        waiting
    }
}

impl<T> Drop for Rx<T> {
    fn drop(&mut self) {
        drop(self.inner.take());
        self.producer.ring(SPACE | INPUT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bells() -> (Arc<Bell>, Arc<Bell>) {
        (Arc::new(Bell::park()), Arc::new(Bell::park()))
    }

    #[test]
    fn items_arrive_in_order_and_the_gauge_remembers_the_most() {
        let (a, b) = bells();
        let (mut tx, mut rx) = ring::<u32>(4, &a, &b);
        assert_eq!(tx.push_slice(&[1, 2, 3, 4, 5]), 4);
        assert_eq!(tx.push(9), Err(9));
        assert_eq!(rx.len(), 4);
        let mut out = Vec::new();
        assert_eq!(rx.pop_into(&mut out, 3), 3);
        assert_eq!(out, [1, 2, 3]);
        assert_eq!(rx.pop(), Some(4));
        assert_eq!(rx.len(), 0);
        assert_eq!(rx.gauge().high_water(), 4);
        assert_eq!(rx.gauge().capacity(), 4);
    }

    #[test]
    fn the_gauge_is_true_though_the_consumer_does_not_look() {
        let (a, b) = bells();
        let full = |fill: fn(&mut Tx<u32>)| {
            let (mut tx, mut rx) = ring::<u32>(4, &a, &b);
            let gauge = rx.gauge();
            fill(&mut tx);
            let seen = (gauge.len(), gauge.high_water());
            while rx.pop().is_some() {}
            assert_eq!(rx.len(), 0);
            assert!(gauge.is_empty(), "its next look counts");
            assert_eq!(gauge.high_water(), seen.1);
            seen
        };
        assert_eq!(full(|tx| assert_eq!(tx.push_slice(&[1, 2, 3, 4, 5]), 4)), (4, 4));
        assert_eq!(full(|tx| while tx.push(1).is_ok() {}), (4, 4));
        assert_eq!(
            full(|tx| while tx.slots() >= 2 {
                tx.push(1).unwrap();
            }),
            (3, 3)
        );
        assert_eq!(full(|tx| assert_eq!(tx.push_slice(&[1, 2, 3]), 3)), (0, 0), "not full: not told");
    }

    #[test]
    fn an_abandoned_ring_ends_only_when_it_is_empty() {
        let (a, b) = bells();
        let (mut tx, mut rx) = ring::<u32>(4, &a, &b);
        assert_eq!(tx.push(7), Ok(()));
        drop(tx);
        assert!(!rx.ended());
        assert_eq!(rx.pop(), Some(7));
        assert!(rx.ended());
    }

    #[test]
    fn a_producer_sees_that_its_consumer_has_gone() {
        let (a, b) = bells();
        let (tx, rx) = ring::<u32>(4, &a, &b);
        drop(rx);
        assert!(tx.is_abandoned());
    }
}
