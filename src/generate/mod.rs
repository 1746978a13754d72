//! `flumen generate`: events of the prototype's kinds at a held rate, over one or many
//! connections, all of them driven by one thread.
//!
//! What is due is computed from elapsed time (the integral of the pattern) every millisecond,
//! so the rate holds whatever single sleeps do. A lost connection is made again with
//! exponential backoff and full jitter; frames it had not sent are lost and counted as sent.

pub mod args;
pub mod pattern;
pub mod sources;

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mio::{Events, Interest, Poll, Token};
use rand::RngExt;

use crate::client::{Client, Notice, RunError, Url};
use crate::runtime::descriptors;
pub use args::{GenerateArgs, Summary};
use sources::Sources;

/// Bytes queued for one connection before the generator waits for it.
const MAX_BACKLOG: usize = 64 * 1024;
/// Events made before sockets are looked at again.
const BURST: u64 = 2_048;
/// How often what is due is computed.
const TICK: Duration = Duration::from_millis(1);
/// Patience with the last writes and acks.
const FINISH: Duration = Duration::from_secs(10);
/// How long a connection has to last, if no ack comes, before losing it counts as the first time.
const PROVEN: Duration = Duration::from_secs(10);
/// Descriptors besides those of the connections.
const OWN_DESCRIPTORS: usize = 64;
const BACKOFF: std::ops::RangeInclusive<f64> = 0.1..=10.0;

/// One connection, up or waiting to be made again.
struct Lane {
    client: Option<Client>,
    made_at: Instant,
    retry_at: Instant,
    /// Attempts in a row that came to nothing.
    attempt: i32,
    /// Of the current connection; sums over earlier ones are in the summary.
    acked_frames: u64,
    accepted: u64,
    rejected: u64,
}

struct Run<'a> {
    args: &'a GenerateArgs,
    url: Url,
    poll: Poll,
    lanes: Vec<Lane>,
    sources: Sources,
    summary: Summary,
    start: Instant,
    next_lane: usize,
    payload: Vec<u8>,
}

/// Generates until the duration or count is reached or `stop` is set.
pub fn run(args: &GenerateArgs, stop: &AtomicBool) -> Result<Summary, RunError> {
    args.check()?;
    let mut run = Run::connect(args)?;
    run.generate(stop)?;
    run.finish()?;
    Ok(run.summary)
}

impl<'a> Run<'a> {
    /// With all connections.
    fn connect(args: &'a GenerateArgs) -> Result<Self, RunError> {
        let url = Url::parse(&args.url).map_err(RunError::Connect)?;
        let url = if args.ack { url.with_acks() } else { url };
        descriptors::allow(args.connections as usize + OWN_DESCRIPTORS)?;
        let mut run = Self {
            url,
            poll: Poll::new()?,
            lanes: Vec::new(),
            sources: Sources::new(args.sources, args.seed.unwrap_or_else(rand::random)),
            summary: Summary { acks: args.ack, ..Summary::default() },
            start: Instant::now(),
            next_lane: 0,
            payload: Vec::new(),
            args,
        };
        for at in 0..args.connections as usize {
            let client = Client::connect(&run.url).map_err(RunError::Connect)?;
            run.lanes.push(Lane {
                client: None,
                made_at: run.start,
                retry_at: run.start,
                attempt: 0,
                acked_frames: 0,
                accepted: 0,
                rejected: 0,
            });
            run.up(at, client)?;
        }
        run.start = Instant::now();
        Ok(run)
    }

