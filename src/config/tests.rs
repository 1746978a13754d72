//! The layers, the bounds, and what errors say.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use super::options::{Kind, OPTIONS, default_toml};
use super::units::format_size;
use super::*;

fn from_toml(text: &str) -> Result<Config, Errors> {
    loaded(text).map(|loaded| loaded.config)
}

fn loaded(text: &str) -> Result<Loaded, Errors> {
    load_text("flumen.toml", text)
}

#[track_caller]
fn complains(text: &str, expected: &str) {
    let errors = from_toml(text).unwrap_err().to_string();
    assert!(errors.contains(expected), "{errors}\n  does not contain\n{expected}");
}

#[test]
fn a_complaint_is_one_line_whatever_was_typed() {
    for text in ["[limits]\nkeys = \"\"\"a\nb\"\"\"", "\"a\\nb\" = 1", "[limits]\n\"a\\rb\" = 1"] {
        let errors = from_toml(text).unwrap_err();
        assert!(errors.0.len() == 1 && !errors.0[0].contains(char::is_control), "{errors:?}");
    }
}

#[test]
fn the_default_file_is_the_defaults() {
    let text = default_toml();
    assert_eq!(from_toml(&text).map_err(|e| e.to_string()), Ok(Config::default()), "{text}");
}

#[test]
fn every_option_is_settable_from_file_and_environment_and_bounded() {
    for option in OPTIONS {
        let (good, bad) = match &option.kind {
            Kind::Address(_) => ("[::1]:9", "nowhere"),
            Kind::Bool(_) => ("false", "perhaps"),
            Kind::Whole(..) => ("7", "-1"),
            Kind::Size(min, max, _) => (&*format_size(if *min > 0 { *min } else { *max }), "1XB"),
            Kind::Span(..) => ("700ms", "7"),
            Kind::Word(words, ..) => (words[1], "neither"),
            Kind::Path(_) => ("some/\u{e9} file", "folder/"),
            Kind::Cores(_) => ("[1, 0]", "[a]"),
            Kind::Texts(listed, _) => (&*format!("[{:?}]", listed.example), "[\"a b\"]"),
        };
        let quoted = |text: &str| match &option.kind {
            Kind::Bool(_) | Kind::Whole(..) | Kind::Cores(_) | Kind::Texts(..) => text.to_owned(),
            _ => format!("{text:?}"),
        };
        let file =
            |text: &str| from_toml(&format!("[{}]\n{} = {}", option.section(), option.name(), quoted(text)));
        let env = |text: &str| {
            let env = vec![(option.variable().into(), text.into())];
            load(&Sources { env, ..Sources::default() }).map(|loaded| loaded.config)
        };
        let set = file(good).unwrap();
        assert_ne!(set, Config::default(), "{} is set", option.key);
        assert_eq!(env(good).unwrap(), set, "{}", option.key);
        assert_eq!(option.show(&set), quoted(good), "{}", option.key);
        let said = env(bad).unwrap_err().to_string();
        let expected = format!("{}={bad}: {}: expected {}", option.variable(), option.key, option.expected());
        assert_eq!(said, expected);
        if let Kind::Whole(_, max, _) | Kind::Size(_, max, _) = option.kind {
            assert!(file(&(max + 1).to_string()).is_err(), "{}", option.key);
        }
    }
}

#[test]
fn later_layers_win() {
    let dir = std::env::temp_dir().join(format!("flumen-config-{}", std::process::id()));
    std::fs::write(&dir, "[threads]\ningest = 1\nwindow = 1\n[http]\nlisten = \"127.0.0.1:1\"").unwrap();
    let Loaded { config, origins } = load(&Sources {
        file: Some(&dir),
        again: false,
        env: vec![
            ("FLUMEN_THREADS_WINDOW".into(), "2".into()),
            ("FLUMEN_HTTP_LISTEN".into(), "127.0.0.1:2".into()),
        ],
        flags: vec![
            Flag::own("http.listen", "127.0.0.1:3"),
            Flag::own("http.sse_clients", "4"),
            Flag::set("http.sse_clients = 5").unwrap(),
        ],
    })
    .unwrap();
    std::fs::remove_file(&dir).unwrap();
    assert_eq!((config.threads.ingest, config.threads.window), (1, 2));
    assert_eq!((config.http.listen.port(), config.http.sse_clients), (3, 5));
    let origin = |key| origins.option(options::by_key(key).unwrap()).to_string();
    let file = dir.display();
    assert_eq!(
        ["threads.ingest", "threads.window", "http.listen", "http.sse_clients", "threads.pin"].map(origin),
        [&format!("{file}:2"), "FLUMEN_THREADS_WINDOW", "--http-listen", "--set", "default"]
    );
}

