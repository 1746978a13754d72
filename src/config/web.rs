//! Hosts and origins, as they stand in headers and in the configuration; pure.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The entry of a list of origins that lets in any.
pub const ANY: &str = "*";

/// The host of `host[:port]`: a name or an IPv4 address of letters, digits, dots and hyphens, or an
/// IPv6 address in brackets. `None` for anything else.
pub fn host_of(authority: &str) -> Option<&str> {
    let host_len = if authority.starts_with('[') {
        authority.find(']')? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (host, port) = authority.split_at(host_len);
    let port_is_fine = match port.strip_prefix(':') {
        None => port.is_empty(),
        Some(digits) => digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit()),
    };
    let host_is_fine = match bracketed(host) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.len() <= 253
                && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
        }
    };
    (host_is_fine && port_is_fine).then_some(host)
}

/// Whether a host means this machine: `localhost`, or a loopback address.
pub fn is_loopback(host: &str) -> bool {
    match bracketed(host) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback()),
        None => {
            host.eq_ignore_ascii_case("localhost")
                || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        }
    }
}

/// By which hosts this daemon is called: addresses and `localhost`, and the names that are known to be
/// its own. Any other may be the name of a page elsewhere whose owner makes it point here (DNS
/// rebinding); browsers then take this daemon for a part of that page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnHosts {
    names: Vec<String>,
}

impl OwnHosts {
    /// Besides addresses and `localhost`, these names.
    pub fn new(names: Vec<String>) -> Self {
        Self { names }
    }

    /// Whether it is called so: the host alone, without a port.
    pub fn has(&self, host: &str) -> bool {
        is_address(host) || is_loopback(host) || self.names.iter().any(|own| own.eq_ignore_ascii_case(host))
    }
}

/// Whether a host is no name, but an address: nobody else can have a name point to it.
fn is_address(host: &str) -> bool {
    bracketed(host).is_some() || host.parse::<Ipv4Addr>().is_ok()
}

fn bracketed(host: &str) -> Option<&str> {
    host.strip_prefix('[')?.strip_suffix(']')
}

/// The host of an origin, `scheme://host[:port]`.
pub fn host_of_origin(origin: &str) -> Option<&str> {
    host_of(origin.split_once("://")?.1)
}

/// Whether this can stand in a list of origins.
pub(super) fn is_origin(text: &str) -> bool {
    let scheme = |text: &str| text.starts_with("http://") || text.starts_with("https://");
    text == ANY || (scheme(text) && host_of_origin(text).is_some())
}

/// Whether this can stand in a list of host names: without a port.
pub(super) fn is_host(text: &str) -> bool {
    host_of(text) == Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_take_whole_origins_and_bare_hosts() {
        for good in ["*", "https://a.example", "http://a.example:8443", "http://[::1]:1"] {
            assert!(is_origin(good), "{good}");
        }
        for bad in ["", "a.example", "https://", "https://a/", "ftp://a", "https://*.a", "null"] {
            assert!(!is_origin(bad), "{bad}");
        }
        for (host, good) in [("a.example", true), ("[::1]", true), ("a:80", false), ("*", false), ("", false)]
        {
            assert_eq!(is_host(host), good, "{host}");
        }
        for (host, is) in
            [("127.0.0.1", true), ("[::1]", true), ("localhost", false), ("1.2.3.4.evil", false)]
        {
            assert_eq!(is_address(host), is, "{host}");
        }
    }

    #[test]
    fn own_hosts_are_addresses_localhost_and_the_names_that_are_known() {
        let own = OwnHosts::new(vec!["Flumen.example".to_owned()]);
        for host in ["10.1.2.3", "[2001:db8::1]", "[::1]", "LOCALHOST", "flumen.EXAMPLE"] {
            assert!(own.has(host), "{host}");
        }
        for host in
            ["evil.example", "flumen.example.evil", "evil.flumen.example", "localhost.evil", "1.2.3", ""]
        {
            assert!(!own.has(host), "{host}");
        }
    }
}
