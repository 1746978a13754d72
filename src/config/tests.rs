//! The layers, the bounds, and what errors say.

use super::options::{Kind, OPTIONS, default_toml};
use super::*;

fn from_toml(text: &str) -> Result<Config, Errors> {
    let mut config = Config::default();
    let mut errors = Errors::default();
    file::apply(&mut config, "flumen.toml", text, &mut errors);
    if errors.0.is_empty() { Ok(config) } else { Err(errors) }
}

#[track_caller]
fn complains(text: &str, expected: &str) {
    let errors = from_toml(text).unwrap_err().to_string();
    assert!(errors.contains(expected), "{errors}\n  does not contain\n{expected}");
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
            Kind::Size(..) => ("80KiB", "1XB"),
            Kind::Span(..) => ("700ms", "7"),
            Kind::Word(words, ..) => (words[1], "neither"),
            Kind::Cores(_) => ("[1, 0]", "[a]"),
        };
        let quoted = |text: &str| match &option.kind {
            Kind::Bool(_) | Kind::Whole(..) | Kind::Cores(_) => text.to_owned(),
            _ => format!("{text:?}"),
        };
        let file =
            |text: &str| from_toml(&format!("[{}]\n{} = {}", option.section(), option.name(), quoted(text)));
        let env = |text: &str| {
            load(&Sources { env: vec![(option.variable(), text.to_owned())], ..Sources::default() })
        };
        let set = file(good).unwrap();
        assert_ne!(set, Config::default(), "{} is set", option.key);
        assert_eq!(env(good).unwrap(), set, "{}", option.key);
        assert_eq!(option.show(&set), quoted(good), "{}", option.key);
        let said = env(bad).unwrap_err().to_string();
        let expected = format!("{}={bad}: {}: expected {}", option.variable(), option.key, option.expected());
        assert_eq!(said, expected);
        if let Kind::Whole(_, max, _) = option.kind {
            assert!(file(&(max + 1).to_string()).is_err(), "{}", option.key);
        }
    }
}

#[test]
fn later_layers_win() {
    let dir = std::env::temp_dir().join(format!("flumen-config-{}", std::process::id()));
    std::fs::write(&dir, "[threads]\ningest = 1\nwindow = 1\n[http]\nlisten = \"127.0.0.1:1\"").unwrap();
    let config = load(&Sources {
        file: Some(&dir),
        env: vec![
            ("FLUMEN_THREADS_WINDOW".into(), "2".into()),
            ("FLUMEN_HTTP_LISTEN".into(), "127.0.0.1:2".into()),
        ],
        flags: vec![("http.listen", "127.0.0.1:3".into())],
    })
    .unwrap();
    std::fs::remove_file(&dir).unwrap();
    assert_eq!((config.threads.ingest, config.threads.window), (1, 2));
    assert_eq!(config.http.listen.port(), 3);
}

#[test]
fn errors_name_file_line_key_and_what_was_expected() {
    complains(
        "[ingest]\n  lisen = 1",
        "flumen.toml:2:3: ingest.lisen: unknown key; did you mean \"ingest.listen\"?",
    );
    complains(
        "[time]\nwatermark_delay = \"5 parsecs\"",
        "flumen.toml:2:19: time.watermark_delay = \"5 parsecs\": expected a duration from 0ms to 1d such as \"250ms\"",
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
    complains("window = []", "flumen.toml:1:1: window: at least one window is needed");
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