#[test]
fn errors_name_file_line_key_and_what_was_expected() {
    complains(
        "[ingest]\n  lisen = 1",
        "flumen.toml:2:3: ingest.lisen: unknown key; did you mean \"ingest.listen\"?",
    );
    complains(
        "[time]\nwatermark_delay = \"5 parsecs\"",
        "flumen.toml:2:19: time.watermark_delay = \"5 parsecs\": expected a duration of whole milliseconds from 0s to 1d such as \"250ms\"",
    );
    complains("[time]\nidle_timeout = 5", "flumen.toml:2:16: time.idle_timeout = 5: expected a duration");
    complains(
        "listen = \"x\"",
        "flumen.toml:1:1: listen: unknown key; did you mean \"ingest.listen\", in [ingest]?",
    );
    complains("[limits]\nhistory = 5", "limits.history: unknown key; did you mean \"publish.history\"?");
    complains("[trheads]\npin = true", "flumen.toml:1:2: trheads: unknown key; did you mean \"threads\"?");
    complains("ingest = 5", "flumen.toml:1:1: ingest: expected a section, [ingest]");
    complains("[ingest", "flumen.toml:1:");
    complains("a = 1\nb = ", "flumen.toml:2:");
    let all = from_toml("[http]\nx = 1\ny = 2").unwrap_err();
    assert_eq!(all.0.len(), 2, "all problems are found");
    let unknown = load(&Sources {
        env: vec![("FLUMEN_INGEST_LISTN".into(), "x".into()), ("FLUMEN_CONFIG".into(), "info".into())],
        ..Sources::default()
    });
    assert_eq!(
        unknown.unwrap_err().to_string(),
        "FLUMEN_INGEST_LISTN: unknown variable; did you mean \"FLUMEN_INGEST_LISTEN\"?"
    );
    let missing = load(&Sources { file: Some(Path::new("/no/such.toml")), ..Sources::default() });
    assert!(missing.unwrap_err().to_string().starts_with("/no/such.toml: "));
}

#[test]
fn windows_and_alerts() {
    let one = "[[window]]\nname = \"w\"\nkind = \"tumbling\"\nsize = \"1500ms\"\n";
    let config = from_toml(one).unwrap();
    assert_eq!(config.windows.len(), 1);
    assert!(config.alerts.is_empty(), "the default alerts' window is gone");
    complains(&format!("{one}{one}"), "another window has this name");
    complains("window = []", "flumen.toml:1:10: window: at least one window is needed");
    complains("[[window]]\nkind = \"tumbling\"", "flumen.toml:1:1: window.name is missing");
    complains(&one.replace("tumbling", "tumblin"), "expected \"tumbling\", \"sliding\" or \"session\"");
    complains(
        &format!("{one}slide = \"1s\""),
        "flumen.toml:5:9: window.slide: a tumbling window has size only",
    );
    complains(&format!("{one}sise = \"1s\""), "window.sise: unknown key; did you mean \"size\"?");
    complains(
        &one.replace("1500ms", "8d"),
        "window.size = \"8d\": expected a duration of whole milliseconds",
    );
    complains(&one.replace("\"w\"", "\"a b\""), "window.name = \"a b\": expected a name");
    let alert = "[[alert]]\nname = \"a\"\nwindow = \"w\"\nfield = \"v\"\nstatistic = \"p99\"\nbelow = 5\nlevel = \"info\"\nmessage = \"m\"\n";
    let config = from_toml(&format!("{alert}{one}")).unwrap();
    assert_eq!((config.alerts[0].below, config.alerts[0].statistic), (Some(5.0), Statistic::P99));
    assert_eq!(config.alerts[0].hold, Duration::ZERO);
    let config = from_toml(&format!("{one}{alert}for = \"30s\"")).unwrap();
    assert_eq!(config.alerts[0].hold, Duration::from_secs(30));
    complains(&format!("{one}{alert}for = \"2d\""), "alert.for = \"2d\": expected a duration such as");
    complains(&format!("{one}{alert}{alert}"), "another alert has this one");
    let session = one.replace("tumbling", "session").replace("size", "gap");
    complains(&format!("{session}{alert}for = \"1s\""), "alert.for = \"1s\": expected no `for`");
    complains(alert, "alert.window = \"w\": expected the name of a window: realtime, minute");
    complains(&format!("{one}{alert}above = 1"), "expected either above or below");
    complains(&format!("{one}{}", alert.replace("p99", "p98")), "expected one of count");
}

