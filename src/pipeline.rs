//! THE map: every ring and every thread of the daemon is made here, in the order of the flow (but the ring of
//! a reader of the event stream, who comes later: `stages/http/sse.rs`).
//!
//! ```text
//!  sockets      ┌────────┐ chunks  ┌───────┐ items   ┌────────┐ reports ┌─────────┐ frames ┌──────┐
//!  ───────────► │ ingest ├────────►│ parse ├────────►│ window ├────────►│ publish ├───────►│ http │──► SSE, JSON,
//!    replies ◄──┤ (mio)  │◄────────┤       │  mesh   │        │         │         │        │      │    dashboard
//!               └────────┘ buffers └───────┘         └────────┘         └─────────┘        └──────┘
//! ```
//!
//! [`Core`] is parse to publish, which the simulation runs in one thread; [`start`] adds the
//! sockets at both ends and gives each stage its thread. All rings come first, then the
//! stages, then one spawn a stage. A thread ends by returning from its stage, which drops its
//! ring ends; that is how the end of input travels down the pipeline.

mod gauges;
mod letters;
mod running;
pub mod sockets;
mod translate;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use mio::{Poll, Waker};

use crate::config::Config;
use crate::message::{Buffer, Chunk, Held, Reply, Subscribe};
use crate::plan::windows::WindowPlan;
use crate::plan::{self, Plan};
use crate::runtime::cell::Cell;
use crate::runtime::clock::{Clock, Now};
use crate::runtime::names::Dictionary;
use crate::runtime::progress::LaneProgress;
use crate::runtime::ring::{Rx, Tx, ring};
use crate::runtime::stage::{self, Stage};
use crate::runtime::thread::Spawner;
use crate::runtime::wake::Bell;
use crate::stages::http::gate::{self, Gate};
use crate::stages::http::{self, Shared};
use crate::stages::ingest::{self, Ingest, Orders};
use crate::stages::parse::{self, Parse};
use crate::stages::publish::board::Board;
use crate::stages::publish::groups::Groups;
use crate::stages::publish::{self, Publish};
use crate::stages::settings::Settings;
use crate::stages::window::{self, Window};
use crate::telemetry::counters::{ParseCounters, Telemetry, WindowCounters};
use crate::windowing::merge::Merger;
use gauges::{Gauges, watched};
use sockets::{Passed, Sockets};
use translate::{engine, nanos, own_hosts, parse_options, terms};

/// The ingest side of one lane.
pub struct LaneEnds {
    /// Bytes in.
    pub chunks: Tx<Chunk>,
    /// Empty buffers back.
    pub buffers: Rx<Buffer>,
    /// What to tell clients.
    pub replies: Rx<Reply>,
    /// The lane's shared numbers.
    pub progress: Arc<LaneProgress>,
}

/// Parse to publish, wired but not running.
pub struct Core {
    /// Where chunks go in, one a lane.
    pub lanes: Vec<LaneEnds>,
    /// One a lane.
    pub parses: Vec<Parse>,
    /// One a shard.
    pub windows: Vec<Window>,
    /// The last stage.
    pub publish: Publish,
    /// Where readers of the event stream come from.
    pub subscribe: Tx<Subscribe>,
    /// Bytes of all frames for them that somebody still holds.
    pub held: Held,
    /// The file of dead letters, if there is one.
    letters: Option<letters::Filing>,
    /// The family of each window.
    pub family_of: Vec<usize>,
    /// Counters and meters of everything.
    pub telemetry: Arc<Telemetry>,
    /// What HTTP may look at.
    pub board: Arc<Board>,
    /// Names behind the numbers.
    pub dictionary: Arc<Dictionary>,
    /// What can be replaced while running.
    pub settings: Arc<Cell<Settings>>,
    bells: Bells,
}

/// One bell a thread.
struct Bells {
    ingest: Vec<Arc<Bell>>,
    parse: Vec<Arc<Bell>>,
    window: Vec<Arc<Bell>>,
    publish: Arc<Bell>,
}

