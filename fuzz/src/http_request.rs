//! What the gate of the HTTP port hands on is a request that a strict parser takes, and says the same;
//! and what was decided stays decided, however the bytes come and whatever comes behind.

use flumen::stages::http::gate::request::{Judged, MAX_HEAD, judge};
use flumen::stages::http::sse::Asked;
use httparse::{EMPTY_HEADER, Header, Request, Status};

use super::spread;

/// More headers than are let pass.
const HEADERS: usize = 128;

/// What the gate writes itself.
const WRITTEN: [&str; 2] = ["content-length", "connection"];

/// Panics if a request is let pass that should not be, or comes out as another.
pub fn check(input: &[u8]) {
    let judged = judge(input);
    for cut in [spread(input) % (input.len() + 1), input.len().saturating_sub(1)] {
        must_lead_to(&judge(&input[..cut]), &judged, input, cut);
    }
    let behind = [input, b"GET /behind HTTP/1.1\r\nHost: h\r\n\r\n"].concat();
    must_lead_to(&judged, &judge(&behind), &behind, input.len());
    if let Judged::Stream(asked) = &judged {
        check_stream(input, asked);
    }
    if let Judged::Whole(request) = &judged {
        check_whole(input, request);
        let again = judge(request);
        let head = request.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |end| end + 4);
        let same = matches!(&again, Judged::Whole(again) if again == request);
        // `A:b` becomes `A: b`, which may be too long at the limit.
        assert!(same || head > MAX_HEAD, "{} became {again:?}", request.escape_ascii());
    }
}

/// A decision about the beginning is the decision about all of it.
fn must_lead_to(early: &Judged, late: &Judged, input: &[u8], cut: usize) {
    let same = match (early, late) {
        (Judged::NeedMore { .. }, _) | (Judged::Refuse(_), Judged::Refuse(_)) => true,
        (early, late) => early == late,
    };
    let text = input.escape_ascii();
    assert!(same, "the first {cut} bytes are {early:?}, all of them {late:?}: {text}");
}

fn parsed<'h, 'b>(bytes: &'b [u8], headers: &'h mut [Header<'b>]) -> (Request<'h, 'b>, usize) {
    let mut request = Request::new(headers);
    match request.parse(bytes) {
        Ok(Status::Complete(end)) => (request, end),
        other => panic!("a strict parser says {other:?} to {}", bytes.escape_ascii()),
    }
}

/// What a reader of the event stream asks for is what a strict parser reads.
fn check_stream(input: &[u8], asked: &Asked) {
    let mut headers = [EMPTY_HEADER; HEADERS];
    let (given, _) = parsed(input, &mut headers);
    let query = given.path.and_then(|path| path.split_once('?')).map_or("", |(_, query)| query);
    let mut ids = given.headers.iter().filter(|h| h.name.eq_ignore_ascii_case("last-event-id"));
    let id = asked.last_event_id.as_deref().map(str::as_bytes);
    assert_eq!((given.method, query, ids.next().map(|h| h.value)), (Some("GET"), asked.query.as_str(), id));
}

/// The same method, path, version, headers and body, but for the headers of a connection.
fn check_whole(input: &[u8], request: &[u8]) {
    let (mut given, mut written) = ([EMPTY_HEADER; HEADERS], [EMPTY_HEADER; HEADERS]);
    let (given, end) = parsed(input, &mut given);
    let (written, body) = parsed(request, &mut written);
    // Of an absolute target the authority stands for the Host header.
    let target = given.path.unwrap_or_default();
    let absolute = target.strip_prefix("http://");
    let authority = absolute.map(|rest| &rest[..rest.find('/').unwrap_or(rest.len())]);
    let path = absolute.map_or(target, |rest| rest.find('/').map_or("/", |at| &rest[at..]));
    assert_eq!((given.method, Some(path), given.version), (written.method, written.path, written.version));
    let body = &request[body..];
    let rest = &input[end..];
    assert!(rest.starts_with(body), "the body is what stands behind the head");
    let lengths = || given.headers.iter().filter(|h| h.name.eq_ignore_ascii_case("content-length"));
    let length = lengths().next().map_or(0, |h| std::str::from_utf8(h.value).unwrap().parse().unwrap());
    assert!(lengths().count() <= 1 && body.len() == length, "{} of {length} bytes", body.len());
    assert!(given.headers.iter().all(|h| !h.name.eq_ignore_ascii_case("transfer-encoding")));
    let hosts = given.headers.iter().filter(|h| h.name.eq_ignore_ascii_case("host")).count();
    assert!(hosts == 1 || (hosts == 0 && given.version == Some(0)), "{hosts} hosts");
    let is_written = |h: &&Header<'_>| WRITTEN.iter().any(|name| h.name.eq_ignore_ascii_case(name));
    // What is handed on was given, in that order.
    let mut from = given.headers.iter();
    for header in written.headers.iter().filter(|h| !is_written(h)) {
        let is_host = header.name.eq_ignore_ascii_case("host");
        let replaced = authority.filter(|_| is_host).map(str::as_bytes);
        let same = from.any(|h| h.name == header.name && *header.value == *replaced.unwrap_or(h.value));
        assert!(same, "{header:?} was not given");
    }
    for header in written.headers.iter().filter(is_written) {
        let length = body.len().to_string();
        let wanted = if header.name == "Connection" { "close" } else { length.as_str() };
        assert_eq!(header.value, wanted.as_bytes());
    }
}
