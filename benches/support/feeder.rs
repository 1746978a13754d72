//! A client that costs next to nothing: events are made, framed and masked beforehand, and go
//! out in writes of 64 KiB, so that what is measured is the daemon.

use std::io::{ErrorKind, Write};
use std::time::{Duration, Instant};

use flumen::client::{Client, Notice, Url};
use flumen::event::frame::write_masked;
use flumen::generate::sources::Sources;
use mio::{Events, Interest, Poll, Token};
use tungstenite::protocol::frame::coding::{Data, OpCode};

use super::{pack, wall_us};

/// Bytes a write.
const WRITE_BYTES: usize = 64 * 1024;
/// Events of a block; it is sent again and again, well within the time after which its events
/// would be late.
pub const BLOCK_EVENTS: usize = 100_000;
/// The mask of every frame; a real client draws one each, the cost of taking it off is the same.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// JSON text, one event a frame.
    Json,
    /// JSON arrays of so many.
    Array(usize),
    /// MessagePack, one event a frame.
    MessagePack,
}

/// Frames ready to be sent.
pub struct Block {
    pub bytes: Vec<u8>,
    pub frames: u64,
    pub events: usize,
}

impl Block {
    /// `events` of the generator's mix, stamped now, over `sources` sensors and ten times as
    /// many users.
    pub fn new(form: Form, sources: u32, events: usize) -> Self {
        let mut mix = Sources::new(sources, 1);
        let now_us = wall_us();
        let mut one = |out: &mut Vec<u8>| mix.event(now_us, 0.0, out);
        let mut block = Self { bytes: Vec::with_capacity(events * 300), frames: 0, events };
        let (mut event, mut payload) = (Vec::new(), Vec::new());
        let mut left = events;
        while left > 0 {
            payload.clear();
            let batch = if let Form::Array(n) = form { n.min(left) } else { 1 };
            match form {
                Form::Json => one(&mut payload),
                Form::Array(_) => {
                    for n in 0..batch {
                        payload.push(if n == 0 { b'[' } else { b',' });
                        one(&mut payload);
                    }
                    payload.push(b']');
                }
                Form::MessagePack => {
                    event.clear();
                    one(&mut event);
                    pack(&serde_json::from_slice(&event).expect("JSON"), &mut payload);
                }
            }
            let data = if form == Form::MessagePack { Data::Binary } else { Data::Text };
            write_masked(&mut block.bytes, OpCode::Data(data), MASK, &payload);
            block.frames += 1;
            left -= batch;
        }
        block
    }
}

/// Neighbours in memory are not neighbours in time.
fn key(n: usize, keys: usize) -> usize {
    n.wrapping_mul(2_654_435_761) % keys
}

impl Block {
    /// `events` of the generator's mix, stamped now, in turn of `keys` sources.
    pub fn mix_of(keys: usize, events: usize) -> Self {
        let mut mix = Sources::new(100, 1);
        let now_us = wall_us();
        let mut block = Self { bytes: Vec::with_capacity(events * 300), frames: events as u64, events };
        let (mut event, mut payload) = (Vec::new(), Vec::new());
        const SOURCE: &[u8] = b"\"source\":\"";
        for n in 0..events {
            event.clear();
            mix.event(now_us, 0.0, &mut event);
            let from = event.windows(SOURCE.len()).position(|name| name == SOURCE).expect("a source");
            let from = from + SOURCE.len();
            let len = event[from..].iter().position(|&b| b == b'"').expect("its end");
            payload.clear();
            payload.extend_from_slice(&event[..from]);
            payload.extend_from_slice(format!("k{:07}", key(n, keys)).as_bytes());
            payload.extend_from_slice(&event[from + len..]);
            write_masked(&mut block.bytes, OpCode::Data(Data::Text), MASK, &payload);
        }
        block
    }

    /// `events` events without a time, so that they are as old as their arrival, in turn of `keys`
    /// sources, with one field.
    pub fn keyed(keys: usize, events: usize) -> Self {
        let mut block = Self { bytes: Vec::with_capacity(events * 90), frames: events as u64, events };
        for n in 0..events {
            let key = key(n, keys);
            let value = (n % 1_000) as f64 / 10.0;
            let event = format!(r#"{{"source":"k{key:07}","type":"t","data":{{"value":{value}}}}}"#);
            write_masked(&mut block.bytes, OpCode::Data(Data::Text), MASK, event.as_bytes());
        }
        block
    }
}

/// Sends `block` so many times over one connection, waits for the last acknowledgement, and says
/// how long it took.
pub fn feed(url: &str, block: &Block, times: usize) -> Duration {
    let url = Url::parse(url).expect("a URL").with_acks();
    let mut client = Client::connect(&url).expect("the daemon listens");
    let mut poll = Poll::new().expect("a poll");
    let interest = Interest::READABLE | Interest::WRITABLE;
    poll.registry().register(&mut client.stream, Token(0), interest).expect("registered");
    let mut ready = Events::with_capacity(8);
    let frames = block.frames * times as u64;
    let start = Instant::now();
    let (mut sent, mut at, mut acked, mut rejected) = (0, 0, 0, 0);
    while acked < frames {
        while sent < times {
            let end = (at + WRITE_BYTES).min(block.bytes.len());
            match client.stream.write(&block.bytes[at..end]) {
                Ok(n) => at += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => panic!("the daemon has gone: {e}"),
            }
            if at == block.bytes.len() {
                (sent, at) = (sent + 1, 0);
            }
        }
        let on = &mut |notice| match notice {
            Notice::Ack { seq, rejected: n, .. } => (acked, rejected) = (seq, n),
            Notice::Error | Notice::Backpressure => {}
            Notice::Closed(code) => panic!("closed: {code}"),
        };
        client.receive(on).expect("still connected");
        if acked < frames {
            poll.poll(&mut ready, Some(Duration::from_secs(30))).expect("polled");
            assert!(start.elapsed() < Duration::from_secs(120), "the daemon does not go on");
        }
    }
    assert_eq!(rejected, 0, "the events of the mix are good");
    start.elapsed()
}
