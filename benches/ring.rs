//! The rings: one hop, slices, and what waking a sleeper costs.

mod support;

use std::sync::Arc;
use std::time::Instant;

use flumen::message::Item;
use flumen::runtime::ring::ring;
use flumen::runtime::wake::{Bell, INPUT};
use support::{Mode, interleave};

const ITEMS: usize = 1 << 18;

fn main() {
    let mut mode = Mode::from_args("ring");
    let item = Item::Field { id: 1, value: 1.0 };
    let bell = Arc::new(Bell::park());
    let (mut tx, mut rx) = ring::<Item>(4_096, &bell, &bell);
    let (mut tx2, mut rx2) = ring::<Item>(4_096, &bell, &bell);
    let slice = [item; 64];
    let mut out = Vec::with_capacity(64);
    let names = ["item by item, one thread", "slices of 64, one thread"];
    let samples = interleave(
        mode.rounds(),
        ITEMS,
        &mut [
            (names[0], &mut || {
                for _ in 0..ITEMS {
                    tx.push(item).expect("room");
                    rx.pop().expect("an item");
                }
            }),
            (names[1], &mut || {
                for _ in 0..ITEMS / 64 {
                    assert_eq!(tx2.push_slice(&slice), 64);
                    out.clear();
                    rx2.pop_into(&mut out, 64);
                }
            }),
        ],
    );
    for (name, samples) in names.iter().zip(&samples) {
        mode.row(name, samples, "ns/item", None);
    }
    wake(&mut mode);
    mode.finish();
}

/// Ping-pong between two sleeping threads: half of a round trip is one wake-up.
fn wake(mode: &mut Mode) {
    let trips = if mode.smoke { 200 } else { 5_000 };
    let (left, right) = (Arc::new(Bell::park()), Arc::new(Bell::park()));
    let (mut ping_tx, mut ping_rx) = ring::<u32>(4, &left, &right);
    let (mut pong_tx, mut pong_rx) = ring::<u32>(4, &right, &left);
    let there = {
        let right = Arc::clone(&right);
        std::thread::spawn(move || {
            right.attach();
            while !ping_rx.ended() {
                wait(&right, || !ping_rx.is_empty() || ping_rx.ended());
                if let Some(n) = ping_rx.pop() {
                    pong_tx.push(n).expect("room");
                    pong_tx.flush();
                }
            }
        })
    };
    left.attach();
    let mut samples = Vec::new();
    for n in 0..trips {
        let start = Instant::now();
        ping_tx.push(n).expect("room");
        ping_tx.flush();
        wait(&left, || !pong_rx.is_empty());
        pong_rx.pop();
        samples.push(start.elapsed().as_nanos() as f64 / 2.0);
    }
    drop(ping_tx);
    there.join().expect("the other side");
    mode.row("wake a sleeper (unpinned threads)", &samples, "ns", None);
}

fn wait(bell: &Bell, there: impl Fn() -> bool) {
    loop {
        bell.prepare(INPUT);
        if there() {
            bell.cancel();
            return;
        }
        bell.sleep(None);
        bell.cancel();
    }
}
