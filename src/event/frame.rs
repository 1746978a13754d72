//! WebSocket frames (RFC 6455), taken apart for the server's side of an ingest socket.
//!
//! A [`Decoder`] belongs to one connection and is fed what each socket read brought, cut anywhere. A
//! message that lies whole inside one read is unmasked in place and handed out without a copy; only
//! what a read cuts, and what a client fragments, is carried in the decoder. Pure: it knows no socket,
//! no thread and no clock.
//!
//! What must always hold:
//! - the work is linear in the bytes, however they are cut: no payload is unmasked twice, and what of
//!   a text has been found to be whole characters is not validated again;
//! - a size is judged from the header, before the payload arrives, so the carry never outgrows
//!   `max_message + MAX_CONTROL` bytes, and it grows with what has arrived, never with what was
//!   announced;
//! - between messages the decoder owns no heap: ten thousand idle connections cost what ten thousand
//!   structs cost;
//! - after a close frame or a violation it is deaf.

mod answer;
mod header;
mod write;

use std::{error::Error, fmt, mem};

use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

pub use answer::Answer;
use header::Header;
pub use write::{write, write_close, write_masked, write_ping, write_pong, write_text};

/// The longest payload of a control frame, in bytes (RFC 6455, 5.5).
pub const MAX_CONTROL: usize = 125;

/// The longest header of a frame, in bytes: 2, a 64-bit length, a mask.
const MAX_HEADER: usize = 14;

/// A carry up to this size, in bytes, is reserved at once instead of growing by doubling.
const SMALL_CARRY: usize = 4096;

/// One thing the peer said.
#[derive(Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A complete message, unmasked and, where it came fragmented, put together. A text is valid UTF-8.
    Message {
        /// Whether it came as text (else binary).
        text: bool,
        /// The bytes, in the read they came in or in the decoder's carry.
        payload: &'a [u8],
    },
    /// To be answered by a pong with the same payload, at most [`MAX_CONTROL`] bytes.
    Ping(&'a [u8]),
    /// An answer to a ping, or unsolicited; needs no answer.
    Pong(&'a [u8]),
    /// The peer is leaving; the last item of a connection.
    Close {
        /// The peer's status code, one of those allowed on the wire; `None` where it gave none.
        code: Option<u16>,
        /// Why, in the peer's words; often empty.
        reason: &'a str,
    },
}

/// What a peer did wrong, and the status code to close its connection with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Violation {
    /// 1002 (protocol error), 1007 (text that is not UTF-8) or 1009 (message too big).
    pub close_code: u16,
    /// What was wrong, fit for the reason of a close frame.
    pub what: &'static str,
}

impl Violation {
    const fn protocol(what: &'static str) -> Self {
        Self { close_code: 1002, what }
    }

    /// All close codes of violations.
    pub const CODES: [u16; 3] = [1002, 1007, 1009];

    const NOT_UTF8: Self = Self { close_code: 1007, what: "text that is not UTF-8" };
    const TOO_BIG: Self = Self { close_code: 1009, what: "message too big" };
    const FRAME_TOO_BIG: Self = Self { close_code: 1009, what: "frame too big" };
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (close code {})", self.what, self.close_code)
    }
}

impl Error for Violation {}

/// The frames of one connection.
#[derive(Debug)]
pub struct Decoder {
    /// Of the message under way, if there is one.
    max_message: usize,
    /// Of the messages after it.
    next_max: usize,
    /// Of one frame; narrow, as there are so many decoders.
    max_frame: u32,
    /// Unmasked bytes: the message under way and, behind it, the control frame that a read has cut.
    carry: Vec<u8>,
    /// How much of the carry is known to be whole UTF-8 characters, where it is a text.
    valid: usize,
    /// The frame whose header has come and whose payload has not, or not all.
    cut: Option<Cut>,
    /// The message under way, fragmented or cut; `true` for a text.
    open: Option<bool>,
    /// A header that a read has cut.
    head: [u8; MAX_HEADER],
    head_len: u8,
    closed: bool,
}

/// A frame whose payload goes through the carry.
#[derive(Debug)]
struct Cut {
    /// Bytes of payload still to come.
    left: usize,
    /// Where in the carry the frame's payload starts.
    start: usize,
    /// Turned so that its first byte meets the next byte of payload.
    mask: [u8; 4],
    opcode: OpCode,
    fin: bool,
}

impl Decoder {
    /// A decoder for a fresh connection that takes messages of up to `max_message` bytes of payload.
    pub fn new(max_message: usize) -> Self {
        Self::with_limits(max_message, usize::MAX)
    }

