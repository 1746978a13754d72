//! One HTTP request as bytes: whole, not there yet, or not to be answered; pure.
//!
//! tiny_http takes what no server should (two lengths, bare line feeds, NUL, thousands of headers), so
//! what reaches it is written anew from what was understood here, strictly by RFC 9112: one request a
//! connection, a body only by its length.

use crate::stages::http::routes::is_stream;
use crate::stages::http::sse::Asked;
use crate::telemetry::refusal::HTTP_REASONS;

/// The longest request line and headers, bytes.
pub const MAX_HEAD: usize = 16 * 1024;
/// The longest body, bytes.
pub const MAX_BODY: usize = 64 * 1024;
/// The most headers.
const MAX_HEADERS: usize = 100;

/// What is to be done with the bytes so far.
#[derive(Debug, PartialEq, Eq)]
pub enum Judged {
    /// Read on. With `proceed` the client waits for `100 Continue` before it sends the body.
    NeedMore {
        /// Whether to tell it so.
        proceed: bool,
        /// How many bytes it will be; 0 where that is not known.
        whole: usize,
    },
    /// It is whole: as it is to be handed on.
    Whole(Vec<u8>),
    /// It is whole and asks for the event stream.
    Stream(Asked),
    /// It is refused.
    Refuse(&'static Refusal),
}

/// A refusal; texts go into JSON as they are.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    status: &'static str,
    code: &'static str,
    why: &'static str,
}

const fn refusal(status: &'static str, code: &'static str, why: &'static str) -> Refusal {
    Refusal { status, code, why }
}

static NOT_HTTP: Refusal = refusal("400 Bad Request", "bad_request", "not an HTTP/1.1 request");
static NO_COLON: Refusal =
    refusal("400 Bad Request", "bad_header", "a header line has no colon, or is folded");
static BAD_NAME: Refusal =
    refusal("400 Bad Request", "bad_header", "the name of a header has characters that it may not have");
static BAD_VALUE: Refusal =
    refusal("400 Bad Request", "bad_header", "the value of a header has control characters");
static NOT_ASCII: Refusal =
    refusal("400 Bad Request", "bad_header", "Host, Origin, Content-Type and Last-Event-ID are ASCII");
static BAD_HOST: Refusal = refusal("400 Bad Request", "bad_host", "exactly one Host header is expected");
static BAD_LENGTH: Refusal =
    refusal("400 Bad Request", "bad_length", "Content-Length must be one whole number");
static CHUNKED: Refusal =
    refusal("411 Length Required", "length_required", "a body needs Content-Length, not Transfer-Encoding");
static TOO_LONG: Refusal = refusal("413 Content Too Large", "too_long", "the body may have 65536 bytes");
static HEAD_TOO_LONG: Refusal =
    refusal("431 Request Header Fields Too Large", "head_too_long", "more than 16 KiB or 100 headers");
static VERSION: Refusal =
    refusal("505 HTTP Version Not Supported", "http_version", "HTTP/1.0 and HTTP/1.1 are spoken here");
/// The client was too slow.
pub static TIMEOUT: Refusal =
    refusal("408 Request Timeout", "request_timeout", "the request did not come in time");
/// `http.connections` are open.
pub static TOO_MANY: Refusal =
    refusal("503 Service Unavailable", "http_connections", "http.connections are open already");
/// The server behind does not answer.
pub static UNAVAILABLE: Refusal =
    refusal("503 Service Unavailable", "unavailable", "the server is busy or ending; try again");

impl Refusal {
    /// Its place among [`HTTP_REASONS`]; `None` for those that have a counter of their own.
    pub fn reason(&self) -> Option<usize> {
        HTTP_REASONS.iter().position(|reason| *reason == self.code)
    }

