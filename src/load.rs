//! `flumen load`: an open-loop load test. Each client has a schedule that nothing delays; an
//! event's latency runs from its *intended* send time to the arrival of the acknowledgement
//! that covers it, so a stall of the daemon (or of this client) cannot hide: coordinated
//! omission has nowhere to happen.
//!
//! One thread drives all clients. Every `--batch-ms` a client sends the events that are due,
//! one event a frame, in one write (`--write-each`: each in a write of its own); the clients'
//! ticks are spread over the interval, and so are the ticks in which an event is due when that is
//! not every one: 100 clients at 1,000/s are an event a millisecond, not 100 at once.

pub mod args;
pub mod report;

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use mio::{Events, Interest, Poll, Token};

use crate::client::{Client, Notice, RunError, Url};
use crate::runtime::descriptors;
pub use args::LoadArgs;
pub use report::Report;

/// Patience with the last acks: so long without one, ns; and with all of them, besides the duration of the step, ns.
const FINISH_NS: u64 = 5_000_000_000;
const MOST_BEHIND_NS: u64 = 60_000_000_000;
/// Pause between the steps of the suite.
const PAUSE: Duration = Duration::from_secs(2);
/// Longest latency told apart, ns.
const MAX_NS: u64 = 120_000_000_000;
/// Bytes queued for a client beyond which its sends wait (their intended times stay).
const MAX_BACKLOG: usize = 4 * 1024 * 1024;
/// Descriptors besides those of the clients.
const OWN_DESCRIPTORS: usize = 64;
/// The prototype's four steps: clients, events per second.
const SUITE: [(u32, f64); 4] = [(10, 1_000.0), (20, 5_000.0), (50, 10_000.0), (100, 25_000.0)];

/// Frames sent for one tick and not acknowledged yet.
struct Batch {
    intended_ns: u64,
    first: u64,
    last: u64,
}

struct Peer {
    client: Option<Client>,
    /// When the next tick is due, ns since the start.
    next_ns: u64,
    /// Ticks so far: what is due is computed from it, so that fractions add up.
    ticks: u64,
    scheduled: u64,
    waiting: VecDeque<Batch>,
    accepted: u64,
    rejected: u64,
}

/// Runs one step or the suite and has the reports said.
pub fn run(
    args: &LoadArgs,
    stop: &AtomicBool,
    say: &mut dyn FnMut(String) -> io::Result<()>,
) -> Result<Vec<Report>, RunError> {
    args.check()?;
    let mut reports = Vec::new();
    let outcome = steps(args, stop, say, &mut reports);
    // The steps that were made count, whatever became of the next one.
    if args.json && (outcome.is_ok() || !reports.is_empty()) {
        let all: Vec<_> = reports.iter().map(Report::to_json).collect();
        say(format!("{}\n", serde_json::Value::Array(all)))?;
    }
    outcome.map(|()| reports)
}

