//! The daemon's own stages, parse to publish, in one thread on a virtual clock: JSON lines in,
//! results out.

use std::sync::Arc;
use std::time::Duration;

use flumen::config::{Config, Window, WindowKind};
use flumen::event::frame::write_masked;
use flumen::message::{Chunk, ConnId, Frame, Subscribe};
use flumen::pipeline::{Core, LaneEnds};
use flumen::plan::{Machine, Plan};
use flumen::runtime::clock::Now;
use flumen::runtime::inline::Inline;
use flumen::runtime::ring::{Rx, Tx, ring};
use flumen::runtime::stage::Stage;
use flumen::runtime::wake::Bell;
use flumen::stages::publish::board::{Board, Late, Wanted};
use flumen::telemetry::counters::{Events, Telemetry};
use serde_json::Value;
use tungstenite::protocol::frame::coding::{Data, OpCode};

/// 2025-11-23T09:08:00Z, on a minute.
pub const START_S: i64 = 1_763_888_880;

pub fn tumbling(name: &str, seconds: u64) -> Window {
    Window::new(name, WindowKind::Tumbling { size: Duration::from_secs(seconds) })
}

pub struct Daemon {
    machine: Inline,
    lanes: Vec<LaneEnds>,
    sent: Vec<u64>,
    telemetry: Arc<Telemetry>,
    board: Arc<Board>,
    windows: Vec<Window>,
    subscribe: Tx<Subscribe>,
    /// Stages that do not move: `0..lanes` are the parse threads.
    pub stalled: Vec<usize>,
}

impl Daemon {
    /// A daemon that starts `after_s` seconds after [`START_S`].
    pub fn start(windows: Vec<Window>, lanes: usize, after_s: f64) -> Self {
        let mut config = Config { windows, ..Config::default() };
        config.threads.ingest = lanes;
        Self::with(config, after_s)
    }

    /// A daemon with this configuration; of two window threads, unless it says how many.
    pub fn with(mut config: Config, after_s: f64) -> Self {
        if config.threads.window == 0 {
            config.threads.window = 2;
        }
        let lanes = config.threads.ingest;
        let plan = Plan::new(&config, &Machine { cores: vec![], descriptors: usize::MAX });
        let start = Now { mono_ns: 1, wall_us: START_S * 1_000_000 + (after_s * 1e6) as i64 };
        let bells = (0..lanes).map(|_| Arc::new(Bell::park())).collect();
        let core = Core::new(&config, &plan, bells, start);
        let mut stages: Vec<Box<dyn Stage>> = Vec::new();
        core.parses.into_iter().for_each(|stage| stages.push(Box::new(stage)));
        core.windows.into_iter().for_each(|stage| stages.push(Box::new(stage)));
        stages.push(Box::new(core.publish));
        let mut daemon = Self {
            machine: Inline::new(stages, start),
            sent: vec![0; lanes],
            lanes: core.lanes,
            telemetry: core.telemetry,
            board: core.board,
            windows: config.windows,
            subscribe: core.subscribe,
            stalled: Vec::new(),
        };
        for (lane, ends) in daemon.lanes.iter_mut().enumerate() {
            ends.chunks.push(Chunk::Open { conn: conn(lane), ack: false }).unwrap();
        }
        daemon
    }

    /// Seconds since [`START_S`].
    pub fn wall_s(&self) -> f64 {
        (self.machine.now().wall_us - START_S * 1_000_000) as f64 / 1e6
    }

    /// Lets time pass and everybody work.
    pub fn pass(&mut self, seconds: f64) {
        self.machine.pass((seconds * 1e9) as u64);
        self.settle();
    }

    pub fn settle(&mut self) {
        loop {
            let mut worked = false;
            for stage in 0..self.machine.len() {
                if !self.stalled.contains(&stage) {
                    worked |= self.machine.turn(stage);
                }
            }
            if !worked {
                return;
            }
        }
    }

    /// A message on a lane's connection, as text.
    pub fn send(&mut self, lane: usize, message: &str) {
        self.send_bytes(lane, Data::Text, message.as_bytes());
    }

