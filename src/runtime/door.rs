//! A listening socket in a `mio::Poll`: who comes in, and when to look for the next.
//!
//! Readiness is told once, so a door that has been knocked at is open until nobody is left before it. When
//! descriptors have run out it stays so, and is left alone for a moment.

use std::io;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};

use crate::runtime::descriptors;

/// How long to leave a listener alone that has failed (descriptors have run out), ns.
const PAUSE_NS: u64 = 100_000_000;

/// The door.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    knocked: bool,
    after_ns: u64,
}

/// What a look at the door shows.
#[derive(Debug)]
pub enum Came {
    /// Somebody has come in.
    Somebody(TcpStream),
    /// Somebody has come and gone; there may be others.
    Gone,
    /// Nobody is there, or it is not yet time to look.
    Nobody,
    /// Somebody is there who cannot come in: most likely no descriptors are left.
    Failed,
}

impl Door {
    /// A door whose readiness is told with `token`.
    ///
    /// # Errors
    /// The poll's.
    pub fn new(mut listener: TcpListener, registry: &Registry, token: Token) -> io::Result<Self> {
        registry.register(&mut listener, token, Interest::READABLE)?;
        Ok(Self { listener, knocked: true, after_ns: 0 })
    }

    /// The poll has told of it.
    pub fn knock(&mut self) {
        self.knocked = true;
    }

    /// Lets one in, if as many as `spare` descriptors are left after that, which others are about to need.
    pub fn next(&mut self, now_ns: u64, spare: usize) -> Came {
        if !self.knocked || now_ns < self.after_ns {
            return Came::Nobody;
        }
        if spare > 0 && !descriptors::has_room(&self.listener, spare + 1) {
            return self.fail(now_ns);
        }
        match self.listener.accept() {
            Ok((stream, _)) => Came::Somebody(stream),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                self.knocked = false;
                Came::Nobody
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Came::Gone,
            Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => Came::Gone,
            Err(_) => self.fail(now_ns),
        }
    }

    fn fail(&mut self, now_ns: u64) -> Came {
        self.after_ns = now_ns + PAUSE_NS;
        Came::Failed
    }

    /// When to look by oneself, monotonic ns; `None`: after the next knock.
    pub fn look_at_ns(&self) -> Option<u64> {
        self.knocked.then_some(self.after_ns)
    }

    /// Nobody comes in any more.
    pub fn close(mut self, registry: &Registry) {
        // The socket is closed by going out of scope, but the service manager may hold it, too: then only
        // this ends what the poll tells.
        drop(registry.deregister(&mut self.listener));
    }
}
