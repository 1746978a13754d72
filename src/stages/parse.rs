//! The parse thread: frames out of chunks, events out of frames, samples to the window threads.
//!
//! Owns the decoder of every connection of its lane. One chunk is taken apart completely into
//! a list per window thread before any of it is sent, and each list is then sent as its ring
//! has room, independently of the others: a full ring to one window thread never keeps another
//! from what it needs to go on, which is what makes the mesh free of deadlocks.
//!
//! Invariants: `received` is stored before any sample of the chunk can be applied; every chunk
//! reaches every window thread (begin and mark at least), so that progress is a plain count.

mod fields;
mod sort;
mod work;

use std::sync::Arc;

use crate::config::Overload;
use crate::event;
use crate::event::frame::{Decoder, Item as FrameItem, Violation};
use crate::event::time::TimestampUnit;
use crate::message::{Buffer, Chunk, ConnId, DeadLetter, Item, Reply};
use crate::plan::windows::WindowPlan;
use crate::runtime::cell::{Cell, Reader as SettingsReader};
use crate::runtime::clock::Now;
use crate::runtime::names::{Cache, Dictionary};
use crate::runtime::ring::{Rx, Tx};
use crate::runtime::stage::{Progress, Stage};
use crate::runtime::wake::{INPUT, SPACE};
use crate::stages::settings::Settings;
use crate::telemetry::counters::ParseCounters;
use sort::Sorter;
use work::{Tally, Work};

/// A turn is long enough to pay for waking the others at its end, and short enough to stay
/// responsive: so many chunks, if they are small, or so many bytes (some 2,000 events).
const CHUNKS_PER_TURN: usize = 64;
const BYTES_PER_TURN: usize = 512 * 1024;
/// Error notices a second and connection.
const ERRORS_PER_SECOND: u32 = 10;
/// Bytes of a rejected event that its dead letter keeps.
const LETTER_BYTES: usize = 1_024;

/// The ends of the rings a parse thread holds.
pub struct Ports {
    /// Bytes from ingest.
    pub chunks: Rx<Chunk>,
    /// Empty buffers back to ingest.
    pub buffers: Tx<Buffer>,
    /// Acks, errors and closes to ingest.
    pub replies: Tx<Reply>,
    /// Rejected events to publish.
    pub letters: Tx<DeadLetter>,
    /// Samples, one ring a window thread.
    pub shards: Vec<Tx<Item>>,
}

/// What a parse thread needs to know.
pub struct Options {
    /// How to read numbers in `timestamp`.
    pub timestamp_unit: TimestampUnit,
    /// What to do when the rings stay full.
    pub overload: Overload,
    /// Rules and limits that change while running.
    pub settings: Arc<Cell<Settings>>,
    /// Families, filters and groupings of the windows.
    pub windows: WindowPlan,
    /// The names known to all threads.
    pub dictionary: Arc<Dictionary>,
    /// This thread's counters.
    pub counters: Arc<ParseCounters>,
}

struct Conn {
    id: ConnId,
    ack: bool,
    decoder: Decoder,
    frames: u64,
    accepted: u64,
    rejected: u64,
    acked_frames: u64,
    error_second: u64,
    errors_in_second: u32,
}

/// Items of the current chunk for one window thread.
struct Outlet {
    tx: Tx<Item>,
    staged: Vec<Item>,
    sent: usize,
}

impl Outlet {
    /// Sends what fits; says whether everything has gone.
    fn push(&mut self) -> bool {
        self.sent += self.tx.push_slice(&self.staged[self.sent..]);
        if self.sent == self.staged.len() {
            self.staged.clear();
            self.sent = 0;
        }
        self.staged.is_empty()
    }
}

/// The stage.
pub struct Parse {
    chunks: Rx<Chunk>,
    conns: Vec<Option<Conn>>,
    reader: event::Reader,
    work: Work,
    timestamp_unit: TimestampUnit,
    overload: Overload,
}

impl Parse {
    /// A parse thread with no connections.
    pub fn new(ports: Ports, options: Options) -> Self {
        let shards = ports.shards.into_iter().map(|tx| Outlet { tx, staged: Vec::new(), sent: 0 }).collect();
        let settings = SettingsReader::new(options.settings);
        let limits = limits(settings.value(), options.timestamp_unit);
        Self {
            chunks: ports.chunks,
            conns: Vec::new(),
            reader: event::Reader::new(limits).with_strings(options.windows.strings),
            work: Work {
                buffers: ports.buffers,
                replies: ports.replies,
                held_replies: Vec::new(),
                letters: ports.letters,
                shards,
                settings,
                dictionary: options.dictionary,
                counters: options.counters,
                types: Cache::default(),
                sources: Cache::default(),
                fields: fields::Fields::default(),
                spare: Vec::new(),
                sorter: Sorter::new(options.windows),
                epoch: 0,
                tally: Tally::default(),
                chunk: 0,
                arrival: Now::default(),
                max_time_us: i64::MIN,
            },
            timestamp_unit: options.timestamp_unit,
            overload: options.overload,
        }
    }

