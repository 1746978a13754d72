//! The rings: one hop, slices, buffers that come back, on one core and across; and what waking a
//! sleeper costs, on one core and across.

mod support;

use std::sync::Arc;
use std::time::Instant;

use core_affinity::CoreId;
use flumen::message::{BUFFER_BYTES, Buffer, Item};
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
    let (mut there_tx, mut there_rx) = ring::<Buffer>(64, &bell, &bell);
    let (mut back_tx, mut back_rx) = ring::<Buffer>(64, &bell, &bell);
    back_tx.push(vec![0; BUFFER_BYTES].into()).expect("room");
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let across = [cores.first().copied(), cores.get(1).copied()];
    let names = [
        "item by item, one thread",
        "slices of 64, one thread",
        "a 64 KiB buffer there and back, one thread",
        "slices of 64, from core to core, polling",
    ];
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
            (names[2], &mut || {
                for _ in 0..ITEMS {
                    there_tx.push(back_rx.pop().expect("a buffer")).expect("room");
                    back_tx.push(there_rx.pop().expect("a buffer")).expect("room");
                }
            }),
            (names[3], &mut || from_core_to_core(across, &slice)),
        ],
    );
    for (name, samples) in names.iter().zip(&samples) {
        if *name == names[3] && across[1].is_none() {
            mode.note("from core to core: there is one core only");
            continue;
        }
        mode.row(name, samples, "ns/item", None);
    }
    let same = [across[0]; 2];
    for (name, cores) in [("on the same core", same), ("on another core", across), ("unpinned", [None; 2])] {
        if name == "on another core" && cores[1].is_none() {
            mode.note("waking on another core: there is one core only");
            continue;
        }
        wake(&mut mode, &format!("wake a sleeper, {name}"), cores);
    }
    mode.finish();
}

fn pin(core: Option<CoreId>) {
    if let Some(core) = core
        && !core_affinity::set_for_current(core)
    {
        eprintln!("ring: the kernel refused core {}", core.id);
    }
}

/// A producer and a consumer that never sleep, each on its core.
fn from_core_to_core([here, there]: [Option<CoreId>; 2], slice: &[Item; 64]) {
    if there.is_none() {
        return;
    }
    let bell = Arc::new(Bell::park());
    let (mut tx, mut rx) = ring::<Item>(4_096, &bell, &bell);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            pin(there);
            let mut out = Vec::with_capacity(64);
            let mut taken = 0;
            while taken < ITEMS {
                out.clear();
                rx.pop_into(&mut out, 64);
                taken += out.len();
                std::hint::spin_loop();
            }
        });
        scope.spawn(move || {
            pin(here);
            let mut sent = 0;
            while sent < ITEMS {
                sent += tx.push_slice(&slice[..64.min(ITEMS - sent)]);
            }
        });
    });
}

/// Ping-pong between two sleeping threads: half of a round trip is one wake-up.
fn wake(mode: &mut Mode, name: &str, [here, there]: [Option<CoreId>; 2]) {
    let trips = if mode.smoke { 200 } else { 5_000 };
    let (left, right) = (Arc::new(Bell::park()), Arc::new(Bell::park()));
    let (mut ping_tx, mut ping_rx) = ring::<u32>(4, &left, &right);
    let (mut pong_tx, mut pong_rx) = ring::<u32>(4, &right, &left);
    let mut samples = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            pin(there);
            right.attach();
            while !ping_rx.ended() {
                wait(&right, || !ping_rx.is_empty() || ping_rx.ended());
                if let Some(n) = ping_rx.pop() {
                    pong_tx.push(n).expect("room");
                    pong_tx.flush();
                }
            }
        });
        // A thread of its own: pinning must not outlive the measurement.
        scope.spawn(|| {
            pin(here);
            left.attach();
            for n in 0..trips {
                let start = Instant::now();
                ping_tx.push(n).expect("room");
                ping_tx.flush();
                wait(&left, || !pong_rx.is_empty());
                pong_rx.pop();
                samples.push(start.elapsed().as_nanos() as f64 / 2.0);
            }
            drop(ping_tx);
        });
    });
    mode.row(name, &samples, "ns", None);
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
