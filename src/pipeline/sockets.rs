//! The two listening sockets: bound here, or handed over by the service manager.
//!
//! Socket activation follows sd_listen_fds(3): the manager opens the sockets before the daemon
//! starts and keeps them when it ends, so that clients find a queue instead of a refusal while it
//! restarts. A socket is told by its name (`FileDescriptorName=`: `ingest` or `http`), without one by
//! its place: the first is ingest, the second HTTP.

use std::io;
use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;

use crate::config::Config;
use crate::plan::Plan;
use crate::runtime::descriptors;

/// Names of the sockets, in the order of their places.
const NAMES: [&str; 2] = ["ingest", "http"];

/// Sockets that the service manager has opened, by place in `NAMES`.
#[derive(Debug, Default)]
pub struct Passed([Option<TcpListener>; 2]);

impl Passed {
    /// Takes the sockets out of the environment. To be called once, before there are threads: it
    /// changes the environment. Without activation there are none.
    ///
    /// # Errors
    /// A socket that is not a listening TCP socket, one too many, or two of one name.
    pub fn take() -> io::Result<Self> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut given = ListenFd::from_env();
        let places = places(&names, given.len()).map_err(io::Error::other)?;
        let mut passed = Self::default();
        for (at, place) in places.into_iter().enumerate() {
            passed.0[place] = given.take_tcp_listener(at)?;
        }
        Ok(passed)
    }
}

/// Which socket goes where. Names that systemd makes up (the unit's own) are no names.
fn places(names: &str, count: usize) -> Result<Vec<usize>, String> {
    let names: Vec<&str> = names.split(':').collect();
    let mut places = Vec::new();
    for at in 0..count {
        let name = names.get(at).copied().unwrap_or("");
        let place = NAMES.iter().position(|known| *known == name).unwrap_or(at);
        if place >= NAMES.len() || places.contains(&place) {
            return Err(format!(
                "the service manager passed {count} sockets ({}); expected one named ingest and one named \
                 http, or the two in this order without names",
                names.join(", ")
            ));
        }
        places.push(place);
    }
    Ok(places)
}

/// The daemon's listening sockets.
pub(super) struct Sockets {
    pub(super) ingest: mio::net::TcpListener,
    pub(super) http: mio::net::TcpListener,
}

impl Sockets {
    /// Those that were passed, and the others bound to their addresses; first of all the descriptors are
    /// allowed that connections can take.
    pub(super) fn open(config: &Config, plan: &Plan, passed: Passed) -> io::Result<Self> {
        descriptors::allow(plan.descriptors)?;
        let [ingest, http] = passed.0;
        let ingest = match ingest {
            Some(socket) => {
                say_passed("ingest.listen", config.ingest.listen, &socket)?;
                socket.set_nonblocking(true)?;
                mio::net::TcpListener::from_std(socket)
            }
            None => bind("ingest.listen", config.ingest.listen, mio::net::TcpListener::bind)?,
        };
        let http = match http {
            Some(socket) => {
                say_passed("http.listen", config.http.listen, &socket)?;
                socket.set_nonblocking(true)?;
                mio::net::TcpListener::from_std(socket)
            }
            None => bind("http.listen", config.http.listen, mio::net::TcpListener::bind)?,
        };
        Ok(Self { ingest, http })
    }
}

/// The configured address is not used: to be said when it is another.
fn say_passed(option: &str, configured: SocketAddr, socket: &TcpListener) -> io::Result<()> {
    let address = socket.local_addr()?;
    tracing::info!("{option}: the socket {address} comes from the service manager");
    if address != configured {
        tracing::warn!("{option} = \"{configured}\" is not used: the socket unit says {address}");
    }
    Ok(())
}

/// Binds an address; an error names the option, the address and what may help.
fn bind<L>(
    option: &str,
    address: SocketAddr,
    bind: impl FnOnce(SocketAddr) -> io::Result<L>,
) -> io::Result<L> {
    bind(address).map_err(|error| {
        let remedy = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "; another program has it: stop that, or choose another port (0 takes any)"
            }
            io::ErrorKind::AddrNotAvailable => "; no interface of this machine has that address",
            io::ErrorKind::PermissionDenied => "; ports below 1024 need privileges",
            _ => "",
        };
        io::Error::new(error.kind(), format!("{option} = \"{address}\": {error}{remedy}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_told_by_name_then_by_place() {
        assert_eq!(places("", 0), Ok(vec![]));
        assert_eq!(places("flumen.socket:flumen.socket", 2), Ok(vec![0, 1]));
        assert_eq!(places("http:ingest", 2), Ok(vec![1, 0]));
        assert_eq!(places("http", 1), Ok(vec![1]));
        assert_eq!(places("", 1), Ok(vec![0]));
        for (names, count) in [("a:b:c", 3), ("ingest:ingest", 2), ("x:ingest", 2)] {
            let error = places(names, count).unwrap_err();
            assert!(error.contains("expected one named ingest"), "{error}");
        }
    }
}
