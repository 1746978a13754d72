//! Manual pages and completions: complete, and accepted by the programs that read them.

mod common;

use std::process::{Command, Stdio};

use common::TempDir;
use flumen::config::options::OPTIONS;
use flumen::config::tables::TABLES;

fn flumen(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_flumen")).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn subcommands() -> Vec<String> {
    let help = flumen(&["--help"]);
    let lines = help.lines().skip_while(|l| *l != "Commands:").skip(1).take_while(|l| !l.is_empty());
    let names = lines.map(|line| line.split_whitespace().next().unwrap().to_owned());
    names.filter(|name| name != "help").collect()
}

/// Runs a program if it is there; its output.
fn run(program: &str, args: &[&str]) -> Option<String> {
    let output = match Command::new(program).args(args).stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("SKIPPED: {program} is not installed (Debian: {program})");
            return None;
        }
        Err(error) => panic!("{program}: {error}"),
    };
    Some(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

/// As it stands in roff.
fn roff(text: &str) -> String {
    text.replace('-', "\\-")
}

#[test]
fn there_is_a_page_for_every_command_and_for_the_file() {
    let dir = TempDir::new("pages");
    // A directory that is not there yet.
    flumen(&["man", "--dir", dir.join("deep").to_str().unwrap()]);
    let read = |name: &str| dir.read(&format!("deep/{name}"));
    let top = read("flumen.1");
    assert_eq!(flumen(&["man"]), top);
    let sections =
        ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "SUBCOMMANDS", "ENVIRONMENT", "FILES", "SIGNALS"];
    for section in sections.iter().chain(&["\"EXIT STATUS\"", "\"SEE ALSO\""]) {
        assert!(top.lines().any(|line| line == format!(".SH {section}")), "{section}\n{top}");
    }
    let names = subcommands();
    assert!(names.len() >= 8, "{names:?}");
    for name in &names {
        let page = read(&format!("flumen-{name}.1"));
        assert!(page.starts_with(&format!(".TH \"flumen-{name}\" \"1\" ")), "{page}");
        assert!(top.contains(&roff(&format!("flumen-{name}"))), "flumen(1) names {name}");
        let help = flumen(&[name, "--help"]);
        let flags = help.split_whitespace().filter_map(|word| word.strip_prefix("--"));
        for flag in flags.filter(|flag| flag.chars().all(|c| c.is_ascii_lowercase() || c == '-')) {
            assert!(page.contains(&roff(&format!("--{flag}"))), "flumen-{name}(1) has --{flag}");
        }
    }
    for code in ["70", "75", "78"] {
        assert!(top.contains(&format!("\\fB{code}\\fR")), "exit code {code}");
    }
    let file = read("flumen.toml.5");
    for option in OPTIONS {
        let line = format!("\\fB{}\\fR = ", option.name());
        assert!(file.contains(&line) && file.contains(&option.variable()), "{}", option.key);
    }
    for table in TABLES {
        for key in table.keys {
            assert!(file.contains(&format!("\\fB{}\\fR\n", key.name)), "[[{}]] {}", table.name, key.name);
        }
    }
    let pages = std::fs::read_dir(dir.join("deep")).unwrap().count();
    assert_eq!(pages, names.len() + 2);
}

#[test]
fn mandoc_has_nothing_to_complain_about() {
    let dir = TempDir::new("mandoc");
    flumen(&["man", "--dir", dir.to_str().unwrap()]);
    for page in std::fs::read_dir(&*dir).unwrap() {
        let page = page.unwrap().path();
        let Some(said) = run("mandoc", &["-T", "lint", "-W", "warning", page.to_str().unwrap()]) else {
            return;
        };
        // Pages have no date, by intention; the second is how clap_mangen sets lists of values.
        let known = ["missing date", "skipping paragraph macro: br"];
        let news: Vec<_> =
            said.lines().filter(|line| !known.iter().any(|known| line.contains(known))).collect();
        assert!(news.is_empty(), "{}", news.join("\n"));
    }
}

#[test]
fn shells_complete() {
    let dir = TempDir::new("shells");
    let at = dir.to_str().unwrap();
    for (shell, file) in [("bash", "flumen.bash"), ("zsh", "_flumen"), ("fish", "flumen.fish")] {
        flumen(&["completions", shell, "--dir", at]);
        assert_eq!(dir.read(file), flumen(&["completions", shell]));
    }
    let bash = |words: &str| {
        // What bash does when Tab is pressed behind the last word.
        let script = format!(
            "source {at}/flumen.bash && complete -p flumen >/dev/null && COMP_WORDS=({words}) && \
             COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)) && \
             _flumen flumen \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; echo \"${{COMPREPLY[@]}}\""
        );
        run("bash", &["--norc", "-c", &script])
    };
    if let Some(said) = bash("flumen che") {
        assert_eq!(said, "check\n");
        assert_eq!(bash("flumen serve --addr").unwrap(), "--addresses-file\n");
        assert_eq!(bash("flumen completions fi").unwrap(), "fish\n");
    }
    if let Some(said) = run(
        "zsh",
        &[
            "-f",
            "-c",
            &format!("autoload -Uz compinit && compinit -D && source {at}/_flumen && echo $_comps[flumen]"),
        ],
    ) {
        assert_eq!(said, "_flumen\n");
    }
    let fish = format!("source {at}/flumen.fish; complete -C 'flumen che'");
    if let Some(said) = run("fish", &["--no-config", "-c", &fish]) {
        assert!(said.starts_with("check\t"), "{said}");
    }
}
