//! flumen: a stream of JSON events in over WebSocket, live windowed statistics out over SSE,
//! JSON and Prometheus. One binary, one machine, pinned threads joined by wait-free rings.
//!
//! # The threads
//!
//! ```text
//!  sockets      ┌────────┐ chunks  ┌───────┐ items   ┌────────┐ reports ┌─────────┐ frames ┌──────┐
//!  ───────────► │ ingest ├────────►│ parse ├────────►│ window ├────────►│ publish ├───────►│ http │──► SSE, JSON,
//!    replies ◄──┤ (mio)  │◄────────┤       │  mesh   │        │         │         │        │      │    dashboard
//!               └────────┘ buffers └───────┘         └────────┘         └─────────┘        └──────┘
//! ```
//!
//! `ingest-k` and `parse-k` make a lane; there may be several lanes and several window threads,
//! and results are the same for every number of them. `main` sleeps until a signal comes or a
//! thread ends.
//!
//! # The rooms, from the top down (imports point down only)
//!
//! | room | what is there |
//! | --- | --- |
//! | [`cli`] | subcommands and flags; `demo` |
//! | [`supervise`] | signals, reload, the order of stop, exit codes |
//! | [`pipeline`] | every ring and every thread, made in one place |
//! | [`stages`] | one room a thread: `ingest`, `parse`, `window`, `publish`, `http` |
//! | [`message`] | what travels on each ring |
//! | [`runtime`] | stage loop, rings, sleep and wake, threads, clock, simulation |
//! | [`windowing`] | pure: watermark, slices, engine |
//! | [`event`] | pure: frames, JSON, MessagePack, times, filter rules |
//! | [`aggregate`] | pure: moments, quantile sketch, heavy hitters |
//! | [`telemetry`] | counters, latency, the catalog of metrics |
//! | [`plan`] | pure: configuration + machine → what will run |
//! | [`config`] | what was typed: layers and the table of options |
//! | [`client`], [`generate`], [`load`] | the other side: generator and load test |

pub mod aggregate;
pub mod cli;
pub mod client;
pub mod config;
pub mod event;
pub mod generate;
pub mod load;
pub mod message;
pub mod pipeline;
pub mod plan;
pub mod runtime;
pub mod stages;
pub mod supervise;
pub mod telemetry;
pub mod windowing;