const SLIDING: &str = "[[window]]\nname = \"w\"\nkind = \"sliding\"\nsize = \"10s\"\n";

#[test]
fn windows_with_everything() {
    let text = format!(
        "{SLIDING}slide = \"3s\"\ngroup_by = [\"source\", \"data.user_id\", \"metadata.rack\"]\n\
         allowed_lateness = \"1m\"\nwhere = \"type == 'a' and value > 1\"\n\
         fields = [\"value\", \"data.a.b\"]\ndistinct = [\"user_id\"]\n\
         [[window]]\nname = \"s\"\nkind = \"session\"\ngap = \"250ms\"\nfields = []\n"
    );
    let config = from_toml(&text).unwrap_or_else(|e| panic!("{e}"));
    let [w, s] = &config.windows[..] else { panic!("two windows") };
    let seconds = Duration::from_secs;
    assert_eq!(w.kind, WindowKind::Sliding { size: seconds(10), slide: seconds(3) });
    let labels: Vec<_> = w.group_by.iter().map(Member::label).collect();
    assert_eq!(labels, ["source", "user_id", "metadata.rack"]);
    assert_eq!(w.allowed_lateness, seconds(60));
    assert_eq!(w.filter, Some(Filter::parse("type == 'a' and value > 1").unwrap()));
    assert_eq!(w.fields, Some(vec!["value".to_owned(), "a.b".to_owned()]));
    assert_eq!(w.distinct, [Member::Data("user_id".to_owned())]);
    assert_eq!(
        w.to_string(),
        "w: sliding 10s every 3s by source, user_id, metadata.rack where type == 'a' and value > 1; \
         fields value, a.b; distinct user_id; allowed lateness 1m"
    );
    assert_eq!(s.to_string(), "s: session with gap 250ms; fields none");
    assert_eq!(s.kind, WindowKind::Session { gap: Duration::from_millis(250) });
    assert_eq!((s.fields.as_deref(), s.allowed_lateness), (Some(&[][..]), Duration::ZERO));
}

#[test]
fn windows_that_cannot_be() {
    complains(SLIDING, "flumen.toml:1:1: window.slide is missing: expected a duration");
    let sliding = |slide: &str| format!("{SLIDING}slide = \"{slide}\"\n");
    complains(
        &sliding("11s"),
        "flumen.toml:5:9: window.slide = \"11s\": expected at most the size: events between two windows would vanish",
    );
    complains(
        &sliding("1ms"),
        "window.slide = \"1ms\": expected a slide that cuts the size into at most 4096",
    );
    complains(
        &sliding("5ms"),
        "window.slide = \"5ms\": expected a slide that puts an event into at most 1000 windows",
    );
    complains(
        &format!("{}allowed_lateness = \"9s\"\n", sliding("20ms")),
        "expected less, or a longer slide: one late event would revise 450 results of 500 slices each",
    );
    complains(&sliding("0s"), "window.slide = \"0s\": expected a duration above 0");
    let session = "[[window]]\nname = \"w\"\nkind = \"session\"\ngap = \"5s\"\n";
    complains(&format!("{session}size = \"5s\""), "window.size: a session window has gap only");
    complains(&session.replace("gap", "gasp"), "window.gasp: unknown key; did you mean \"gap\"?");
    let with = |line: &str| format!("{session}{line}\n");
    complains(&with("group_by = \"source\""), "window.group_by = \"source\": expected a list such as");
    complains(
        &with("group_by = [\"a\", 5]"),
        "flumen.toml:5:18: window.group_by[1] = 5: expected a list such as",
    );
    complains(
        &with("group_by = [\"a\", \"data.a\"]"),
        "window.group_by[1] = \"data.a\": expected each one once",
    );
    complains(&with("group_by = [\"metadata.\"]"), "window.group_by[0] = \"metadata.\": expected");
    let many: Vec<_> = (0..9).map(|n| format!("\"m{n}\"")).collect();
    complains(&with(&format!("group_by = [{}]", many.join(", "))), "expected at most 8");
    complains(&with("allowed_lateness = \"8d\""), "window.allowed_lateness = \"8d\": expected a duration");
    complains(&with("where = \"type = a\""), "flumen.toml:5:17: window.where: ");
    complains(&with("where = 5"), "window.where = 5: expected an expression");
    let windows: String = (0..257).map(|n| session.replace("\"w\"", &format!("\"w{n}\""))).collect();
    complains(&windows, "more than 256 windows");
}

