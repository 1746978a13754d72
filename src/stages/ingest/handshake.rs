//! The upgrade from HTTP to WebSocket, as a function of the bytes a connection has sent so far.
//!
//! The ingest thread calls [`judge`] after every read until it decides. tungstenite parses the request
//! and makes the answer; it is driven here rather than through its own handshake because that one
//! refuses frames pipelined behind the request, which are kept for the frame decoder instead.
//!
//! What must always hold: nothing that came from outside goes into an answer except a validated host
//! and the key's digest, and every refusal is a complete response after which the connection is closed.

use tungstenite::{
    Error,
    error::{CapacityError, ProtocolError},
    handshake::{
        machine::TryParse,
        server::{Request, create_response, write_response},
    },
    http::{HeaderMap, HeaderValue},
};

use crate::config::Config;
use crate::config::web::{self, OwnHosts, host_of, host_of_origin, is_loopback};
use crate::telemetry::refusal::Refusal;

/// Where events are sent to.
pub const PATH: &str = "/ws/ingest";

/// The subprotocol whose offer asks for acknowledgements.
pub const SUBPROTOCOL: &str = "flumen.ingest.v1";

const SUBPROTOCOL_HEADER: &str = "sec-websocket-protocol";

/// Headers that come once.
const ONCE: [&str; 2] = ["sec-websocket-key", "sec-websocket-version"];

/// What is to be done with a connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// Read on: the request is not all there. Never said of [`Policy::max_request`] bytes or more.
    NeedMore,
    /// It is a WebSocket from here on.
    Accept {
        /// Bytes of the request; those behind are frames.
        consumed: usize,
        /// To be sent before anything else.
        response: Vec<u8>,
        /// The client asked for acknowledgements.
        ack: bool,
    },
    /// Send this, then close.
    Refuse {
        /// A complete response.
        response: Vec<u8>,
        /// What was wrong.
        why: Refusal,
    },
}

/// What requests are judged by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The longest request, bytes; a longer one is answered 431.
    pub max_request: usize,
    /// Where the dashboard listens, for those who come here with a browser; `None` where there is none
    /// to send them to.
    pub http_port: Option<u16>,
    /// Origins of the pages that may; empty: those of the host they talk to, if it is an own one, and of
    /// loopback.
    pub allowed_origins: Vec<String>,
    /// By which this daemon is called.
    pub own_hosts: OwnHosts,
}

impl Policy {
    /// As configured, with the dashboard at that port, where the daemon is called so.
    pub fn new(config: &Config, http_port: Option<u16>, own_hosts: OwnHosts) -> Self {
        let ingest = &config.ingest;
        Self {
            max_request: ingest.handshake_size,
            http_port,
            allowed_origins: ingest.allowed_origins.clone(),
            own_hosts,
        }
    }
}

impl Default for Policy {
    /// That of the default configuration, without a dashboard.
    fn default() -> Self {
        Self::new(&Config::default(), None, OwnHosts::default())
    }
}

/// Here it is clear whether it is HTTP at all.
const BEGINNING: usize = 64;

/// Whether the newest `fresh` bytes can have changed the verdict: what comes byte by byte is not to be read
/// from its beginning each time, only at the end of a line, of which a request has not many.
pub fn is_worth_judging(buf: &[u8], fresh: usize, policy: &Policy) -> bool {
    let (before, fresh) = buf.split_at(buf.len() - fresh);
    before.len() < BEGINNING || buf.len() >= policy.max_request || fresh.contains(&b'\n')
}

/// Judges what a connection has sent so far.
pub fn judge(buf: &[u8], policy: &Policy) -> Decision {
    let http_port = policy.http_port;
    let head = &buf[..buf.len().min(policy.max_request)];
    // The parser would skip empty lines for ever.
    if head.len() >= BEGINNING && head[..BEGINNING].iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
        return refuse(&BAD_REQUEST);
    }
    match Request::try_parse(head) {
        // The parser drops a fragment, which a request has none of (RFC 6455, 3).
        Ok(Some(_)) if has_fragment(head) => refuse(&BAD_REQUEST),
        Ok(Some((consumed, request))) => match request.uri().path() {
            PATH => upgrade(consumed, request, policy),
            path => elsewhere(path, request.headers(), http_port, true),
        },
        Ok(None) if head.len() < policy.max_request => Decision::NeedMore,
        Ok(None) => too_long(policy.max_request),
        Err(Error::Capacity(CapacityError::TooManyHeaders)) => refuse(&TOO_MANY_HEADERS),
        Err(Error::Protocol(ProtocolError::WrongHttpMethod | ProtocolError::WrongHttpVersion)) => {
            no_upgrade(head, http_port)
        }
        Err(_) => refuse(&BAD_REQUEST),
    }
}

/// Whether the target of a well-formed request has a fragment.
fn has_fragment(head: &[u8]) -> bool {
    let mut lines = head.trim_ascii_start().split(|&byte| byte == b'\n');
    lines.next().is_some_and(|line| line.contains(&b'#'))
}