    /// A message of text or bytes.
    pub fn send_bytes(&mut self, lane: usize, data: Data, payload: &[u8]) {
        self.machine.pass(1_000_000);
        let mut bytes = Vec::new();
        write_masked(&mut bytes, OpCode::Data(data), [0; 4], payload);
        let now = self.machine.now();
        let ends = &mut self.lanes[lane];
        ends.progress.begin_turn(now.mono_ns);
        self.sent[lane] += 1;
        ends.progress.set_sent(self.sent[lane]);
        let (len, buffer) = (bytes.len(), bytes.into());
        ends.chunks.push(Chunk::Data { conn: conn(lane), buffer, len, arrival: now }).unwrap();
        ends.progress.end_turn();
        self.settle();
        while self.lanes[lane].buffers.pop().is_some() {}
    }

    /// One event of `source` at `time_s` seconds after [`START_S`].
    pub fn event(&mut self, lane: usize, source: &str, time_s: f64, value: f64) {
        let time = START_S as f64 + time_s;
        self.send(
            lane,
            &format!(
                r#"{{"source":"{source}","type":"t","timestamp":{time:.6},"data":{{"value":{value}}}}}"#
            ),
        );
    }

    /// The number of the publish thread among the stages.
    pub fn publish(&self) -> usize {
        self.machine.len() - 1
    }

    /// One turn of one stage.
    pub fn turn(&mut self, stage: usize) {
        self.machine.turn(stage);
    }

    /// Results that are out, in words or not.
    pub fn results_out(&self) -> u64 {
        self.telemetry.publish.results.get()
    }

    /// Recent alerts, oldest first.
    pub fn alerts(&self) -> Vec<Value> {
        self.board.alerts(1_000).iter().map(|json| serde_json::from_str(json).unwrap()).collect()
    }

    /// A reader of the stream with room for so many frames; it gets what it missed after
    /// `last_event_id`.
    pub fn subscribe(&mut self, room: usize, last_event_id: Option<u64>) -> Rx<Arc<Frame>> {
        let rx = self.subscribe_later(room, last_event_id);
        self.settle();
        rx
    }

    /// The same, with publish's next turn.
    pub fn subscribe_later(&mut self, room: usize, last_event_id: Option<u64>) -> Rx<Arc<Frame>> {
        let bell = Arc::new(Bell::park());
        let (frames, rx) = ring(room, &bell, &bell);
        assert!(self.subscribe.push(Subscribe { frames, last_event_id }).is_ok());
        rx
    }

    pub fn results(&self, window: &str) -> Vec<Value> {
        let at = self.windows.iter().position(|w| w.name == window).unwrap();
        let all = self.board.results(at, &Wanted { limit: usize::MAX, ..Wanted::default() });
        all.iter().map(|json| serde_json::from_str(json).unwrap()).collect()
    }

    /// Start (seconds after [`START_S`]) and number of events of a window's results.
    pub fn counts(&self, window: &str) -> Vec<(i64, u64)> {
        let results = self.results(window);
        let start = |r: &Value| r["window_start"].as_f64().unwrap() as i64 - START_S;
        results.iter().map(|r| (start(r), r["event_count"].as_u64().unwrap())).collect()
    }

    pub fn events(&self) -> Events {
        self.telemetry.events()
    }

    pub fn missed(&self, window: usize) -> u64 {
        self.telemetry.missed(window)
    }

    pub fn late_events(&self) -> Vec<Arc<Late>> {
        self.board.late_events(100)
    }

    /// The input ends; everything comes out.
    pub fn drain(mut self) -> Drained {
        self.lanes.clear();
        self.settle();
        assert!(self.machine.is_done());
        Drained(self)
    }
}

/// A daemon that has ended.
pub struct Drained(Daemon);

impl std::ops::Deref for Drained {
    type Target = Daemon;
    fn deref(&self) -> &Daemon {
        &self.0
    }
}

fn conn(lane: usize) -> ConnId {
    ConnId { slot: lane as u32, generation: 0 }
}