#[test]
fn filters_and_what_they_cannot_be() {
    let filter = "[[filter]]\ntype = \"t\"\nfield = \"data.a.b\"\nmin = -1\n";
    let text =
        format!("{filter}[[filter]]\nfield = \"data.data.x\"\nmax = 2.5\n[rules]\nmax_age = \"90m\"\n");
    let config = from_toml(&text).unwrap();
    let json = r#"{"filters":[{"type":"t","field":"a.b","min":-1},{"field":"data.data.x","max":2.5}],
                   "max_age_seconds":5400}"#;
    assert_eq!(config.event_rules(), rules::Rules::parse(json.as_bytes()).unwrap());
    assert_eq!(Config::default().event_rules(), rules::Rules::default());
    complains("[[filter]]\nmin = 1", "flumen.toml:1:1: filter.field is missing: expected the name");
    complains(&filter.replace("min = -1", ""), "flumen.toml:1:1: filter: it needs min, max or both");
    complains(
        &filter.replace("min", "mim"),
        "flumen.toml:4:1: filter.mim: unknown key; did you mean \"min\"?",
    );
    complains(&filter.replace("-1", "\"low\""), "flumen.toml:4:7: filter.min = \"low\": expected a number");
    complains(&filter.replace("-1", "nan"), "flumen.toml:4:7: filter.min = nan: expected a number");
    complains(&format!("{filter}max = -2\n"), "flumen.toml:5:7: filter: min -1 is above max -2");
    complains(&filter.replace("\"t\"", "5"), "flumen.toml:2:8: filter.type = 5: expected the type of events");
    complains("filter = 5", "flumen.toml:1:10: filter: expected tables, [[filter]]");
    complains("[[filters]]\n", "flumen.toml:1:3: filters: unknown key; did you mean \"filter\"?");
    complains(
        "[rules]\nmax_age = \"1.5ms\"",
        "rules.max_age = \"1.5ms\": expected a duration of whole milli",
    );
}

#[test]
fn an_alert_needs_a_field_that_its_window_shows() {
    let window =
        "[[window]]\nname = \"realtime\"\nkind = \"tumbling\"\nsize = \"1s\"\nfields = [\"a\", \"data.b\"]\n";
    let alert = |field: &str| {
        format!(
            "{window}[[alert]]\nname = \"n\"\nwindow = \"realtime\"\nfield = \"{field}\"\nstatistic = \"max\"\n\
             above = 1\nlevel = \"info\"\nmessage = \"m\"\n"
        )
    };
    assert_eq!(from_toml(&alert("data.a")).unwrap().alerts[0].field, "a");
    assert!(from_toml(&alert("b")).is_ok());
    complains(
        &alert("c"),
        "flumen.toml:9:9: alert.field = \"c\": expected a field that window \"realtime\" shows; it shows a, b",
    );
    assert!(from_toml(window).unwrap().alerts.is_empty(), "default alerts that could never fire go");
}

#[test]
fn what_is_typed_is_read_or_refused_whole() {
    let bytes = |text: &[u8]| OsString::from_vec(text.to_vec());
    let env = |name: &[u8], value: &[u8]| {
        let env = vec![(bytes(name), bytes(value)), (bytes(b"OTHER\xff"), bytes(b"\xff"))];
        load(&Sources { env, ..Sources::default() })
    };
    assert!(env(b"FLUMEN_CONFIG", b"\xff").is_ok(), "a path need not be UTF-8");
    let said = |result: Result<Loaded, Errors>| result.unwrap_err().to_string();
    assert_eq!(
        said(env(b"FLUMEN_THREADS_IDLE", b"park\xff")),
        "FLUMEN_THREADS_IDLE=\"park\\xFF\": not UTF-8: expected one of \"park\", \"spin\""
    );
    assert_eq!(said(env(b"FLUMEN_X\xff", b"")), "FLUMEN_X\u{fffd}: unknown variable");
    let set = |text: &str| {
        let flags = vec![Flag::set(text).unwrap()];
        load(&Sources { flags, ..Sources::default() })
    };
    assert!(Flag::set("threads.pin").unwrap_err().contains("key=value"));
    assert_eq!(set("threads.cores=[1, 2]").unwrap().config.threads.cores, [1, 2]);
    assert_eq!(
        said(set("thread.pin=false")),
        "--set thread.pin=false: unknown key; did you mean \"threads.pin\"?"
    );
    assert_eq!(said(set("threads.pin=no")), "--set threads.pin=no: threads.pin: expected true or false");
    assert_eq!(
        said(set("window.size=1s")),
        "--set window.size=1s: unknown key; [[window]] can only stand in a file"
    );
}