    /// The whole answer.
    pub fn response(&self) -> Vec<u8> {
        let Self { status, code, why } = self;
        let body = format!(r#"{{"error":{{"code":"{code}","message":"{why}"}}}}"#);
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: {}\r\n\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }
}

/// The headers that somebody reads; no other is handed on.
const READ: [&str; 4] = ["host", "origin", "content-type", "last-event-id"];

/// Judges what a client has sent so far.
pub fn judge(bytes: &[u8]) -> Judged {
    // Empty lines before the request line are let pass (RFC 9112, 2.2).
    let start = bytes.chunks(2).take_while(|two| *two == b"\r\n").count() * 2;
    // However the bytes come: what a head may have is counted from the first one.
    let head = &bytes[start.min(MAX_HEAD)..bytes.len().min(MAX_HEAD)];
    let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if bytes.len() >= MAX_HEAD {
            Judged::Refuse(&HEAD_TOO_LONG)
        } else if may_be_http(head) {
            Judged::NeedMore { proceed: false, whole: 0 }
        } else {
            Judged::Refuse(&NOT_HTTP)
        };
    };
    // Values may have bytes beyond ASCII (obs-text of RFC 9110, 5.5: cookies, names that proxies add):
    // each is a character here.
    let head: String = head[..end].iter().map(|&byte| char::from(byte)).collect();
    match Head::parse(&head) {
        Err(refusal) => Judged::Refuse(refusal),
        Ok(head) => {
            let body = &bytes[start + end + 4..];
            match body.get(..head.length) {
                Some(_) if is_stream(head.method, head.target) => Judged::Stream(head.asked()),
                Some(body) => Judged::Whole(head.rewritten(body)),
                None => Judged::NeedMore {
                    proceed: head.expects && body.is_empty(),
                    whole: start + end + 4 + head.length,
                },
            }
        }
    }
}

/// Whether what there is so far can become a request line: says no to other protocols at once.
fn may_be_http(bytes: &[u8]) -> bool {
    if bytes == b"\r" {
        return true;
    }
    let method = bytes.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    method <= 16 && (method == bytes.len() || (method > 0 && bytes[method] == b' '))
}

struct Head<'a> {
    method: &'a str,
    /// Path and query.
    target: &'a str,
    /// Of a target in absolute form: it goes before the header.
    authority: Option<&'a str>,
    version: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    length: usize,
    expects: bool,
}

