//! For each option that is a limit on what strangers may do: what becomes of who goes beyond it, where that is
//! counted, and the test that does so. docs/RELIABILITY.md has the same as a table.

use flumen::config::Config;
use flumen::config::options::{OPTIONS, Opt};
use flumen::telemetry::catalog::METRICS;

/// A limit that somebody hits.
struct Hit {
    key: &'static str,
    becomes: &'static str,
    counted: &'static str,
    /// In `tests`.
    file: &'static str,
    test: &'static str,
}

const fn hit(
    key: &'static str,
    becomes: &'static str,
    counted: &'static str,
    file: &'static str,
    test: &'static str,
) -> Hit {
    Hit { key, becomes, counted, file, test }
}

const REJECTED: &str = "flumen_events_rejected_total";
const REJECTED_OR_LEFT_OUT: &str = "flumen_events_rejected_total, flumen_strings_left_out_total";
const NO_ROOM: &str = "flumen_events_rejected_total, flumen_window_no_room_events_total";
const REFUSED: &str = "flumen_handshakes_refused_total";
const BY_ADDRESS: &str = "an_address_gets_so_many_connections_and_others_theirs";
const RELOAD: &str = "every_limit_holds_for_the_next_event";
const LENGTHS: &str = "names_are_rejected_and_strings_left_out_when_they_are_too_long";

#[rustfmt::skip]
const HITS: &[Hit] = &[
    hit("ingest.connections", "close 1013", "flumen_connections_refused_total", "events.rs", "the_connection_limit_says_1013"),
    hit("ingest.connections_per_address", "close 1008", "flumen_connections_refused_by_address_total", "doors.rs", BY_ADDRESS),
    hit("ingest.trusted_addresses", "who is not among them is counted by address", "flumen_connections_refused_by_address_total", "doors.rs", BY_ADDRESS),
    hit("ingest.handshake_timeout", "408; who has sent nothing is closed without an answer", REFUSED, "doors.rs", "refused_handshakes_are_counted_by_reason"),
    hit("ingest.handshake_size", "431", REFUSED, "doors.rs", "an_upgrade_request_has_a_size_and_may_have_all_of_it"),
    hit("ingest.ping_interval", "ping, then close 1001", "flumen_connections_silent_closed_total", "limits.rs", "who_neither_sends_nor_answers_a_ping_is_put_out"),
    hit("ingest.allowed_origins", "403", REFUSED, "doors.rs", "pages_of_other_origins_may_not_send"),
    hit("http.sse_clients", "503", "flumen_sse_refused_total", "metrics.rs", "streams_refused_and_put_out_are_counted"),
    hit("http.connections", "503", "flumen_http_connections_refused_total", "gate.rs", "one_connection_too_many_is_refused_and_counted"),
    hit("http.request_timeout", "408", "flumen_http_timeouts_total", "gate.rs", "a_request_that_does_not_come_in_time_is_told_so_and_holds_up_nobody"),
    hit("http.allowed_hosts", "403", "flumen_http_changes_refused_total", "doors.rs", "who_calls_the_daemon_by_a_foreign_name_changes_nothing"),
    hit("limits.message_size", "close 1009", "flumen_protocol_violations_total", "limits.rs", "a_message_too_long_is_refused_at_the_header_that_says_so"),
    hit("limits.frame_size", "close 1009", "flumen_protocol_violations_total", "limits.rs", "a_frame_too_long_is_refused_though_its_message_is_not"),
    hit("limits.unfinished_size", "close 1013", "flumen_unfinished_messages_closed_total", "limits.rs", "unfinished_messages_are_bounded_together"),
    hit("limits.events_per_message", "the rest is one rejected event", REJECTED, "reload.rs", RELOAD),
    hit("limits.fields_per_event", "event rejected", REJECTED, "reload.rs", RELOAD),
    hit("limits.nesting", "event rejected", REJECTED, "reload.rs", RELOAD),
    hit("limits.name_size", "event rejected; an `id` left out", REJECTED_OR_LEFT_OUT, "limits.rs", LENGTHS),
    hit("limits.string_size", "string left out", "flumen_strings_left_out_total", "limits.rs", LENGTHS),
    hit("limits.event_types", "event rejected until windows have closed", REJECTED, "events.rs", "every_reason_is_counted_recorded_and_answered_while_neighbours_count"),
    hit("limits.field_names", "field left out", "flumen_fields_left_out_total", "reload.rs", RELOAD),
    hit("limits.keys", "event rejected, or missing in a window", NO_ROOM, "groups.rs", "too_many_groups_are_counted_and_nothing_else_is_lost"),
    hit("limits.memory", "reading stops until windows have closed", "flumen_memory_stops_total", "faults/kernel.rs", "reading_stops_at_the_memory_limit_until_windows_have_closed"),
    hit("limits.new_keys_per_second", "event rejected, or missing in a window", NO_ROOM, "limits.rs", "new_sources_and_groups_come_at_a_pace"),
];

