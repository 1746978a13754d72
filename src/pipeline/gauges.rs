//! The rings that each thread consumes, for its meter.

use std::sync::Arc;

use crate::plan::Plan;
use crate::runtime::ring::Rx;
use crate::stages::http;
use crate::telemetry::counters::{InputRing, ThreadMeter};

/// The rings each thread consumes.
#[derive(Default)]
pub(super) struct Gauges {
    pub(super) ingest: Vec<Vec<InputRing>>,
    pub(super) parse: Vec<Vec<InputRing>>,
    pub(super) window: Vec<Vec<InputRing>>,
    pub(super) publish: Vec<InputRing>,
}

/// A ring by its name, for the meter of the thread that consumes it.
pub(super) fn watched<T>(name: impl Into<String>, ring: &Rx<T>) -> InputRing {
    InputRing { name: name.into(), gauge: ring.gauge() }
}

impl Gauges {
    /// The meters of all threads, in the order in which [`start`] spawns them.
    pub(super) fn meters(self, plan: &Plan) -> Vec<Arc<ThreadMeter>> {
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
        for worker in 0..http::WORKERS {
            let name = format!("http-{worker}");
            meters.push(Arc::new(ThreadMeter::new(name, None, Vec::new())));
        }
        meters
    }
}
