//! What travels on each ring, named by the noun.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::aggregate::Top;
use crate::event::Reject;
use crate::event::time::format_rfc3339_us;
use crate::runtime::clock::Now;
use crate::windowing::ids::InUse;
use crate::windowing::{Closed, WindowSet};
use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Size of a read buffer, bytes.
pub const BUFFER_BYTES: usize = 64 * 1024;

/// A pooled read buffer; it travels ingest → parse → ingest and is never freed on the way.
pub type Buffer = Box<[u8]>;

/// One connection of one lane. `slot` is reused after the connection has gone; `generation`
/// tells its users apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnId {
    /// Index in the lane's table.
    pub slot: u32,
    /// Rises by one each time the slot is reused.
    pub generation: u32,
}

/// ingest → parse: bytes, never messages.
#[derive(Debug)]
pub enum Chunk {
    /// The handshake of a connection is done.
    Open {
        /// Which.
        conn: ConnId,
        /// Whether the client wants acknowledgements.
        ack: bool,
    },
    /// One socket read.
    Data {
        /// Whose.
        conn: ConnId,
        /// The bytes are `buffer[..len]`.
        buffer: Buffer,
        /// How many.
        len: usize,
        /// When it was read; strictly rising within a lane.
        arrival: Now,
    },
    /// The peer sends no more, and may still listen.
    Ended {
        /// Which.
        conn: ConnId,
    },
    /// The connection has gone; nothing more of it will come.
    Closed {
        /// Which.
        conn: ConnId,
    },
}

/// parse → ingest: what to tell a client.
#[derive(Debug)]
pub enum Reply {
    /// Acknowledge once chunk number `chunk` of the lane has been applied.
    Ack {
        /// Whom.
        conn: ConnId,
        /// The lane's count of data chunks up to and including the one that ended the frame.
        chunk: u64,
        /// Frames 1..N of the connection.
        frames: u64,
        /// Events of these frames that were applied, filtered or late.
        accepted: u64,
        /// Events of these frames that were rejected or dropped.
        rejected: u64,
    },
    /// An error notice, already encoded.
    Error {
        /// Whom.
        conn: ConnId,
        /// JSON text.
        text: Box<str>,
    },
    /// Answer a ping.
    Pong {
        /// Whom.
        conn: ConnId,
        /// At most 125 bytes.
        payload: Box<[u8]>,
    },
    /// Close, after the acknowledgements that are due.
    Close {
        /// Whom.
        conn: ConnId,
        /// RFC 6455 close code.
        code: u16,
        /// A few words.
        reason: &'static str,
    },
}

/// parse → window: plain data, 16 bytes. A chunk of the lane is `Begin, Wall, (Event, (Group |
/// Distinct | Field)*)*, Mark`; every window thread gets the frame of every chunk and the events
/// it owns. An `Epoch` stands between chunks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Item {
    /// A chunk begins; its arrival, monotonic ns.
    Begin {
        /// Monotonic arrival.
        arrival_ns: u64,
    },
    /// Its arrival on the wall clock.
    Wall {
        /// Microseconds since the epoch.
        wall_us: i64,
    },
    /// A sweep of names has begun: numbers behind this were asked for anew.
    Epoch {
        /// The epoch, as in `runtime::names`.
        epoch: u32,
    },
    /// One event; its groups, hashes and fields follow.
    Event {
        /// Number of the event type.
        kind: u16,
        /// Number of the source.
        source: u32,
        /// Event time, microseconds since the epoch.
        time_us: i64,
    },
    /// The group of the event before it in a family with a filter or a grouping of its own.
    Group {
        /// The family's slot.
        slot: u16,
        /// Number of the group.
        group: u32,
    },
    /// The hash of a dimension of the event before it whose distinct values are counted.
    Distinct {
        /// Which dimension.
        slot: u16,
        /// Of its value.
        hash: u64,
    },
    /// One numeric field of the event before it.
    Field {
        /// Number of the field name.
        id: u32,
        /// Its value, finite.
        value: f64,
    },
    /// The chunk ends; the largest event time in it, `i64::MIN` if it held no valid event.
    Mark {
        /// Microseconds since the epoch.
        max_time_us: i64,
        /// How many chunks end here: more than one where those before were shed.
        chunks: u32,
    },
}

