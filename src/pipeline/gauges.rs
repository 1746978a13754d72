//! The rings that each thread consumes, for its meter.

use std::sync::Arc;

use crate::plan::Plan;
use crate::runtime::ring::Rx;
use crate::stages::http;
use crate::telemetry::counters::{
    ControlCounters, IngestCounters, InputRing, ParseCounters, Telemetry, ThreadMeter, WindowCounters,
};

/// The rings each thread consumes.
#[derive(Default)]
pub(super) struct Gauges {
    pub(super) ingest: Vec<Vec<InputRing>>,
    pub(super) parse: Vec<Vec<InputRing>>,
    pub(super) window: Vec<Vec<InputRing>>,
    pub(super) publish: Vec<InputRing>,
    /// Of the file of dead letters, if there is one.
    pub(super) letters: Option<InputRing>,
}

/// A ring by its name, for the meter of the thread that consumes it.
pub(super) fn watched<T>(name: impl Into<String>, ring: &Rx<T>) -> InputRing {
    InputRing { name: name.into(), gauge: ring.gauge() }
}

impl Gauges {
    /// What will be counted from `wall_us` on, microseconds since the epoch.
    pub(super) fn telemetry(
        self,
        plan: &Plan,
        wall_us: i64,
        parse: Vec<Arc<ParseCounters>>,
        window: Vec<Arc<WindowCounters>>,
    ) -> Telemetry {
        let lanes = parse.len();
        Telemetry {
            ingest: (0..lanes).map(|_| Arc::<IngestCounters>::default()).collect(),
            parse,
            window,
            control: ControlCounters::new(wall_us),
            threads: self.meters(plan),
            buffers: (lanes * plan.buffers_per_lane) as u64,
            ..Telemetry::default()
        }
    }

    /// The meters of all threads, in the order in which [`start`] spawns them.
    fn meters(self, plan: &Plan) -> Vec<Arc<ThreadMeter>> {
        let mut meters = Vec::new();
        let mut group = |name: &str, cores: &[Option<usize>], gauges: Vec<Vec<InputRing>>| {
            for (at, (core, rings)) in cores.iter().zip(gauges).enumerate() {
                meters.push(Arc::new(ThreadMeter::new(format!("{name}-{at}"), *core, rings)));
            }
        };
        group("ingest", &plan.ingest, self.ingest);
        group("parse", &plan.parse, self.parse);
        group("window", &plan.window, self.window);
        meters.push(Arc::new(ThreadMeter::new("publish", plan.publish, self.publish)));
        meters.push(Arc::new(ThreadMeter::new("http-gate", None, Vec::new())));
        for worker in 0..http::WORKERS {
            let name = format!("http-{worker}");
            meters.push(Arc::new(ThreadMeter::new(name, None, Vec::new())));
        }
        meters.extend(self.letters.map(|ring| Arc::new(ThreadMeter::new("letters", None, vec![ring]))));
        meters
    }
}
