//! What can be checked of the house rules: imports point down, pure rooms stay pure, files stay
//! readable in one sitting.

use std::path::{Path, PathBuf};

/// The rooms from the top down. A room may use those below it (and itself).
const ROOMS: &[&[&str]] = &[
    &["main"],
    &["cli"],
    &["supervise"],
    &["pipeline"],
    &["load", "generate"],
    &["client"],
    &["stages"],
    &["plan"],
    &["message"],
    &["runtime"],
    &["windowing"],
    &["telemetry"],
    &["config"],
    &["event", "aggregate"],
];

/// Looks upward that are known and why: a meter and a gauge are both "what a thread is", and
/// the engine takes the runtime's `Now` (a plain pair of numbers).
const EXCEPTIONS: &[(&str, &str)] = &[("windowing", "runtime"), ("telemetry", "runtime")];

/// Longest file, lines; tests of their own may be longer.
const MAX_LINES: usize = 450;

/// Files that were over the limit when the ratchet was set, with their length then. They may
/// shrink; nobody joins them.
const KNOWN_LONG: &[(&str, usize)] = &[];

fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let root = Path::new(env!("CARGO_MANIFEST_DIR"));
                found.push((path.strip_prefix(root).unwrap().to_owned(), text));
            }
        }
    }
    assert!(found.len() > 20, "the sources were found");
    found
}

/// `src/event/json.rs` → `event`.
fn room(path: &Path) -> String {
    let part = path.components().nth(1).unwrap().as_os_str().to_string_lossy();
    part.trim_end_matches(".rs").to_owned()
}

fn level(room: &str) -> Option<usize> {
    ROOMS.iter().position(|level| level.contains(&room))
}

/// The code without comments, docs and the tests at the end.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

fn is_test(path: &Path) -> bool {
    path.components().any(|c| c.as_os_str() == "tests") || path.ends_with("tests.rs")
}

#[test]
fn imports_point_down() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let from = room(&path);
        if from == "lib" || is_test(&path) {
            continue;
        }
        let Some(own) = level(&from) else {
            wrong.push(format!("{}: {from} is in no room; add it to ROOMS", path.display()));
            continue;
        };
        let code = code(&text);
        for used in code.split("crate::").skip(1) {
            let to: String = used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let excepted = EXCEPTIONS.contains(&(from.as_str(), to.as_str()));
            if to != from && !excepted && level(&to).is_some_and(|l| l <= own) {
                wrong.push(format!("{}: {from} uses {to}, which is not below it", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pure_rooms_know_no_thread_socket_or_clock() {
    const PURE: &[&str] = &["event", "windowing", "aggregate"];
    const FORBIDDEN: &[&str] =
        &["Instant::", "SystemTime", "std::thread", "std::net", "std::sync", "mio::", "rtrb::", "std::fs"];
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        if PURE.contains(&room(&path).as_str()) && !is_test(&path) {
            let code = code(&text);
            for word in FORBIDDEN.iter().filter(|word| code.contains(**word)) {
                wrong.push(format!("{} names {word}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn threads_and_rings_are_made_in_one_place() {
    // A reader of the event stream gets a ring when it comes; the demo has its generator; the log is there
    // before anything else.
    const ALLOWED: &[&str] = &[
        "src/pipeline.rs",
        "src/runtime/thread.rs",
        "src/runtime/ring.rs",
        "src/pipeline/letters.rs",
        "src/stages/http/sse.rs",
        "src/cli/demo.rs",
        "src/telemetry/log/writer.rs",
    ];
    for (path, text) in sources() {
        let name = path.to_string_lossy().into_owned();
        let code = code(text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(&text));
        let makes = code.contains("thread::Builder")
            || code.contains("thread::spawn")
            || code.contains("RingBuffer::new")
            || code.contains("= ring(")
            || code.contains("= ring::<");
        assert!(
            !makes || is_test(&path) || ALLOWED.contains(&name.as_str()),
            "{name} makes a thread or a ring"
        );
    }
}

#[test]
fn files_are_readable_in_one_sitting() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let name = path.to_string_lossy().into_owned();
        let lines = text.lines().count();
        let allowed = KNOWN_LONG.iter().find(|(known, _)| *known == name).map_or(MAX_LINES, |k| k.1);
        if lines > allowed && !is_test(&path) {
            wrong.push(format!(
                "{name} has {lines} lines, {allowed} allowed: look for the second room inside"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Files with `unsafe`, and how often: each has its reason beside it, with what it gains.
const UNSAFE: [(&str, usize); 2] = [("src/event/scan/bytes.rs", 1), ("src/runtime/heap.rs", 2)];

#[test]
fn no_unsafe_and_nothing_left_over() {
    for (path, text) in sources() {
        let code = code(&text);
        let allowed = UNSAFE.iter().find(|(known, _)| path.ends_with(known)).map_or(0, |u| u.1);
        assert_eq!(code.matches("unsafe ").count(), allowed, "unsafe in {}", path.display());
        assert_eq!(text.matches("// SAFETY: ").count(), allowed, "SAFETY in {}", path.display());
        for word in ["todo!(", "unimplemented!(", "dbg!(", "FIXME"] {
            assert!(!code.contains(word) || is_test(&path), "{} contains {word}", path.display());
        }
    }
}

/// Tables keyed by what strangers choose must not have all keys in one place at a stranger's will: each is
/// hashed with a seed of its own, by the one hasher that is in use here.
#[test]
fn hash_tables_are_seeded() {
    const UNSEEDED: &[&str] =
        &["FixedState", "BuildHasherDefault", "FxHash", "DefaultHasher", "SeedableRandomState", "ahash"];
    let mut tables = 0;
    for (path, text) in sources() {
        let code = code(&text);
        let name = path.display();
        for word in UNSEEDED {
            assert!(!code.contains(word), "{name}: {word} is the same in every process");
        }
        for kind in ["HashMap<", "HashSet<"] {
            for (at, _) in code.match_indices(kind) {
                tables += 1;
                let end = code[at..].find(['\n', ';']).map_or(code.len(), |end| at + end);
                assert!(code[at..end].contains("RandomState>"), "{name}: {} names no hasher", &code[at..end]);
            }
        }
        if code.contains("HashTable<") {
            tables += 1;
            assert!(code.contains("hasher: RandomState"), "{name}: a HashTable without a hasher of its own");
        }
        if code.contains("RandomState") {
            assert!(code.contains("use foldhash::fast::RandomState;"), "{name}: another RandomState");
        }
    }
    assert!(tables >= 8, "only {tables} tables were found");
}
