//! IP networks, as lists of the configuration have them; pure.

use std::net::IpAddr;

/// A network: the addresses that begin as it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    bits: u128,
    mask: u128,
    is_v6: bool,
}

impl Network {
    /// `10.0.0.0/8`, or one address.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let (bits, width, is_v6) = numbered(address.parse().ok()?);
        let prefix = match prefix {
            Some(prefix) => prefix.parse().ok().filter(|&prefix: &u32| prefix <= width)?,
            None => width,
        };
        // An IPv4 address stands in the lower 32 bits.
        let mask = u128::MAX.checked_shl(width - prefix).unwrap_or(0);
        Some(Self { bits: bits & mask, mask, is_v6 })
    }

    /// Whether it has this address.
    pub fn contains(self, address: IpAddr) -> bool {
        let (bits, _, is_v6) = numbered(address);
        is_v6 == self.is_v6 && bits & self.mask == self.bits
    }
}

/// An address as a number, how many bits it has, and whether it is IPv6. An IPv4 address that came in over
/// a socket of both kinds is one.
fn numbered(address: IpAddr) -> (u128, u32, bool) {
    match address.to_canonical() {
        IpAddr::V4(v4) => (u32::from(v4).into(), 32, false),
        IpAddr::V6(v6) => (v6.into(), 128, true),
    }
}

/// Whether this can stand in a list of networks.
pub(super) fn is_network(text: &str) -> bool {
    Network::parse(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_the_addresses_that_begin_as_it_does() {
        let has = |network: &str, address: &str| {
            Network::parse(network).unwrap().contains(address.parse().unwrap())
        };
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.1.2", "11.0.0.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("192.0.2.99/25", "192.0.2.0", "192.0.2.128"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("::/0", "2001:db8::1", "0.0.0.1"),
            ("::1", "::1", "::2"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("127.0.0.0/8", "::ffff:127.0.0.1", "::7f00:1"),
        ] {
            assert!(has(network, inside), "{inside} is in {network}");
            assert!(!has(network, outside), "{outside} is not in {network}");
        }
        for bad in ["", "10.0.0.0/33", "::/129", "10.0.0", "10.0.0.0/", "10.0.0.0/-1", "a", "::1/x"] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
    }
}
