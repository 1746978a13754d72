//! What the documents refer to is there: files and headings behind links, metrics, options,
//! variables, commands and their flags, paths of the API, lines of the log, names in the code.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use flumen::config::options::{OPTIONS, by_key, by_variable};
use flumen::telemetry::catalog;

use super::read;

/// All documents but the changelog, which tells of what once was.
fn documents() -> Vec<String> {
    let mut names = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned()];
    for entry in std::fs::read_dir(root().join("docs")).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        if name.ends_with(".md") {
            names.push(format!("docs/{name}"));
        }
    }
    assert!(names.len() >= 6, "the documents were found: {names:?}");
    names.sort();
    names
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The lines of a document outside of its fenced blocks, and those inside.
fn lines(text: &str) -> (Vec<&str>, Vec<&str>) {
    let mut fenced = false;
    let (mut prose, mut blocks) = (Vec::new(), Vec::new());
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            blocks.push(line);
        } else {
            prose.push(line);
        }
    }
    (prose, blocks)
}

/// What stands between backticks; `\|` is a table's bar.
fn spans(text: &str) -> Vec<String> {
    let prose = lines(text).0.join(" ");
    prose.split('`').skip(1).step_by(2).map(|span| span.replace("\\|", "|")).collect()
}

/// All that is code: spans, and the lines of fenced blocks.
fn code(text: &str) -> Vec<String> {
    let blocks = lines(text).1.into_iter().map(str::to_owned);
    blocks.chain(spans(text)).collect()
}

/// Words made of these characters that begin with `prefix`.
fn words<'a>(text: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    text.split(word).filter(move |word| word.starts_with(prefix))
}

/// What was looked at, and what is wrong with it, a line each.
#[derive(Default)]
struct Findings {
    wrong: BTreeSet<String>,
    checked: usize,
}

impl Findings {
    /// `document` refers to a `kind` of thing, which is there or not.
    fn refers(&mut self, document: &str, kind: &str, what: &str, is_there: bool) {
        self.checked += 1;
        if !is_there {
            self.wrong.insert(format!("{document}: {what}: no such {kind}"));
        }
    }

    /// Fails with all that is wrong, and also when hardly anything was looked at.
    fn report(self, at_least: usize) {
        let wrong: Vec<_> = self.wrong.into_iter().collect();
        assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
        assert!(self.checked >= at_least, "only {} looked at", self.checked);
    }
}