    /// The same, with frames of up to `max_frame` bytes of payload.
    pub fn with_limits(max_message: usize, max_frame: usize) -> Self {
        Self {
            max_message,
            next_max: max_message,
            max_frame: narrow(max_frame),
            carry: Vec::new(),
            valid: 0,
            cut: None,
            open: None,
            head: [0; MAX_HEADER],
            head_len: 0,
            closed: false,
        }
    }

    /// Other limits, in bytes of payload. A message that has begun keeps the one it began with; a frame
    /// is judged once its header is whole.
    pub fn set_limits(&mut self, max_message: usize, max_frame: usize) {
        self.max_frame = narrow(max_frame);
        self.next_max = max_message;
        if self.open.is_none() {
            self.max_message = max_message;
        }
    }

    /// Takes what one socket read brought and hands every item it completes to `visit`, in order.
    /// `bytes` is scratch afterwards: the payloads in it have been unmasked.
    ///
    /// # Errors
    /// The first [`Violation`]; everything complete before it has been visited. From then on, as after
    /// a close frame, the decoder ignores what it is fed.
    ///
    /// `spare` is memory for a message that the read cuts. A connection between messages owns none,
    /// so that ten thousand idle ones cost nothing; a busy one need not ask the allocator at every
    /// read if the caller lends the same to all.
    pub fn feed(
        &mut self,
        bytes: &mut [u8],
        spare: &mut Vec<u8>,
        visit: &mut dyn FnMut(Item<'_>),
    ) -> Result<(), Violation> {
        if self.closed {
            return Ok(());
        }
        if self.carry.capacity() == 0 {
            mem::swap(&mut self.carry, spare);
        }
        let outcome = self.take_apart(bytes, visit);
        if outcome.is_err() {
            self.closed = true;
        }
        if self.closed {
            self.carry.clear();
        }
        if self.carry.is_empty() {
            let unused = mem::take(&mut self.carry);
            if spare.capacity() == 0 && unused.capacity() <= SMALL_CARRY {
                *spare = unused;
            }
        }
        outcome
    }

    /// Memory of a message that has come in part, in bytes.
    pub fn carried(&self) -> usize {
        self.carry.capacity()
    }

    /// Ends the conversation, as a violation does.
    pub fn give_up(&mut self) {
        self.closed = true;
        self.carry = Vec::new();
    }

    /// Whether a close frame or a violation has ended the conversation.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    fn take_apart(&mut self, mut rest: &mut [u8], visit: &mut dyn FnMut(Item<'_>)) -> Result<(), Violation> {
        while !self.closed {
            if let Some(cut) = self.cut.take() {
                let part = split_off(&mut rest, cut.left);
                self.take_part(cut, part, visit)?;
                if self.cut.is_some() {
                    break;
                }
                continue;
            }
            let Some(header) = self.take_header(&mut rest)? else {
                break;
            };
            self.admit(&header)?;
            let in_place = match header.opcode {
                OpCode::Control(_) => true,
                OpCode::Data(_) => header.fin && self.open.is_none(),
            };
            if in_place && header.len <= rest.len() {
                let payload = split_off(&mut rest, header.len);
                let ascii = header::unmask(payload, header.mask);
                match header.opcode {
                    OpCode::Control(control) => self.closed = visit_control(control, payload, visit)?,
                    OpCode::Data(data) => {
                        let text = data == Data::Text;
                        if text && !ascii && simdutf8::basic::from_utf8(payload).is_err() {
                            return Err(Violation::NOT_UTF8);
                        }
                        visit(Item::Message { text, payload });
                    }
                }
            } else {
                if let OpCode::Data(data @ (Data::Text | Data::Binary)) = header.opcode {
                    self.open = Some(data == Data::Text);
                }
                let Header { fin, opcode, mask, len } = header;
                self.cut = Some(Cut { left: len, start: self.carry.len(), mask, opcode, fin });
            }
        }
        Ok(())
    }

    /// The next header, once it is whole.
    fn take_header(&mut self, rest: &mut &mut [u8]) -> Result<Option<Header>, Violation> {
        if self.head_len == 0
            && let Some((header, size)) = header::parse(rest)?
        {
            split_off(rest, size);
            return Ok(Some(header));
        }
        while !rest.is_empty() {
            self.head[usize::from(self.head_len)] = split_off(rest, 1)[0];
            self.head_len += 1;
            if let Some((header, _)) = header::parse(&self.head[..usize::from(self.head_len)])? {
                self.head_len = 0;
                return Ok(Some(header));
            }
        }
        Ok(None)
    }

