//! What no option can say by itself: values that do not go together, and a bound with an exception.

use std::net::SocketAddr;

use super::layers::{Loading, Origin};
use super::options::by_key;
use super::units::format_size;

/// Less than an idle daemon has. Who means MiB and writes a bare number writes bytes.
const MIN_MEMORY_BYTES: usize = 16 << 20;

/// Complains of what cannot work.
pub(super) fn check(loading: &mut Loading) {
    let config = &loading.config;
    let (ingest, http, memory) = (config.ingest.listen, config.http.listen, config.limits.memory);
    if collide(ingest, http) {
        let expected =
            format!("another address than ingest.listen has ({ingest}), such as one with another port");
        complain(loading, "http.listen", &expected);
    }
    if memory > 0 && memory < MIN_MEMORY_BYTES {
        let least = format_size(MIN_MEMORY_BYTES);
        complain(loading, "limits.memory", &format!("at least {least:?}, or 0 (a bare number is bytes)"));
    }
}

/// Whether one of two sockets keeps the other from being bound; port 0 takes any that is free.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let every =
        |one: SocketAddr, other: SocketAddr| one.ip().is_unspecified() && one.is_ipv4() == other.is_ipv4();
    a.port() == b.port() && a.port() != 0 && (a.ip() == b.ip() || every(a, b) || every(b, a))
}

fn complain(loading: &mut Loading, key: &str, expected: &str) {
    let Some(option) = by_key(key) else { return };
    let origin = match loading.origins.option(option) {
        Origin::Default => String::new(),
        origin => format!("{origin}: "),
    };
    let value = option.show(&loading.config);
    loading.errors.0.push(format!("{origin}{key} = {value}: expected {expected}"));
}
