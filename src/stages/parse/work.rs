//! What a parse thread does with one event: accept, filter or reject it, stage its samples,
//! count it, answer it.

use std::sync::Arc;

use super::fields::{Field, Fields};
use super::sort::{Sorter, Wanted};
use super::{Conn, ERRORS_PER_SECOND, LETTER_BYTES, Outlet};
use crate::event::frame::Answer;
use crate::event::{Outcome, Reject, Rejection, Scratch};
use crate::message::{Buffer, DeadLetter, Item, Reply};
use crate::runtime::cell::Reader as SettingsReader;
use crate::runtime::clock::Now;
use crate::runtime::names::{Cache, Dictionary, Names, Room};
use crate::runtime::ring::Tx;
use crate::runtime::wake::SPACE;
use crate::stages::settings::Settings;
use crate::telemetry::counters::ParseCounters;

/// Everything the handling of one event touches, apart from the connections and the reader, so
/// that the decoder's and the reader's callbacks can borrow it.
pub(super) struct Work {
    pub(super) buffers: Tx<Buffer>,
    pub(super) replies: Tx<Reply>,
    /// Replies that did not fit; the chunk after them waits.
    pub(super) held_replies: Vec<Reply>,
    pub(super) letters: Tx<DeadLetter>,
    pub(super) shards: Vec<Outlet>,
    pub(super) settings: SettingsReader<Settings>,
    pub(super) dictionary: Arc<Dictionary>,
    pub(super) counters: Arc<ParseCounters>,
    pub(super) types: Cache,
    pub(super) sources: Cache,
    pub(super) fields: Fields,
    /// Memory for messages that reads have cut, lent to whichever connection is being read.
    pub(super) spare: Vec<u8>,
    pub(super) sorter: Sorter,
    /// The epoch of the names all this thread's numbers are from.
    pub(super) epoch: u32,
    pub(super) tally: Tally,
    /// Number of the current chunk, from 1.
    pub(super) chunk: u64,
    pub(super) arrival: Now,
    pub(super) max_time_us: i64,
}

/// Counts of the current chunk, stored once at its end.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) messages: u64,
    pub(super) received: u64,
    pub(super) filtered: u64,
    pub(super) dropped: u64,
    pub(super) rejected: [u64; Reject::ALL.len()],
}

impl Work {
    /// Takes part in a sweep of names, if one has begun: forgets all numbers and says so down
    /// the pipeline. Between chunks only.
    pub(super) fn follow_epoch(&mut self) {
        let epoch = self.dictionary.epoch();
        if epoch == self.epoch {
            return;
        }
        self.epoch = epoch;
        self.types.begin_epoch(epoch);
        self.sources.begin_epoch(epoch);
        self.fields.begin_epoch(epoch);
        self.sorter.begin_epoch(epoch);
        for shard in &mut self.shards {
            shard.staged.push(Item::Epoch { epoch });
        }
    }

    pub(super) fn begin(&mut self, arrival: Now) {
        self.follow_epoch();
        self.chunk += 1;
        self.arrival = arrival;
        self.max_time_us = i64::MIN;
        for shard in &mut self.shards {
            shard.staged.push(Item::Begin { arrival_ns: arrival.mono_ns });
            shard.staged.push(Item::Wall { wall_us: arrival.wall_us });
        }
    }

    /// The chunk is done: count it, in the order of the flow, before any of it can be applied.
    pub(super) fn end(&mut self) {
        for shard in &mut self.shards {
            shard.end_chunk(self.max_time_us);
        }
        let tally = std::mem::take(&mut self.tally);
        self.counters.messages.add(tally.messages);
        self.counters.received.add(tally.received);
        self.counters.filtered.add(tally.filtered);
        self.counters.dropped.add(tally.dropped);
        for (counter, n) in self.counters.rejected.iter().zip(tally.rejected) {
            if n > 0 {
                counter.add(n);
            }
        }
    }

    pub(super) fn has_output(&self) -> bool {
        !self.held_replies.is_empty() || self.shards.iter().any(|s| !s.staged.is_empty())
    }

