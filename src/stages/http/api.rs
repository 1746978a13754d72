//! The JSON API: requests in, answers out; no sockets here.

use std::io::{Read, Write};

use serde_json::{Value, json};
use tiny_http::{HTTPVersion, Header, Method, Request, Response};

use super::gate::request::MAX_BODY;
use super::query::{self, cut, moment, parameter, parameters};
use super::routes::{self, Route};
use super::{Phase, Shared, assets, guard, prometheus};
use crate::config::{Window, WindowKind};
use crate::event::Member;
use crate::event::rules::Rules;
use crate::event::time::format_rfc3339_us;
use crate::stages::publish::board::Wanted;
use crate::stages::publish::stats;
use crate::stages::settings::Settings;

const JSON: &str = "application/json; charset=utf-8";
/// Nothing from elsewhere, nothing inline, no framing.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                   connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// An answer.
#[derive(Debug)]
pub struct Answer {
    status: u16,
    content_type: &'static str,
    body: Vec<u8>,
    allow: Option<&'static str>,
}

impl Answer {
    fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, content_type, body: body.into(), allow: None }
    }

    fn json(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200, JSON, body)
    }

    /// An error in the API's form.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let body = json!({ "error": { "code": code, "message": message } });
        Self::new(status, JSON, body.to_string())
    }

    /// Sends it. The client is told that the connection ends, which the gate closes after one answer;
    /// tiny_http does not let anybody set that header, hence the splice.
    pub fn send(self, request: Request) -> std::io::Result<()> {
        let is_head = *request.method() == Method::Head;
        let bytes = self.into_bytes(request.http_version().clone(), request.headers(), is_head)?;
        let mut writer = request.into_writer();
        writer.write_all(&bytes)?;
        writer.flush()
    }

    /// As it goes out to a request of that version with these headers; `is_head`: without its body.
    pub fn into_bytes(
        self,
        version: HTTPVersion,
        headers: &[Header],
        is_head: bool,
    ) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(self.body.len() + 1024);
        self.into_response().raw_print(&mut bytes, version, headers, is_head, None)?;
        let status_line = bytes.iter().position(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        bytes.splice(status_line..status_line, *b"Connection: close\r\n");
        Ok(bytes)
    }

    /// For tiny_http. All header values are constants.
    fn into_response(self) -> Response<std::io::Cursor<Vec<u8>>> {
        let mut response = Response::from_data(self.body).with_status_code(self.status);
        let mut add = |name: &str, value: &str| {
            if let Ok(header) = Header::from_bytes(name.as_bytes(), value.as_bytes()) {
                response.add_header(header);
            }
        };
        add("Content-Type", self.content_type);
        add("Cache-Control", "no-store");
        add("X-Content-Type-Options", "nosniff");
        add("Referrer-Policy", "no-referrer");
        add("Content-Security-Policy", CSP);
        if let Some(allow) = self.allow {
            add("Allow", allow);
        }
        response
    }
}

/// Answers anything but the event stream.
pub fn answer(shared: &Shared, request: &mut Request) -> Answer {
    let url = request.url().to_owned();
    let (path, query) = url.split_once('?').unwrap_or((&url, ""));
    let nothing = || Answer::error(404, "not_found", "no such path; /openapi.json lists what there is");
    let Some((route, allow, part)) = routes::find(path) else {
        return nothing();
    };
    let replaces = matches!(request.method(), Method::Post | Method::Put);
    if route == Route::Rules && replaces {
        return replace_rules(shared, request);
    }
    let file = assets::find(path);
    if route == Route::File && file.is_none() {
        return nothing();
    }
    if !matches!(request.method(), Method::Get | Method::Head) {
        return not_allowed(allow);
    }
    match route {
        Route::Stats => {
            let (t, board, names) = (&shared.telemetry, &shared.board, &shared.dictionary);
            Answer::json(stats::stats_json(t, board, names, shared.clock.now()))
        }
        Route::Windows => windows(shared),
        Route::Aggregates => aggregates(shared, part, query),
        Route::Rules => rules(shared),
        Route::Alerts => listing(query, 50, |limit| alerts(shared, query, limit)),
        Route::DeadLetters => listing(query, 50, |limit| Ok(letters(shared, limit))),
        Route::Late => listing(query, 50, |limit| Ok(late_events(shared, limit))),
        Route::Metrics => {
            Answer::new(200, "text/plain; version=0.0.4; charset=utf-8", prometheus::render(shared))
        }
        Route::Ready => health(shared, true),
        Route::Live => health(shared, false),
        // GET has been answered by the gate.
        Route::Stream => not_allowed(allow),
        Route::File => file.map_or_else(nothing, |(kind, body)| Answer::new(200, kind, body)),
    }
}

fn not_allowed(allow: &'static str) -> Answer {
    let message = format!("this path answers {allow} only");
    Answer { allow: Some(allow), ..Answer::error(405, "method_not_allowed", &message) }
}

fn health(shared: &Shared, ready: bool) -> Answer {
    let status = match shared.phase() {
        Phase::Starting => "starting",
        Phase::Ready => "ready",
        Phase::Draining | Phase::Closing | Phase::Stopped => "draining",
    };
    let code = if ready && status != "ready" { 503 } else { 200 };
    let status = if ready { status } else { "live" };
    Answer::new(code, JSON, json!({ "status": status }).to_string())
}

/// The configured windows, and what they have missed.
fn windows(shared: &Shared) -> Answer {
    let list = shared.windows.iter().enumerate().map(|(at, window)| {
        let mut shown = describe(window);
        let counts = json!({
            "late_events": shared.telemetry.missed(at),
            "no_room_events": shared.telemetry.no_room(shared.family_of[at]),
        });
        if let (Some(shown), Value::Object(counts)) = (shown.as_object_mut(), counts) {
            shown.extend(counts);
        }
        shown
    });
    Answer::json(Value::Array(list.collect()).to_string())
}