/// The name under which GitHub links a heading.
fn anchor(heading: &str) -> String {
    let text = heading.trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(document: &str) -> BTreeSet<String> {
    let headings = lines(document).0.into_iter().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#'))).collect()
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut findings = Findings::default();
    for name in documents().into_iter().chain(["CHANGELOG.md".to_owned()]) {
        let text = read(&name);
        let here = root().join(&name);
        for rest in text.split("](").skip(1) {
            let target = rest.split(')').next().unwrap();
            if target.starts_with("http") || target.contains(char::is_whitespace) {
                continue;
            }
            let (path, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = if path.is_empty() { here.clone() } else { here.parent().unwrap().join(path) };
            findings.refers(&name, "file", target, file.exists());
            if !heading.is_empty() && file.exists() {
                let headings = anchors(&std::fs::read_to_string(&file).unwrap());
                findings.refers(&name, "heading", target, headings.contains(heading));
            }
        }
    }
    findings.report(30);
}

#[test]
fn metrics_options_and_variables_exist() {
    let sections: BTreeSet<_> = OPTIONS.iter().map(|option| option.section()).collect();
    let mut findings = Findings::default();
    for name in documents() {
        for piece in code(&read(&name)) {
            for metric in words(&piece, "flumen_").chain(words(&piece, "process_")) {
                let rest = metric.split_once('_').map_or("", |(_, rest)| rest);
                if !rest.starts_with(|c: char| c.is_ascii_lowercase()) {
                    continue;
                }
                let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| metric.strip_suffix(end));
                let found = catalog::find(metric).or(base.and_then(catalog::find));
                findings.refers(&name, "metric", metric, found.is_some());
            }
            for variable in words(&piece, "FLUMEN_").filter(|v| v.len() > "FLUMEN_".len()) {
                let is_there = by_variable(variable).is_some() || variable == "FLUMEN_CONFIG";
                findings.refers(&name, "variable", variable, is_there);
            }
            let key = piece.split([' ', '=']).next().unwrap();
            let Some((section, option)) = key.split_once('.') else { continue };
            let is_name = option.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            if sections.contains(section) && is_name && !["rs", "js", "toml"].contains(&option) {
                findings.refers(&name, "option", key, by_key(key).is_some());
            }
        }
    }
    findings.report(100);
}

/// What `flumen SUBCOMMAND --help` prints; `None`: there is no such subcommand.
fn help(subcommand: &str) -> Option<String> {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_flumen"));
    if !subcommand.is_empty() {
        command.arg(subcommand);
    }
    let output = command.arg("--help").output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

#[test]
fn commands_and_their_flags_exist() {
    let mut helps: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut findings = Findings::default();
    for name in documents() {
        for piece in code(&read(&name)) {
            let line = piece.split(" #").next().unwrap();
            for command in line.split([';', '|', '&', '(', ')']) {
                let mut tokens = command.split_whitespace();
                let program = tokens.next().unwrap_or("");
                if program != "flumen" && !program.ends_with("release/flumen") {
                    continue;
                }
                let mut tokens = tokens.peekable();
                let named = tokens.next_if(|token| token.starts_with(|c: char| c.is_ascii_lowercase()));
                let subcommand = named.unwrap_or("").to_owned();
                let help = helps.entry(subcommand.clone()).or_insert_with(|| help(&subcommand));
                let typed = format!("flumen {subcommand}");
                findings.refers(&name, "command", typed.trim_end(), help.is_some());
                let Some(help) = help else { continue };
                for flag in tokens.filter(|token| token.starts_with('-')) {
                    let flag = flag.split('=').next().unwrap();
                    let is_there = help.split([' ', ',', '\n']).any(|word| word == flag);
                    findings.refers(&name, "flag", &format!("{typed} {flag}"), is_there);
                }
            }
        }
    }
    findings.report(20);
}

#[test]
fn paths_of_the_api_exist() {
    let document: serde_json::Value = serde_json::from_str(&read("static/openapi.json")).unwrap();
    let known: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    let fits = |path: &str| {
        let parts: Vec<_> = path.split('/').collect();
        known.iter().any(|known| {
            let known: Vec<_> = known.split('/').collect();
            known.len() >= parts.len()
                && parts.iter().zip(&known).all(|(part, known)| part == known || known.starts_with('{'))
        })
    };
    let mut findings = Findings::default();
    for name in documents() {
        for piece in code(&read(&name)) {
            for start in ["/api/", "/health", "/metrics", "/stream/"] {
                for (at, _) in piece.match_indices(start) {
                    let end = |c: char| !(c.is_ascii_alphanumeric() || "/_-{}".contains(c));
                    let path = piece[at..].split(end).next().unwrap();
                    // `src/stages/http/api.rs` and the like are files.
                    let before = piece[..at].chars().next_back();
                    if path == start && start.ends_with('/') || before.is_some_and(char::is_alphabetic) {
                        continue;
                    }
                    findings.refers(&name, "path in static/openapi.json", path, fits(path));
                }
            }
        }
    }
    findings.report(20);
}

/// All Rust sources but this one, as one text in which the strings stand as they are printed.
fn sources(folders: &[&str]) -> String {
    let mut all = String::new();
    let mut waiting: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if !path.ends_with("tests/references") {
                    waiting.push(path);
                }
            } else if path.extension().is_some_and(|end| end == "rs") {
                all.push_str(&std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    // A line that ends in a backslash goes on behind the blanks of the next one.
    let mut parts = all.split("\\\n");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |text, part| text + part.trim_start())
}

/// In docs/OPERATIONS.md a span of several words that is no command is something that the daemon
/// says; `…` stands for what varies.
#[test]
fn what_the_daemon_is_quoted_to_say_is_what_it_says() {
    const COMMANDS: &[&str] = &[
        "coredumpctl",
        "curl",
        "date",
        "flumen",
        "journalctl",
        "jq",
        "kill",
        "proxy_buffering",
        "ps",
        "ss",
        "ssh",
        "sudo",
        "systemctl",
        "taskset",
        "top",
        "ulimit",
    ];
    let sources = sources(&["src"]);
    let mut findings = Findings::default();
    let name = "docs/OPERATIONS.md";
    for span in spans(&read(name)).into_iter().filter(|span| span.contains(' ')) {
        let first = span.split_whitespace().next().unwrap_or("");
        let is_code = span.contains(['=', '#', '$', '[', '{']) || span.contains(" / ") || first.contains('(');
        let says = span.starts_with(|c: char| c.is_ascii_lowercase() || c == '…');
        if is_code || !says || COMMANDS.contains(&first) {
            continue;
        }
        for part in span.split('…').map(str::trim).filter(|part| part.len() >= 5) {
            findings.refers(name, "text in src", part, sources.contains(part));
        }
    }
    findings.report(30);
}

/// In CONTRIBUTING.md spans name files of the repository, and types, functions and constants.
#[test]
fn files_and_names_in_the_recipes_exist() {
    let sources = sources(&["src", "tests", "benches"]) + &read("static/openapi.json");
    let known: BTreeSet<&str> = words(&sources, "").collect();
    let mut findings = Findings::default();
    let name = "CONTRIBUTING.md";
    for span in code(&read(name)) {
        let first = span.split(['/', ' ']).next().unwrap();
        let is_file = ["src", "tests", "docs", "static", "scripts", "benches", "systemd"].contains(&first)
            && span.contains('/');
        let is_name = span.contains("::") || span.ends_with("()") || span.starts_with(char::is_uppercase);
        if is_file && !span.contains("NAME") {
            let path = span.split(' ').next().unwrap();
            findings.refers(name, "file", path, root().join(path).exists());
        } else if is_name && !span.contains([' ', '=', '.', '/']) {
            for word in words(&span, "").filter(|word| !word.is_empty()) {
                findings.refers(name, "name in the code", word, known.contains(word));
            }
        }
    }
    findings.report(60);
}

/// In docs/RELIABILITY.md names of several words are tests, and paths are files.
#[test]
fn what_the_promises_rest_on_exists() {
    let sources = sources(&["src", "tests"]);
    let known: BTreeSet<&str> = words(&sources, "").collect();
    let mut findings = Findings::default();
    let name = "docs/RELIABILITY.md";
    for span in spans(&read(name)) {
        let is_path = ["src/", "tests/", "scripts/", "fuzz/"].iter().any(|folder| span.starts_with(folder));
        let is_name = span.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if is_path {
            let path = span.split(' ').next().unwrap();
            findings.refers(name, "file", path, root().join(path).exists());
        } else if is_name && span.matches('_').count() >= 3 {
            findings.refers(name, "test", &span, known.contains(span.as_str()));
        }
    }
    findings.report(20);
}
