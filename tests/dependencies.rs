//! What may be depended on: permissive licences, one version of each crate, crates.io only. The same policy
//! as `deny.toml`, for those who have no cargo-deny; advisories need it and a way to GitHub.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

/// The platforms that `deny.toml` names.
const TARGETS: [&str; 2] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];

/// Crates of which several versions may be there, and why. None today.
const DUPLICATES: &[(&str, &str)] = &[];

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Everything that is built for a platform, the tests' dependencies too.
fn packages(target: &str) -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--format-version", "1", "--filter-platform", target])
        .args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let all = metadata["packages"].as_array().unwrap().clone();
    assert!(all.len() > 50, "{} packages", all.len());
    all
}

fn policy(section: &str, key: &str) -> Vec<String> {
    let text = include_str!("../deny.toml");
    let policy: toml::Table = text.parse().unwrap();
    let list = policy[section][key].as_array().unwrap();
    list.iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// Whether a licence expression is satisfied by what is allowed: `or` needs one side, `and` both. Some old
/// crates write `/` for `or`.
fn satisfied(expression: &str, allowed: &[String]) -> bool {
    let expression = expression.replace('/', " OR ").replace("  ", " ");
    // `and` binds tighter; parentheses are only ever around an `or` beside an `and`.
    let mut parts: Vec<String> = Vec::new();
    let mut depth = 0;
    for word in expression.replace('(', " ( ").replace(')', " ) ").split_whitespace() {
        match word {
            "(" => depth += 1,
            ")" => depth -= 1,
            "AND" if depth == 0 => parts.push(String::new()),
            word => {
                if parts.is_empty() {
                    parts.push(String::new());
                }
                let part = parts.last_mut().unwrap();
                part.push(' ');
                part.push_str(word);
            }
        }
    }
    parts.iter().all(|part| part.split(" OR ").any(|one| allowed.iter().any(|known| known == one.trim())))
}

#[test]
fn licences_are_permissive() {
    let allowed = policy("licenses", "allow");
    assert!(satisfied("(MIT OR Apache-2.0) AND Unicode-3.0", &allowed) && satisfied("GPL-3.0/MIT", &allowed));
    assert!(!satisfied("GPL-3.0", &allowed) && !satisfied("MIT AND GPL-3.0", &allowed));
    for package in TARGETS.into_iter().flat_map(packages) {
        let licence = package["license"].as_str().unwrap_or_default();
        let (name, version) = (&package["name"], &package["version"]);
        assert!(satisfied(licence, &allowed), "{name} {version} has the licence {licence:?}; see deny.toml");
    }
}

#[test]
fn there_is_one_version_of_each_crate() {
    for target in TARGETS {
        let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for package in packages(target) {
            let text = |key: &str| package[key].as_str().unwrap().to_owned();
            versions.entry(text("name")).or_default().push(text("version"));
        }
        for (name, versions) in versions {
            let excused = DUPLICATES.iter().any(|(known, _)| *known == name);
            assert_eq!(versions.len() > 1, excused, "{name} is there as {}", versions.join(", "));
        }
    }
}

#[test]
fn everything_comes_from_crates_io() {
    for package in packages(TARGETS[0]) {
        let source = package["source"].as_str();
        let own = package["name"] == "flumen" && source.is_none();
        assert!(own || source == Some(CRATES_IO), "{} comes from {source:?}", package["name"]);
    }
}
