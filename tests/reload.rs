//! SIGHUP over a real daemon: what is reloadable holds for the next event, whatever is half read
//! then; what is not says so; what is bad changes nothing.

mod common;

use std::io::Write;
use std::net::TcpStream;

use common::{Daemon, LAYOUTS, event, now_s, read_ack, read_close};
use serde_json::Value;
use tungstenite::{Message, WebSocket};

/// A client that sends one message after the other.
struct Client {
    socket: WebSocket<TcpStream>,
    seq: u64,
    rejected: u64,
}

impl Client {
    fn new(daemon: &Daemon) -> Self {
        Self { socket: daemon.connect("/ws/ingest?ack=1"), seq: 0, rejected: 0 }
    }

    /// The codes of the events of this message that are rejected.
    fn send(&mut self, message: impl Into<String>) -> Vec<String> {
        self.socket.send(Message::text(message.into())).unwrap();
        self.acked()
    }

    fn acked(&mut self) -> Vec<String> {
        self.seq += 1;
        let (errors, ack) = read_ack(&mut self.socket, self.seq);
        let rejected = ack["rejected"].as_u64().unwrap();
        assert_eq!(rejected - self.rejected, errors.len() as u64);
        self.rejected = rejected;
        errors.iter().map(|error| error["code"].as_str().unwrap().to_owned()).collect()
    }
}