/// A window as configured; names as results show them.
fn describe(window: &Window) -> Value {
    let labels = |members: &[Member]| members.iter().map(Member::label).collect::<Vec<_>>();
    let mut shown = json!({
        "name": window.name,
        "kind": window.kind.word(),
        "group_by": labels(&window.group_by),
        "allowed_lateness_seconds": window.allowed_lateness.as_secs_f64(),
        "where": window.filter.as_ref().map(ToString::to_string),
        "fields": window.fields,
        "distinct": labels(&window.distinct),
    });
    let (size, step) = match window.kind {
        WindowKind::Tumbling { size } => (("size_seconds", size), None),
        WindowKind::Sliding { size, slide } => (("size_seconds", size), Some(("slide_seconds", slide))),
        WindowKind::Session { gap } => (("gap_seconds", gap), None),
    };
    for (name, duration) in [Some(size), step].into_iter().flatten() {
        shown[name] = duration.as_secs_f64().into();
    }
    shown
}

fn aggregates(shared: &Shared, name: &str, query: &str) -> Answer {
    let Some(window) = shared.windows.iter().position(|w| w.name == name) else {
        let known: Vec<&str> = shared.windows.iter().map(|w| w.name.as_str()).collect();
        let message = format!("no window is called {:?}; there are: {}", cut(name), known.join(", "));
        return Answer::error(404, "unknown_window", &message);
    };
    listing(query, 10, |limit| {
        let since_us = match parameter(query, "since") {
            None => None,
            Some(text) => Some(moment(&text)?),
        };
        let group = parameters(query, "group").map(|text| match text.split_once('=') {
            Some((member, value)) => (member.to_owned(), Some(value.to_owned())),
            None => (text, None),
        });
        let group: Vec<_> = group.collect();
        let known = &shared.windows[window].group_by;
        if let Some((member, _)) = group.iter().find(|(m, _)| !known.iter().any(|k| k.label() == *m)) {
            let known: Vec<_> = known.iter().map(Member::label).collect();
            let known = if known.is_empty() { String::from("nothing") } else { known.join(", ") };
            return Err(format!("group={:?}: {name} is grouped by {known}", cut(member)));
        }
        Ok(join(&shared.board.results(window, &Wanted { limit, since_us, group })))
    })
}

/// The newest changes, or with `state=firing` what fires now.
fn alerts(shared: &Shared, query: &str, limit: usize) -> Result<String, String> {
    match parameter(query, "state").as_deref() {
        None => Ok(join(&shared.board.alerts(limit))),
        Some("firing") => Ok(join(&shared.board.firing(limit))),
        Some(other) => Err(format!("state={:?}: expected firing, or nothing", cut(other))),
    }
}

/// A list of the newest `limit` things.
fn listing(query: &str, default: usize, list: impl FnOnce(usize) -> Result<String, String>) -> Answer {
    match query::limit(query, default).and_then(list) {
        Ok(body) => Answer::json(body),
        Err(message) => Answer::error(400, "bad_parameter", &message),
    }
}

fn letters(shared: &Shared, limit: usize) -> String {
    let list = shared.board.letters(limit);
    Value::Array(list.iter().map(|letter| letter.to_json()).collect()).to_string()
}

fn late_events(shared: &Shared, limit: usize) -> String {
    let list = shared.board.late_events(limit);
    let list = list.iter().map(|late| {
        let event = &late.event;
        let missed = event.missed.iter().filter_map(|at| shared.windows.get(at));
        json!({
            "time": format_rfc3339_us(event.arrival_us),
            "timestamp": format_rfc3339_us(event.time_us),
            "watermark": format_rfc3339_us(event.watermark_us),
            "behind_seconds": event.watermark_us.saturating_sub(event.time_us) as f64 / 1e6,
            "source": &*late.source,
            "type": &*late.kind,
            "windows": missed.map(|window| &*window.name).collect::<Vec<_>>(),
            "applied": event.applied,
        })
    });
    Value::Array(list.collect()).to_string()
}

fn rules(shared: &Shared) -> Answer {
    Answer::json(shared.settings.get().rules.to_json())
}

/// Replaces the rules at once on all parse threads (each looks before its next chunk), or says
/// what is wrong and leaves the old ones.
fn replace_rules(shared: &Shared, request: &mut Request) -> Answer {
    if let Err(foreign) = guard::may_change(shared, request) {
        return Answer::error(foreign.status(), foreign.as_str(), foreign.why());
    }
    let mut body = Vec::new();
    let mut reader = request.as_reader().take(MAX_BODY as u64 + 1);
    if let Err(error) = reader.read_to_end(&mut body) {
        return Answer::error(400, "bad_body", &format!("the body could not be read: {error}"));
    }
    // The gate lets no such request through; another program of this machine may go past it.
    if body.len() > MAX_BODY {
        return Answer::error(413, "too_long", &format!("the body may have {MAX_BODY} bytes"));
    }
    match Rules::parse(&body) {
        Ok(rules) => {
            shared.settings.update(|old| Settings { rules, ..old.clone() });
            self::rules(shared)
        }
        Err(message) => Answer::error(400, "bad_rules", &message),
    }
}

fn join(list: &[std::sync::Arc<str>]) -> String {
    format!("[{}]", list.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_limit_names_itself() {
        let answer = listing("limit=0", 10, |_| Ok(String::new()));
        assert_eq!(answer.status, 400);
        assert!(String::from_utf8_lossy(&answer.body).contains("limit=\\\"0\\\""));
    }
}
