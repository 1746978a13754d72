//! One SSE client: a bounded ring from the publish thread, a thread of its own, a socket with
//! a send time-out.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tiny_http::Request;

use super::Shared;
use super::api::Answer;
use super::query::{cut, parameter};
use crate::config::Window;
use crate::message::{Frame, Subscribe};
use crate::runtime::ring::{Rx, Tx, ring};
use crate::runtime::wake::{Bell, INPUT};

/// Frames a subscriber may be behind before it loses some: a window of some thousand groups closes
/// at once. The ring takes 64 KiB; the frames are shared by all.
const RING_FRAMES: usize = 8_192;
/// A comment after this much silence tells proxies and clients that the stream is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

// No empty line after `retry`: the first frame brings it. Some clients would take it for an
// event without data (and so a comment is one line, too).
const HEAD: &str = "HTTP/1.1 200 OK\r\n\
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
    /// How the data of results begins that are wanted.
    windows: Option<Vec<String>>,
}

impl Wanted {
    /// Reads `events=stats,live&windows=realtime`; `known` are the windows.
    ///
    /// # Errors
    /// What there is not.
    pub fn parse(query: &str, known: &[Window]) -> Result<Self, String> {
        let list =
            |name| parameter(query, name).map(|text| text.split(',').map(str::to_owned).collect::<Vec<_>>());
        let event = |name: &String| {
            let known = EVENTS.iter().copied().find(|known| known == name);
            known.ok_or_else(|| format!("events={:?}: there are {}", cut(name), EVENTS.join(", ")))
        };
        let window = |name: &String| {
            if known.iter().any(|window| window.name == *name) {
                return Ok(beginning(name));
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
        wants_event
            && (!is_result
                || self
                    .windows
                    .as_ref()
                    .is_none_or(|all| all.iter().any(|begin| data.starts_with(begin.as_str()))))
    }
}

/// How the data of a window's results begins: its name is their first member.
fn beginning(window: &str) -> String {
    format!("data: {{\"window\":{},", serde_json::Value::from(window))
}

/// Starts a stream, or refuses at the limit or when it is asked for what there is not.
pub fn serve(shared: &Arc<Shared>, request: Request, subscribe: &mut Tx<Subscribe>) {
    let query = request.url().split_once('?').map_or("", |(_, query)| query).to_owned();
    let wanted = match Wanted::parse(&query, &shared.windows) {
        Ok(wanted) => wanted,
        Err(message) => {
            drop(Answer::error(400, "bad_parameter", &message).send(request));
            return;
        }
    };
    let taken = shared.sse_open.fetch_add(1, Ordering::AcqRel);
    if taken >= shared.sse_clients {
        shared.sse_open.fetch_sub(1, Ordering::AcqRel);
        shared.sse_refused.fetch_add(1, Ordering::Relaxed);
        refuse(request, "sse_clients", "http.sse_clients streams are open already");
        return;
    }
    // A browser sets the header when it reconnects by itself; a page that opens a new stream cannot.
    let header = request.headers().iter().find(|h| h.field.equiv("Last-Event-ID"));
    let last_event_id = match header {
        Some(header) => Some(header.value.as_str().to_owned()),
        None => parameter(&query, "last_event_id"),
    };
    let last_event_id = last_event_id.and_then(|id| id.trim().parse().ok());
    let bell = Arc::new(Bell::park());
    let (frames, mut rx) = ring::<Arc<Frame>>(RING_FRAMES, &shared.publish, &bell);
    let newcomer = Subscribe { frames, last_event_id };
    if subscribe.push(newcomer).is_err() {
        shared.sse_open.fetch_sub(1, Ordering::AcqRel);
        refuse(request, "busy", "too many streams are being opened; try again");
        return;
    }
    subscribe.flush();
    let mut writer = request.into_writer();
    let thread_shared = Arc::clone(shared);
    let started =
        std::thread::Builder::new().name("sse".to_owned()).stack_size(128 * 1024).spawn(move || {
            // An error means that the gate has closed: the client has gone or does not read.
            drop(stream(&mut writer, &mut rx, &bell, &wanted));
            thread_shared.sse_open.fetch_sub(1, Ordering::AcqRel);
        });
    if started.is_err() {
        shared.sse_open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A stream that ends at once, because the daemon does: its reader comes again by itself after `retry`,
/// which it would not after an error.
pub fn turn_away(request: Request) {
    let mut writer = request.into_writer();
    // A reader that has gone is its own loss.
    drop(writer.write_all(HEAD.as_bytes()).and_then(|()| writer.flush()));
}

fn refuse(request: Request, code: &str, message: &str) {
    drop(Answer::error(503, code, message).send(request));
}

fn stream(
    writer: &mut dyn Write,
    frames: &mut Rx<Arc<Frame>>,
    bell: &Bell,
    wanted: &Wanted,
) -> std::io::Result<()> {
    bell.attach();
    writer.write_all(HEAD.as_bytes())?;
    writer.flush()?;
    let mut written = Instant::now();
    loop {
        let mut wrote = false;
        while let Some(frame) = frames.pop() {
            if wanted.wants(&frame.text) {
                writer.write_all(frame.text.as_bytes())?;
                wrote = true;
            }
        }
        if !wrote && written.elapsed() >= KEEP_ALIVE {
            writer.write_all(b": still here\n")?;
            wrote = true;
        }
        if wrote {
            writer.flush()?;
            written = Instant::now();
        }
        if frames.ended() {
            return Ok(());
        }
        bell.prepare(INPUT);
        if frames.is_empty() && !frames.ended() {
            bell.sleep(Some(KEEP_ALIVE.saturating_sub(written.elapsed())));
        }
        bell.cancel();
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
        let some = Wanted { events: Some(vec!["window", "stats"]), windows: Some(vec![beginning("minute")]) };
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
        let odd = Wanted { events: None, windows: Some(vec![beginning("a\"b")]) };
        assert!(odd.wants(&frame("window", r#"{"window":"a\"b","kind":"session"}"#)));
    }
}
