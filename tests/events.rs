//! Events over a real socket: what is counted, acknowledged, rejected and closed, and that
//! neighbours of bad input count. Every test runs under one and two lanes and window threads.

mod common;

use common::{Daemon, LAYOUTS, check_identity, event, now_s, read_ack, read_close, wait_for};
use serde_json::{Value, json};
use std::io::Write;
use tungstenite::Message;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame, FrameHeader};

/// Short windows that never close by themselves during a test.
const CONFIG: &str = "[limits]\nevent_types = 5\nkeys = 40\nfield_names = 300\n";

#[test]
fn acks_say_how_many_events_of_which_frames() {
    for (lanes, windows) in LAYOUTS {
        let daemon = Daemon::start(lanes, windows, CONFIG);
        let mut socket = daemon.connect("/ws/ingest?ack=1");
        let good = event("a", now_s(), 1.0);
        socket.send(Message::text(good.clone())).unwrap();
        let (_, ack) = read_ack(&mut socket, 1);
        assert_eq!((&ack["accepted"], &ack["rejected"]), (&1.into(), &0.into()), "{ack}");
        assert_eq!(daemon.stats()["events"]["applied"], 1, "never acknowledged before it is in");
        // An array, NDJSON, and a batch with a bad one in the middle.
        socket.send(Message::binary(format!("[{good},{good}]"))).unwrap();
        socket.send(Message::text(format!("{good}\n{good}\n{good}\n"))).unwrap();
        socket.send(Message::text(format!("[{good},{{\"type\":\"x\"}},{good}]"))).unwrap();
        let (errors, ack) = read_ack(&mut socket, 4);
        assert_eq!((&ack["accepted"], &ack["rejected"]), (&8.into(), &1.into()), "{ack}");
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!(errors[0]["seq"], 4);
        assert_eq!(errors[0]["index"], 1);
        assert_eq!(errors[0]["code"], "missing_source");
        let stats = daemon.wait_received(9);
        assert_eq!(stats["events"]["applied"], 8);
        assert_eq!(stats["processor"]["error_count"], 1);
        assert_eq!(stats["event_types"]["sensor_data"], 8);
    }
}

#[test]
fn the_subprotocol_asks_for_acks_too() {
    let daemon = Daemon::start(1, 1, "");
    let stream = std::net::TcpStream::connect(daemon.ingest).unwrap();
    let request = tungstenite::http::Request::builder()
        .uri(format!("ws://{}/ws/ingest", daemon.ingest))
        .header("Host", daemon.ingest.to_string())
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("Sec-WebSocket-Protocol", "flumen.ingest.v1")
        .body(())
        .unwrap();
    let (mut socket, response) = tungstenite::client(request, stream).unwrap();
    assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "flumen.ingest.v1");
    socket.send(Message::text(event("a", now_s(), 1.0))).unwrap();
    assert_eq!(read_ack(&mut socket, 1).1["accepted"], 1);
}

