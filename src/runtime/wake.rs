//! Sleep and wake: one [`Bell`] a thread, rung by whoever gives it work or space.
//!
//! The protocol and its proof stand in [`protocol`]; this file ties it to real threads (park)
//! and to `mio` (a waker), which the ingest threads sleep in.

use std::sync::OnceLock;
use std::thread::Thread;
use std::time::Duration;

pub mod protocol;

mod sync {
    pub use std::sync::atomic::{AtomicU8, Ordering, fence};
}

pub use protocol::{APPLIED, INPUT, PULSE, SPACE};

#[derive(Debug)]
enum Rouse {
    Park(OnceLock<Thread>),
    Poll(mio::Waker),
}

/// What wakes one thread.
#[derive(Debug)]
pub struct Bell {
    flag: protocol::Flag,
    rouse: Rouse,
}

impl Bell {
    /// A bell for a thread that sleeps by parking.
    pub fn park() -> Self {
        Self { flag: protocol::Flag::new(), rouse: Rouse::Park(OnceLock::new()) }
    }

    /// A bell for a thread that sleeps in a `mio::Poll`.
    pub fn poll(waker: mio::Waker) -> Self {
        Self { flag: protocol::Flag::new(), rouse: Rouse::Poll(waker) }
    }

    /// The sleeping thread says that it is the one; before its first `prepare`.
    pub fn attach(&self) {
        if let Rouse::Park(thread) = &self.rouse {
            // A second attach is the same thread again: nothing to do.
            thread.get_or_init(std::thread::current);
        }
    }

    /// Sleeper: about to wait for `reasons`; look for work once more, then [`Bell::sleep`].
    pub fn prepare(&self, reasons: u8) {
        self.flag.prepare(reasons);
    }

    /// Sleeper: awake.
    pub fn cancel(&self) {
        self.flag.cancel();
    }

    /// Sleeper: parks until rung or until `timeout` is over. May return early.
    pub fn sleep(&self, timeout: Option<Duration>) {
        match timeout {
            Some(timeout) => std::thread::park_timeout(timeout),
            None => std::thread::park(),
        }
    }

    /// Waker: rouses the thread if it awaits `reason`. Call after publishing a batch.
    pub fn ring(&self, reason: u8) {
        if !self.flag.must_rouse(reason) {
            return;
        }
        match &self.rouse {
            // Not attached yet: the thread has not looked for work once, so it will see this.
            Rouse::Park(thread) => {
                if let Some(thread) = thread.get() {
                    thread.unpark();
                }
            }
            Rouse::Poll(waker) => {
                if let Err(error) = waker.wake() {
                    // An eventfd can only fail when the process is out of its mind; a thread
                    // that cannot be woken would hang the drain, so say it loudly.
                    tracing::error!("waking a thread failed: {error}");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn a_sleeper_never_misses_a_publication() {
        const ROUNDS: u64 = 2_000;
        let bell = Arc::new(Bell::park());
        let work = Arc::new(AtomicU64::new(0));
        let sleeper = {
            let (bell, work) = (Arc::clone(&bell), Arc::clone(&work));
            std::thread::spawn(move || {
                bell.attach();
                let mut seen = 0;
                while seen < ROUNDS {
                    bell.prepare(INPUT);
                    let there = work.load(Ordering::Relaxed);
                    if there == seen {
                        bell.sleep(None);
                    }
                    bell.cancel();
                    seen = work.load(Ordering::Relaxed);
                }
            })
        };
        for _ in 0..ROUNDS {
            work.fetch_add(1, Ordering::Relaxed);
            bell.ring(INPUT);
        }
        sleeper.join().unwrap();
    }

    #[test]
    fn a_bell_for_another_reason_does_not_rouse() {
        let flag = protocol::Flag::new();
        flag.prepare(SPACE);
        assert!(!flag.must_rouse(INPUT));
        assert!(flag.must_rouse(SPACE | INPUT));
        assert!(!flag.must_rouse(SPACE), "one waker wins");
    }
}
