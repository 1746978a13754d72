//! RFC 6455 over real sockets: tungstenite's client against the daemon and against `examples/echo.rs`,
//! which is the daemon's connection code around an echo. What a client may do works however it is cut, what
//! it may not ends its own connection with the right code, and nobody else notices.
//!
//! The decoder and the handshake have tests of their own beside them; here is what their users do with
//! them. Each test leaves what it has seen in `target/reliability/conformance.json`.

#[path = "../common/mod.rs"]
mod common;
#[allow(dead_code)]
#[path = "../../examples/echo.rs"]
mod echo;

mod conversation;
mod handshakes;
mod servers;
mod violations;