/// window → publish.
#[derive(Debug)]
pub enum Report {
    /// This thread's part of a result that is due or revised, or, at the end of the input, of
    /// one that is still open.
    Closed(Box<Closed>),
    /// Every `Closed` up to here has been sent before.
    Reached {
        /// The thread's watermark, microseconds.
        watermark_us: i64,
        /// It has applied every chunk that arrived before this (monotonic ns).
        arrival_ns: u64,
    },
    /// The first window as it fills.
    Live(Box<Closed>),
    /// The thread's busiest sources since the start.
    Top(Box<Top>),
    /// About a second of latencies; the empty one comes back over its own ring.
    Latency(Box<Histogram<u64>>),
    /// Answer to a sweep of names: what the thread's windows refer to.
    InUse {
        /// Of the sweep.
        epoch: u32,
        /// The names.
        names: Box<InUse>,
    },
}

/// window → publish: an event that came too late for at least one window.
#[derive(Clone, Copy, Debug)]
pub struct LateEvent {
    /// When it arrived, microseconds since the epoch.
    pub arrival_us: i64,
    /// Its event time, microseconds since the epoch.
    pub time_us: i64,
    /// The watermark it was judged by.
    pub watermark_us: i64,
    /// Number of its source.
    pub source: u32,
    /// Number of its type.
    pub kind: u16,
    /// The windows it came too late for.
    pub missed: WindowSet,
    /// Whether another window took it.
    pub applied: bool,
}

/// parse → publish: an event that was rejected.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// Why.
    pub reason: Reject,
    /// In words.
    pub message: String,
    /// When it arrived, microseconds since the epoch.
    pub time_us: i64,
    /// Frame of the connection, from 1.
    pub seq: u64,
    /// Event within the frame, from 0.
    pub index: u32,
    /// The first 1 KiB.
    pub head: Box<[u8]>,
    /// Its whole length, bytes.
    pub len: usize,
}

impl DeadLetter {
    /// As `/api/deadletters` and the file show it.
    pub fn to_json(&self) -> Value {
        json!({
            "time": format_rfc3339_us(self.time_us),
            "reason": self.reason.as_str(),
            "message": self.message,
            "seq": self.seq,
            "index": self.index,
            "bytes": self.len,
            "head": String::from_utf8_lossy(&self.head),
        })
    }
}

/// What kind of SSE message a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// A result, an alert: kept for `Last-Event-ID`.
    Lasting,
    /// Superseded by the next of its kind: live windows, stats.
    Passing,
}

/// Bytes of all frames that anybody still holds: what readers of the stream that lag behind take together.
pub type Held = Arc<AtomicUsize>;

/// publish → SSE subscribers: one encoded message, shared by all of them.
#[derive(Debug)]
pub struct Frame {
    /// SSE `id`.
    pub id: u64,
    /// Whether a reconnecting client wants it.
    pub kind: FrameKind,
    /// The complete text, with its empty line.
    pub text: Box<str>,
    held: Held,
}

impl Frame {
    /// A frame that is counted in `held` as long as it lives.
    pub fn new(id: u64, kind: FrameKind, text: Box<str>, held: &Held) -> Arc<Self> {
        let frame = Self { id, kind, text, held: Arc::clone(held) };
        held.fetch_add(frame.bytes(), Ordering::Relaxed);
        Arc::new(frame)
    }

    /// What it takes, with the two counts of its `Arc`.
    fn bytes(&self) -> usize {
        self.text.len() + size_of::<Self>() + 2 * size_of::<usize>()
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes(), Ordering::Relaxed);
    }
}

/// gate → publish: a new SSE subscriber.
#[derive(Debug)]
pub struct Subscribe {
    /// Where its frames go.
    pub frames: crate::runtime::ring::Tx<Arc<Frame>>,
    /// `Last-Event-ID`, if the client sent one.
    pub last_event_id: Option<u64>,
}