impl Core {
    /// Makes all rings from parse to publish, and the stages at their ends. `ingest` holds the
    /// bells of the ingest threads (the simulation passes bells nobody hears).
    pub fn new(config: &Config, plan: &Plan, ingest: Vec<Arc<Bell>>, started: Now) -> Self {
        let (lanes, shards) = (plan.parse.len(), plan.window.len());
        let park = || Arc::new(Bell::park());
        let bells = Bells {
            ingest,
            parse: (0..lanes).map(|_| park()).collect(),
            window: (0..shards).map(|_| park()).collect(),
            publish: park(),
        };
        let settings = Arc::new(Cell::new(Settings::new(config)));
        let window_plan = WindowPlan::new(&config.windows);
        let tables = window_plan.groupings.len();
        let dictionary = Arc::new(Dictionary::new(tables));
        let pin = |field: &str| dictionary.fields.pin(field);
        let layout = window_plan.layout(&config.windows, Some(started.wall_us), pin);
        let families = layout.families.len();
        pin_alerts(&dictionary, config);
        let progress: Vec<_> = (0..lanes).map(|_| Arc::new(LaneProgress::new(shards))).collect();
        let parse_counters: Vec<_> = (0..lanes).map(|_| Arc::new(ParseCounters::new(families))).collect();
        let types = config.limits.event_types;
        let counted = config.windows.len();
        let window_counters: Vec<_> =
            (0..shards).map(|_| Arc::new(WindowCounters::new(types, counted))).collect();
        let mut gauges = Gauges::default();

        // Rings, down the pipeline. `mesh[shard]` collects the lanes' rings to that shard.
        let mut lane_ends = Vec::new();
        let mut parses = Vec::new();
        let mut letters = Vec::new();
        let mut mesh: Vec<Vec<window::Lane>> = (0..shards).map(|_| Vec::new()).collect();
        for lane in 0..lanes {
            let (to, from) = (&bells.ingest[lane], &bells.parse[lane]);
            let (chunks, chunks_rx) = ring(plan::CHUNKS, to, from);
            let (buffers, buffers_rx) = ring(plan.buffers_per_lane, from, to);
            let (replies, replies_rx) = ring(plan::REPLIES, from, to);
            let (letters_tx, letters_rx) = ring(plan::LETTERS, from, &bells.publish);
            gauges.parse.push(vec![watched("chunks", &chunks_rx)]);
            gauges.ingest.push(vec![watched("replies", &replies_rx)]);
            gauges.publish.push(watched(format!("letters-{lane}"), &letters_rx));
            letters.push(letters_rx);
            let mut outlets = Vec::new();
            for (shard, lanes_of_shard) in mesh.iter_mut().enumerate() {
                let (items, items_rx) = ring(plan::ITEMS, from, &bells.window[shard]);
                outlets.push(items);
                let (progress, bell) = (Arc::clone(&progress[lane]), Arc::clone(to));
                lanes_of_shard.push(window::Lane::new(items_rx, progress, bell));
            }
            let ports =
                parse::Ports { chunks: chunks_rx, buffers, replies, letters: letters_tx, shards: outlets };
            parses.push(Parse::new(
                ports,
                parse_options(config, lanes, &window_plan, &settings, &dictionary, &parse_counters[lane]),
            ));
            lane_ends.push(LaneEnds {
                chunks,
                buffers: buffers_rx,
                replies: replies_rx,
                progress: Arc::clone(&progress[lane]),
            });
        }
        let mut windows = Vec::new();
        let mut publish_shards = Vec::new();
        for (shard, lanes_of_shard) in mesh.into_iter().enumerate() {
            let (to, from) = (&bells.window[shard], &bells.publish);
            let (reports, reports_rx) = ring(plan.reports, to, from);
            let (late, late_rx) = ring(plan::LATE, to, from);
            let (histograms, histograms_rx) = ring(1, from, to);
            let lanes_in = lanes_of_shard.iter().enumerate();
            gauges.window.push(lanes_in.map(|(at, l)| watched(format!("items-{at}"), &l.items)).collect());
            gauges.publish.push(watched(format!("reports-{shard}"), &reports_rx));
            gauges.publish.push(watched(format!("late-{shard}"), &late_rx));
            let options = window::Options {
                shard,
                shards,
                engine: engine(config, &layout),
                revises: layout.windows.iter().any(|window| window.lateness_us > 0),
                group_tables: tables,
                settle_per_turn: plan.settle_per_turn,
                steps_us: config
                    .windows
                    .iter()
                    .map(|window| plan::windows::micros(window.kind.step()))
                    .collect(),
                settings: Arc::clone(&settings),
                reports,
                late,
                histograms: histograms_rx,
                live_interval_ns: nanos(config.publish.live_interval),
                counters: Arc::clone(&window_counters[shard]),
            };
            windows.push(Window::new(lanes_of_shard, options));
            publish_shards.push(publish::Shard::new(reports_rx, late_rx, histograms));
        }
        let (subscribe, newcomers) = ring(plan::SUBSCRIBES, &park(), &bells.publish);
        let held = Held::default();

        let (filing, filed) = letters::ring_to_file(config, &bells.publish);
        gauges.letters = filed.as_ref().map(letters::Filing::watched);
        let telemetry = Arc::new(gauges.telemetry(plan, started.wall_us, parse_counters, window_counters));
        let publish_config = &config.publish;
        let (count, bytes) = (publish_config.history, publish_config.history_bytes);
        let board = Arc::new(Board::new(config.windows.len(), count, bytes));
        let options = publish::Options {
            windows: config.windows.clone(),
            groups: Groups::new(&config.windows, &window_plan),
            merger: Merger::new(layout, shards),
            parsers: bells.parse.clone(),
            settings: Arc::clone(&settings),
            dictionary: Arc::clone(&dictionary),
            board: Arc::clone(&board),
            telemetry: Arc::clone(&telemetry),
            filing,
            held: Arc::clone(&held),
            ids_from: started.wall_us.max(0) as u64,
            live_interval_ns: nanos(publish_config.live_interval),
        };
        Self {
            lanes: lane_ends,
            parses,
            windows,
            publish: Publish::new(publish_shards, letters, newcomers, options),
            subscribe,
            held,
            letters: filed,
            family_of: window_plan.family_of,
            telemetry,
            board,
            dictionary,
            settings,
            bells,
        }
    }
}