    fn handle(&mut self, chunk: Chunk, shed: bool) {
        match chunk {
            Chunk::Open { conn, ack } => {
                let slot = conn.slot as usize;
                if self.conns.len() <= slot {
                    self.conns.resize_with(slot + 1, || None);
                }
                self.conns[slot] = Some(Conn {
                    id: conn,
                    ack,
                    decoder: Decoder::new(self.work.settings.value().message_size),
                    frames: 0,
                    accepted: 0,
                    rejected: 0,
                    acked_frames: 0,
                    error_second: 0,
                    errors_in_second: 0,
                });
            }
            Chunk::Closed { conn } => {
                if let Some(place) = self.conns.get_mut(conn.slot as usize)
                    && place.as_ref().is_some_and(|c| c.id == conn)
                {
                    *place = None;
                }
            }
            Chunk::Data { conn, mut buffer, len, arrival } => {
                self.work.begin(arrival);
                if let Some(Some(open)) = self.conns.get_mut(conn.slot as usize)
                    && open.id == conn
                {
                    let bytes = &mut buffer[..len];
                    take_apart(open, bytes, shed, &mut self.reader, &mut self.work);
                    self.work.acknowledge(open);
                }
                self.work.end();
                // The pool has as many places as there are buffers, so this never fails; a
                // buffer that found no place is freed and ingest makes another.
                drop(self.work.buffers.push(buffer));
            }
        }
    }
}

impl Stage for Parse {
    fn poll(&mut self, _now: Now) -> Progress {
        let progress = self.turn();
        // Once a turn, not once a chunk: waking a thread costs as much as some ten events.
        let roomy = self.chunks.release();
        self.work.wake(roomy);
        progress
    }
}

impl Parse {
    /// Passes new settings on to what keeps a copy of them.
    fn follow_settings(&mut self) {
        let settings = self.work.settings.value();
        self.reader.set_limits(limits(settings, self.timestamp_unit));
        for conn in self.conns.iter_mut().flatten() {
            conn.decoder.set_max_message(settings.message_size);
        }
    }

    fn turn(&mut self) -> Progress {
        let had_output = self.work.has_output();
        if !self.work.push() {
            return Progress::Idle { deadline_ns: None, awaits: SPACE };
        }
        if self.work.settings.refresh() {
            self.follow_settings();
        }
        let mut bytes = 0;
        for done in 0..CHUNKS_PER_TURN {
            let waiting = self.chunks.len();
            let shed = self.overload == Overload::Drop && waiting * 4 > self.chunks.gauge().capacity() * 3;
            let Some(chunk) = self.chunks.pop() else {
                self.work.follow_epoch();
                if !self.work.push() {
                    return Progress::Idle { deadline_ns: None, awaits: SPACE };
                }
                if done > 0 || had_output {
                    return Progress::Worked;
                }
                if self.chunks.ended() {
                    return Progress::Done;
                }
                return Progress::Idle { deadline_ns: None, awaits: INPUT };
            };
            if let Chunk::Data { len, .. } = &chunk {
                bytes += len;
            }
            self.handle(chunk, shed);
            if !self.work.push() || bytes >= BYTES_PER_TURN {
                break;
            }
        }
        Progress::Worked
    }
}

fn limits(settings: &Settings, timestamp_unit: TimestampUnit) -> event::Limits {
    event::Limits {
        nesting: settings.nesting,
        fields_per_event: settings.fields_per_event,
        name_size: settings.name_size,
        string_size: settings.string_size,
        events_per_message: settings.events_per_message,
        timestamp_unit,
    }
}

/// Feeds one read to the connection's decoder and handles what comes out.
fn take_apart(conn: &mut Conn, bytes: &mut [u8], shed: bool, reader: &mut event::Reader, work: &mut Work) {
    // The decoder is borrowed while it calls back, so it stands aside for the moment; the
    // stand-in owns no memory.
    let mut decoder = std::mem::replace(&mut conn.decoder, Decoder::new(0));
    let mut spare = std::mem::take(&mut work.spare);
    let fed = decoder.feed(bytes, &mut spare, &mut |item| match item {
        FrameItem::Message { payload, .. } => {
            conn.frames += 1;
            work.tally.messages += 1;
            if shed {
                let events = reader.count(payload);
                work.tally.received += events;
                work.tally.dropped += events;
                conn.rejected += events;
            } else {
                reader.read(payload, &mut |outcome| work.event(conn, outcome));
            }
        }
        control => {
            if let Some(answer) = control.answer() {
                work.answer(conn, answer);
            }
        }
    });
    work.spare = spare;
    conn.decoder = decoder;
    if let Err(violation) = fed {
        let code = Violation::CODES.iter().position(|&code| code == violation.close_code);
        code.into_iter().for_each(|at| work.counters.violations[at].add(1));
        work.answer(conn, violation.answer());
    }
}
