//! A query means what it means to the `url` project's parser; what it asks for is within bounds, and
//! what is wrong with it is said in few words.

use std::sync::LazyLock;

use flumen::config::{Config, Window};
use flumen::stages::http::query::{MAX_LIMIT, limit, moment, parameters, percent_decode};
use flumen::stages::http::sse::Wanted;

/// Parameters that the API knows.
const NAMES: [&str; 7] = ["limit", "since", "group", "state", "events", "windows", "last_event_id"];

/// A frame of each kind that a stream brings; data are of the window `minute`.
const FRAMES: [(&str, &str); 6] = [
    ("message", "id: 1\ndata: {\"window\":\"minute\",\"kind\":\"tumbling\"}\n\n"),
    ("window", "id: 1\nevent: window\ndata: {\"window\":\"minute\",\"kind\":\"tumbling\"}\n\n"),
    ("live", "id: 1\nevent: live\ndata: {\"window\":\"minute\",\"kind\":\"tumbling\"}\n\n"),
    ("stats", "id: 1\nevent: stats\ndata: {}\n\n"),
    ("alert", "id: 1\nevent: alert\ndata: {}\n\n"),
    ("gap", "id: 1\nevent: gap\ndata: {}\n\n"),
];

static WINDOWS: LazyLock<Vec<Window>> = LazyLock::new(|| Config::default().windows);

/// Panics if a query is misread.
pub fn check(input: &[u8]) {
    let Ok(query) = std::str::from_utf8(input) else { return };
    for name in NAMES {
        let wanted = query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(key, _)| *key == name);
        let got: Vec<_> = parameters(query, name).collect();
        let wanted: Vec<_> = wanted.map(|(_, value)| decoded(value)).collect();
        assert_eq!(got, wanted, "{name} of {query:?}");
    }
    if !query.contains('&') {
        assert_eq!(percent_decode(query), decoded(query), "{query:?}");
    }
    let first = |name| parameters(query, name).next();
    match (limit(query, 50), first("limit")) {
        (Ok(limit), None) => assert_eq!(limit, 50),
        (Ok(limit), Some(text)) => assert!((1..=MAX_LIMIT).contains(&limit) && text.parse() == Ok(limit)),
        (Err(message), text) => is_short(&message, "limit=", text.as_deref()),
    }
    let since = first("since");
    match since.as_deref().map(moment) {
        Some(Ok(us)) => assert!(us.unsigned_abs() <= 1_000_000_000_000_000_000, "{us}"),
        Some(Err(message)) => is_short(&message, "since=", since.as_deref()),
        None => {}
    }
    check_stream(query, first("events").as_deref(), first("windows").as_deref());
}

/// By the reference.
fn decoded(value: &str) -> String {
    let pair = format!("v={value}");
    let (_, decoded) = form_urlencoded::parse(pair.as_bytes()).next().expect("a pair");
    decoded.into_owned()
}

/// A message names the parameter; however long that is, the message is not.
fn is_short(message: &str, begin: &str, text: Option<&str>) {
    assert!(text.is_some() && message.starts_with(begin), "{message} of {text:?}");
    assert!(message.len() < 1_000 && !message.contains(char::is_control), "{message}");
}

fn check_stream(query: &str, events: Option<&str>, windows: Option<&str>) {
    let listed = |list: Option<&str>, what: &str| list.is_none_or(|list| list.split(',').any(|l| l == what));
    match Wanted::parse(query, &WINDOWS) {
        Ok(wanted) => {
            for (event, frame) in FRAMES {
                let is_result = matches!(event, "message" | "window" | "live");
                let right =
                    event == "gap" || (listed(events, event) && (!is_result || listed(windows, "minute")));
                assert_eq!(wanted.wants(frame), right, "{event} of {query:?}");
            }
        }
        Err(message) if message.starts_with("events=") => is_short(&message, "events=", events),
        Err(message) => is_short(&message, "windows=", windows),
    }
}
