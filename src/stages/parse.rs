//! The parse thread: frames out of chunks, events out of frames, samples to the window threads.
//!
//! Owns the decoder of every connection of its lane. One chunk is taken apart completely into
//! a list per window thread before any of it is sent, and each list is then sent as its ring
//! has room, independently of the others: a full ring to one window thread never keeps another
//! from what it needs to go on, which is what makes the mesh free of deadlocks.
//!
//! Invariants: `received` is stored before any sample of the chunk can be applied; every chunk
//! reaches every window thread (begin and mark at least), so that progress is a plain count. Only where
//! overload drops is a chunk taken while something is left over for a window thread, and then it is shed:
//! its events go to nobody, and one mark may stand for many such chunks.

mod fields;
mod sort;
mod unfinished;
mod work;

use std::sync::Arc;

use crate::config::Overload;
use crate::event;
use crate::event::frame::{Answer, Decoder, Item as FrameItem, Violation};
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
use unfinished::{Carried, Unfinished};
use work::{Tally, Work};

/// A turn is long enough to pay for waking the others at its end, and short enough to stay
/// responsive: so many chunks, if they are small, or so many bytes (some 2,000 events).
const CHUNKS_PER_TURN: usize = 64;
const BYTES_PER_TURN: usize = 512 * 1024;
/// Error notices a second and connection.
const ERRORS_PER_SECOND: u32 = 10;
/// Bytes of a rejected event that its dead letter keeps.
const LETTER_BYTES: usize = 1_024;

/// To a peer that has shut its sending side without a close frame.
const END_OF_STREAM: Answer<'static> = Answer::Close { code: 1000, reason: "" };

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
    /// How many parse threads there are.
    pub lanes: usize,
    /// `limits.memory` where it is 0, bytes.
    pub memory_bytes: usize,
    /// This thread's counters.
    pub counters: Arc<ParseCounters>,
}

struct Conn {
    id: ConnId,
    ack: bool,
    decoder: Decoder,
    carried: Carried,
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

    /// The chunk ends. One without an event joins the one before it, if that has none either and has not
    /// been sent: however many are shed while a window thread stands still, what waits for it stays short.
    /// The two arrive as late as the second, which nobody can tell where there is no event.
    fn end_chunk(&mut self, max_time_us: i64) {
        use Item::{Begin, Mark, Wall};
        const NEVER: i64 = i64::MIN;
        self.staged.push(Mark { max_time_us, chunks: 1 });
        if let [
            ..,
            Begin { .. },
            Wall { .. },
            Mark { max_time_us: NEVER, chunks },
            a,
            b,
            Mark { max_time_us: NEVER, .. },
        ] = self.staged[self.sent..]
            && let (Begin { .. }, Wall { .. }, Some(chunks)) = (a, b, chunks.checked_add(1))
        {
            self.staged.truncate(self.staged.len() - 6);
            self.staged.extend([a, b, Mark { max_time_us: NEVER, chunks }]);
        }
    }
}