    fn generate(&mut self, stop: &AtomicBool) -> Result<(), RunError> {
        let limit = self.args.count.unwrap_or(u64::MAX);
        let progress = !self.args.quiet && std::io::stderr().is_terminal();
        let mut next_line = self.start + Duration::from_secs(1);
        let mut events = Events::with_capacity(256);
        loop {
            let elapsed = self.start.elapsed().as_secs_f64();
            let over = self.args.duration > 0.0 && elapsed >= self.args.duration;
            if over || self.summary.sent >= limit || stop.load(Ordering::Relaxed) {
                break;
            }
            let due = if self.args.flat_out {
                limit
            } else {
                (self.args.pattern.due(elapsed) * self.args.rate) as u64
            };
            let made = self.make(due.min(limit));
            self.flush_all();
            self.reconnect()?;
            // With nothing more due, or nobody to take it, sleep a tick.
            let behind = self.summary.sent < due.min(limit);
            let timeout = if made && behind { Duration::ZERO } else { TICK };
            self.poll_sockets(&mut events, timeout)?;
            if progress && Instant::now() >= next_line {
                next_line += Duration::from_secs(1);
                self.progress_line();
            }
        }
        if progress {
            writeln!(std::io::stderr()).ok();
        }
        self.summary.seconds = self.start.elapsed().as_secs_f64();
        Ok(())
    }

    /// Makes what is due up to the total `due`, bounded; says whether a connection took any.
    fn make(&mut self, due: u64) -> bool {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time_us = wall.as_micros() as u64;
        let mut made = 0;
        // The sensors' curves follow the count of events, not the clock, so that a seed makes the
        // same events at any pace.
        let nominal_rate = if self.args.rate > 0.0 { self.args.rate } else { 1_000.0 };
        while self.summary.sent < due && made < BURST {
            let Some(lane) = self.free_lane() else { break };
            let batch = u64::from(self.args.batch).min(due - self.summary.sent);
            self.payload.clear();
            if self.args.batch > 1 {
                self.payload.push(b'[');
            }
            for n in 0..batch {
                let elapsed_s = (self.summary.sent + n) as f64 / nominal_rate;
                if n > 0 {
                    self.payload.push(b',');
                }
                self.sources.event(time_us, elapsed_s, &mut self.payload);
            }
            if self.args.batch > 1 {
                self.payload.push(b']');
            }
            if let Some(client) = self.lanes[lane].client.as_mut() {
                client.queue(&self.payload);
            }
            self.summary.bytes += self.payload.len() as u64;
            self.summary.sent += batch;
            made += batch;
        }
        made > 0
    }

    /// The next connection in turn that has room.
    fn free_lane(&mut self) -> Option<usize> {
        for _ in 0..self.lanes.len() {
            let lane = self.next_lane;
            self.next_lane = (lane + 1) % self.lanes.len();
            let client = self.lanes[lane].client.as_ref();
            if client.is_some_and(|c| c.backlog() < MAX_BACKLOG) {
                return Some(lane);
            }
        }
        None
    }

    fn flush_all(&mut self) {
        for at in 0..self.lanes.len() {
            if let Some(client) = self.lanes[at].client.as_mut()
                && client.backlog() > 0
                && client.flush().is_err()
            {
                self.down(at);
            }
        }
    }

    fn poll_sockets(&mut self, events: &mut Events, timeout: Duration) -> std::io::Result<()> {
        match self.poll.poll(events, Some(timeout)) {
            Err(e) if e.kind() != std::io::ErrorKind::Interrupted => return Err(e),
            _ => {}
        }
        for event in events.iter() {
            if event.is_readable() || event.is_read_closed() {
                self.receive(event.token().0);
            }
        }
        Ok(())
    }

    fn receive(&mut self, at: usize) {
        let lane = &mut self.lanes[at];
        let Some(client) = lane.client.as_mut() else {
            return;
        };
        let mut closed = false;
        let summary = &mut self.summary;
        let received = client.receive(&mut |notice| match notice {
            Notice::Ack { seq, accepted, rejected } => {
                lane.acked_frames = seq;
                lane.accepted = accepted;
                lane.rejected = rejected;
            }
            Notice::Error => summary.errors += 1,
            Notice::Backpressure => summary.backpressure += 1,
            Notice::Closed(_) => closed = true,
        });
        if closed || received.is_err() {
            self.down(at);
        }
    }