/// A configuration with something of everything, and odd texts.
const EVERYTHING: &str = "[time]\nidle_timeout = \"1500ms\"\n[threads]\ncores = [0, 3]\nidle = \"spin\"\n\
    [limits]\nmessage_size = 1000\n[rules]\nmax_age = \"1d\"\n\
    [[window]]\nname = \"w\"\nkind = \"sliding\"\nsize = \"10s\"\nslide = \"3s\"\n\
    group_by = [\"source\", \"data.type\", \"metadata.r\\\"k\"]\nallowed_lateness = \"1m\"\n\
    where = \"type == 'a' and (value > 1e-300 or not has(b))\"\nfields = [\"data.data.x\", \"y\"]\n\
    distinct = [\"user id\"]\n\
    [[window]]\nname = \"s\"\nkind = \"session\"\ngap = \"250ms\"\nfields = []\n\
    [[window]]\nname = \"t\"\nkind = \"tumbling\"\nsize = \"7d\"\n\
    [[alert]]\nname = 'odd \"\\name'\nwindow = \"t\"\nfield = \"data.data.x\"\nstatistic = \"p95\"\nbelow = -1e300\n\
    for = \"90s\"\nlevel = \"critical\"\nmessage = \"tab\\t, line\\n, del\\u007f, [31m # σ \\\\\"\n\
    [[filter]]\nfield = \"data.data.v\"\nmin = -0.0\nmax = 1e17\n\
    [[filter]]\ntype = \"\\u0001\"\nfield = \"v\"\nmax = 5\n";

#[test]
fn what_flumen_config_prints_reads_back() {
    let all_default = loaded("").unwrap();
    assert_eq!(from_toml(&effective::toml(&all_default, false)), Ok(Config::default()));
    let everything = EVERYTHING.replace("[31m", "\\u001b[31m");
    let tumbling = "[[window]]\nname = \"realtime\"\nkind = \"tumbling\"\nsize = \"1s\"\n";
    for text in [&*everything, "alert = []", tumbling, &tumbling.replace("realtime", "other"), FULL_LIMITS] {
        let loaded = loaded(text).unwrap_or_else(|e| panic!("{e}"));
        for changed in [false, true] {
            let shown = effective::toml(&loaded, changed);
            let again = from_toml(&shown).unwrap_or_else(|e| panic!("{e}\n{shown}"));
            assert_eq!(again, loaded.config, "{shown}");
        }
    }
    let loaded = loaded(&everything).unwrap();
    let shown = effective::toml(&loaded, false);
    for line in [
        "idle_timeout = \"1500ms\"  # flumen.toml:2",
        "listen = \"127.0.0.1:8000\"  # default",
        "message_size = \"1000B\"  # flumen.toml:7; reloadable",
        "[[window]]  # flumen.toml:10",
        "event_types = 1024  # default; reloadable up to its value at the start",
        "group_by = [\"source\", \"data.type\", \"metadata.r\\\"k\"]",
        "[[alert]]  # flumen.toml:29",
        "[[filter]]  # flumen.toml:38",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
    }
    for option in OPTIONS {
        assert!(shown.contains(&format!("\n{} = ", option.name())), "{}", option.key);
    }
    let changed = effective::toml(&loaded, true);
    assert!(!changed.contains("# default") && changed.matches("[[").count() == 6, "{changed}");
    let json = effective::json(&loaded, true);
    assert_eq!(json["options"][0]["key"], "threads.cores");
    assert_eq!(json["options"][0]["value"], serde_json::json!([0, 3]));
    assert_eq!(json["options"][0]["from"], "flumen.toml:4");
    assert_eq!(json["window"][1]["value"]["gap"], "250ms");
    assert_eq!(json["window"][1]["from"], "flumen.toml:20");
    let odd = Origin::File { file: "a\nb".into(), line: 1 };
    assert_eq!(odd.to_string(), "a\\nb:1", "a comment has one line");
}