fn with_data(data: &str) -> String {
    format!(r#"{{"source":"s","type":"t","data":{data}}}"#)
}

#[test]
fn every_limit_holds_for_the_next_event() {
    for (lanes, windows) in LAYOUTS {
        let daemon = Daemon::start(lanes, windows, "");
        let mut client = Client::new(&daemon);
        let deep = with_data(r#"{"a":{"b":{"c":1}}}"#);
        let wide = with_data(r#"{"a":1,"b":2,"c":3}"#);
        let batch = format!("[{deep},{deep},{deep}]");
        let long = with_data("{}").replace("\"s\"", &format!("{:?}", "n".repeat(21)));
        let ahead = event("s", now_s() + 30.0, 1.0);
        let other_type = |name: &str| with_data("{}").replace("\"t\"", &format!("{name:?}"));
        let other_source = with_data("{}").replace("\"s\"", "\"s2\"");
        // Twice, so that their shapes are known.
        for message in [&deep, &wide, &batch, &long, &ahead, &deep, &wide, &long] {
            assert_eq!(client.send(message.as_str()), [""; 0]);
        }
        for (options, message, code) in [
            ("[limits]\nnesting = 4\n", &deep, None),
            ("[limits]\nfields_per_event = 2\n", &wide, Some("too_many_fields")),
            ("[limits]\nevents_per_message = 2\n", &batch, Some("too_long")),
            ("[limits]\nname_size = 20\n", &long, Some("too_long")),
            ("[time]\nmax_future = \"5s\"\n", &ahead, Some("future_timestamp")),
            ("[limits]\nevent_types = 2\n", &other_type("new"), Some("too_many_types")),
            ("[limits]\nkeys = 1\n", &other_source, Some("too_many_keys")),
            ("", &deep, None),
            ("", &wide, None),
            ("", &batch, None),
            ("", &long, None),
            ("", &ahead, None),
            ("", &other_type("new"), None),
            ("", &other_source, None),
        ] {
            daemon.reload(options, "reloaded");
            let expected: Vec<_> = code.into_iter().collect();
            assert_eq!(client.send(message.as_str()), expected, "{options}");
        }
        daemon.reload("[limits]\nnesting = 4\n", "limits.nesting: 32 → 4");
        assert_eq!(client.send(with_data(r#"{"a":{"b":{"c":{"d":1}}}}"#)), ["too_deep"]);
        for (reason, times) in [
            ("too_deep", 1),
            ("too_many_fields", 1),
            // A message of too many events, and a name.
            ("too_long", 2),
            ("future_timestamp", 1),
            ("too_many_types", 1),
            ("too_many_keys", 1),
        ] {
            let name = format!("flumen_events_rejected_total{{reason=\"{reason}\"}}");
            assert_eq!(daemon.metric(&name), times, "{reason}");
        }
        daemon.reload("[limits]\nfield_names = 1\n", "limits.field_names");
        client.send(with_data(r#"{"one more name":1}"#));
        let metrics = daemon.get("/metrics").1;
        let left_out = metrics.lines().find(|l| l.starts_with("flumen_fields_left_out_total")).unwrap();
        assert!(left_out.ends_with(" 1"), "{left_out}");
    }
}

/// Frames of a client, masked with zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first, 0x80 | 126];
    frame.extend_from_slice(&u16::try_from(payload.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

#[test]
fn a_message_that_is_half_read_survives_a_smaller_limit() {
    let daemon = Daemon::start(1, 1, "[limits]\nmessage_size = \"8KiB\"\n");
    let (mut cut, mut fragmented) = (Client::new(&daemon), Client::new(&daemon));
    let big = with_data(&format!(r#"{{"text":"{}"}}"#, "x".repeat(4_000)));
    let whole = frame(0x81, big.as_bytes());
    let (first, last) = big.as_bytes().split_at(2_000);
    let (first, last) = (frame(0x01, first), frame(0x80, last));
    cut.socket.get_mut().write_all(&whole[..2_000]).unwrap();
    fragmented.socket.get_mut().write_all(&first).unwrap();
    // All that has been written has been read when the daemon has counted it.
    let bytes = (2_000 + first.len()) as u64;
    common::wait_for("the first halves to be read", || {
        let stats = daemon.stats();
        let read = stats["processor"]["bytes_processed"].as_u64().unwrap() >= bytes;
        (read && stats["buffer"]["current_size"] == 0).then_some(())
    });
    daemon.reload("[limits]\nmessage_size = \"1KiB\"\n", "limits.message_size: \"8KiB\" → \"1KiB\"");
    cut.socket.get_mut().write_all(&whole[2_000..]).unwrap();
    assert_eq!(cut.acked(), [""; 0]);
    fragmented.socket.get_mut().write_all(&last).unwrap();
    assert_eq!(fragmented.acked(), [""; 0]);
    // The next one is judged by the new limit, on old connections and new ones.
    assert_eq!(cut.send(event("s", now_s(), 1.0)), [""; 0]);
    for mut client in [cut, fragmented, Client::new(&daemon)] {
        client.socket.send(Message::text(big.as_str())).unwrap();
        assert_eq!(read_close(&mut client.socket), Some(1009));
    }
    daemon.reload("[limits]\nmessage_size = \"8KiB\"\n", "limits.message_size");
    assert_eq!(Client::new(&daemon).send(big.as_str()), [""; 0]);
}

const WINDOW: &str = "[[window]]\nname = \"w\"\nkind = \"tumbling\"\nsize = \"100ms\"\n[time]\n\
                      watermark_delay = \"0s\"\nidle_timeout = \"100ms\"\n";

/// An alert that comes with a reload sees its field although the table of names is full.
#[test]
fn a_reloaded_alert_on_a_new_field_fires() {
    for (lanes, windows) in LAYOUTS {
        let config = format!("{WINDOW}[limits]\nfield_names = 1\n");
        let daemon = Daemon::start(lanes, windows, &config);
        let mut client = Client::new(&daemon);
        client.send(with_data(r#"{"first":1}"#));
        client.send(with_data(r#"{"first":1,"second":99}"#));
        let alert = "[[alert]]\nname = \"new\"\nwindow = \"w\"\nfield = \"data.second\"\nstatistic = \"max\"\n\
                     above = 50\nlevel = \"info\"\nmessage = \"{value}\"\n";
        daemon.reload(&format!("{config}{alert}"), "[[alert]] \"new\" is new");
        client.send(with_data(r#"{"first":1,"second":77}"#));
        let fired = common::wait_for("the alert", || {
            let alerts = daemon.json("/api/alerts");
            alerts.as_array().unwrap().iter().find(|a| a["state"] == "firing").cloned()
        });
        assert_eq!((&fired["name"], &fired["message"]), (&Value::from("new"), &Value::from("77")));
    }
}

#[test]
fn a_bad_file_changes_nothing_and_what_needs_a_restart_says_so() {
    let mut daemon = Daemon::start(1, 1, "[limits]\nkeys = 5\n");
    let mut client = Client::new(&daemon);
    for source in ["a", "b", "c", "d", "e"] {
        assert_eq!(client.send(event(source, now_s(), 1.0)), [""; 0]);
    }
    assert_eq!(client.send(event("f", now_s(), 1.0)), ["too_many_keys"]);
    daemon.reload("[limits]\nkeys = 1000\nnesting = \"many\"\n", "limits.nesting = \"many\": expected");
    assert_eq!(client.send(event("g", now_s(), 1.0)), ["too_many_keys"], "the old limits stay, all of them");
    let history = "[limits]\nkeys = 1000\nevent_types = 5000\n[publish]\nhistory = 7\n";
    daemon.reload(history, "limits.keys: 5 → 1000");
    daemon.wait_said("takes effect at the next start: publish.history: 1000 → 7");
    daemon.wait_said("takes effect at the next start: limits.event_types: 1024 → 5000 (a reload cannot");
    assert_eq!(client.send(event("h", now_s(), 1.0)), [""; 0]);
    daemon.reload(history, "reloaded: 0 changes taken over, 2 left for the next start");
    drop(client);
    daemon.signal("TERM");
    assert_eq!(daemon.wait_end().0.code(), Some(0));
}

/// A pipe has nothing any more (`--config <(...)`), which would read as all defaults, or its writer never comes;
/// main is to hear of signals all the same.
#[test]
fn a_reload_reads_regular_files_only() {
    let mut daemon = Daemon::start(1, 1, "[limits]\nkeys = 1\n");
    let file = daemon.dir.join("flumen.toml");
    std::fs::remove_file(&file).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
    daemon.signal("HUP");
    daemon.wait_said("reload refused, the old configuration stays");
    daemon.wait_said("flumen.toml: not a regular file");
    let mut client = Client::new(&daemon);
    assert_eq!(client.send(event("a", now_s(), 1.0)), [""; 0]);
    assert_eq!(client.send(event("b", now_s(), 1.0)), ["too_many_keys"]);
    drop(client);
    daemon.signal("TERM");
    assert_eq!(daemon.wait_end().0.code(), Some(0));
}

/// Rules of the file and rules set over HTTP: whose are in force after a reload.
#[test]
fn rules_of_the_file_and_rules_set_over_http() {
    for (lanes, windows) in LAYOUTS {
        let filter = |min: u32| format!("[[filter]]\nfield = \"value\"\nmin = {min}\n");
        let daemon = Daemon::start(lanes, windows, &filter(10));
        let mut client = Client::new(&daemon);
        let mut filtered = 0;
        let mut passes = |value: f64| {
            client.send(event("s", now_s(), value));
            let now = daemon.stats()["events"]["filtered"].as_u64().unwrap();
            let passes = now == filtered;
            filtered = now;
            passes
        };
        let post = |min: u32| {
            let body = format!(r#"{{"filters":[{{"field":"value","min":{min}}}]}}"#);
            let headers = "Content-Type: application/json\r\n";
            assert_eq!(daemon.request("POST", "/api/rules", headers, &body).0, 200);
        };
        assert!(passes(11.0) && !passes(9.0), "the rules of the file hold from the start");
        daemon.reload(&filter(20), "[[filter]]: now { field = \"value\", min = 20.0 }");
        assert!(!passes(19.0) && passes(21.0));
        post(30);
        assert!(!passes(29.0) && passes(31.0), "over HTTP, at once");
        daemon.reload(&filter(20), "the rules are those of the configuration");
        assert!(passes(29.0), "the file owns them");
        post(30);
        daemon.reload("", "the rules are those of the configuration");
        assert!(passes(1.0), "also when it has none any more");
        post(30);
        daemon.reload("", "the configuration has no rules; those set over HTTP, if any, stay");
        assert!(!passes(29.0));
        daemon.reload("[rules]\nmax_age = \"1h\"\n", "rules.max_age: \"0s\" → \"1h\"");
        assert!(passes(1.0));
        assert_eq!(daemon.json("/api/rules"), serde_json::json!({"filters": [], "max_age_seconds": 3600.0}));
        daemon.reload("[rules]\nmax_age = \"0h\"\n[[filter]]\nmin = 1\n", "filter.field is missing");
        assert_eq!(daemon.json("/api/rules")["max_age_seconds"], 3600.0, "a bad file changes nothing");
    }
}