    fn up(&mut self, at: usize, mut client: Client) -> std::io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut client.stream, Token(at), interest)?;
        let lane = &mut self.lanes[at];
        lane.client = Some(client);
        lane.made_at = Instant::now();
        lane.acked_frames = 0;
        Ok(())
    }

    /// Takes a connection's figures into the summary and forgets it.
    fn settle(&mut self, at: usize) {
        let lane = &mut self.lanes[at];
        if let Some(client) = lane.client.take()
            && self.args.ack
        {
            self.summary.unacknowledged += client.frames.saturating_sub(lane.acked_frames);
        }
        self.summary.accepted += std::mem::take(&mut lane.accepted);
        self.summary.rejected += std::mem::take(&mut lane.rejected);
    }

    fn down(&mut self, at: usize) {
        self.settle(at);
        let lane = &mut self.lanes[at];
        // A handshake is no proof: who accepts and closes at once is not to be asked without end.
        if lane.acked_frames > 0 || lane.made_at.elapsed() >= PROVEN {
            lane.attempt = 0;
        }
        lane.back_off();
    }

    fn reconnect(&mut self) -> std::io::Result<()> {
        for at in 0..self.lanes.len() {
            let lane = &mut self.lanes[at];
            if lane.client.is_some() || Instant::now() < lane.retry_at {
                continue;
            }
            match Client::connect(&self.url) {
                Ok(client) => {
                    self.summary.reconnects += 1;
                    self.up(at, client)?;
                }
                Err(_) => lane.back_off(),
            }
        }
        Ok(())
    }

    /// Writes out what is queued, waits for acks if they were asked for, says goodbye.
    fn finish(&mut self) -> Result<(), RunError> {
        let deadline = Instant::now() + FINISH;
        let mut events = Events::with_capacity(256);
        let done = |lane: &Lane, acks: bool| {
            let open = lane.client.as_ref();
            open.is_none_or(|c| c.backlog() == 0 && (!acks || lane.acked_frames >= c.frames))
        };
        while Instant::now() < deadline && !self.lanes.iter().all(|l| done(l, self.args.ack)) {
            self.flush_all();
            self.poll_sockets(&mut events, TICK)?;
        }
        for at in 0..self.lanes.len() {
            if let Some(client) = self.lanes[at].client.as_mut() {
                client.close();
                // Everything that matters has been written; this is good manners.
                drop(client.flush());
            }
        }
        // The daemon answers the close; waiting for it keeps the kernel from resetting the
        // connection before everything has been read.
        let deadline = deadline.min(Instant::now() + Duration::from_secs(2));
        while Instant::now() < deadline && self.lanes.iter().any(|l| l.client.is_some()) {
            self.poll_sockets(&mut events, TICK)?;
        }
        for at in 0..self.lanes.len() {
            self.settle(at);
        }
        Ok(())
    }

    fn progress_line(&self) {
        let seconds = self.start.elapsed().as_secs_f64();
        let up = self.lanes.iter().filter(|l| l.client.is_some()).count();
        let rate = self.summary.sent as f64 / seconds;
        let line = format!(
            "\r{seconds:6.0} s  {:>12} events  {rate:>9.0}/s  {up}/{} connections ",
            self.summary.sent,
            self.lanes.len()
        );
        // A terminal that has gone is no reason to stop.
        drop(std::io::stderr().write_all(line.as_bytes()));
    }
}

impl Lane {
    fn back_off(&mut self) {
        self.retry_at = Instant::now() + backoff(self.attempt);
        self.attempt = self.attempt.saturating_add(1);
    }
}

/// Exponential backoff with full jitter: anything up to 0.1 s doubled with each attempt, at
/// most 10 s (Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015).
fn backoff(attempt: i32) -> Duration {
    let ceiling = (BACKOFF.start() * 2f64.powi(attempt.min(16))).min(*BACKOFF.end());
    Duration::from_secs_f64(ceiling * rand::rng().random::<f64>())
}

#[cfg(test)]
mod tests;