const FULL_LIMITS: &str = "[limits]\nkeys = 100_000_000\n";

#[test]
fn numbers_of_any_radix_are_read_as_what_they_are() {
    for (text, expected) in
        [("0x50", 80.0), ("0b11", 3.0), ("0o777", 511.0), ("0xff", 255.0), ("1_000", 1e3), ("-7", -7.0)]
    {
        let alert = "[[alert]]\nname = \"a\"\nwindow = \"minute\"\nfield = \"value\"\nstatistic = \"max\"\n\
                     level = \"info\"\nmessage = \"m\"\n";
        let filter = "[[filter]]\nfield = \"value\"\n";
        let config = from_toml(&format!("{alert}above = {text}\n{filter}max = {text}\n")).unwrap();
        assert_eq!(
            (config.alerts[0].above, config.filters[0].max),
            (Some(expected), Some(expected)),
            "{text}"
        );
    }
}

/// The kernel's sets of cores end there, and pinning to one behind ended the daemon.
#[test]
fn cores_have_numbers_that_a_set_of_cores_has() {
    let cores = |text: &str| from_toml(&format!("[threads]\ncores = {text}\n"));
    assert_eq!(cores("[1023, 0]").unwrap().threads.cores, [1_023, 0]);
    for text in ["[1024]", "[0, 5000]"] {
        let said = cores(text).unwrap_err().to_string();
        assert!(said.contains("expected a list of core numbers from 0 to 1023"), "{said}");
    }
}

#[test]
fn a_name_that_cannot_be_resolved_is_named() {
    complains(
        "[http]\nlisten = \"nowhere.invalid:8001\"",
        "(port 0 takes any); \"nowhere.invalid\" cannot be resolved",
    );
}

#[test]
fn what_cannot_work_together_is_an_error() {
    let listen = |ingest: &str, http: &str| {
        from_toml(&format!("[ingest]\nlisten = {ingest:?}\n[http]\nlisten = {http:?}\n"))
    };
    for (ingest, http) in [
        ("127.0.0.1:9000", "127.0.0.1:9000"),
        ("[::1]:9000", "[::1]:9000"),
        ("0.0.0.0:9000", "127.0.0.1:9000"),
        ("127.0.0.1:9000", "0.0.0.0:9000"),
    ] {
        let said = listen(ingest, http).unwrap_err().to_string();
        let expected = format!(
            "flumen.toml:4: http.listen = {http:?}: expected another address than ingest.listen has ({ingest})"
        );
        assert!(said.starts_with(&expected), "{said}");
    }
    for (ingest, http) in [
        ("127.0.0.1:0", "127.0.0.1:0"),
        ("127.0.0.1:9000", "127.0.0.2:9000"),
        ("127.0.0.1:9000", "127.0.0.1:9001"),
        ("0.0.0.0:9000", "[::1]:9000"),
    ] {
        assert!(listen(ingest, http).is_ok(), "{ingest} {http}");
    }
    complains(
        "[ingest]\nlisten = \"127.0.0.1:8001\"\n",
        "flumen.toml:2: ingest.listen = \"127.0.0.1:8001\": expected another address than http.listen has",
    );
    let memory = |text: &str| from_toml(&format!("[limits]\nmemory = {text}\n"));
    assert!(memory("0").is_ok() && memory("\"1MiB\"").is_ok());
    complains(
        "[limits]\nmemory = 512\n",
        "flumen.toml:2:10: limits.memory = 512: expected 0 or a size from 1MiB to 65536GiB such as",
    );
}

#[test]
fn variables_that_kubernetes_makes_are_refused_with_the_way_out() {
    for name in ["FLUMEN_SERVICE_HOST", "FLUMEN_PORT", "FLUMEN_PORT_8000_TCP", "FLUMEN_SERVICE_PORT_HTTP"] {
        let env = vec![(name.into(), "tcp://10.0.0.1:8000".into())];
        let said = load(&Sources { env, ..Sources::default() }).unwrap_err().to_string();
        assert!(said.starts_with(&format!("{name}: unknown variable; Kubernetes ")), "{said}");
        assert!(said.contains("enableServiceLinks: false"), "{said}");
    }
}