    /// Sends what fits, each ring on its own, without waking anybody; says whether everything has
    /// gone.
    pub(super) fn push(&mut self) -> bool {
        let mut all = true;
        for shard in &mut self.shards {
            all &= shard.push();
        }
        if self.replies.is_abandoned() {
            // A drain has given up on clients; what is left is still to come into windows.
            self.held_replies.clear();
        }
        if !self.held_replies.is_empty() {
            let mut held = std::mem::take(&mut self.held_replies).into_iter();
            while let Some(reply) = held.next() {
                if let Err(reply) = self.replies.push(reply) {
                    self.held_replies.push(reply);
                    self.held_replies.extend(held);
                    break;
                }
            }
        }
        all && self.held_replies.is_empty()
    }

    /// Wakes those that got something; ingest, for its buffers, only if it has room for chunks
    /// as well.
    pub(super) fn wake(&mut self, roomy: bool) {
        for shard in &mut self.shards {
            shard.tx.flush();
        }
        self.replies.flush();
        self.letters.flush();
        if roomy {
            self.buffers.flush_as(SPACE);
        }
    }

    pub(super) fn reply(&mut self, reply: Reply) {
        if self.held_replies.is_empty() {
            if let Err(reply) = self.replies.push(reply) {
                self.held_replies.push(reply);
            }
        } else {
            self.held_replies.push(reply);
        }
    }

    /// Promises an ack for the frames that have ended, once this chunk has been applied.
    pub(super) fn acknowledge(&mut self, conn: &mut Conn) {
        if conn.ack && conn.frames > conn.acked_frames {
            conn.acked_frames = conn.frames;
            self.reply(Reply::Ack {
                conn: conn.id,
                chunk: self.chunk,
                frames: conn.frames,
                accepted: conn.accepted,
                rejected: conn.rejected,
            });
        }
    }

    /// Hands what the protocol owes a client to the ingest thread.
    pub(super) fn answer(&mut self, conn: &mut Conn, answer: Answer<'_>) {
        match answer {
            Answer::Pong(payload) => self.reply(Reply::Pong { conn: conn.id, payload: payload.into() }),
            Answer::Close { code, reason } => {
                // The ack goes first, so that a client hears of all its frames.
                self.acknowledge(conn);
                self.reply(Reply::Close { conn: conn.id, code, reason });
            }
        }
    }

    pub(super) fn event(&mut self, conn: &mut Conn, outcome: Outcome<'_>) {
        self.tally.received += 1;
        let index = outcome.index;
        match outcome.event {
            Ok(scratch) => match self.accept(scratch) {
                Ok(()) => conn.accepted += 1,
                Err(rejection) => self.reject(conn, index, outcome.raw, rejection),
            },
            Err(rejection) => self.reject(conn, index, outcome.raw, rejection),
        }
    }