    /// Judges a header by what came before it.
    fn admit(&self, header: &Header) -> Result<(), Violation> {
        let OpCode::Data(data) = header.opcode else {
            return Ok(());
        };
        match (data, self.open) {
            (Data::Continue, None) => return Err(Violation::protocol("continuation of nothing")),
            (Data::Text | Data::Binary, Some(_)) => {
                return Err(Violation::protocol("new message inside a fragmented one"));
            }
            _ => {}
        }
        // Between frames the carry holds the message so far and nothing else.
        if header.len > self.max_message - self.carry.len() {
            return Err(Violation::TOO_BIG);
        }
        if header.len > self.max_frame as usize {
            return Err(Violation::FRAME_TOO_BIG);
        }
        Ok(())
    }

    /// Takes the next part of a frame into the carry, and hands out what that completes.
    fn take_part(
        &mut self,
        mut cut: Cut,
        part: &mut [u8],
        visit: &mut dyn FnMut(Item<'_>),
    ) -> Result<(), Violation> {
        header::unmask(part, cut.mask);
        self.make_room(part.len(), cut.left);
        self.carry.extend_from_slice(part);
        cut.mask.rotate_left(part.len() % 4);
        cut.left -= part.len();
        if let OpCode::Control(control) = cut.opcode {
            if cut.left > 0 {
                self.cut = Some(cut);
                return Ok(());
            }
            self.closed = visit_control(control, &self.carry[cut.start..], visit)?;
            self.carry.truncate(cut.start);
            return Ok(());
        }
        let text = self.open == Some(true);
        if text {
            self.validate()?;
        }
        if cut.left > 0 {
            self.cut = Some(cut);
        } else if cut.fin {
            if text && self.valid < self.carry.len() {
                return Err(Violation::NOT_UTF8);
            }
            self.open = None;
            self.max_message = self.next_max;
            self.valid = 0;
            visit(Item::Message { text, payload: &self.carry });
            self.carry.clear();
        }
        Ok(())
    }

    /// Room in the carry for `part` bytes of a frame that has `left` bytes to come, `part` among them.
    /// Grows by doubling with what has arrived, so that an announced megabyte costs nothing until it
    /// comes, and is bounded.
    fn make_room(&mut self, part: usize, left: usize) {
        let len = self.carry.len();
        let need = len + part;
        if need <= self.carry.capacity() {
            return;
        }
        let bound = self.max_message.saturating_add(MAX_CONTROL);
        debug_assert!(need <= bound, "admitted {need} bytes into a carry of {bound}");
        let size = need.max(2 * self.carry.capacity()).max((len + left).min(SMALL_CARRY)).min(bound);
        self.carry.reserve_exact(size - len);
    }

    /// Moves `valid` over the whole characters that have come; fails on the first byte that none can
    /// start with.
    fn validate(&mut self) -> Result<(), Violation> {
        match simdutf8::compat::from_utf8(&self.carry[self.valid..]) {
            Ok(_) => self.valid = self.carry.len(),
            Err(error) if error.error_len().is_none() => self.valid += error.valid_up_to(),
            Err(_) => return Err(Violation::NOT_UTF8),
        }
        Ok(())
    }
}

/// No message is as long as what does not fit.
fn narrow(max_frame: usize) -> u32 {
    u32::try_from(max_frame).unwrap_or(u32::MAX)
}

/// The first `len` bytes of `rest`, or all of it; `rest` keeps the others.
fn split_off<'a>(rest: &mut &'a mut [u8], len: usize) -> &'a mut [u8] {
    let all = mem::take(rest);
    let (first, others) = all.split_at_mut(len.min(all.len()));
    *rest = others;
    first
}

/// Hands out a control frame; `true` when it was a close.
fn visit_control(
    control: Control,
    payload: &[u8],
    visit: &mut dyn FnMut(Item<'_>),
) -> Result<bool, Violation> {
    match control {
        Control::Ping => visit(Item::Ping(payload)),
        Control::Pong => visit(Item::Pong(payload)),
        Control::Close => {
            let (code, reason) = match payload {
                [] => (None, &[][..]),
                [_] => return Err(Violation::protocol("close frame of one byte")),
                [high, low, reason @ ..] => (Some(u16::from_be_bytes([*high, *low])), reason),
            };
            if code.is_some_and(|code| !allowed_on_the_wire(code)) {
                return Err(Violation::protocol("close code that must not be sent"));
            }
            let Ok(reason) = simdutf8::basic::from_utf8(reason) else {
                return Err(Violation::NOT_UTF8);
            };
            visit(Item::Close { code, reason });
            return Ok(true);
        }
        Control::Reserved(_) => return Err(Violation::protocol("reserved opcode")),
    }
    Ok(false)
}

/// RFC 6455, 7.4, and the codes registered with IANA since (1012 to 1014).
fn allowed_on_the_wire(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

#[cfg(test)]
mod tests;
