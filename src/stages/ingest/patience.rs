//! Who has taken too long: handshakes and closings that do not end, and connections on which nothing comes.
//!
//! No connection has a timer. All of them are looked at now and then: those with a deadline four times a
//! second while there are any, the silent ones eight times in `ingest.ping_interval`. What comes on a
//! connection costs one store.

use std::sync::atomic::Ordering;

use super::connection::{LINGER_NS, State};
use super::{Ingest, handshake};
use crate::runtime::clock::Now;
use crate::telemetry::refusal::Refusal;

/// How often deadlines are looked at, ns.
const SWEEP_NS: u64 = 250_000_000;
/// Looks at all connections in the time in which a silent one is pinged.
const LOOKS: u64 = 8;
/// The shortest and the longest time between two looks, ns.
const LOOK_NS: (u64, u64) = (10_000_000, 5_000_000_000);
/// The code with which a silent connection is closed, as other servers do.
const SILENT: (u16, &str) = (1001, "nothing came, and no answer to a ping");

/// When to look for silent connections, and what silence asks for; pure.
///
/// What must always hold: time in which this thread did not look is nobody's silence (the process was
/// stopped, the machine slept): what has come meanwhile may not have been read yet.
#[derive(Debug)]
pub(super) struct KeepAlive {
    /// 0: never.
    interval_ns: u64,
    next_ns: u64,
    /// Since when silence counts.
    since_ns: u64,
}

/// What silence asks for.
#[derive(Debug, PartialEq, Eq)]
enum Then {
    Nothing,
    Ping,
    Close,
}

impl KeepAlive {
    pub(super) fn new(interval_ns: u64) -> Self {
        Self { interval_ns, next_ns: 0, since_ns: 0 }
    }

    /// When to look next.
    pub(super) fn next_ns(&self) -> Option<u64> {
        (self.interval_ns > 0).then_some(self.next_ns)
    }

    /// Whether to look now.
    fn begins(&mut self, now_ns: u64) -> bool {
        if self.interval_ns == 0 || now_ns < self.next_ns {
            return false;
        }
        let every_ns = (self.interval_ns / LOOKS).clamp(LOOK_NS.0, LOOK_NS.1);
        if now_ns - self.next_ns > every_ns {
            self.since_ns = now_ns;
        }
        self.next_ns = now_ns + every_ns;
        true
    }

    /// Of a connection that was last heard and last pinged then.
    fn judge(&self, heard_ns: u64, pinged_ns: u64, now_ns: u64) -> Then {
        let heard_ns = heard_ns.max(self.since_ns);
        let long_ago = |ns: u64| now_ns.saturating_sub(ns) >= self.interval_ns;
        if pinged_ns > heard_ns {
            return if long_ago(pinged_ns) { Then::Close } else { Then::Nothing };
        }
        if long_ago(heard_ns) { Then::Ping } else { Then::Nothing }
    }
}

/// When to look at deadlines, and how far a pause moves them; pure.
///
/// What must always hold is what holds for silence: what has come, or been read by the client, in time in which
/// this thread did not look has not been seen when it looks again.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    next_ns: u64,
}

impl Deadlines {
    /// When to look next.
    pub(super) fn next_ns(&self) -> u64 {
        self.next_ns
    }

    /// Nobody has a deadline: that nobody looks is no pause.
    fn rest(&mut self, now_ns: u64) {
        self.next_ns = now_ns;
    }

    /// Whether to look now; and how late that is, ns, if it is far too late. The time between two looks counts in
    /// any case, so that deadlines end where every look is late.
    fn begins(&mut self, now_ns: u64) -> Option<u64> {
        let late_ns = now_ns.checked_sub(self.next_ns)?;
        self.next_ns = now_ns + SWEEP_NS;
        Some(if late_ns > SWEEP_NS { late_ns } else { 0 })
    }

    /// Moves a deadline on by a pause, so that it leaves what it left when a look was due: never more than at its
    /// beginning, which may be later than the pause. Says whether it has passed.
    fn has_passed(deadline_ns: &mut u64, most_ns: u64, paused_ns: u64, now_ns: u64) -> bool {
        *deadline_ns = deadline_ns.saturating_add(paused_ns).min(now_ns + most_ns).max(*deadline_ns);
        now_ns >= *deadline_ns
    }
}

impl Ingest {
    /// Puts out whoever's patience has run out.
    pub(super) fn sweep(&mut self, now: Now) {
        if !self.impatient {
            return self.deadlines.rest(now.mono_ns);
        }
        let Some(paused_ns) = self.deadlines.begins(now.mono_ns) else { return };
        self.impatient = false;
        for slot in 0..self.connections.len() as u32 {
            let Some(Some(conn)) = self.connections.get_mut(slot as usize) else {
                continue;
            };
            let Some((deadline_ns, most_ns)) = conn.state.deadline(self.options.terms.handshake_timeout_ns)
            else {
                continue;
            };
            if !Deadlines::has_passed(deadline_ns, most_ns, paused_ns, now.mono_ns) {
                self.impatient = true;
                continue;
            }
            if let State::Handshake { .. } = conn.state {
                // Who waits for us is not late; but at `limits.memory` what it has sent so far is memory.
                let stopped = self.options.orders.stop_reading.load(Ordering::Relaxed);
                if self.turns.waits(slot) && !conn.read_closed && !stopped {
                    self.impatient = true;
                    continue;
                }
                self.options.counters.handshakes_refused[Refusal::Timeout.index()].add(1);
                if self.tell_late(slot, now) {
                    continue;
                }
            }
            self.drop_connection(slot);
        }
    }

