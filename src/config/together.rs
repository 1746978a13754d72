//! What no option can say by itself: values that do not go together.

use std::net::SocketAddr;

use super::layers::{Loading, Origin};
use super::options::by_key;

/// Complains of what cannot work.
pub(super) fn check(loading: &mut Loading) {
    // What is wrong has its default, and a complaint about that would mislead.
    if !loading.errors.0.is_empty() {
        return;
    }
    let (ingest, http) = (loading.config.ingest.listen, loading.config.http.listen);
    if !collide(ingest, http) {
        return;
    }
    let set = |key| {
        let origin = loading.origins.option(by_key(key)?);
        (*origin != Origin::Default).then(|| format!("{origin}: {key}"))
    };
    // The defaults do not collide, so somebody has set one of them.
    let complaint = match set("http.listen") {
        Some(key) => {
            format!("{key} = \"{http}\": expected another address than ingest.listen has ({ingest})")
        }
        None => {
            let key = set("ingest.listen").unwrap_or_default();
            format!("{key} = \"{ingest}\": expected another address than http.listen has ({http})")
        }
    };
    loading.errors.0.push(format!("{complaint}, such as one with another port"));
}

/// Whether one of two sockets keeps the other from being bound; port 0 takes any that is free.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let every =
        |one: SocketAddr, other: SocketAddr| one.ip().is_unspecified() && one.is_ipv4() == other.is_ipv4();
    a.port() == b.port() && a.port() != 0 && (a.ip() == b.ip() || every(a, b) || every(b, a))
}
