//! `ingest.overload = "drop"`: a window thread that stands still holds up nobody but itself. The daemon's own
//! stages, parse and window, in one thread; who stands still gets no turn.

use std::sync::Arc;

use flumen::config::{Config, Overload};
use flumen::event::frame::write_masked;
use flumen::message::{Chunk, ConnId, Reply};
use flumen::pipeline::{Core, LaneEnds};
use flumen::plan::{CHUNKS, ITEMS, Machine, Plan};
use flumen::runtime::clock::Now;
use flumen::runtime::inline::Inline;
use flumen::runtime::stage::Stage;
use flumen::runtime::wake::Bell;
use tungstenite::protocol::frame::coding::{Data, OpCode};

const START: Now = Now { mono_ns: 1_000_000_000, wall_us: 1_763_888_880_000_000 };
const CONN: ConnId = ConnId { slot: 0, generation: 0 };
const EVENTS: u64 = 200;

/// A chunk of one frame of events of as many sources.
fn chunk() -> Vec<u8> {
    let event = |n| format!(r#"{{"source":"s{n}","type":"t","data":{{"v":1}}}}"#);
    let events: Vec<_> = (0..EVENTS).map(event).collect();
    let mut bytes = Vec::new();
    write_masked(&mut bytes, OpCode::Data(Data::Text), [0; 4], format!("[{}]", events.join(",")).as_bytes());
    bytes
}

/// The ingest side of a lane, which hands chunks on as long as there is room.
struct Lane {
    ends: LaneEnds,
    sent: u64,
    newest_ack: (u64, u64),
}

impl Lane {
    fn new(mut ends: LaneEnds) -> Self {
        ends.chunks.push(Chunk::Open { conn: CONN, ack: true }).unwrap();
        Self { ends, sent: 0, newest_ack: (0, 0) }
    }

    /// Whether there was room, which ingest looks for before it reads.
    fn send(&mut self, bytes: &[u8], now: Now) -> bool {
        if self.ends.chunks.slots() < 2 {
            return false;
        }
        self.sent += 1;
        self.ends.progress.begin_turn(now.mono_ns);
        self.ends.progress.set_sent(self.sent);
        let chunk = Chunk::Data { conn: CONN, len: bytes.len(), buffer: bytes.into(), arrival: now };
        assert!(self.ends.chunks.push(chunk).is_ok());
        self.ends.progress.end_turn();
        true
    }

    fn take_replies(&mut self) {
        while self.ends.buffers.pop().is_some() {}
        while let Some(reply) = self.ends.replies.pop() {
            if let Reply::Ack { accepted, rejected, .. } = reply {
                self.newest_ack = (accepted, rejected);
            }
        }
    }
}

/// Everybody has turns until nobody has anything to do.
fn come_to_rest(machine: &mut Inline, lanes: &mut [Lane]) {
    while machine.settle() {
        // Only with time it is clear that no other lane has something older.
        machine.pass(1_000);
        lanes.iter_mut().for_each(Lane::take_replies);
    }
}

/// Sends more than any ring holds while a window thread stands still, then lets it go on.
fn stand_still(lanes: usize, windows: usize) {
    let mut config = Config::default();
    config.ingest.overload = Overload::Drop;
    (config.threads.ingest, config.threads.window) = (lanes, windows);
    let plan = Plan::new(&config, &Machine { cores: vec![], descriptors: usize::MAX });
    let core = Core::new(&config, &plan, (0..lanes).map(|_| Arc::new(Bell::park())).collect(), START);
    let mut stages: Vec<Box<dyn Stage>> = Vec::new();
    core.windows.into_iter().for_each(|stage| stages.push(Box::new(stage)));
    core.parses.into_iter().for_each(|stage| stages.push(Box::new(stage)));
    // Publish stands still as well: no window is due within the test.
    let _publish = core.publish;
    let mut machine = Inline::new(stages, START);
    let mut lanes: Vec<_> = core.lanes.into_iter().map(Lane::new).collect();
    let bytes = chunk();
    // More than rings hold: three items an event, and many times the chunks that could wait.
    while lanes.iter().any(|lane| lane.sent < ITEMS as u64 / EVENTS + 100 * CHUNKS as u64) {
        for lane in &mut lanes {
            while lane.send(&bytes, machine.now()) {
                machine.pass(1_000);
            }
        }
        // All but the first window thread.
        while (1..machine.len()).fold(false, |worked, which| machine.turn(which) | worked) {
            lanes.iter_mut().for_each(Lane::take_replies);
        }
        for lane in &lanes {
            let chunks = &lane.ends.chunks;
            assert!(chunks.slots() * 2 >= chunks.capacity(), "ingest is woken, and clients need not wait");
        }
    }
    let held = core.telemetry.events();
    assert!(held.dropped > 0 && held.in_flight() > 0, "{held:?}");
    assert!(held.dropped + held.applied + held.in_flight() <= held.received);
    assert_eq!(lanes[0].ends.progress.applied(), 0, "one has applied nothing");
    come_to_rest(&mut machine, &mut lanes);
    let events = core.telemetry.events();
    assert_eq!(events.received, lanes.iter().map(|lane| lane.sent * EVENTS).sum::<u64>());
    assert_eq!((events.in_flight(), events.applied + events.dropped), (0, events.received), "{events:?}");
    let (mut accepted, mut rejected) = (0, 0);
    for lane in &lanes {
        assert_eq!(
            lane.ends.progress.applied(),
            lane.sent,
            "every chunk is applied, so every frame acknowledged"
        );
        accepted += lane.newest_ack.0;
        rejected += lane.newest_ack.1;
    }
    assert_eq!((accepted, rejected), (events.applied, events.dropped), "as told to the clients");
    // And it goes on as before.
    for lane in &mut lanes {
        assert!(lane.send(&bytes, machine.now()));
    }
    come_to_rest(&mut machine, &mut lanes);
    let after = core.telemetry.events();
    assert_eq!(after.applied - events.applied, EVENTS * lanes.len() as u64);
}

#[test]
fn a_window_thread_that_stands_still_holds_up_no_client() {
    for (lanes, windows) in [(1, 1), (1, 2), (2, 1), (2, 3)] {
        println!("{lanes} lanes, {windows} window threads");
        stand_still(lanes, windows);
    }
}