impl<'a> Head<'a> {
    fn parse(head: &'a str) -> Result<Self, &'static Refusal> {
        let mut lines = head.split("\r\n");
        let mut words = lines.next().unwrap_or("").split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(&NOT_HTTP);
        };
        let is_method = (1..=16).contains(&method.len()) && method.bytes().all(|b| b.is_ascii_uppercase());
        // A server takes the absolute form, too, which clients send to proxies (RFC 9112, 3.2.2).
        let (authority, target) = match target.strip_prefix("http://") {
            Some(rest) => {
                let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                (Some(authority), if path.is_empty() { "/" } else { path })
            }
            None => (None, target),
        };
        let is_target = target.starts_with('/') && target.bytes().all(|b| b.is_ascii_graphic());
        // It ends at the path (RFC 3986, 3.2); a query without one is nothing that clients send.
        let is_part = |b: u8| b.is_ascii_graphic() && !matches!(b, b'?' | b'#');
        let is_authority = |name: &str| !name.is_empty() && name.bytes().all(is_part);
        if !is_method || !is_target || !authority.is_none_or(is_authority) {
            return Err(&NOT_HTTP);
        }
        if !matches!(version, "HTTP/1.0" | "HTTP/1.1") {
            return Err(if version.starts_with("HTTP/") { &VERSION } else { &NOT_HTTP });
        }
        let mut headers = Vec::new();
        for line in lines {
            let (name, value) =
                line.split_once(':').filter(|_| !line.starts_with([' ', '\t'])).ok_or(&NO_COLON)?;
            let value = value.trim_matches([' ', '\t']);
            if name.is_empty() || !name.bytes().all(is_token) {
                return Err(&BAD_NAME);
            }
            if !value.chars().all(is_text) {
                return Err(&BAD_VALUE);
            }
            if is_read(name) && !value.is_ascii() {
                return Err(&NOT_ASCII);
            }
            if headers.len() == MAX_HEADERS {
                return Err(&HEAD_TOO_LONG);
            }
            headers.push((name, value));
        }
        let all = |name: &str| -> Vec<&str> {
            headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| *value).collect()
        };
        let hosts = all("host").len();
        if hosts > 1 || (hosts == 0 && version == "HTTP/1.1") {
            return Err(&BAD_HOST);
        }
        if !all("transfer-encoding").is_empty() {
            return Err(&CHUNKED);
        }
        let length = match all("content-length")[..] {
            [] => 0,
            [length] if (1..=19).contains(&length.len()) && length.bytes().all(|b| b.is_ascii_digit()) => {
                length.parse().map_err(|_| &BAD_LENGTH)?
            }
            _ => return Err(&BAD_LENGTH),
        };
        if length > MAX_BODY {
            return Err(&TOO_LONG);
        }
        // HTTP/1.0 knows no interim answer (RFC 9110, 10.1.1).
        let expects = version != "HTTP/1.0"
            && all("expect").iter().any(|what| what.eq_ignore_ascii_case("100-continue"));
        Ok(Self { method, target, authority, version, headers, length, expects })
    }

    fn asked(&self) -> Asked {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        let id = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("last-event-id"));
        Asked { query: query.to_owned(), last_event_id: id.map(|(_, value)| (*value).to_owned()) }
    }

    fn rewritten(&self, body: &[u8]) -> Vec<u8> {
        let mut request = format!("{} {} {}\r\n", self.method, self.target, self.version);
        for (name, value) in self.headers.iter().filter(|(name, _)| is_read(name)) {
            let value = match self.authority {
                Some(authority) if name.eq_ignore_ascii_case("host") => authority,
                _ => value,
            };
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        request.push_str("Connection: close\r\n\r\n");
        let mut request = request.into_bytes();
        request.extend_from_slice(body);
        request
    }
}

fn is_read(name: &str) -> bool {
    READ.iter().any(|read| read.eq_ignore_ascii_case(name))
}

