//! The event stream: what a reader may ask for, and the ring of frames that the gate gives it from.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Shared;
use super::api::Answer;
use super::query::{cut, parameter};
use crate::config::Window;
use crate::message::{Frame, Subscribe};
use crate::plan::FRAMES;
use crate::runtime::ring::{Rx, Tx, ring};

/// Frames looked at in one go: of a burst of thousands, a reader may want none.
const FRAMES_PER_LOOK: usize = 512;

/// A comment after this much silence tells proxies and clients that the stream is alive, ns.
const KEEP_ALIVE_NS: u64 = 15_000_000_000;

/// How a stream begins.
// No empty line after `retry`: the first frame brings it. Some clients would take it for an
// event without data (and so a comment is one line, too).
pub const HEAD: &str = "HTTP/1.1 200 OK\r\n\
    Content-Type: text/event-stream; charset=utf-8\r\n\
    Cache-Control: no-store\r\n\
    X-Accel-Buffering: no\r\n\
    X-Content-Type-Options: nosniff\r\n\
    Connection: close\r\n\r\n\
    retry: 2000\n";

/// What a stream can bring, besides `gap`; an unnamed event is a `message` to those who listen.
const EVENTS: [&str; 5] = ["message", "window", "live", "stats", "alert"];

/// What a reader asked for; everything by default.
#[derive(Debug, Default)]
pub struct Wanted {
    events: Option<Vec<&'static str>>,
    /// The windows whose results are wanted, in JSON and with the comma behind.
    windows: Option<Vec<String>>,
}

impl Wanted {
    /// Reads `events=stats,live&windows=realtime`; `known` are the windows.
    ///
    /// # Errors
    /// What there is not.
    pub fn parse(query: &str, known: &[Window]) -> Result<Self, String> {
        // Once each, however often they are named: every frame is compared with them.
        let list = |name| {
            parameter(query, name).map(|text| text.split(',').map(str::to_owned).collect::<BTreeSet<_>>())
        };
        let event = |name: &String| {
            let known = EVENTS.iter().copied().find(|known| known == name);
            known.ok_or_else(|| format!("events={:?}: there are {}", cut(name), EVENTS.join(", ")))
        };
        let window = |name: &String| {
            if known.iter().any(|window| window.name == *name) {
                return Ok(json_name(name));
            }
            let known: Vec<&str> = known.iter().map(|w| w.name.as_str()).collect();
            Err(format!("windows={:?}: there are {}", cut(name), known.join(", ")))
        };
        Ok(Self {
            events: list("events").map(|names| names.iter().map(event).collect()).transpose()?,
            windows: list("windows").map(|names| names.iter().map(window).collect()).transpose()?,
        })
    }

    /// Whether a frame is wanted; a gap always is.
    pub fn wants(&self, frame: &str) -> bool {
        let rest = frame.split_once('\n').map_or("", |(_id, rest)| rest);
        let named = rest.strip_prefix("event: ").and_then(|rest| rest.split_once('\n'));
        let (event, data) = named.unwrap_or(("message", rest));
        let is_result = matches!(event, "message" | "window" | "live");
        let wants_event = self.events.as_ref().is_none_or(|events| event == "gap" || events.contains(&event));
        let Some(windows) = self.windows.as_ref().filter(|_| is_result) else { return wants_event };
        // The name of its window is the first member of a result.
        let window = data.strip_prefix("data: {\"window\":").unwrap_or("");
        wants_event && windows.iter().any(|name| window.starts_with(name.as_str()))
    }
}

fn json_name(window: &str) -> String {
    format!("{},", serde_json::Value::from(window))
}

/// A request for the stream.
#[derive(Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its query.
    pub query: String,
    /// The header `Last-Event-ID`.
    pub last_event_id: Option<String>,
}

/// An open stream: what publish has for its reader. Dropped, it makes room for another.
pub struct Stream {
    frames: Rx<Arc<Frame>>,
    /// A frame too large to be copied, of which so many bytes are written. It is counted with those that wait.
    large: Option<(Arc<Frame>, usize)>,
    wanted: Wanted,
    /// When something was last given, monotonic ns.
    given_ns: u64,
    /// When its reader last had all there was, monotonic ns.
    current_ns: u64,
    /// Publish is gone, and may never have known of it.
    is_over: bool,
    shared: Arc<Shared>,
}

impl Stream {
    /// Subscribes, which `subscribe` must have room for.
    ///
    /// # Errors
    /// The answer to a reader that asks for what there is not, or is one too many.
    pub fn open(
        shared: &Arc<Shared>,
        asked: &Asked,
        subscribe: &mut Tx<Subscribe>,
        now_ns: u64,
    ) -> Result<Self, Answer> {
        let wanted = Wanted::parse(&asked.query, &shared.windows)
            .map_err(|message| Answer::error(400, "bad_parameter", &message))?;
        if shared.sse_open.load(Ordering::Acquire) >= shared.sse_clients {
            shared.telemetry.http.streams_refused.add(1);
            return Err(Answer::error(503, "sse_clients", "http.sse_clients streams are open already"));
        }
        // A browser sets the header when it reconnects by itself; a page that opens a new stream cannot.
        let last_event_id = asked.last_event_id.clone().or_else(|| parameter(&asked.query, "last_event_id"));
        let last_event_id = last_event_id.and_then(|id| id.trim().parse().ok());
        let (frames, rx) = ring::<Arc<Frame>>(FRAMES, &shared.publish, &shared.gate);
        if subscribe.push(Subscribe { frames, last_event_id }).is_err() {
            return Err(Answer::error(503, "busy", "too many streams are being opened; try again"));
        }
        subscribe.flush();
        shared.sse_open.fetch_add(1, Ordering::AcqRel);
        let shared = Arc::clone(shared);
        Ok(Self {
            frames: rx,
            large: None,
            wanted,
            given_ns: now_ns,
            current_ns: now_ns,
            is_over: false,
            shared,
        })
    }

