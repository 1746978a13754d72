//! The sleep protocol under loom: every interleaving of one sleeper and its wakers, over the
//! very file that the daemon uses.

mod sync {
    pub use loom::sync::atomic::{AtomicU8, Ordering, fence};
}

#[path = "../src/runtime/wake/protocol.rs"]
#[allow(dead_code)]
mod protocol;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use protocol::{Flag, INPUT, SPACE};

/// A sleeper that takes `wanted` items, published by wakers, and parks in between.
fn sleep_until(flag: &Flag, work: &AtomicUsize, wanted: usize) {
    loop {
        flag.prepare(INPUT);
        if work.load(Ordering::Relaxed) >= wanted {
            flag.cancel();
            return;
        }
        thread::park();
        flag.cancel();
    }
}

#[test]
fn a_sleeper_is_woken_for_every_publication() {
    loom::model(|| {
        let flag = Arc::new(Flag::new());
        let work = Arc::new(AtomicUsize::new(0));
        let sleeper = thread::current();
        let waker = {
            let (flag, work) = (Arc::clone(&flag), Arc::clone(&work));
            thread::spawn(move || {
                for _ in 0..2 {
                    work.fetch_add(1, Ordering::Relaxed);
                    if flag.must_rouse(INPUT) {
                        sleeper.unpark();
                    }
                }
            })
        };
        // If a wake-up could be lost, loom would find the schedule in which this never returns.
        sleep_until(&flag, &work, 2);
        waker.join().unwrap();
    });
}

#[test]
fn two_wakers_lose_nothing_between_them() {
    // Three threads: every schedule with up to three preemptions (all of them take minutes).
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let flag = Arc::new(Flag::new());
        let work = Arc::new(AtomicUsize::new(0));
        let sleeper = thread::current();
        let wakers: Vec<_> = (0..2)
            .map(|_| {
                let (flag, work) = (Arc::clone(&flag), Arc::clone(&work));
                let sleeper = sleeper.clone();
                thread::spawn(move || {
                    work.fetch_add(1, Ordering::Relaxed);
                    if flag.must_rouse(INPUT | SPACE) {
                        sleeper.unpark();
                    }
                })
            })
            .collect();
        sleep_until(&flag, &work, 2);
        for waker in wakers {
            waker.join().unwrap();
        }
    });
}