/// RFC 9110, 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// What may stand in a value.
fn is_text(c: char) -> bool {
    c == '\t' || (' '..='~').contains(&c) || ('\u{80}'..='\u{ff}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(bytes: &str) -> Option<&'static str> {
        match judge(bytes.as_bytes()) {
            Judged::Refuse(refusal) => Some(refusal.code),
            _ => None,
        }
    }

    #[test]
    fn a_request_is_written_anew() {
        let bytes = "POST /api/rules?a=b HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nconnection: keep-alive, X\r\n\
                     Expect: 100-continue\r\nContent-Type:\t application/json \r\n\r\n{}GET / HTTP/1.1\r\n";
        let Judged::Whole(request) = judge(bytes.as_bytes()) else { panic!() };
        assert_eq!(
            String::from_utf8(request).unwrap(),
            "POST /api/rules?a=b HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\
             Connection: close\r\n\r\n{}"
        );
        let stream = |query: &str, id: Option<&str>| {
            Judged::Stream(Asked { query: query.to_owned(), last_event_id: id.map(str::to_owned) })
        };
        let judged = judge(b"\r\n\r\nGET /stream/metrics?events=stats HTTP/1.0\r\n\r\n");
        assert_eq!(judged, stream("events=stats", None));
        let judged = judge(b"GET http://a/stream/metrics HTTP/1.1\r\nHost: b\r\nlast-Event-ID: 7\r\n\r\n");
        assert_eq!(judged, stream("", Some("7")));
    }

    #[test]
    fn what_nobody_reads_may_be_anything_and_stays_here() {
        let mut bytes = b"GET http://a:1/x?q HTTP/1.1\r\nHost: b\r\nCookie: user=J".to_vec();
        bytes.extend_from_slice("\u{fc}".as_bytes());
        bytes.extend_from_slice(b"\xfcrgen\r\nLast-Event-ID: 7\r\n\r\n");
        let Judged::Whole(request) = judge(&bytes) else { panic!() };
        assert_eq!(
            String::from_utf8(request).unwrap(),
            "GET /x?q HTTP/1.1\r\nHost: a:1\r\nLast-Event-ID: 7\r\nConnection: close\r\n\r\n"
        );
        let old = "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n";
        assert_eq!(judge(old.as_bytes()), Judged::NeedMore { proceed: false, whole: old.len() + 1 });
    }

    #[test]
    fn every_beginning_needs_more_and_never_is_something_else() {
        let whole = "\r\nPOST /api/rules HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n12345";
        for end in 0..whole.len() {
            let judged = judge(&whole.as_bytes()[..end]);
            let known = if end < whole.len() - 5 { 0 } else { whole.len() };
            assert_eq!(judged, Judged::NeedMore { proceed: false, whole: known }, "{end}");
        }
        assert!(matches!(judge(whole.as_bytes()), Judged::Whole(_)));
        let waits = "PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n";
        assert_eq!(judge(waits.as_bytes()), Judged::NeedMore { proceed: true, whole: waits.len() + 1 });
    }

    #[test]
    fn what_others_take_is_refused() {
        let mut unseen = HTTP_REASONS.to_vec();
        let get = |more: &str| format!("GET / HTTP/1.1\r\nHost: h\r\n{more}\r\n\r\n");
        for (bytes, code) in [
            (get("Content-Length: 1\r\nContent-Length: 1"), "bad_length"),
            (get("Content-Length: +1"), "bad_length"),
            (get("Content-Length: 99999999999999999999999"), "bad_length"),
            (get("Content-Length: 65537"), "too_long"),
            (get("Transfer-Encoding: chunked"), "length_required"),
            (get("Host: again"), "bad_host"),
            (get("Bad Name: 1"), "bad_header"),
            (get(" folded: 1"), "bad_header"),
            (get("A: a\nB: b"), "bad_header"),
            (get("A: a\0b"), "bad_header"),
            (get("Origin: http://\u{e9}"), "bad_header"),
            (get("no colon"), "bad_header"),
            ("GET / HTTP/1.1\r\n\r\n".to_owned(), "bad_host"),
            ("GET / HTTP/2.0\r\n\r\n".to_owned(), "http_version"),
            ("GET  / HTTP/1.1\r\n\r\n".to_owned(), "bad_request"),
            ("get / HTTP/1.1\r\n\r\n".to_owned(), "bad_request"),
            ("GET http:/// HTTP/1.1\r\n\r\n".to_owned(), "bad_request"),
            ("GET https://a/ HTTP/1.1\r\n\r\n".to_owned(), "bad_request"),
            ("GET http://a?y=/stream/metrics HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), "bad_request"),
            ("GET /a\tb HTTP/1.1\r\n\r\n".to_owned(), "bad_request"),
            ("\u{16}\u{3}\u{1}".to_owned(), "bad_request"),
            ("GETGETGETGETGETGETGET".to_owned(), "bad_request"),
            (format!("GET / HTTP/1.1\r\nA: {}", "x".repeat(MAX_HEAD)), "head_too_long"),
            (format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "A: b\r\n".repeat(101)), "head_too_long"),
            // Whether the end has come already makes no difference.
            (format!("GET / HTTP/1.0\r\nA: {}\r\n\r\n", "x".repeat(MAX_HEAD - 22)), "head_too_long"),
            (format!("{}GET / HTTP/1.0\r\n\r\n", "\r\n".repeat(MAX_HEAD / 2)), "head_too_long"),
        ] {
            assert_eq!(refused(&bytes), Some(code), "{bytes:?}");
            assert!(HTTP_REASONS.contains(&code), "{code} is counted");
            unseen.retain(|reason| *reason != code);
        }
        assert_eq!(unseen, [""; 0], "reasons that nothing has");
    }
}