    /// A well-formed event: filtered, or on its way to the window thread that owns it.
    fn accept(&mut self, event: &Scratch) -> Result<(), Rejection> {
        let settings = self.settings.value();
        let now_us = self.arrival.wall_us;
        let time_us = event.time_us().unwrap_or(now_us);
        let max_future_us = i64::try_from(settings.max_future.as_micros()).unwrap_or(i64::MAX);
        if time_us > now_us.saturating_add(max_future_us) {
            return Err(Rejection {
                reason: Reject::FutureTimestamp,
                message: format!(
                    "timestamp is {:.3} s ahead of the daemon's clock, more than time.max_future ({:.3} s): \
                     check the client's clock and the unit",
                    (time_us - now_us) as f64 / 1e6,
                    settings.max_future.as_secs_f64()
                ),
            });
        }
        // Before names are looked up: what is filtered is to use none of them up.
        if !settings.rules.keeps(event, time_us, now_us) {
            self.max_time_us = self.max_time_us.max(time_us);
            self.tally.filtered += 1;
            return Ok(());
        }
        let per_second = settings.new_keys_per_second;
        let room = Room { names: settings.keys, per_second, now_ns: self.arrival.mono_ns };
        let source = self
            .sources
            .id(&self.dictionary.sources, event.source(), room)
            .ok_or_else(|| no_room(&self.dictionary.sources, room))?;
        if event.long_strings() > 0 {
            self.counters.strings_left_out.add(event.long_strings().into());
        }
        let wanted = self.sorter.sort(event, source, &self.dictionary, room, &self.counters);
        if wanted == Wanted::NoRoom {
            let (names, pace) = (room.names, room.per_second);
            let message = format!(
                "a new group beyond the {names} that limits.keys allows, or the {pace} a second of \
                 limits.new_keys_per_second"
            );
            return Err(Rejection { reason: Reject::TooManyKeys, message });
        }
        if wanted == Wanted::No {
            self.max_time_us = self.max_time_us.max(time_us);
            self.tally.filtered += 1;
            return Ok(());
        }
        // Last: types are few, and what is filtered or rejected is to use none of them up.
        let kind = self
            .types
            .id(&self.dictionary.types, event.kind(), settings.event_types)
            .and_then(|id| u16::try_from(id).ok())
            .ok_or_else(|| full(Reject::TooManyTypes, "type", settings.event_types))?;
        self.max_time_us = self.max_time_us.max(time_us);
        let shard = self.sorter.shard(event, source, kind, self.shards.len());
        let staged = &mut self.shards[shard].staged;
        staged.push(Item::Event { kind, source, time_us });
        for &(slot, group) in &self.sorter.groups {
            staged.push(Item::Group { slot, group });
        }
        for &slot in &self.sorter.by_type {
            staged.push(Item::Group { slot, group: u32::from(kind) });
        }
        for &(slot, hash) in &self.sorter.hashes {
            staged.push(Item::Distinct { slot, hash });
        }
        self.fields.begin_event(event.generation());
        for (number, name, value) in event.numbered_fields() {
            let field = self.fields.find(number, |cache| {
                if !self.sorter.shows(name) {
                    return Field::Hidden;
                }
                let id = cache.id(&self.dictionary.fields, name, settings.field_names);
                id.map_or(Field::Unknown, Field::Number)
            });
            match field {
                Field::Number(id) => staged.push(Item::Field { id, value }),
                Field::Hidden => {}
                // The event is worth more than one field too many.
                Field::Unknown => self.counters.fields_left_out.add(1),
            }
        }
        Ok(())
    }

    fn reject(&mut self, conn: &mut Conn, index: u32, raw: &[u8], rejection: Rejection) {
        conn.rejected += 1;
        self.tally.rejected[rejection.reason.index()] += 1;
        let second = self.arrival.mono_ns / 1_000_000_000;
        if second != conn.error_second {
            conn.error_second = second;
            conn.errors_in_second = 0;
        }
        if conn.errors_in_second < ERRORS_PER_SECOND {
            conn.errors_in_second += 1;
            let text = serde_json::json!({
                "type": "error",
                "seq": conn.frames,
                "index": index,
                "code": rejection.reason.as_str(),
                "message": rejection.message,
            });
            self.reply(Reply::Error { conn: conn.id, text: text.to_string().into() });
        }
        if self.letters.slots() == 0 {
            self.counters.letters_lost.add(1);
            return;
        }
        let letter = DeadLetter {
            reason: rejection.reason,
            message: rejection.message,
            time_us: self.arrival.wall_us,
            seq: conn.frames,
            index,
            head: raw[..raw.len().min(LETTER_BYTES)].into(),
            len: raw.len(),
        };
        if self.letters.push(letter).is_err() {
            self.counters.letters_lost.add(1);
        }
    }
}

/// A new source found no room in `names`.
fn no_room(names: &Names, room: Room) -> Rejection {
    if names.len() >= room.names {
        return full(Reject::TooManyKeys, "source", room.names);
    }
    let message = format!(
        "a new source beyond the {} a second that limits.new_keys_per_second allows; try again later",
        room.per_second
    );
    Rejection { reason: Reject::TooManyKeys, message }
}

fn full(reason: Reject, what: &str, limit: usize) -> Rejection {
    let key = if what == "type" { "event_types" } else { "keys" };
    Rejection { reason, message: format!("a new {what} beyond the {limit} that limits.{key} allows") }
}