/// The stage.
pub struct Parse {
    chunks: Rx<Chunk>,
    conns: Vec<Option<Conn>>,
    unfinished: Unfinished,
    reader: event::Reader,
    work: Work,
    timestamp_unit: TimestampUnit,
    overload: Overload,
    /// The last chunk was shed.
    sheds: bool,
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
            unfinished: Unfinished::new(options.lanes, options.memory_bytes),
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
            sheds: false,
        }
    }

    fn handle(&mut self, chunk: Chunk, shed: bool) {
        match chunk {
            Chunk::Open { conn, ack } => {
                let slot = conn.slot as usize;
                let settings = self.work.settings.value();
                if self.conns.len() <= slot {
                    self.conns.resize_with(slot + 1, || None);
                }
                self.conns[slot] = Some(Conn {
                    id: conn,
                    ack,
                    decoder: Decoder::with_limits(settings.message_size, settings.frame_size),
                    carried: Carried::default(),
                    frames: 0,
                    accepted: 0,
                    rejected: 0,
                    acked_frames: 0,
                    error_second: 0,
                    errors_in_second: 0,
                });
            }
            Chunk::Ended { conn } => {
                if let Some(Some(open)) = self.conns.get_mut(conn.slot as usize)
                    && open.id == conn
                    && !open.decoder.is_closed()
                {
                    self.work.answer(open, END_OF_STREAM);
                }
            }
            Chunk::Closed { conn } => {
                if let Some(place) = self.conns.get_mut(conn.slot as usize)
                    && let Some(gone) = place.take_if(|c| c.id == conn)
                {
                    self.unfinished.forget(&gone);
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
                    self.unfinished.note(open, arrival.mono_ns);
                    self.unfinished.settle(&mut self.conns, &mut self.work);
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
            conn.decoder.set_limits(settings.message_size, settings.frame_size);
        }
    }

    /// Whether the next chunk is to be shed, that is, its events only counted: where overload drops, while
    /// the ring of chunks is nearly full. While something is left over for a window thread (`sent` is not
    /// all) nothing but that can be done with a chunk, down to where ingest is woken because of the room.
    fn sheds(&mut self, sent: bool) -> bool {
        let waiting = self.chunks.len();
        if self.overload == Overload::Block {
            return false;
        }
        let capacity = self.chunks.gauge().capacity();
        let most = if self.sheds && !sent { capacity / 2 } else { capacity / 4 * 3 };
        self.sheds = waiting > most && self.work.held_replies.is_empty();
        self.sheds
    }

    fn wait_for_space(&self) -> Progress {
        // With more chunks it may be time to shed some.
        let more = if self.overload == Overload::Drop { INPUT } else { 0 };
        Progress::Idle { deadline_ns: None, awaits: SPACE | more }
    }

    fn turn(&mut self) -> Progress {
        let had_output = self.work.has_output();
        let mut sent = self.work.push();
        if !sent && !self.sheds(sent) {
            return self.wait_for_space();
        }
        if self.work.settings.refresh() {
            self.follow_settings();
        }
        let mut bytes = 0;
        for done in 0..CHUNKS_PER_TURN {
            let shed = self.sheds(sent);
            if !sent && !shed {
                break;
            }
            let Some(chunk) = self.chunks.pop() else {
                self.work.follow_epoch();
                if !self.work.push() {
                    return self.wait_for_space();
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
            sent = self.work.push();
            if bytes >= BYTES_PER_TURN {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::ring::ring;
    use crate::runtime::wake::Bell;

    #[test]
    fn chunks_without_an_event_join_unless_they_have_been_sent() {
        let (a, b) = (Arc::new(Bell::park()), Arc::new(Bell::park()));
        let (tx, mut rx) = ring::<Item>(8, &a, &b);
        let mut outlet = Outlet { tx, staged: Vec::new(), sent: 0 };
        let begin = |ns: u64| [Item::Begin { arrival_ns: ns }, Item::Wall { wall_us: ns as i64 }];
        let chunk = |outlet: &mut Outlet, ns: u64, event: bool| {
            outlet.staged.extend(begin(ns));
            if event {
                outlet.staged.push(Item::Event { kind: 0, source: 0, time_us: 7 });
            }
            outlet.end_chunk(if event { 7 } else { i64::MIN });
        };
        // Seven items of the ring's eight, then a chunk of which one fits.
        chunk(&mut outlet, 1, true);
        chunk(&mut outlet, 2, false);
        assert!(outlet.push());
        chunk(&mut outlet, 3, false);
        assert!(!outlet.push(), "the ring is full");
        for ns in 4..10_000 {
            chunk(&mut outlet, ns, false);
            assert!(!outlet.push());
        }
        let mut got = Vec::new();
        while !outlet.push() || !rx.is_empty() {
            rx.pop_into(&mut got, 8);
        }
        let mark = |max_time_us, chunks| Item::Mark { max_time_us, chunks };
        let event = Item::Event { kind: 0, source: 0, time_us: 7 };
        let wanted = [
            &begin(1)[..],
            &[event, mark(7, 1)],
            &begin(2),
            &[mark(i64::MIN, 1)],
            &begin(3),
            &[mark(i64::MIN, 1)],
            &begin(9_999),
            &[mark(i64::MIN, 10_000 - 4)],
        ];
        assert_eq!(got, wanted.concat());
    }
}
