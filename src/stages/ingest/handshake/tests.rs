use proptest::prelude::*;

use super::*;

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

fn policy() -> Policy {
    let own_hosts = OwnHosts::new(vec!["flumen.example".to_owned()]);
    Policy { http_port: Some(8001), own_hosts, ..Policy::default() }
}

/// A valid upgrade of `target`, with `more` header lines.
fn upgrade_request(target: &str, more: &str) -> Vec<u8> {
    format!(
        "GET {target} HTTP/1.1\r\nHost: flumen.example:8000\r\nUpgrade: websocket\r\n\
         Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n{KEY}{more}\r\n"
    )
    .into_bytes()
}

fn get(target: &str, more: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\n{more}\r\n").into_bytes()
}

fn accepted(request: &[u8]) -> (usize, String, bool) {
    match judge(request, &policy()) {
        Decision::Accept { consumed, response, ack } => (consumed, String::from_utf8(response).unwrap(), ack),
        other => panic!("{other:?} to {}", String::from_utf8_lossy(request)),
    }
}

/// The response of a refusal, after checking that it is complete and well formed.
fn refused(request: &[u8]) -> String {
    let Decision::Refuse { response, why } = judge(request, &policy()) else {
        panic!("not refused: {}", String::from_utf8_lossy(request))
    };
    let response = String::from_utf8(response).unwrap();
    assert!(response.contains(why.as_str()) || request.starts_with(b"HEAD"), "{why:?}: {response}");
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    let line = |name: &str| {
        head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{head}"))
    };
    assert!(head.starts_with("HTTP/1.1 "));
    assert!(line("Connection: ").starts_with("close"));
    assert_eq!(line("Content-Type: "), "application/json");
    assert!(!head.replace("\r\n", "").contains(['\r', '\n']));
    if !request.starts_with(b"HEAD") {
        assert_eq!(line("Content-Length: "), body.len().to_string());
        assert!(body.starts_with(r#"{"error":{"code":""#) && body.ends_with(r#""}}"#), "{body}");
        assert_eq!(body.matches('"').count(), 10, "{body}");
    }
    response
}

fn status(request: &[u8]) -> String {
    refused(request)["HTTP/1.1 ".len()..][..3].to_string()
}

#[test]
fn a_valid_upgrade_is_accepted() {
    let request = upgrade_request(PATH, "");
    let (consumed, response, ack) = accepted(&request);
    assert_eq!(consumed, request.len());
    assert!(response.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{response}");
    assert!(response.ends_with("\r\n\r\n"));
    // The example of RFC 6455, 1.3.
    assert!(response.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{response}");
    assert!(!response.contains(SUBPROTOCOL_HEADER));
    assert!(!ack);
}

#[test]
fn acknowledgements_by_query_or_subprotocol() {
    for (target, ack) in [
        ("/ws/ingest?ack=1", true),
        ("/ws/ingest?x=2&ack=1", true),
        ("/ws/ingest?ack=1&x=2", true),
        ("/ws/ingest?ack=0", false),
        ("/ws/ingest?ack=10", false),
        ("/ws/ingest?back=1", false),
        ("/ws/ingest?", false),
    ] {
        assert_eq!(accepted(&upgrade_request(target, "")).2, ack, "{target}");
    }
    for (offer, known) in [
        ("Sec-WebSocket-Protocol: flumen.ingest.v1\r\n", true),
        ("Sec-WebSocket-Protocol: chat, flumen.ingest.v1 ,superchat\r\n", true),
        ("Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: flumen.ingest.v1\r\n", true),
        ("Sec-WebSocket-Protocol: chat, superchat\r\n", false),
        ("Sec-WebSocket-Protocol: flumen.ingest.v12\r\n", false),
    ] {
        let (_, response, ack) = accepted(&upgrade_request(PATH, offer));
        assert_eq!(ack, known, "{offer}");
        assert_eq!(response.contains("sec-websocket-protocol: flumen.ingest.v1\r\n"), known, "{response}");
        assert!(!response.contains("chat"), "{response}");
    }
}

#[test]
fn every_prefix_needs_more() {
    for request in [
        upgrade_request("/ws/ingest?ack=1", "Origin: http://flumen.example\r\n"),
        get("/", "Host: flumen.example\r\n"),
        b"POST /ws/ingest HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n".to_vec(),
    ] {
        for len in 0..request.len() {
            assert_eq!(judge(&request[..len], &policy()), Decision::NeedMore, "{len}");
        }
        assert_ne!(judge(&request, &policy()), Decision::NeedMore);
    }
}

#[test]
fn pipelined_frames_stay() {
    let request = upgrade_request(PATH, "");
    for frames in [&b"\x81\x80\0\0\0\0"[..], b"\x81", b"GET / HTTP/1.1\r\n\r\n", &[0xFF; 40_000]] {
        let sent = [&request, frames].concat();
        let (consumed, ..) = accepted(&sent);
        assert_eq!(&sent[consumed..], frames);
    }
}

#[test]
fn what_is_no_upgrade_gets_426() {
    let strip = |line: &str| {
        let request = String::from_utf8(upgrade_request(PATH, "")).unwrap();
        assert!(request.contains(line));
        request.replace(line, "").into_bytes()
    };
    for request in [
        get(PATH, "Host: a\r\n"),
        get("/ws/ingest?ack=1", ""),
        strip("Upgrade: websocket\r\n"),
        strip("Connection: keep-alive, Upgrade\r\n"),
        strip("Sec-WebSocket-Version: 13\r\n"),
        String::from_utf8(upgrade_request(PATH, "")).unwrap().replace("n: 13", "n: 8").into_bytes(),
        String::from_utf8(upgrade_request(PATH, "")).unwrap().replace("GET", "POST").into_bytes(),
        String::from_utf8(upgrade_request(PATH, "")).unwrap().replace("HTTP/1.1", "HTTP/1.0").into_bytes(),
    ] {
        let response = refused(&request);
        assert!(response.starts_with("HTTP/1.1 426 "), "{response}");
        assert!(response.contains("\r\nUpgrade: websocket\r\n"));
        assert!(response.contains("\r\nSec-WebSocket-Version: 13\r\n"));
        assert!(response.contains("\r\nConnection: close, Upgrade\r\n"));
    }
    assert_eq!(status(&strip(KEY)), "400");
    assert_eq!(
        status(&String::from_utf8(upgrade_request(PATH, "")).unwrap().replace("==", "=!").into_bytes()),
        "400"
    );
}

#[test]
fn what_has_to_come_once_comes_once() {
    let plain = String::from_utf8(upgrade_request(PATH, "")).unwrap();
    let host = "Host: flumen.example:8000\r\n";
    let version = "Sec-WebSocket-Version: 13\r\n";
    let other_key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    let twice = |line: &str, more: &str| plain.replace(line, &format!("{line}{more}"));
    for (request, code) in [
        (plain.replace(host, ""), "bad_host"),
        (twice(host, host), "bad_host"),
        (twice(host, "host: evil.example\r\n"), "bad_host"),
        (twice(KEY, KEY), "repeated_header"),
        (twice(KEY, other_key), "repeated_header"),
        (twice(version, version), "repeated_header"),
        (twice(version, "Sec-WebSocket-Version: 8\r\n"), "repeated_header"),
    ] {
        let said = refused(request.as_bytes());
        assert!(said.starts_with("HTTP/1.1 400 ") && said.contains(code), "{request}: {said}");
    }
    // Another version first, or in one line: a version that is not spoken here.
    for version in ["8\r\nSec-WebSocket-Version: 13", "13, 8"] {
        let request = plain.replace("n: 13", &format!("n: {version}"));
        assert_eq!(status(request.as_bytes()), "426", "{request}");
    }
}

#[test]
fn the_word_may_be_one_of_a_list() {
    let plain = String::from_utf8(upgrade_request(PATH, "")).unwrap();
    let (upgrade, connection) = ("Upgrade: websocket\r\n", "Connection: keep-alive, Upgrade\r\n");
    for (line, instead, good) in [
        (upgrade, "Upgrade: h2c, websocket", true),
        (upgrade, "Upgrade: WebSocket\t,h2c", true),
        (upgrade, "Upgrade: h2c\r\nUpgrade: websocket", true),
        (upgrade, "Upgrade: ,websocket", true),
        (upgrade, "Upgrade: h2c", false),
        (upgrade, "Upgrade: websockets, h2c", false),
        (upgrade, "Upgrade: h2c websocket", false),
        (upgrade, "Upgrade: websocket/13", false),
        (connection, "Connection: upgrade", true),
        (connection, "Connection: keep-alive\r\nConnection: Upgrade", true),
        (connection, "Connection: keep-alive", false),
        (connection, "Connection: upgraded", false),
    ] {
        let request = plain.replace(line, &format!("{instead}\r\n"));
        if good {
            let (_, response, _) = accepted(request.as_bytes());
            assert!(response.contains("upgrade: websocket\r\n"), "{response}");
        } else {
            assert_eq!(status(request.as_bytes()), "426", "{request}");
        }
    }
}

#[test]
fn a_body_is_no_frame() {
    for more in [
        "Content-Length: 5\r\n",
        "Content-Length: 0\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
    ] {
        assert_eq!(status(&upgrade_request(PATH, more)), "400");
    }
    accepted(&upgrade_request(PATH, "Content-Length: 0\r\n"));
}

#[test]
fn the_root_redirects_to_the_dashboard() {
    for (host, expected) in [
        ("Host: flumen.example:8000\r\n", "http://flumen.example:8001/"),
        ("Host: flumen.example\r\n", "http://flumen.example:8001/"),
        ("Host: 192.0.2.1:8000\r\n", "http://192.0.2.1:8001/"),
        ("Host: [2001:db8::1]:8000\r\n", "http://[2001:db8::1]:8001/"),
        ("Host: [::1]\r\n", "http://[::1]:8001/"),
        ("", "http://127.0.0.1:8001/"),
        ("Host:\r\n", "http://127.0.0.1:8001/"),
        ("Host: a\r\nHost: b\r\n", "http://127.0.0.1:8001/"),
        ("Host: evil/..\r\n", "http://127.0.0.1:8001/"),
        ("Host: user@evil\r\n", "http://127.0.0.1:8001/"),
        ("Host: a:80:80\r\n", "http://127.0.0.1:8001/"),
        ("Host: a:99999999\r\n", "http://127.0.0.1:8001/"),
        ("Host: a b\r\n", "http://127.0.0.1:8001/"),
        ("Host: \"<script>\r\n", "http://127.0.0.1:8001/"),
        ("Host: [::1]evil\r\n", "http://127.0.0.1:8001/"),
        ("Host: [a.b]\r\n", "http://127.0.0.1:8001/"),
        ("Host: [::1\r\n", "http://127.0.0.1:8001/"),
    ] {
        let response = refused(&get("/", host));
        assert!(response.starts_with("HTTP/1.1 307 "), "{response}");
        assert!(response.contains(&format!("\r\nLocation: {expected}\r\n")), "{host:?}: {response}");
    }
    let head = refused(b"HEAD / HTTP/1.1\r\nHost: flumen.example\r\n\r\n");
    assert!(head.contains("\r\nLocation: http://flumen.example:8001/\r\n"), "{head}");
    assert!(head.ends_with("\r\n\r\n"));
    let Decision::Refuse { response, .. } = judge(&get("/", ""), &Policy::default()) else { panic!() };
    assert!(response.starts_with(b"HTTP/1.1 404 "));
}

#[test]
fn everything_else_is_not_found() {
    for target in ["/ws/ingest/", "/ws", "/favicon.ico", "//ws/ingest", "/WS/INGEST", "/index.html?/", "*"] {
        assert_eq!(status(&get(target, "Host: a\r\n")), "404", "{target}");
        assert_eq!(status(&upgrade_request(target, "")), "404", "{target}");
    }
    assert_eq!(status(b"POST /other HTTP/1.1\r\n\r\n"), "404");
    assert_eq!(status(b"\r\n\r\nDELETE /other?/ HTTP/1.0\n\n"), "404");
}

#[test]
fn only_known_pages_may_send() {
    for origin in [
        "http://flumen.example:9999",
        "https://FLUMEN.example",
        "http://localhost:8001",
        "http://LocalHost",
        "http://127.0.0.1:8001",
        "http://127.9.9.9",
        "http://[::1]:8001",
    ] {
        accepted(&upgrade_request(PATH, &format!("Origin: {origin}\r\n")));
    }
    for origin in [
        "null",
        "",
        "flumen.example",
        "http://evil.example",
        "http://flumen.example.evil",
        "http://evil.flumen.example",
        "http://flumen.example@evil",
        "http://flumen.example:80@evil",
        "http://127.0.0.1.evil",
        "http://localhost.evil",
        "http://128.0.0.1",
        "http://[::2]",
        "http://flumen.example/path",
        "http://localhost\r\nOrigin: http://evil.example",
    ] {
        assert_eq!(status(&upgrade_request(PATH, &format!("Origin: {origin}\r\n"))), "403", "{origin}");
    }
}

/// The owner of a name makes it point here (DNS rebinding): his page is of the host that it talks to.
#[test]
fn a_page_may_not_send_because_its_name_points_here() {
    for (host, may) in [
        ("evil.example:8000", false),
        ("localhost.evil:8000", false),
        ("flumen.example.evil", false),
        ("127.0.0.1.evil", false),
        ("flumen.example:8000", true),
        ("FLUMEN.example", true),
        ("10.1.2.3:8000", true),
        ("[2001:db8::1]:8000", true),
        ("localhost:8000", true),
    ] {
        let request =
            String::from_utf8(upgrade_request(PATH, &format!("Origin: http://{host}\r\n"))).unwrap();
        let request = request.replacen("flumen.example:8000", host, 1).into_bytes();
        if may {
            accepted(&request);
        } else {
            let said = refused(&request);
            assert!(said.contains("foreign_origin") && said.contains("http.allowed_hosts"), "{said}");
        }
        // A program says whatever name it was given.
        let program = upgrade_request(PATH, "");
        let program = String::from_utf8(program).unwrap().replacen("flumen.example:8000", host, 1);
        accepted(program.as_bytes());
    }
}

#[test]
fn where_origins_are_listed_only_those_may_send() {
    let origin = |origin: &str, allowed: &[&str]| {
        let allowed_origins = allowed.iter().map(|text| (*text).to_owned()).collect();
        let request = upgrade_request(PATH, &format!("Origin: {origin}\r\n"));
        let policy = Policy { allowed_origins, ..Policy::default() };
        matches!(judge(&request, &policy), Decision::Accept { .. })
    };
    let listed = ["https://app.example", "http://other.example:8080"];
    for good in ["https://app.example", "HTTPS://App.Example", "http://other.example:8080"] {
        assert!(origin(good, &listed), "{good}");
    }
    for bad in ["http://app.example", "https://app.example:8443", "http://flumen.example", "http://localhost"]
    {
        assert!(!origin(bad, &listed), "{bad}");
    }
    assert!(origin("http://anybody.example", &["*"]));
    let policy = Policy { allowed_origins: vec!["https://app.example".to_owned()], ..Policy::default() };
    assert!(matches!(judge(&upgrade_request(PATH, ""), &policy), Decision::Accept { .. }), "no page");
}

#[test]
fn smuggled_line_ends_do_not_come_back() {
    for target in ["/", "/%0d%0aX-Evil:%201", "/ws/ingest?ack=1%0d%0aX-Evil:1"] {
        for host in [
            "a%0d%0aX-Evil: 1",
            "a\rX-Evil: 1",
            "a\nX-Evil: 1",
            "a\r\nX-Evil: 1",
            "a\0X-Evil: 1",
            "a\u{85}X-Evil: 1",
        ] {
            let response = refused(&get(target, &format!("Host: {host}\r\n")));
            assert!(!response.contains("X-Evil"), "{response}");
        }
    }
    let (_, response, _) = accepted(&upgrade_request(
        "/ws/ingest?%0d%0aX-Evil:1",
        "Sec-WebSocket-Protocol: x%0d%0aX-Evil: 1\r\n",
    ));
    assert!(!response.contains("X-Evil"), "{response}");
}

#[test]
fn what_cannot_be_parsed_gets_400() {
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET  / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        b"GET / HTTP/3.0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        assert_eq!(status(bytes), "400", "{}", String::from_utf8_lossy(bytes));
    }
    // A fragment would be dropped, and with it what is in front of a query.
    for target in ["/ws/ingest#", "/ws/ingest#ack=1", "/ws/ingest?ack=1#a"] {
        assert_eq!(status(&upgrade_request(target, "")), "400", "{target}");
    }
}

#[test]
fn floods_get_431() {
    let headers = |count: usize| "A: b\r\n".repeat(count);
    accepted(&upgrade_request(PATH, &headers(124 - 5)));
    assert_eq!(status(&upgrade_request(PATH, &headers(125 - 5))), "431");
    assert_eq!(status(format!("GET / HTTP/1.1\r\n{}", headers(200)).as_bytes()), "431");

    let fits = |total: usize| {
        let empty = upgrade_request(PATH, "A: \r\n").len();
        upgrade_request(PATH, &format!("A: {}\r\n", "x".repeat(total - empty)))
    };
    for max_request in [16 << 10, 1 << 10, 64 << 10] {
        let policy = Policy { max_request, ..policy() };
        let whole = fits(max_request);
        assert!(
            matches!(judge(&whole, &policy), Decision::Accept { consumed, .. } if consumed == max_request)
        );
        let endless = format!("GET /{}", "x".repeat(max_request)).into_bytes();
        assert_eq!(judge(&endless[..max_request - 1], &policy), Decision::NeedMore);
        for long in [&fits(max_request + 1), &endless[..max_request]] {
            let Decision::Refuse { response, why: Refusal::RequestTooLarge } = judge(long, &policy) else {
                panic!()
            };
            let said = String::from_utf8(response).unwrap();
            assert!(said.contains(&format!("{max_request} bytes of ingest.handshake_size")), "{said}");
        }
    }
    assert_eq!(status(&fits((16 << 10) + 1)), "431", "by default");
}

/// How often a request is judged that comes byte by byte, and the verdict.
fn bytewise(request: &[u8], policy: &Policy) -> (usize, usize, Decision) {
    let mut judged = 0;
    for end in 1..=request.len() {
        if is_worth_judging(&request[..end], 1, policy) {
            judged += 1;
            let decision = judge(&request[..end], policy);
            if decision != Decision::NeedMore {
                return (judged, end, decision);
            }
        }
    }
    (judged, request.len(), Decision::NeedMore)
}

#[test]
fn a_request_that_comes_byte_by_byte_is_judged_a_few_times_and_as_if_it_came_whole() {
    let policy = policy();
    let lines = "Cookie: 0123456789\r\n".repeat(118);
    for request in [upgrade_request(PATH, &lines), upgrade_request(PATH, &"x".repeat(1 << 14))] {
        let request = &request[..request.len().min(policy.max_request)];
        let (judged, end, verdict) = bytewise(request, &policy);
        assert_eq!((end, verdict), (request.len(), judge(request, &policy)));
        assert!(judged < BEGINNING + 130, "{judged} times");
    }
    let (judged, end, verdict) = bytewise(&get("/", &"a:\r\n".repeat(4_000)), &policy);
    assert!(matches!(verdict, Decision::Refuse { why: Refusal::TooManyHeaders, .. }), "{verdict:?}");
    assert!(judged < BEGINNING + 130 && end < 600, "{judged} times, {end} bytes");
    for empty in ["\n", "\r\n"] {
        let (_, end, verdict) = bytewise(empty.repeat(8_000).as_bytes(), &policy);
        assert!(matches!(verdict, Decision::Refuse { why: Refusal::BadRequest, .. }), "{verdict:?}");
        assert_eq!(end, BEGINNING);
    }
}

proptest! {
    #[test]
    fn random_bytes_get_a_well_formed_answer(
        start in prop::sample::select(vec![
            "",
            "GET /",
            "GET / HTTP/1.1\r\nHost: ",
            "POST ",
            "GET /ws/ingest HTTP/1.1\r\nOrigin: http://",
        ]),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        end in prop::sample::select(vec!["", "\r\n\r\n", " HTTP/1.1\r\n\r\n"]),
    ) {
        let request = [start.as_bytes(), &bytes, end.as_bytes()].concat();
        match judge(&request, &policy()) {
            Decision::NeedMore => {}
            Decision::Accept { .. } => prop_assert!(false, "no key was sent"),
            Decision::Refuse { .. } => drop(refused(&request)),
        }
    }

    /// A valid request with some bytes changed: no panic, and whatever is accepted was asked for.
    #[test]
    fn damaged_requests_get_a_well_formed_answer(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let more = "Origin: http://localhost\r\nSec-WebSocket-Protocol: flumen.ingest.v1\r\n";
        let mut request = upgrade_request("/ws/ingest?ack=1", more);
        for (at, byte) in changes {
            let at = at.index(request.len());
            request[at] = byte;
        }
        match judge(&request, &policy()) {
            Decision::NeedMore => {}
            Decision::Accept { consumed, .. } => prop_assert!(consumed <= request.len()),
            Decision::Refuse { .. } => drop(refused(&request)),
        }
    }
}
