//! How many connections each address has, over all lanes.
//!
//! What must always hold: an address has as many seats taken as there are [`Seat`]s of it, and none that
//! has no connection is remembered; so the table is bounded by the connections there are.
//!
//! A lock is taken once when a connection comes and once when it goes, never between.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::config::networks::Network;

/// Connections over the limit of an address that are told so (1008) rather than dropped.
const OVER_LIMIT_ROOM: usize = 8;
/// Bits of an IPv6 address that are its holder's to choose.
const OWN_BITS: u32 = 64;

/// The addresses.
#[derive(Debug, Default)]
pub struct Addresses {
    limit: usize,
    trusted: Vec<Network>,
    taken: Mutex<HashMap<u128, u32, RandomState>>,
}

/// A connection's place among those of its address, until it is dropped.
#[derive(Debug)]
pub struct Seat {
    addresses: Arc<Addresses>,
    key: u128,
    /// Whether the address has more connections than it may.
    pub is_over: bool,
}

/// An address has its connections, and as many more as are told so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crowded;

impl Addresses {
    /// At most `limit` connections an address (0: as many as there are), but for those that are trusted.
    pub fn new(limit: usize, trusted: Vec<Network>) -> Self {
        Self { limit, trusted, taken: Mutex::default() }
    }

    /// A place for a connection from `address`; `None` inside where it is not counted.
    ///
    /// # Errors
    /// So many are over the limit already that no more are to be told.
    pub fn seat(self: &Arc<Self>, address: IpAddr) -> Result<Option<Seat>, Crowded> {
        if self.limit == 0 || self.trusted.iter().any(|network| network.contains(address)) {
            return Ok(None);
        }
        let key = key(address);
        let mut taken = self.lock();
        let seats = taken.get(&key).copied().unwrap_or(0) as usize;
        if seats >= self.limit.saturating_add(OVER_LIMIT_ROOM) {
            return Err(Crowded);
        }
        taken.insert(key, seats as u32 + 1);
        drop(taken);
        Ok(Some(Seat { addresses: Arc::clone(self), key, is_over: seats >= self.limit }))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u128, u32, RandomState>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.addresses.lock();
        match taken.get_mut(&self.key) {
            Some(seats) if *seats > 1 => *seats -= 1,
            _ => drop(taken.remove(&self.key)),
        }
    }
}

/// Who an address belongs to. Whoever has an IPv6 address has a network of them.
fn key(address: IpAddr) -> u128 {
    match address.to_canonical() {
        // Distinct from all networks: these end with zeros.
        IpAddr::V4(v4) => u128::from(u32::from(v4)) | 1 << OWN_BITS >> 1,
        IpAddr::V6(v6) => u128::from(v6) >> OWN_BITS << OWN_BITS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_seats_and_no_more() {
        let addresses = Arc::new(Addresses::new(2, vec![Network::parse("10.0.0.0/8").unwrap()]));
        let seat = |address: &str| addresses.seat(address.parse().unwrap());
        let mut seats: Vec<_> =
            (0..2 + OVER_LIMIT_ROOM).map(|_| seat("192.0.2.1").unwrap().unwrap()).collect();
        assert_eq!(seats.iter().filter(|seat| seat.is_over).count(), OVER_LIMIT_ROOM);
        assert!(seat("192.0.2.1").is_err(), "not even told");
        assert!(seat("::ffff:192.0.2.1").is_err(), "the same address");
        assert!(!seat("192.0.2.2").unwrap().unwrap().is_over);
        assert!(seat("10.1.2.3").unwrap().is_none(), "trusted");
        seats.truncate(1);
        assert!(!seat("192.0.2.1").unwrap().unwrap().is_over, "there is room again");
        seats.clear();
        assert!(addresses.lock().is_empty(), "who has none is forgotten");
    }

    #[test]
    fn whoever_has_an_ipv6_address_has_a_network_of_them() {
        let key = |address: &str| key(address.parse().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1:2:3"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_ne!(key("0.0.0.0"), key("::"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }
}