/// Options of these sections that bound nobody.
const NO_LIMITS: &[&str] = &["ingest.listen", "ingest.overload", "http.listen"];

fn limits() -> Vec<&'static Opt> {
    let sections = ["ingest", "http", "limits"];
    let of_strangers =
        |option: &&Opt| sections.contains(&option.section()) && !NO_LIMITS.contains(&option.key);
    OPTIONS.iter().filter(of_strangers).collect()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// What tests share with others of their file: it counts as theirs where they use it.
const SHARED: &[(&str, &str, &str)] = &[
    ("doors.rs", "refused(", "\nfn refused("),
    ("gate.rs", "QUICK", "\nconst QUICK: "),
    ("events.rs", "CONFIG", "\nconst CONFIG: "),
    ("groups.rs", "CONFIG", "\nconst CONFIG: "),
];

/// The text of a test, from its first line to its last, and of what it shares.
fn body(file: &str, test: &str) -> String {
    let text = read(&format!("tests/{file}"));
    let item = |begins: &str, ends: &str| -> String {
        let (_, rest) = text.split_once(begins).unwrap_or_else(|| panic!("{file} has no {begins}"));
        rest.split_once(ends).unwrap_or_else(|| panic!("{file}: {begins} has no end")).0.to_owned()
    };
    let mut body = item(&format!("#[test]\nfn {test}() {{\n"), "\n}\n");
    for (_, used, begins) in SHARED.iter().filter(|(of, ..)| *of == file) {
        if body.contains(used) {
            body += &item(begins, if begins.contains("fn ") { "\n}\n" } else { ";\n" });
        }
    }
    body
}

#[test]
fn every_limit_of_the_configuration_has_a_test_that_hits_it() {
    for option in limits() {
        let found = HITS.iter().find(|hit| hit.key == option.key);
        let Hit { counted, file, test, .. } =
            found.unwrap_or_else(|| panic!("{} is hit by no test; see HITS", option.key));
        let text = body(file, test);
        // It sets the limit: default ones are out of reach.
        assert!(text.contains(&format!("{} = ", option.name())), "{test} does not set {}", option.key);
        let known = |name: &str| METRICS.iter().any(|metric| metric.name == name);
        for name in counted.split(", ") {
            assert!(known(name), "no metric {name}");
            assert!(text.contains(name), "{test} in {file} does not read {name}");
        }
    }
    assert_eq!(HITS.len(), limits().len(), "HITS names an option that is none, or one twice");
}

#[test]
fn the_table_of_limits_in_the_document_is_this_one() {
    let mut table = String::from("| limit | default | beyond it | counted in | test in `tests` |\n");
    table += "| --- | --- | --- | --- | --- |\n";
    for option in limits() {
        let hit = HITS.iter().find(|hit| hit.key == option.key).unwrap();
        let &Hit { key, becomes, counted, test, .. } = hit;
        let default = option.show(&Config::default());
        let counted = counted.replace(", ", "`, `");
        table += &format!("| `{key}` | {default} | {becomes} | `{counted}` | `{test}` |\n");
    }
    let document = read("docs/RELIABILITY.md");
    assert!(document.contains(&table), "docs/RELIABILITY.md is to have this table:\n{table}");
}