    /// Tells a client that has sent a part of its request, or all of it where nobody has read it, that it is late;
    /// says whether there was one to tell. Connections that were opened ahead, as browsers do, expect no answer.
    ///
    /// What nobody has read makes the kernel reset the connection once it is closed; that is at the end of its
    /// time to linger, and the client has had until then to read the answer.
    fn tell_late(&mut self, slot: u32, now: Now) -> bool {
        let Some(Some(conn)) = self.connections.get_mut(slot as usize) else { return false };
        let began = matches!(&conn.state, State::Handshake { request, .. } if !request.is_empty())
            || self.turns.waits(slot);
        if began && !conn.read_closed {
            conn.write_raw(&handshake::timeout());
            conn.state = State::Lingering { deadline_ns: now.mono_ns + LINGER_NS };
            self.impatient = true;
            self.flush_connection(slot);
            return true;
        }
        false
    }

    /// Pings connections on which nothing has come for long, and closes those that do not answer.
    pub(super) fn look_for_silent(&mut self, now: Now) {
        if self.drain.is_some() || !self.keep_alive.begins(now.mono_ns) {
            return;
        }
        for slot in 0..self.connections.len() as u32 {
            let Some(Some(conn)) = self.connections.get_mut(slot as usize) else {
                continue;
            };
            // What stands in the queue has something to be read: who waits for us is not silent.
            if conn.state != State::Open || self.turns.waits(slot) {
                continue;
            }
            match self.keep_alive.judge(conn.heard_ns, conn.pinged_ns, now.mono_ns) {
                Then::Nothing => {}
                Then::Ping => {
                    conn.pinged_ns = now.mono_ns;
                    conn.ping();
                    self.flush_connection(slot);
                }
                Then::Close => {
                    self.options.counters.silent_closed.add(1);
                    let (code, reason) = SILENT;
                    self.impatient |= conn.finish(code, reason, now.mono_ns);
                    self.waiting.push(slot);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn silence_is_pinged_and_then_closed() {
        let mut keep_alive = KeepAlive::new(30 * S);
        assert!(keep_alive.begins(100 * S));
        let judge = |heard, pinged, now| keep_alive.judge(heard * S, pinged * S, now * S);
        assert_eq!(judge(110, 0, 139), Then::Nothing);
        assert_eq!(judge(110, 0, 140), Then::Ping);
        assert_eq!(judge(110, 140, 169), Then::Nothing, "the answer has as long");
        assert_eq!(judge(110, 140, 170), Then::Close);
        assert_eq!(judge(141, 140, 170), Then::Nothing, "it has answered");
        assert_eq!(judge(141, 140, 171), Then::Ping);
    }

    #[test]
    fn time_in_which_nobody_looked_is_no_silence() {
        let mut keep_alive = KeepAlive::new(30 * S);
        assert!(keep_alive.begins(100 * S));
        assert!(!keep_alive.begins(103 * S), "eight times in thirty seconds");
        assert!(keep_alive.begins(104 * S));
        assert_eq!(keep_alive.judge(101 * S, 0, 140 * S), Then::Ping);
        // The process was stopped for a minute, with a ping on its way.
        assert!(keep_alive.begins(164 * S));
        assert_eq!(keep_alive.judge(101 * S, 103 * S, 164 * S), Then::Nothing);
        assert_eq!(keep_alive.judge(101 * S, 103 * S, 194 * S), Then::Ping);
        assert!(!KeepAlive::new(0).begins(500 * S), "off");
    }

    #[test]
    fn a_pause_leaves_a_deadline_what_it_had() {
        let mut deadlines = Deadlines::default();
        let look = |deadlines: &mut Deadlines, deadline_ns: &mut u64, at_ns: u64| {
            let paused_ns = deadlines.begins(at_ns)?;
            Some(Deadlines::has_passed(deadline_ns, 5 * S, paused_ns, at_ns))
        };
        // Nobody has looked for long since nobody had a deadline: a new one stays.
        let mut deadline_ns = 100 * S + 5 * S;
        assert_eq!(look(&mut deadlines, &mut deadline_ns, 100 * S), Some(false));
        assert_eq!(look(&mut deadlines, &mut deadline_ns, 100 * S + SWEEP_NS - 1), None, "too soon");
        // A little late, as always.
        assert_eq!(look(&mut deadlines, &mut deadline_ns, 100 * S + 2 * SWEEP_NS), Some(false));
        assert_eq!(deadline_ns, 105 * S);
        // The process was stopped for a minute, 4.5 s before it.
        assert_eq!(look(&mut deadlines, &mut deadline_ns, 160 * S + 2 * SWEEP_NS), Some(false));
        assert_eq!(deadline_ns, 165 * S - SWEEP_NS);
        for at_ns in (161 * S..165 * S - SWEEP_NS).step_by(SWEEP_NS as usize) {
            assert_eq!(look(&mut deadlines, &mut deadline_ns, at_ns), Some(false));
        }
        assert_eq!(look(&mut deadlines, &mut deadline_ns, 165 * S - SWEEP_NS), Some(true));
        // Where every look is late, it ends all the same.
        deadline_ns = 170 * S;
        let looks =
            (166..).map_while(|s| look(&mut deadlines, &mut deadline_ns, s * S).filter(|passed| !passed));
        assert!((15..25).contains(&looks.count()));
        // And nobody had one for a minute: a short one is no longer for it.
        deadlines.rest(299 * S);
        deadline_ns = 300 * S + S / 2;
        assert_eq!(look(&mut deadlines, &mut deadline_ns, 299 * S + S / 100), Some(false));
        assert_eq!(deadline_ns, 300 * S + S / 2);
    }
}
