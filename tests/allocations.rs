//! From socket to window, no event allocates once everything has grown: the daemon's own stages,
//! parse and window, in one thread, under an allocator that counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use flumen::config::Config;
use flumen::event::frame::write_masked;
use flumen::generate::sources::Sources;
use flumen::message::{Buffer, Chunk, ConnId};
use flumen::pipeline::Core;
use flumen::plan::{Machine, Plan};
use flumen::runtime::clock::Now;
use flumen::runtime::inline::Inline;
use flumen::runtime::stage::Stage;
use flumen::runtime::wake::Bell;
use tungstenite::protocol::frame::coding::{Data, OpCode};

/// Counts what this thread allocates while it is told to.
struct Counting;

thread_local! {
    static COUNT: Cell<Option<u64>> = const { Cell::new(None) };
}

fn note() {
    // A thread that is being torn down has no count any more.
    let _gone = COUNT.try_with(|count| count.set(count.get().map(|n| n + 1)));
}

// SAFETY: everything is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        unsafe { System.dealloc(ptr, layout) }
    }
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        note();
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const START: Now = Now { mono_ns: 1_000_000_000, wall_us: 1_763_888_880_000_000 };
const EVENTS: usize = 20_000;
/// Counters of sketches widen while they fill, seldom and less and less.
const PASSES: usize = 8;

/// The generator's events over two seconds of one window, each in a frame of its own, in chunks
/// as a socket would bring them.
fn chunks(per_frame: usize) -> Vec<Buffer> {
    let mut sources = Sources::new(100, 1);
    let mut bytes = Vec::new();
    let mut chunks = Vec::new();
    let mut payload = Vec::new();
    for n in 0..EVENTS {
        let separator: &[u8] = if payload.is_empty() { b"[" } else { b"," };
        payload.extend_from_slice(if per_frame == 1 { b"" } else { separator });
        sources.event(START.wall_us as u64 + n as u64 * 100, 0.0, &mut payload);
        if (n + 1) % per_frame == 0 {
            payload.extend_from_slice(if per_frame == 1 { b"" } else { b"]" });
            write_masked(&mut bytes, OpCode::Data(Data::Text), [0; 4], &payload);
            payload.clear();
        }
        while bytes.len() >= 60_000 {
            chunks.push(bytes.drain(..60_000).collect());
        }
    }
    chunks.push(bytes.into());
    chunks
}

fn allocations_per_pass(per_frame: usize) -> Vec<u64> {
    let config = Config::default();
    let plan = Plan::new(&config, &Machine { cores: vec![], descriptors: usize::MAX });
    let core = Core::new(&config, &plan, vec![Arc::new(Bell::park())], START);
    let mut stages: Vec<Box<dyn Stage>> = Vec::new();
    core.parses.into_iter().for_each(|stage| stages.push(Box::new(stage)));
    core.windows.into_iter().for_each(|stage| stages.push(Box::new(stage)));
    // Publish stands still: what it does once a second is not done for any event.
    let _publish = core.publish;
    let mut machine = Inline::new(stages, START);
    let mut lane = core.lanes.into_iter().next().unwrap();
    let conn = ConnId { slot: 0, generation: 0 };
    lane.chunks.push(Chunk::Open { conn, ack: false }).unwrap();
    let mut passes = Vec::new();
    let mut sent = 0;
    for _ in 0..PASSES {
        // The same events again: the windows have seen their sources, fields and magnitudes.
        let prepared = chunks(per_frame);
        COUNT.set(Some(0));
        for buffer in prepared {
            machine.pass(10_000);
            sent += 1;
            lane.progress.begin_turn(machine.now().mono_ns);
            lane.progress.set_sent(sent);
            let chunk = Chunk::Data { conn, len: buffer.len(), buffer, arrival: machine.now() };
            assert!(lane.chunks.push(chunk).is_ok());
            lane.progress.end_turn();
            machine.settle();
            while lane.buffers.pop().is_some() {}
        }
        passes.push(COUNT.take().unwrap());
    }
    let events = core.telemetry.events();
    assert_eq!((events.applied, events.in_flight()), ((PASSES * EVENTS) as u64, 0));
    passes
}

#[test]
fn no_event_allocates_after_warm_up() {
    for per_frame in [1, 100] {
        let passes = allocations_per_pass(per_frame);
        println!("{per_frame} events a frame: {passes:?} allocations in {EVENTS} events each");
        assert!(passes[0] > 100, "the counter counts: the first pass makes everything");
        // What is left are sketches whose counters widen, not events.
        assert!(passes[1..].iter().all(|&n| n <= EVENTS as u64 / 1_000), "{passes:?}");
    }
}
