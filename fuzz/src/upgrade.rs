//! Only what a strict parser takes for an upgrade to a WebSocket becomes one; every answer is a whole
//! and lawful response; what was decided stays decided.

use flumen::stages::ingest::handshake::{Decision, PATH, Policy, SUBPROTOCOL, judge};
use httparse::{EMPTY_HEADER, Header, Request, Response, Status};
use tungstenite::handshake::derive_accept_key;

use super::spread;

/// More headers than are let pass.
const HEADERS: usize = 128;

/// Where visitors with a browser are sent.
const PORT: u16 = 8001;

/// Panics if a request is taken for what it is not, or gets an answer that is none.
pub fn check(input: &[u8]) {
    let policy = Policy { http_port: Some(PORT), ..Policy::default() };
    let decision = judge(input, &policy);
    for cut in [spread(input) % (input.len() + 1), input.len().saturating_sub(1)] {
        must_lead_to(&judge(&input[..cut], &policy), &decision, input, cut);
    }
    let behind = [input, b"\x81\x80\0\0\0\0"].concat();
    must_lead_to(&decision, &judge(&behind, &policy), &behind, input.len());
    match &decision {
        Decision::NeedMore => {}
        Decision::Accept { consumed, response, ack } => check_accepted(input, *consumed, response, *ack),
        Decision::Refuse { response, why } => {
            assert!(!why.as_str().is_empty());
            check_refused(response);
        }
    }
}

/// A decision about the beginning is the decision about all of it.
fn must_lead_to(early: &Decision, late: &Decision, input: &[u8], cut: usize) {
    let same = matches!(early, Decision::NeedMore) || early == late;
    let text = input.escape_ascii();
    assert!(same, "the first {cut} bytes: {early:?}, all of them: {late:?}; {text}");
}

fn check_accepted(input: &[u8], consumed: usize, response: &[u8], ack: bool) {
    let mut headers = [EMPTY_HEADER; HEADERS];
    let mut request = Request::new(&mut headers);
    let parsed = request.parse(input);
    assert_eq!(parsed, Ok(Status::Complete(consumed)), "{}", input.escape_ascii());
    let (path, query) = request.path.map(|p| p.split_once('?').unwrap_or((p, ""))).expect("a path");
    // An absolute target names the same place.
    let absolute = path.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
    let path = absolute.unwrap_or(path);
    assert!(request.method == Some("GET") && request.version == Some(1) && path == PATH, "{request:?}");
    let all = |name: &str| all_of(request.headers, name);
    let has = |name: &str, word: &str| {
        all(name)
            .iter()
            .flat_map(|value| value.split([',', ' ']))
            .any(|w| w.trim().eq_ignore_ascii_case(word))
    };
    assert!(has("connection", "upgrade") && has("upgrade", "websocket"), "{request:?}");
    for name in ["host", "sec-websocket-version", "sec-websocket-key"] {
        let times = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name)).count();
        assert_eq!(times, 1, "{name}: {request:?}");
    }
    assert_eq!(all("sec-websocket-version"), ["13"]);
    assert!(all("content-length").iter().all(|length| length == "0"));
    assert!(all("transfer-encoding").is_empty());
    let offered = all("sec-websocket-protocol");
    let offered = offered.iter().flat_map(|value| value.split(',')).any(|name| name.trim() == SUBPROTOCOL);
    assert_eq!(ack, offered || query.split('&').any(|pair| pair == "ack=1"), "{request:?}");

    let key = derive_accept_key(all("sec-websocket-key").first().expect("a key").as_bytes());
    let mut headers = [EMPTY_HEADER; HEADERS];
    let mut answer = Response::new(&mut headers);
    assert_eq!(answer.parse(response), Ok(Status::Complete(response.len())));
    assert_eq!(answer.code, Some(101));
    let mut wanted =
        vec![("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-accept", &*key)];
    wanted.extend(offered.then_some(("sec-websocket-protocol", SUBPROTOCOL)));
    assert_eq!(answer.headers.len(), wanted.len(), "{}", response.escape_ascii());
    for (name, value) in wanted {
        assert_eq!(all_of(answer.headers, name), [value]);
    }
}

fn check_refused(response: &[u8]) {
    let mut headers = [EMPTY_HEADER; HEADERS];
    let mut answer = Response::new(&mut headers);
    let Ok(Status::Complete(end)) = answer.parse(response) else {
        panic!("no response: {}", response.escape_ascii());
    };
    let code = answer.code.expect("a status");
    assert!(matches!(code, 307 | 400..=499), "{code}");
    let text = std::str::from_utf8(response).expect("texts of ours and a checked host");
    assert!(answer.headers.iter().all(|h| all_of(answer.headers, h.name).len() == 1), "{text}");
    let only = |name: &str| all_of(answer.headers, name).pop();
    assert!(only("connection").is_some_and(|value| value.starts_with("close")), "{text}");
    let length: usize = only("content-length").expect("a length").parse().expect("a number");
    let body = &response[end..];
    // None: the answer to a HEAD.
    assert!(body.is_empty() || body.len() == length, "{text}");
    assert!(body.is_empty() || serde_json::from_slice::<serde_json::Value>(body).is_ok(), "{text}");
    if let Some(location) = only("location") {
        let host = location.strip_prefix("http://").and_then(|rest| rest.strip_suffix(":8001/"));
        let plain = |b: u8| b.is_ascii_alphanumeric() || b".-:[]".contains(&b);
        assert!(host.is_some_and(|host| !host.is_empty() && host.bytes().all(plain)), "{location}");
    }
}

/// The values of that name; one that is not ASCII says nothing to anybody.
fn all_of(headers: &[Header<'_>], name: &str) -> Vec<String> {
    let named = headers.iter().filter(|h| h.name.eq_ignore_ascii_case(name) && h.value.is_ascii());
    named.map(|h| String::from_utf8_lossy(h.value).into_owned()).collect()
}