fn steps(
    args: &LoadArgs,
    stop: &AtomicBool,
    say: &mut dyn FnMut(String) -> io::Result<()>,
    reports: &mut Vec<Report>,
) -> Result<(), RunError> {
    let url = Url::parse(&args.url).map_err(RunError::Connect)?.with_acks();
    let one = [(args.clients, args.rate)];
    let steps: &[(u32, f64)] = if args.suite { &SUITE } else { &one };
    for (at, &(clients, rate)) in steps.iter().enumerate() {
        if at > 0 && !stop.load(Ordering::Relaxed) {
            std::thread::sleep(PAUSE);
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (report, latencies) = step(args, &url, clients, rate, stop)?;
        if !args.json {
            say(format!("{report}\n"))?;
        }
        reports.push(report);
        if let Some(file) = &args.hgrm {
            let file = report::numbered(file, args.suite.then_some(at + 1));
            std::fs::write(&file, report::hgrm(&latencies))
                .map_err(|error| RunError::Flag(format!("--hgrm {}: {error}", file.display())))?;
        }
    }
    Ok(())
}

struct Step {
    start: Instant,
    poll: Poll,
    peers: Vec<Peer>,
    latencies: Histogram<u64>,
    tick_ns: u64,
    per_tick: f64,
    write_each: bool,
    sources: u64,
    sent: u64,
    connection_errors: u64,
    payload: Vec<u8>,
}

fn step(
    args: &LoadArgs,
    url: &Url,
    clients: u32,
    rate: f64,
    stop: &AtomicBool,
) -> Result<(Report, Histogram<u64>), RunError> {
    descriptors::allow(clients as usize + OWN_DESCRIPTORS)?;
    let tick_ns = (args.batch_ms * 1e6) as u64;
    let latencies =
        Histogram::new_with_bounds(1_000, MAX_NS, 3).map_err(|error| RunError::Flag(error.to_string()))?;
    let mut step = Step {
        start: Instant::now(),
        poll: Poll::new()?,
        peers: Vec::new(),
        latencies,
        tick_ns,
        per_tick: rate / f64::from(clients) * args.batch_ms / 1e3,
        write_each: args.write_each,
        sources: args.sources.into(),
        sent: 0,
        connection_errors: 0,
        payload: Vec::new(),
    };
    for at in 0..clients {
        let mut client = Client::connect(url).map_err(RunError::Connect)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        let token = Token(at as usize);
        step.poll.registry().register(&mut client.stream, token, interest)?;
        step.peers.push(Peer {
            client: Some(client),
            // Spread over the interval, so that the clients do not send in step.
            next_ns: tick_ns * u64::from(at) / u64::from(clients),
            ticks: 0,
            scheduled: 0,
            waiting: VecDeque::new(),
            accepted: 0,
            rejected: 0,
        });
    }
    step.start = Instant::now();
    let until_ns = (args.duration * 1e9) as u64;
    let mut events = Events::with_capacity(1_024);
    while step.now_ns() < until_ns && !stop.load(Ordering::Relaxed) {
        let next_ns = step.send_due(until_ns);
        step.turn(&mut events, next_ns.min(until_ns))?;
    }
    let end_ns = step.now_ns();
    // What came due while the last turn slept.
    step.send_due(end_ns.min(until_ns));
    let intended = step.intended(end_ns.min(until_ns));
    // A daemon that is behind goes on acknowledging, and how long that takes is what is to be measured.
    let answered = |step: &Step| step.peers.iter().map(|p| p.accepted + p.rejected).sum::<u64>();
    let (mut before, mut deadline_ns) = (answered(&step), step.now_ns() + FINISH_NS);
    let latest_ns = deadline_ns + until_ns + MOST_BEHIND_NS;
    while step.now_ns() < deadline_ns.min(latest_ns) && step.peers.iter().any(Peer::waits) {
        let soon_ns = step.now_ns() + 1_000_000;
        step.turn(&mut events, soon_ns)?;
        let now = answered(&step);
        if std::mem::replace(&mut before, now) != now {
            deadline_ns = step.now_ns() + FINISH_NS;
        }
    }
    step.give_up();
    let sum = |pick: fn(&Peer) -> u64| step.peers.iter().map(pick).sum::<u64>();
    let report = Report {
        clients,
        rate,
        seconds: end_ns as f64 / 1e9,
        intended,
        sent: step.sent,
        writes: sum(|p| p.client.as_ref().map_or(0, |c| c.writes)),
        applied: sum(|p| p.accepted),
        rejected: sum(|p| p.rejected),
        unacknowledged: sum(|p| p.waiting.iter().map(|b| b.last - b.first + 1).sum()),
        connection_errors: step.connection_errors,
        percentiles: report::percentiles(&step.latencies),
    };
    step.goodbye();
    Ok((report, step.latencies))
}

impl Peer {
    fn waits(&self) -> bool {
        !self.waiting.is_empty() && self.client.is_some()
    }
}

impl Step {
    fn now_ns(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// Events that were due before `end_ns`, whether they could be sent or not.
    fn intended(&self, end_ns: u64) -> u64 {
        let clients = self.peers.len() as f64;
        let due = |(at, peer): (usize, &Peer)| {
            let missed = end_ns.saturating_sub(peer.next_ns).div_ceil(self.tick_ns);
            due(peer.ticks + missed, self.per_tick, at as f64 / clients)
        };
        self.peers.iter().enumerate().map(due).sum()
    }

    /// What is still waiting took this long at the least; without it, the worst would not be in the figures.
    fn give_up(&mut self) {
        let now_ns = self.now_ns();
        for batch in self.peers.iter().flat_map(|peer| &peer.waiting) {
            let waited_ns = now_ns.saturating_sub(batch.intended_ns);
            self.latencies.saturating_record_n(waited_ns, batch.last - batch.first + 1);
        }
    }

    /// Sends whatever is due; returns when the next tick is.
    fn send_due(&mut self, until_ns: u64) -> u64 {
        let now_ns = self.now_ns();
        let mut next_ns = u64::MAX;
        let clients = self.peers.len() as f64;
        for (at, peer) in self.peers.iter_mut().enumerate() {
            let Some(client) = peer.client.as_mut() else {
                continue;
            };
            let (mut queued, mut failed) = (false, false);
            while peer.next_ns <= now_ns && peer.next_ns < until_ns && client.backlog() < MAX_BACKLOG {
                let due = due(peer.ticks + 1, self.per_tick, at as f64 / clients);
                let first = client.frames + 1;
                while peer.scheduled < due && client.backlog() < MAX_BACKLOG {
                    peer.scheduled += 1;
                    let source = source(at as u64, clients as u64, peer.scheduled, self.sources);
                    event(at, source, peer.scheduled, &mut self.payload);
                    client.queue(&self.payload);
                    // What a full socket leaves behind goes with the next write.
                    failed |= self.write_each && client.flush().is_err();
                }
                if client.frames >= first {
                    self.sent += client.frames - first + 1;
                    peer.waiting.push_back(Batch { intended_ns: peer.next_ns, first, last: client.frames });
                    queued = true;
                }
                // A tick that found no room for all of its events goes on the next time.
                if peer.scheduled >= due {
                    peer.ticks += 1;
                    peer.next_ns += self.tick_ns;
                }
            }
            next_ns = next_ns.min(peer.next_ns);
            if failed || (queued && client.flush().is_err()) {
                peer.client = None;
                self.connection_errors += 1;
            }
        }
        next_ns
    }

    /// Reads acks and writes on until `next_ns`.
    fn turn(&mut self, events: &mut Events, next_ns: u64) -> std::io::Result<()> {
        // The poll's resolution is a millisecond, rounded up: below that, look again at once.
        let left_ns = next_ns.saturating_sub(self.now_ns());
        let timeout = Duration::from_millis(left_ns / 1_000_000);
        match self.poll.poll(events, Some(timeout)) {
            Err(e) if e.kind() != std::io::ErrorKind::Interrupted => return Err(e),
            _ => {}
        }
        // Waiting at full speed, it gives way to whoever is on the same core: that may be the
        // daemon, which would otherwise wait for the end of this thread's time slice.
        if events.is_empty() && timeout.is_zero() {
            std::thread::yield_now();
        }
        for event in events.iter() {
            let peer = &mut self.peers[event.token().0];
            let Some(client) = peer.client.as_mut() else {
                continue;
            };
            let mut failed = false;
            if event.is_readable() || event.is_read_closed() {
                let (waiting, latencies, start) = (&mut peer.waiting, &mut self.latencies, self.start);
                let (all_accepted, all_rejected) = (&mut peer.accepted, &mut peer.rejected);
                let received = client.receive(&mut |notice| {
                    if let Notice::Ack { seq, accepted, rejected } = notice {
                        *all_accepted = accepted;
                        *all_rejected = rejected;
                        let now_ns = start.elapsed().as_nanos() as u64;
                        acknowledge(waiting, latencies, seq, now_ns);
                    }
                });
                failed = received.is_err();
            }
            // What had no room before, and answers to pings that have just come.
            failed |= client.backlog() > 0 && client.flush().is_err();
            if failed {
                peer.client = None;
                self.connection_errors += 1;
            }
        }
        Ok(())
    }

    fn goodbye(&mut self) {
        for peer in &mut self.peers {
            if let Some(client) = peer.client.as_mut() {
                client.close();
                // The figures are in; this is good manners.
                drop(client.flush());
            }
        }
    }
}

/// Events that a client has to have sent after some ticks; `phase`, 0 to 1, is its head start.
fn due(ticks: u64, per_tick: f64, phase: f64) -> u64 {
    (ticks as f64 * per_tick + phase) as u64
}

/// The source of a client's `n`th event, from 1, when `clients` take turns over `sources`; 0: the
/// client is one.
fn source(client: u64, clients: u64, n: u64, sources: u64) -> u64 {
    ((n - 1) * clients + client).checked_rem(sources).unwrap_or(client)
}

/// Records the latency of every frame up to `seq`.
fn acknowledge(waiting: &mut VecDeque<Batch>, latencies: &mut Histogram<u64>, seq: u64, now_ns: u64) {
    while let Some(batch) = waiting.front_mut() {
        if batch.first > seq {
            return;
        }
        let last = batch.last.min(seq);
        let took_ns = now_ns.saturating_sub(batch.intended_ns);
        latencies.saturating_record_n(took_ns, last - batch.first + 1);
        batch.first = last + 1;
        if batch.first > batch.last {
            waiting.pop_front();
        }
    }
}

/// The prototype's load-test event.
fn event(client: usize, source: u64, n: u64, out: &mut Vec<u8>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, micros) = (now.as_secs(), now.subsec_micros());
    let value = 50 + 10 * (client % 10);
    out.clear();
    // Writing into a vector cannot fail.
    let written = write!(
        out,
        r#"{{"id":"{n}","source":"load_test_{source}","type":"sensor_data","timestamp":{seconds}.{micros:06},"data":{{"value":{value}}}}}"#
    );
    debug_assert!(written.is_ok());
}

#[cfg(test)]
mod tests;
