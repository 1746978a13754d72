//! One SSE client: a bounded ring from the publish thread, a thread of its own, a socket with
//! a send time-out.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tiny_http::Request;

use super::Shared;
use super::api::Answer;
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

/// Starts a stream, or refuses at the limit.
pub fn serve(shared: &Arc<Shared>, request: Request, subscribe: &mut Tx<Subscribe>) {
    let taken = shared.sse_open.fetch_add(1, Ordering::AcqRel);
    if taken >= shared.sse_clients {
        shared.sse_open.fetch_sub(1, Ordering::AcqRel);
        refuse(request, "sse_clients", "http.sse_clients streams are open already");
        return;
    }
    let last_event_id = request
        .headers()
        .iter()
        .find(|h| h.field.equiv("Last-Event-ID"))
        .and_then(|h| h.value.as_str().trim().parse().ok());
    let bell = Arc::new(Bell::park());
    let (frames, rx) = ring::<Arc<Frame>>(RING_FRAMES, &shared.publish, &bell);
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
            // Any error means that the client has gone or does not read: the end either way.
            drop(stream(&mut writer, rx, &bell));
            thread_shared.sse_open.fetch_sub(1, Ordering::AcqRel);
        });
    if started.is_err() {
        shared.sse_open.fetch_sub(1, Ordering::AcqRel);
    }
}

fn refuse(request: Request, code: &str, message: &str) {
    drop(request.respond(Answer::error(503, code, message).into_response()));
}

fn stream(writer: &mut dyn Write, mut frames: Rx<Arc<Frame>>, bell: &Bell) -> std::io::Result<()> {
    bell.attach();
    writer.write_all(HEAD.as_bytes())?;
    writer.flush()?;
    loop {
        let mut wrote = false;
        while let Some(frame) = frames.pop() {
            writer.write_all(frame.text.as_bytes())?;
            wrote = true;
        }
        if wrote {
            writer.flush()?;
        }
        if frames.ended() {
            return Ok(());
        }
        bell.prepare(INPUT);
        if frames.is_empty() && !frames.ended() {
            let before = std::time::Instant::now();
            bell.sleep(Some(KEEP_ALIVE));
            if frames.is_empty() && before.elapsed() >= KEEP_ALIVE {
                writer.write_all(b": still here\n")?;
                writer.flush()?;
            }
        }
        bell.cancel();
    }
}