/// Alerts look fields up by name: somebody else's names must not push theirs out.
fn pin_alerts(dictionary: &Dictionary, config: &Config) {
    for alert in &config.alerts {
        dictionary.fields.pin(&alert.field);
    }
}

/// A running daemon.
pub struct Running {
    /// Where events go.
    pub ingest: SocketAddr,
    /// Where results are.
    pub http: SocketAddr,
    /// Rules, limits, alerts.
    settings: Arc<Cell<Settings>>,
    /// Everything that is counted; main writes `control`.
    pub telemetry: Arc<Telemetry>,
    dictionary: Arc<Dictionary>,
    shared: Arc<Shared>,
    orders: Arc<Orders>,
    bells: Vec<Arc<Bell>>,
    ingest_bells: Vec<Arc<Bell>>,
    stages: Vec<JoinHandle<()>>,
    http_workers: Vec<JoinHandle<()>>,
    letters: Option<JoinHandle<()>>,
}

/// Takes or binds both sockets, makes everything and lets it run; `/health` says "starting" until
/// [`Running::set_ready`].
pub fn start(
    config: &Config,
    plan: &Plan,
    spawner: &Spawner,
    passed: Passed,
    clock: Clock,
) -> io::Result<Running> {
    let Sockets { ingest: listener, http: web } = Sockets::open(config, plan, passed)?;
    let (ingest_addr, http_addr) = (listener.local_addr()?, web.local_addr()?);

    let mut polls = Vec::new();
    let mut ingest_bells = Vec::new();
    for _ in &plan.ingest {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), ingest::WAKER)?;
        ingest_bells.push(Arc::new(Bell::poll(waker)));
        polls.push(poll);
    }
    let started = clock.now();
    let gate_poll = Poll::new()?;
    let gate_bell = Arc::new(Bell::poll(Waker::new(gate_poll.registry(), gate::WAKER)?));
    let core = Core::new(config, plan, ingest_bells.clone(), started);
    let orders = Arc::<Orders>::default();

    // Lane 0 accepts and hands on.
    let (mut hand_off, mut handed) = (Vec::new(), vec![None]);
    for bell in ingest_bells.iter().skip(1) {
        let (tx, rx) = ring(plan::HAND_OFF, &ingest_bells[0], bell);
        hand_off.push(tx);
        handed.push(Some(rx));
    }
    let mut listener = Some(listener);
    let own_hosts = own_hosts(config);
    let terms = terms(config, plan, http_addr, own_hosts.clone());
    let mut ingests = Vec::new();
    for (lane, ((poll, ends), handed)) in polls.into_iter().zip(core.lanes).zip(handed).enumerate() {
        let ports = ingest::Ports {
            chunks: Some(ends.chunks),
            buffers: ends.buffers,
            replies: ends.replies,
            hand_off: std::mem::take(&mut hand_off),
            handed,
        };
        let options = ingest::Options {
            listener: listener.take(),
            terms: terms.clone(),
            buffers: plan.buffers_per_lane,
            unparsed_bytes: plan.unparsed_bytes,
            progress: ends.progress,
            counters: Arc::clone(&core.telemetry.ingest[lane]),
            orders: Arc::clone(&orders),
            drain_timeout_ns: nanos(config.shutdown.timeout),
            clock,
        };
        ingests.push(Ingest::new(poll, ports, options)?);
    }
    let parts = http::Parts {
        telemetry: Arc::clone(&core.telemetry),
        board: core.board,
        dictionary: Arc::clone(&core.dictionary),
        settings: Arc::clone(&core.settings),
        windows: config.windows.clone(),
        family_of: core.family_of,
        clock,
        started_us: started.wall_us,
        connections: plan.connections,
        http_connections: plan.http_connections,
        sse_clients: config.http.sse_clients,
        own_hosts,
        publish: Arc::clone(&core.bells.publish),
        gate: Arc::clone(&gate_bell),
        held: core.held,
    };
    let shared = Arc::new(Shared::new(parts)?);
    let options = gate::Options {
        shared: Arc::clone(&shared),
        connections: plan.http_connections,
        request_timeout_ns: nanos(config.http.request_timeout),
        subscribe: core.subscribe,
        counters: Arc::clone(&core.telemetry.http),
    };
    let gate = Gate::new(gate_poll, web, options)?;

    // One spawn a stage, the end of the pipeline first, so that nobody talks to nobody.
    let mut meters = core.telemetry.threads.iter().map(Arc::clone);
    let mut threads: Vec<(Box<dyn Stage>, Arc<Bell>)> = Vec::new();
    threads.extend(boxed(ingests, ingest_bells.clone()));
    threads.extend(boxed(core.parses, core.bells.parse));
    threads.extend(boxed(core.windows, core.bells.window));
    threads.push((Box::new(core.publish), core.bells.publish));
    threads.push((Box::new(gate), gate_bell));
    let mut planned: Vec<_> = threads.into_iter().zip(meters.by_ref()).collect();
    let (mut stages, mut bells) = (Vec::new(), Vec::new());
    while let Some(((mut stage, bell), meter)) = planned.pop() {
        let (core, spin, own) = (meter.core, plan.spin, Arc::clone(&meter));
        bells.push(Arc::clone(&bell));
        stages.push(spawner.spawn(meter, core, move || {
            stage::run(stage.as_mut(), &bell, clock, &own, spin);
        })?);
    }
    stages.reverse();
    bells.reverse();
    // The gate goes on when the stages have ended.
    let mut http_workers = Vec::from_iter(stages.pop());
    // The meter behind theirs is that of the dead letters' file, if there is one.
    for meter in meters.take(http::WORKERS) {
        let (shared, own) = (Arc::clone(&shared), Arc::clone(&meter));
        http_workers.push(spawner.spawn(meter, None, move || http::work(&shared, &own))?);
    }
    let letters = core.letters.map(|letters| letters.spawn(spawner, &core.telemetry, clock)).transpose()?;
    Ok(Running {
        ingest: ingest_addr,
        http: http_addr,
        settings: core.settings,
        telemetry: core.telemetry,
        dictionary: core.dictionary,
        shared,
        orders,
        bells,
        ingest_bells,
        stages,
        http_workers,
        letters,
    })
}

fn boxed<S: Stage + 'static>(
    stages: Vec<S>,
    bells: Vec<Arc<Bell>>,
) -> impl Iterator<Item = (Box<dyn Stage>, Arc<Bell>)> {
    let stages = stages.into_iter().map(|s| Box::new(s) as Box<dyn Stage>);
    stages.zip(bells)
}