/// A request for [`PATH`].
fn upgrade(consumed: usize, mut request: Request, policy: &Policy) -> Decision {
    make_plain(request.headers_mut());
    let request = &request;
    let headers = request.headers();
    // What would be its body would be read as frames.
    let has_length = headers.get_all("content-length").iter().any(|length| length != "0");
    if has_length || headers.contains_key("transfer-encoding") {
        return refuse(&BODY);
    }
    let mut response = match create_response(request) {
        Ok(response) => response,
        Err(Error::Protocol(
            ProtocolError::MissingConnectionUpgradeHeader | ProtocolError::MissingUpgradeWebSocketHeader,
        )) => return refuse(&UPGRADE_REQUIRED),
        Err(Error::Protocol(ProtocolError::MissingSecWebSocketVersionHeader)) => {
            return refuse(&WRONG_VERSION);
        }
        Err(_) => return refuse(&BAD_KEY),
    };
    // RFC 6455, 11.3.1 and 11.3.5; of two, tungstenite has read one.
    if ONCE.iter().any(|name| headers.get_all(*name).iter().count() != 1) {
        return refuse(&REPEATED);
    }
    if headers.get_all("host").iter().count() != 1 {
        return refuse(&BAD_HOST);
    }
    if !welcome_origin(headers, policy) {
        return refuse(&FOREIGN_ORIGIN);
    }
    let offered = headers
        .get_all(SUBPROTOCOL_HEADER)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|name| name.trim() == SUBPROTOCOL);
    if offered {
        response.headers_mut().insert(SUBPROTOCOL_HEADER, HeaderValue::from_static(SUBPROTOCOL));
    }
    let asked = request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair == "ack=1"));
    let mut bytes = Vec::with_capacity(256);
    match write_response(&mut bytes, &response) {
        Ok(()) => Decision::Accept { consumed, response: bytes, ack: asked || offered },
        Err(_) => refuse(&BAD_REQUEST),
    }
}

/// `Upgrade` and `Connection` are lists (RFC 9110, 7.6.1 and 7.8), in one line or several; tungstenite takes
/// the first line only, and of `Upgrade` nothing but the one word. Where the word is among the others, the
/// header becomes it.
fn make_plain(headers: &mut HeaderMap) {
    for (name, word) in [("connection", "upgrade"), ("upgrade", "websocket")] {
        let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
        if lines.flat_map(|line| line.split(',')).any(|item| item.trim().eq_ignore_ascii_case(word)) {
            headers.insert(name, HeaderValue::from_static(word));
        }
    }
}

/// A request for anything but [`PATH`].
fn elsewhere(path: &str, headers: &HeaderMap, http_port: Option<u16>, body: bool) -> Decision {
    match http_port {
        Some(port) if path == "/" => {
            let host = host_asked(headers).unwrap_or("127.0.0.1");
            respond(&DASHBOARD, &format!("Location: http://{host}:{port}/\r\n"), body)
        }
        _ => respond(&NOT_FOUND, "", body),
    }
}

/// A whole, well-formed request that tungstenite stops at for its method or its version. It can be no
/// upgrade, and its path decides which answer it gets.
fn no_upgrade(head: &[u8], http_port: Option<u16>) -> Decision {
    // The parser takes empty lines before the request line, and a bare LF as a line's end.
    let start = head.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(head.len());
    let head = &head[start..];
    let line_end = head.iter().position(|&byte| byte == b'\n').map_or(head.len(), |lf| lf + 1);
    let (line, rest) = head.split_at(line_end);
    let mut words = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return refuse(&BAD_REQUEST);
    };
    let path = target.split(|&byte| byte == b'?').next().and_then(|path| str::from_utf8(path).ok());
    let headers = HeaderMap::try_parse(rest).ok().flatten().map(|(_, headers)| headers).unwrap_or_default();
    let body = method != b"HEAD";
    match path {
        Some(PATH) => respond(&UPGRADE_REQUIRED, "", body),
        Some(path) => elsewhere(path, &headers, http_port, body),
        None => respond(&NOT_FOUND, "", body),
    }
}

/// Whether the page that opened this connection, if it was one, may: one of the origins that are
/// allowed, or, where none are named, a page from this machine or from the host it talks to, where that
/// is a host of this daemon's own. Programs send no `Origin`; browsers always do, and a page cannot
/// forge it.
fn welcome_origin(headers: &HeaderMap, policy: &Policy) -> bool {
    let mut origins = headers.get_all("origin").iter();
    let origin = match (origins.next(), origins.next()) {
        (None, _) => return true,
        (Some(origin), None) => origin.to_str().unwrap_or(""),
        (Some(_), Some(_)) => return false,
    };
    if !policy.allowed_origins.is_empty() {
        return policy
            .allowed_origins
            .iter()
            .any(|known| known == web::ANY || known.eq_ignore_ascii_case(origin));
    }
    host_of_origin(origin).is_some_and(|host| {
        let talks_to = |to: &str| to.eq_ignore_ascii_case(host) && policy.own_hosts.has(to);
        is_loopback(host) || host_asked(headers).is_some_and(talks_to)
    })
}