/// An event that is rejected for each reason of the contract, as the bytes of one array element
/// or (MessagePack) of one array of maps.
fn bad_events() -> Vec<(&'static str, Vec<u8>)> {
    let with = |data: &str| format!(r#"{{"source":"s","type":"a","data":{data}}}"#).into_bytes();
    let stamped =
        |t: &str| format!(r#"{{"source":"s","type":"a","timestamp":{t},"data":{{}}}}"#).into_bytes();
    let fields: Vec<String> = (0..257).map(|n| format!("\"f{n}\":{n}")).collect();
    let ahead = now_s() + 3_600.0;
    vec![
        ("invalid_json", br#"{"source":"s","type":"a","data":{},}"#.to_vec()),
        ("not_an_object", b"42".to_vec()),
        ("missing_source", br#"{"type":"a","data":{}}"#.to_vec()),
        ("missing_type", br#"{"source":"s","data":{}}"#.to_vec()),
        ("missing_data", br#"{"source":"s","type":"a"}"#.to_vec()),
        ("bad_timestamp", stamped("\"yesterday\"")),
        ("future_timestamp", stamped(&format!("{ahead:.3}"))),
        ("bad_number", with(r#"{"v":1e999}"#)),
        ("too_long", format!(r#"{{"source":"{}","type":"a","data":{{}}}}"#, "s".repeat(257)).into_bytes()),
        ("too_deep", with(&format!("{}1{}", r#"{"a":"#.repeat(40), "}".repeat(40)))),
        ("too_many_fields", with(&format!("{{{}}}", fields.join(",")))),
    ]
}

#[test]
fn every_reason_is_counted_recorded_and_answered_while_neighbours_count() {
    for (lanes, windows) in LAYOUTS {
        let daemon = Daemon::start(lanes, windows, CONFIG);
        let mut socket = daemon.connect("/ws/ingest?ack=1");
        let good = event("neighbour", now_s(), 1.0);
        let (mut seq, mut accepted, mut rejected) = (0, 0, 0);
        let mut check = |socket: &mut _, reason: &str, frame: Vec<u8>, good: u64, index: u64| {
            seq += 1;
            accepted += good;
            rejected += 1;
            tungstenite::WebSocket::send(socket, Message::binary(frame)).unwrap();
            let (errors, ack) = read_ack(socket, seq);
            assert_eq!(ack["accepted"], accepted, "{reason}: {ack}");
            assert_eq!(ack["rejected"], rejected, "{reason}: {ack}");
            let stats = daemon.stats();
            assert_eq!(stats["events"]["rejected_by_reason"][reason], 1, "{reason}: {stats}");
            // Ten notices a second: a later one may be left out, never a wrong one sent.
            for error in &errors {
                assert_eq!(error["code"], reason, "{error}");
                assert_eq!(error["seq"], seq, "{error}");
                assert_eq!(error["index"], index, "{error}");
                assert!(!error["message"].as_str().unwrap().is_empty());
            }
            assert!(seq > 9 || !errors.is_empty(), "{reason} was answered");
            wait_for("the dead letter", || {
                let letters = daemon.json("/api/deadletters?limit=100");
                let letters = letters.as_array().unwrap();
                letters.iter().any(|l| l["reason"] == reason && l["seq"] == seq).then_some(())
            });
        };
        for (reason, bad) in bad_events() {
            let mut frame = format!("[{good},").into_bytes();
            frame.extend_from_slice(&bad);
            frame.extend_from_slice(format!(",{good}]").as_bytes());
            check(&mut socket, reason, frame, 2, 1);
        }
        // Bounded dictionaries: the type sensor_data is known, four more fit.
        let typed = |n: u32| format!(r#"{{"source":"s","type":"t{n}","data":{{}}}}"#);
        let types: Vec<String> = (0..5).map(typed).collect();
        check(&mut socket, "too_many_types", format!("[{}]", types.join(",")).into(), 4, 4);
        // The sources s and neighbour are known by now, 38 more fit.
        let sources: Vec<String> = (0..39).map(|n| event(&format!("s{n}"), now_s(), 1.0)).collect();
        check(&mut socket, "too_many_keys", format!("[{}]", sources.join(",")).into(), 38, 38);
        // MessagePack: one good map, then a truncated one.
        let mut packed = vec![0x92, 0x83];
        for (key, value) in [("source", Some("s")), ("type", Some("t0")), ("data", None)] {
            packed.push(0xa0 | key.len() as u8);
            packed.extend_from_slice(key.as_bytes());
            match value {
                Some(value) => {
                    packed.push(0xa0 | value.len() as u8);
                    packed.extend_from_slice(value.as_bytes());
                }
                None => packed.extend_from_slice(&[0x81, 0xa1, b'v', 0xcb, 0x40, 0, 0, 0, 0, 0, 0, 0]),
            }
        }
        packed.extend_from_slice(&[0x83, 0xa6]);
        check(&mut socket, "invalid_msgpack", packed, 1, 1);
        for reason in ["too_many_types", "too_many_keys", "invalid_msgpack"] {
            let name = format!("flumen_events_rejected_total{{reason=\"{reason}\"}}");
            assert_eq!(daemon.metric(&name), 1, "{reason}");
        }
        let events = daemon.stats()["events"].clone();
        assert_eq!(events["received"], accepted + rejected);
        assert_eq!(events["in_flight"], 0);
    }
}

#[test]
fn a_client_that_vanishes_costs_nothing_but_itself() {
    for (lanes, windows) in LAYOUTS {
        let daemon = Daemon::start(lanes, windows, "");
        let good = event("honest", now_s(), 1.0);
        let mut honest = daemon.connect("/ws/ingest?ack=1");
        honest.send(Message::text(good.clone())).unwrap();
        read_ack(&mut honest, 1);
        // In the middle of a handshake.
        let mut half = std::net::TcpStream::connect(daemon.ingest).unwrap();
        half.write_all(b"GET /ws/ingest HTTP/1.1\r\nHost: x\r\nUpgr").unwrap();
        drop(half);
        // In the middle of a frame that promises 100 bytes.
        let mut cut = daemon.connect("/ws/ingest");
        cut.get_mut().write_all(&[0x81, 0x80 | 100, 1, 2, 3, 4, 5, 6]).unwrap();
        drop(cut);
        // In the middle of a fragmented message.
        let mut fragmented = daemon.connect("/ws/ingest");
        let first = Frame::from_payload(
            FrameHeader { is_final: false, opcode: OpCode::Data(Data::Text), ..FrameHeader::default() },
            good.clone().into_bytes().into(),
        );
        fragmented.send(Message::Frame(first)).unwrap();
        drop(fragmented);
        wait_for("the vanished to be gone", || (daemon.stats()["connections"] == 1).then_some(()));
        honest.send(Message::text(good)).unwrap();
        assert_eq!(read_ack(&mut honest, 2).1["accepted"], 2);
        let events = daemon.wait_received(2)["events"].clone();
        assert_eq!(events["applied"], 2, "nothing of the vanished was counted: {events}");
    }
}

#[test]
fn violations_close_with_their_code_after_the_final_ack() {
    let daemon = Daemon::start(1, 1, "[limits]\nmessage_size = \"1KiB\"\n");
    let good = event("a", now_s(), 1.0);
    let unmasked = [&[0x81, good.len() as u8][..], good.as_bytes()].concat();
    let cases: [(&str, u16, Vec<u8>); 3] = [
        ("unmasked", 1002, unmasked),
        ("bad UTF-8", 1007, vec![0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28]),
        ("too big", 1009, vec![0x82, 0x80 | 126, 4, 1, 0, 0, 0, 0]),
    ];
    for (what, code, bytes) in cases {
        let mut socket = daemon.connect("/ws/ingest?ack=1");
        socket.send(Message::text(good.clone())).unwrap();
        socket.get_mut().write_all(&bytes).unwrap();
        let (_, ack) = read_ack(&mut socket, 1);
        assert_eq!(ack["accepted"], 1);
        assert_eq!(read_close(&mut socket), Some(code), "{what}");
    }
    // A client's own close is answered with its code, after its acks.
    let mut socket = daemon.connect("/ws/ingest?ack=1");
    socket.send(Message::text(good)).unwrap();
    socket.close(None).unwrap();
    assert_eq!(read_ack(&mut socket, 1).1["accepted"], 1);
    wait_for("all to be gone", || (daemon.stats()["connections"] == 0).then_some(()));
}

#[test]
fn pings_are_answered() {
    let daemon = Daemon::start(1, 1, "");
    let mut socket = daemon.connect("/ws/ingest");
    socket.send(Message::Ping(vec![1, 2, 3].into())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Pong(vec![1, 2, 3].into()));
}

#[test]
fn the_connection_limit_says_1013() {
    let daemon = Daemon::start(1, 1, "[ingest]\nconnections = 2\n");
    let _a = daemon.connect("/ws/ingest");
    let _b = daemon.connect("/ws/ingest");
    assert_eq!(daemon.metric("flumen_connections_refused_total"), 0);
    let mut c = daemon.connect("/ws/ingest");
    assert_eq!(read_close(&mut c), Some(1013));
    assert_eq!(daemon.metric("flumen_connections_refused_total"), 1);
}

#[test]
fn errors_are_at_most_ten_a_second_a_connection() {
    let daemon = Daemon::start(1, 1, "");
    let mut socket = daemon.connect("/ws/ingest?ack=1");
    let bad = vec!["1"; 5_000].join(",");
    socket.send(Message::text(format!("[{bad}]"))).unwrap();
    let (errors, ack) = read_ack(&mut socket, 1);
    assert_eq!(ack["rejected"], 5_000);
    assert_eq!(errors.len(), 10, "one chunk, one second: {}", errors.len());
}

#[test]
fn rules_are_replaced_while_running() {
    for (lanes, windows) in LAYOUTS {
        let daemon = Daemon::start(lanes, windows, "");
        let mut socket = daemon.connect("/ws/ingest?ack=1");
        let json = "Content-Type: application/json\r\n";
        let mut seq = 0;
        let mut send = |value: f64| {
            seq += 1;
            socket.send(Message::text(event("a", now_s(), value))).unwrap();
            read_ack(&mut socket, seq);
            daemon.stats()["events"]["filtered"].as_u64().unwrap()
        };
        assert_eq!(send(5.0), 0, "no rules by default");
        let rules = r#"{"filters":[{"type":"sensor_data","field":"value","min":10}]}"#;
        assert_eq!(daemon.request("POST", "/api/rules", json, rules).0, 200);
        assert_eq!(send(5.0), 1);
        assert_eq!(send(15.0), 1);
        // The prototype's form, and a refusal that leaves the rules as they are.
        let (status, _) = daemon.request("PUT", "/api/rules", json, r#"{"sensor_threshold":20}"#);
        assert_eq!(status, 200);
        assert_eq!(send(15.0), 2);
        let (status, body) = daemon.request("POST", "/api/rules", json, r#"{"filter":[]}"#);
        assert_eq!(status, 400, "{body}");
        assert_eq!(send(15.0), 3, "the old rules stay");
        let active = daemon.json("/api/rules");
        assert_eq!(active["filters"][0]["min"], 20.0, "{active}");
        // Not JSON, or from another page.
        assert_eq!(daemon.request("POST", "/api/rules", "", rules).0, 415);
        let foreign = format!("{json}Origin: http://evil.example\r\n");
        assert_eq!(daemon.request("POST", "/api/rules", &foreign, rules).0, 403);
        assert_eq!(daemon.request("POST", "/api/rules", json, r#"{"filters":[]}"#).0, 200);
        assert_eq!(send(5.0), 3);
    }
}

#[test]
fn overload_drop_counts_what_it_drops() {
    // Two window threads share nothing with the reader of this test; a flood of small events
    // fills the chunk ring faster than it is parsed.
    let daemon = Daemon::start(1, 1, "[ingest]\noverload = \"drop\"\n");
    let mut socket = daemon.connect("/ws/ingest?ack=1");
    let batch = vec![event("a", now_s(), 1.0); 200].join("\n");
    let mut frames = 0;
    let mut flood = Vec::new();
    for _ in 0..2_000 {
        frames += 1;
        let mut header = Vec::new();
        let frame = Frame::message(batch.clone().into_bytes(), OpCode::Data(Data::Binary), true);
        let mut header_of = frame.header().clone();
        header_of.mask = Some([0; 4]);
        header_of.format(batch.len() as u64, &mut header).unwrap();
        flood.extend_from_slice(&header);
        flood.extend_from_slice(batch.as_bytes());
    }
    socket.get_mut().write_all(&flood).unwrap();
    let (_, ack) = read_ack(&mut socket, frames);
    let stats = daemon.wait_received(frames * 200);
    let events = &stats["events"];
    check_identity(events);
    let number = |v: &Value| v.as_u64().unwrap();
    assert_eq!(ack["rejected"], events["dropped"]);
    assert_eq!(number(&ack["accepted"]), number(&events["applied"]));
    println!("dropped {} of {}", events["dropped"], events["received"]);
}

/// A peer may shut its sending side behind its last frame, with or without a close frame, and still listen.
#[test]
fn who_says_no_more_gets_its_acks_and_the_close() {
    for (lanes, windows) in LAYOUTS {
        let daemon = Daemon::start(lanes, windows, "");
        for n in 0..40 {
            let mut socket = daemon.connect("/ws/ingest?ack=1");
            socket.send(Message::text(event("last", now_s(), 1.0))).unwrap();
            let code = if n % 2 == 0 {
                1000
            } else {
                let frame = CloseFrame { code: 4000.into(), reason: "".into() };
                socket.close(Some(frame)).unwrap();
                4000
            };
            socket.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
            let ack = socket.read().unwrap();
            assert!(ack.to_text().unwrap().contains(r#""seq":1,"accepted":1"#), "{n}: {ack}");
            assert_eq!(read_close(&mut socket), Some(code), "{n}");
        }
        daemon.wait_received(40);
        wait_for("all to be gone", || (daemon.metric("flumen_connections") == 0).then_some(()));
    }
}

/// Event time moves with the events alone.
const BY_TYPE: &str = r#"
[time]
watermark_delay = "0s"
idle_timeout = "1h"
[limits]
event_types = 3

[[window]]
name = "second"
kind = "tumbling"
size = "1s"
group_by = ["type"]
"#;

/// A stranger uses up all types and leaves: they are forgotten once their windows have closed, what
/// gets their numbers counts from nothing, and a type that stays goes on as before.
#[test]
fn types_of_a_stranger_make_room_when_their_windows_have_closed() {
    for (lanes, windows) in LAYOUTS {
        let daemon = Daemon::start(lanes, windows, BY_TYPE);
        let start_s = (now_s() - 1_000.0).floor();
        let typed = |kind: &str, at_s: f64| event("s", start_s + at_s, 1.0).replace("sensor_data", kind);
        // Of each lane one. Whether the event is accepted: not all errors are told.
        let mut clients: Vec<_> = (0..lanes).map(|_| (daemon.connect("/ws/ingest?ack=1"), 0, 0)).collect();
        let mut send = |client: usize, text: String| {
            let (socket, seq, accepted) = &mut clients[client];
            socket.send(Message::text(text)).unwrap();
            *seq += 1;
            let all = read_ack(socket, *seq).1["accepted"].as_u64().unwrap();
            all > std::mem::replace(accepted, all)
        };
        assert!(send(0, typed("kept", 0.0)));
        let mut stranger = daemon.connect("/ws/ingest?ack=1");
        let all = ["x0", "x1", "x0", "x1", "x2"].map(|kind| typed(kind, 0.5)).join("\n");
        stranger.send(Message::text(all)).unwrap();
        let (errors, ack) = read_ack(&mut stranger, 1);
        assert_eq!((&errors[0]["code"], &ack["accepted"]), (&json!("too_many_types"), &json!(4)));
        drop(stranger);
        assert_eq!(daemon.stats()["event_types"], json!({"kept": 1, "x0": 2, "x1": 2}));
        assert!(!send(0, typed("new", 0.5)));
        // Time goes on, and the stranger's windows close.
        assert!(send(0, typed("kept", 5.0)));
        wait_for("room for a new type", || send(0, typed("new", 5.0)).then_some(()));
        assert_eq!(daemon.stats()["event_types"], json!({"kept": 2, "new": 1}));
        assert_eq!(daemon.metric("flumen_keys{kind=\"type\"}"), 2);
        // No lane takes a number for what it was: not of the new type, nor of one that comes again.
        for client in 0..lanes as usize {
            for kind in ["x0", "new", "kept"] {
                assert!(send(client, typed(kind, 5.0)));
            }
        }
        let n = u64::from(lanes);
        assert_eq!(daemon.stats()["event_types"], json!({"kept": 2 + n, "new": 1 + n, "x0": n}));
        assert!(send(0, typed("kept", 9.0)));
        let results = wait_for("the results", || {
            let results = daemon.json(&format!("/api/aggregates/second?since={}", start_s + 5.5));
            results.as_array().filter(|list| list.len() == 3).cloned()
        });
        for result in results {
            let kind = result["group"]["type"].as_str().unwrap();
            let count = if kind == "x0" { n } else { 1 + n };
            assert_eq!(result["event_types"], json!({kind: count}), "{result}");
        }
    }
}

#[test]
fn what_is_filtered_or_rejected_uses_up_no_types() {
    let config = "[limits]\nevent_types = 2\nkeys = 1\n[[filter]]\nfield = \"value\"\nmin = -10\n\
                  [[window]]\nname = \"by-k\"\nkind = \"tumbling\"\nsize = \"1h\"\ngroup_by = [\"k\"]\n\
                  where = \"value >= 0\"\n";
    for (lanes, windows) in LAYOUTS {
        let daemon = Daemon::start(lanes, windows, config);
        let mut socket = daemon.connect("/ws/ingest?ack=1");
        let now = now_s();
        let typed = |kind: &str, value: f64| event("s", now, value).replace("sensor_data", kind);
        let mut messages = vec![typed("first", 1.0)];
        for n in 0..5 {
            messages.push(typed(&format!("a rule's {n}"), -11.0));
            messages.push(typed(&format!("no window's {n}"), -1.0));
            messages.push(typed(&format!("new source {n}"), 1.0).replace("\"s\"", "\"other\""));
            let grouped = typed(&format!("new group {n}"), 1.0);
            messages.push(grouped.replace("\"value\"", "\"k\":\"other\",\"value\""));
        }
        socket.send(Message::text(messages.join("\n"))).unwrap();
        read_ack(&mut socket, 1);
        let events = daemon.stats()["events"].clone();
        assert_eq!((&events["applied"], &events["filtered"]), (&json!(1), &json!(10)));
        assert_eq!(events["rejected_by_reason"]["too_many_keys"], 10, "{events}");
        assert_eq!(daemon.metric("flumen_keys{kind=\"type\"}"), 1);
        socket.send(Message::text(typed("second", 1.0))).unwrap();
        assert!(read_ack(&mut socket, 2).0.is_empty());
    }
}
