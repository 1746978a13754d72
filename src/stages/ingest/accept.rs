//! New connections: lane 0 accepts and gives each to the lane whose turn it is.

use mio::net::TcpStream;
use mio::{Interest, Token};

use super::connection::Connection;
use super::drain::NEWCOMER_NS;
use super::{FIRST_CONNECTION, Ingest, OVER_LIMIT_ROOM, READS_PER_TURN};
use crate::message::ConnId;
use crate::runtime::clock::Now;
use crate::runtime::door::Came;
use crate::runtime::ring::Rx;

impl Ingest {
    pub(super) fn accept(&mut self, now: Now) -> bool {
        let mut worked = false;
        for _ in 0..READS_PER_TURN {
            match self.door.as_mut().map_or(Came::Nobody, |door| door.next(now.mono_ns, 0)) {
                Came::Somebody(stream) => {
                    worked = true;
                    self.place(stream, now);
                }
                Came::Gone => {}
                Came::Nobody => break,
                Came::Failed => {
                    self.options.counters.accept_errors.add(1);
                    break;
                }
            }
        }
        worked
    }

    /// Gives a new socket to the lane whose turn it is.
    fn place(&mut self, stream: TcpStream, now: Now) {
        let lanes = self.ports.hand_off.len() + 1;
        let lane = self.next_lane;
        self.next_lane = (lane + 1) % lanes;
        match lane.checked_sub(1) {
            None => self.adopt(stream, now),
            Some(other) => {
                let stream = std::net::TcpStream::from(stream);
                if let Err(stream) = self.ports.hand_off[other].push(stream) {
                    self.adopt(TcpStream::from_std(stream), now);
                }
            }
        }
    }

    pub(super) fn adopt_handed(&mut self, now: Now) -> bool {
        let mut worked = false;
        while let Some(stream) = self.ports.handed.as_mut().and_then(Rx::pop) {
            self.adopt(TcpStream::from_std(stream), now);
            worked = true;
        }
        worked
    }

    fn adopt(&mut self, mut stream: TcpStream, now: Now) {
        let counters = &self.options.counters;
        if counters.open.get() >= self.options.terms.max_connections + OVER_LIMIT_ROOM {
            counters.refused.add(1);
            return;
        }
        // Who has gone already has no address.
        let Ok(peer) = stream.peer_addr() else { return };
        let Ok(seat) = self.options.terms.addresses.seat(peer.ip()) else {
            counters.refused_by_address.add(1);
            return;
        };
        let slot = self.free_slots.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.generations.push(0);
            (self.connections.len() - 1) as u32
        });
        // Latency is worth more than packets here; a socket that refuses works all the same.
        drop(stream.set_nodelay(true));
        let token = Token(slot as usize + FIRST_CONNECTION);
        let interest = Interest::READABLE | Interest::WRITABLE;
        if self.poll.registry().register(&mut stream, token, interest).is_err() {
            self.free_slots.push(slot);
            return;
        }
        let id = ConnId { slot, generation: self.generations[slot as usize] };
        let deadline_ns = now.mono_ns + self.options.terms.handshake_timeout_ns;
        let mut conn = Connection::new(id, stream, deadline_ns);
        conn.expected_until_ns = now.mono_ns + NEWCOMER_NS;
        conn.seat = seat;
        self.connections[slot as usize] = Some(conn);
        self.impatient = true;
        counters.accepted.add(1);
        counters.open.set(counters.open.get() + 1);
    }
}
