//! From what was typed to what the stages take: units and limits.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::config::networks::Network;
use crate::config::web::OwnHosts;
use crate::event;
use crate::plan::Plan;
use crate::plan::windows::{WindowPlan, micros};
use crate::runtime::cell::Cell;
use crate::runtime::memory;
use crate::runtime::names::Dictionary;
use crate::stages::ingest::Terms;
use crate::stages::ingest::addresses::Addresses;
use crate::stages::ingest::handshake::Policy;
use crate::stages::parse;
use crate::stages::settings::Settings;
use crate::telemetry::counters::ParseCounters;
use crate::windowing::Layout;
use crate::windowing::engine::Engine;
use crate::windowing::watermark::Watermark;

pub(super) fn parse_options(
    config: &Config,
    lanes: usize,
    windows: &WindowPlan,
    settings: &Arc<Cell<Settings>>,
    dictionary: &Arc<Dictionary>,
    counters: &Arc<ParseCounters>,
) -> parse::Options {
    parse::Options {
        timestamp_unit: timestamp_unit(config),
        overload: config.ingest.overload,
        lanes,
        memory_bytes: usize::try_from(memory::default_limit_bytes()).unwrap_or(usize::MAX),
        windows: windows.clone(),
        settings: Arc::clone(settings),
        dictionary: Arc::clone(dictionary),
        counters: Arc::clone(counters),
    }
}

fn timestamp_unit(config: &Config) -> event::time::TimestampUnit {
    use crate::config::TimestampUnit as Typed;
    use event::time::TimestampUnit as Unit;
    match config.time.timestamp_unit {
        Typed::Auto => Unit::Auto,
        Typed::Seconds => Unit::Seconds,
        Typed::Millis => Unit::Millis,
        Typed::Micros => Unit::Micros,
        Typed::Nanos => Unit::Nanos,
    }
}

pub(super) fn engine(config: &Config, layout: &Layout) -> Engine {
    let time = &config.time;
    let watermark = Watermark::new(micros(time.watermark_delay), micros(time.idle_timeout));
    Engine::new(layout.clone(), watermark)
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// By which hosts the daemon may be called, on both ports: those of the configuration, and the name of
/// this machine as it is now.
pub(super) fn own_hosts(config: &Config) -> OwnHosts {
    let machine = rustix::system::uname().nodename().to_str().ok().map(str::to_owned);
    OwnHosts::new(config.http.allowed_hosts.iter().cloned().chain(machine).collect())
}

/// What connections have to keep to, with the dashboard at `http`.
pub(super) fn terms(config: &Config, plan: &Plan, http: SocketAddr, own_hosts: OwnHosts) -> Terms {
    let ingest = &config.ingest;
    let trusted = ingest.trusted_addresses.iter().filter_map(|text| Network::parse(text)).collect();
    Terms {
        max_connections: plan.connections.div_ceil(plan.ingest.len()) as u64,
        addresses: Arc::new(Addresses::new(ingest.connections_per_address, trusted)),
        handshake_timeout_ns: nanos(ingest.handshake_timeout),
        ping_interval_ns: nanos(ingest.ping_interval),
        policy: Policy::new(config, Some(http.port()), own_hosts),
    }
}