/// The host of the one `Host` header, without its port; `None` where there is none, several, or an odd
/// one.
fn host_asked(headers: &HeaderMap) -> Option<&str> {
    let mut hosts = headers.get_all("host").iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok().and_then(host_of),
        _ => None,
    }
}

/// An answer other than 101. Its texts go into JSON as they are: no quotes, no backslashes.
struct Answer<'a> {
    status: &'static str,
    code: Refusal,
    why: &'a str,
    /// Header lines, each with its CR LF.
    headers: &'static str,
}

const CLOSE: &str = "Connection: close\r\n";
/// RFC 9110, 7.8 and 15.5.22: `Upgrade` is a must on a 426 and has to be named in `Connection`.
const CLOSE_AND_UPGRADE: &str =
    "Connection: close, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";

const DASHBOARD: Answer<'static> = Answer {
    status: "307 Temporary Redirect",
    code: Refusal::DashboardElsewhere,
    why: "the dashboard has its own port",
    headers: CLOSE,
};
const BAD_REQUEST: Answer<'static> = Answer {
    status: "400 Bad Request",
    code: Refusal::BadRequest,
    why: "not an HTTP/1.1 request",
    headers: CLOSE,
};
const BAD_KEY: Answer<'static> = Answer {
    status: "400 Bad Request",
    code: Refusal::BadKey,
    why: "Sec-WebSocket-Key must be 16 bytes in base64",
    headers: CLOSE,
};
const REPEATED: Answer<'static> = Answer {
    status: "400 Bad Request",
    code: Refusal::RepeatedHeader,
    why: "Sec-WebSocket-Key and Sec-WebSocket-Version may come once",
    headers: CLOSE,
};
const BAD_HOST: Answer<'static> = Answer {
    status: "400 Bad Request",
    code: Refusal::BadHost,
    why: "exactly one Host header is expected",
    headers: CLOSE,
};
const BODY: Answer<'static> = Answer {
    status: "400 Bad Request",
    code: Refusal::UnexpectedBody,
    why: "an upgrade to a WebSocket has no body",
    headers: CLOSE,
};
const FOREIGN_ORIGIN: Answer<'static> = Answer {
    status: "403 Forbidden",
    code: Refusal::ForeignOrigin,
    why: "pages of this origin may not send events; ingest.allowed_origins lists those that may, \
          http.allowed_hosts the names of this daemon",
    headers: CLOSE,
};
const NOT_FOUND: Answer<'static> = Answer {
    status: "404 Not Found",
    code: Refusal::NotFound,
    why: "events go to /ws/ingest",
    headers: CLOSE,
};
const UPGRADE_REQUIRED: Answer<'static> = Answer {
    status: "426 Upgrade Required",
    code: Refusal::UpgradeRequired,
    why: "/ws/ingest speaks WebSocket only",
    headers: CLOSE_AND_UPGRADE,
};
const WRONG_VERSION: Answer<'static> = Answer {
    status: "426 Upgrade Required",
    code: Refusal::UnsupportedVersion,
    why: "Sec-WebSocket-Version must be 13",
    headers: CLOSE_AND_UPGRADE,
};
const TOO_MANY_HEADERS: Answer<'static> = Answer {
    status: "431 Request Header Fields Too Large",
    code: Refusal::TooManyHeaders,
    why: "the request has more than 124 headers",
    headers: CLOSE,
};

const TIMEOUT: Answer<'static> = Answer {
    status: "408 Request Timeout",
    code: Refusal::Timeout,
    why: "the request was not finished within ingest.handshake_timeout",
    headers: CLOSE,
};

const DRAINING: Answer<'static> = Answer {
    status: "503 Service Unavailable",
    code: Refusal::Draining,
    why: "the daemon is shutting down",
    headers: "Connection: close\r\nRetry-After: 1\r\n",
};

/// What a client is told that has not finished its request when the daemon ends.
pub fn draining() -> Vec<u8> {
    response(&DRAINING, "", true)
}

/// What a client is told that has not finished its request in time.
pub fn timeout() -> Vec<u8> {
    response(&TIMEOUT, "", true)
}

fn refuse(answer: &Answer<'_>) -> Decision {
    respond(answer, "", true)
}

fn too_long(most: usize) -> Decision {
    refuse(&Answer {
        status: "431 Request Header Fields Too Large",
        code: Refusal::RequestTooLarge,
        why: &format!("the request is longer than the {most} bytes of ingest.handshake_size"),
        headers: CLOSE,
    })
}

fn respond(answer: &Answer<'_>, more_headers: &str, body: bool) -> Decision {
    Decision::Refuse { response: response(answer, more_headers, body), why: answer.code }
}

/// `more_headers` are lines made here, each with its CR LF. Without `body` (the answer to a HEAD) only
/// its length is told.
fn response(answer: &Answer<'_>, more_headers: &str, body: bool) -> Vec<u8> {
    let Answer { status, code, why, headers } = answer;
    let code = code.as_str();
    let json = format!(r#"{{"error":{{"code":"{code}","message":"{why}"}}}}"#);
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         {headers}{more_headers}\r\n{}",
        json.len(),
        if body { json.as_str() } else { "" },
    )
    .into_bytes()
}

#[cfg(test)]
mod tests;