    /// Adds what there is to `out`, up to `room` bytes, or takes a larger frame as it is, which `out` has to be
    /// empty for; says how many bytes are to be written more than before.
    pub fn take(&mut self, out: &mut VecDeque<u8>, room: usize, now_ns: u64) -> usize {
        if self.large.is_some() {
            return 0;
        }
        let before = out.len();
        for _ in 0..FRAMES_PER_LOOK {
            let Some(frame) = self.frames.peek() else { break };
            if self.wanted.wants(&frame.text) {
                let text = frame.text.as_bytes();
                if text.len() > room && out.is_empty() {
                    self.large = self.frames.pop().map(|frame| (frame, 0));
                    break;
                }
                if out.len() + text.len() > room {
                    break;
                }
                if out.capacity() < out.len() + text.len() {
                    // It would grow to twice as much.
                    out.reserve_exact(room - out.len());
                }
                out.extend(text);
            }
            self.frames.pop();
        }
        self.note_current(now_ns);
        if out.is_empty() && self.large.is_none() && self.is_quiet(now_ns) {
            out.extend(b": still here\n");
        }
        let taken = out.len() - before + self.unwritten().len();
        if taken > 0 {
            self.given_ns = now_ns;
        }
        taken
    }

    /// What is to be written of a large frame, behind all else that has been taken.
    pub fn unwritten(&self) -> &[u8] {
        self.large.as_ref().map_or(&[], |(frame, written)| &frame.text.as_bytes()[*written..])
    }

    /// So many bytes of [`Stream::unwritten`] have been written.
    pub fn wrote(&mut self, n: usize) {
        if let Some((_, written)) = &mut self.large {
            *written += n;
            if self.unwritten().is_empty() {
                self.large = None;
            }
        }
    }

    /// So much time, ns, was not its reader's.
    pub fn forgive(&mut self, pause_ns: u64) {
        self.current_ns += pause_ns;
    }

    fn note_current(&mut self, now_ns: u64) {
        if self.waiting() == 0 {
            self.current_ns = now_ns;
        }
    }

    /// Frames that wait.
    fn waiting(&self) -> usize {
        self.frames.len() + usize::from(self.large.is_some())
    }

    /// Whether there is anything to be taken, or the end to be seen.
    pub fn has_news(&self) -> bool {
        !self.frames.is_empty() || self.is_abandoned()
    }

    /// Publish has ended; what it has given is there.
    pub fn publish_has_ended(&mut self) {
        self.is_over = true;
    }

    /// Whether nothing has been given for so long that its reader may wonder.
    pub fn is_quiet(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.given_ns) >= KEEP_ALIVE_NS
    }

    /// How many frames wait, and for how long there have been some, ns; exact to how often this is asked.
    pub fn lag(&mut self, now_ns: u64) -> (usize, u64) {
        self.note_current(now_ns);
        (self.waiting(), now_ns.saturating_sub(self.current_ns))
    }

    /// Whether publish gives no more.
    pub fn is_abandoned(&self) -> bool {
        self.is_over || self.frames.is_abandoned()
    }

    /// Whether publish gives no more, and all has been taken.
    pub fn has_ended(&self) -> bool {
        // The order matters: looked at the other way round, a last frame could slip between.
        let abandoned = self.is_abandoned();
        abandoned && self.frames.is_empty()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Publish may have its end for a while, and what waits is memory.
        while self.frames.pop().is_some() {}
        self.shared.sse_open.fetch_sub(1, Ordering::AcqRel);
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_gets_what_it_asked_for() {
        let frame = |event: &str, data: &str| match event {
            "" => format!("id: 7\ndata: {data}\n\n"),
            _ => format!("id: 7\nevent: {event}\ndata: {data}\n\n"),
        };
        let realtime = r#"{"window":"realtime","kind":"tumbling"}"#;
        let minute = r#"{"window":"minute","kind":"tumbling"}"#;
        let all = Wanted::default();
        let some = Wanted { events: Some(vec!["window", "stats"]), windows: Some(vec![json_name("minute")]) };
        for (event, data, wanted) in [
            ("", realtime, false),
            ("window", realtime, false),
            ("window", minute, true),
            ("live", minute, false),
            ("stats", r#"{"buffer":{}}"#, true),
            ("alert", r#"{"name":"hot"}"#, false),
            ("gap", r#"{"last_id":6}"#, true),
        ] {
            assert!(all.wants(&frame(event, data)));
            assert_eq!(some.wants(&frame(event, data)), wanted, "{event} {data}");
        }
        let unnamed = Wanted { events: Some(vec!["message"]), windows: None };
        assert!(unnamed.wants(&frame("", realtime)) && !unnamed.wants(&frame("window", realtime)));
        let odd = Wanted { events: None, windows: Some(vec![json_name("a\"b")]) };
        assert!(odd.wants(&frame("window", r#"{"window":"a\"b","kind":"session"}"#)));
    }

    #[test]
    fn a_window_that_is_named_often_is_looked_for_once() {
        let known = crate::config::Config::default().windows;
        let name = &known[0].name;
        let asked =
            format!("windows={}&events={}", [name.as_str(); 1_000].join(","), ["live"; 1_000].join(","));
        let wanted = Wanted::parse(&asked, &known).unwrap();
        assert_eq!((wanted.windows.unwrap(), wanted.events.unwrap()), (vec![json_name(name)], vec!["live"]));
        let wrong = Wanted::parse("windows=none", &known).unwrap_err();
        assert!(wrong.contains(name), "{wrong}");
    }
}
