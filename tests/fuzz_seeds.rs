//! The checks of the fuzz targets under plain `cargo test`: every committed seed, and many mutations
//! of them, the same in every run.
//!
//! `scripts/fuzz --mutations 10000000` makes more, others with another `FUZZ_SEED`. Such a run notes in
//! `target/reliability/fuzz.json` how many there were.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use flumen::event::time::format_rfc3339_us;

#[path = "../fuzz/src/lib.rs"]
mod checks;

/// Mutations of all the seeds of a target together; some seconds in the profile of tests.
const MUTATIONS: u64 = 100_000;

/// As `-max_len` in scripts/fuzz.
const MAX_LEN: usize = 4096;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let files = std::fs::read_dir(folder().join("seeds").join(target)).expect("the folder of seeds");
    let mut seeds: Vec<_> = files
        .map(|file| {
            let file = file.unwrap();
            (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap())
        })
        .collect();
    seeds.sort();
    assert!(seeds.len() >= 8, "{target} has {} seeds", seeds.len());
    seeds
}

/// Tells the input if the check panics, whatever the panic says.
struct Telling<'a> {
    from: &'a str,
    input: &'a [u8],
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the input, from the seed {}: {}", self.from, self.input.escape_ascii());
        }
    }
}

fn checked(from: &str, input: &[u8], check: fn(&[u8])) {
    let _telling = Telling { from, input };
    check(input);
}

/// A number from the environment.
fn wanted(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}: expected a whole number")))
}

/// Runs the seeds, then mutations of them, a few changes each.
fn run(target: &'static str, tokens: &[Vec<u8>], check: fn(&[u8])) {
    let seeds = seeds(target);
    let mut count = Count::begin(target);
    for (name, seed) in &seeds {
        checked(name, seed, check);
    }
    let mutations = wanted("FUZZ_MUTATIONS").unwrap_or(MUTATIONS);
    let mut rng = SmallRng::seed_from_u64(wanted("FUZZ_SEED").unwrap_or(1));
    for n in 0..mutations as usize {
        let (name, seed) = &seeds[n % seeds.len()];
        let mut input = seed.clone();
        for _ in 0..rng.random_range(1..=4) {
            let other = &seeds[rng.random_range(0..seeds.len())].1;
            mutate(&mut input, other, tokens, &mut rng);
        }
        input.truncate(MAX_LEN);
        checked(name, &input, check);
        count.one_more();
    }
}

/// How many inputs a target has been given, for `target/reliability/fuzz.json`; nothing there unless
/// `FUZZ_MUTATIONS` asked for a number.
struct Count {
    target: &'static str,
    executions: u64,
    began: Instant,
    noted: Instant,
    notes: bool,
}

impl Count {
    fn begin(target: &'static str) -> Self {
        let (now, notes) = (Instant::now(), wanted("FUZZ_MUTATIONS").is_some());
        Self { target, executions: 0, began: now, noted: now, notes }
    }

    fn one_more(&mut self) {
        self.executions += 1;
        // Often enough that a run that is ended has not been for nothing.
        if self.executions.is_multiple_of(1_024) && self.noted.elapsed() > Duration::from_secs(10) {
            self.note(0);
            self.noted = Instant::now();
        }
    }

    fn note(&self, findings: u64) {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        if !self.notes || self.executions == 0 {
            return;
        }
        let _one_at_a_time = ONE_AT_A_TIME.lock();
        // Not beside the executable: scripts/fuzz builds this into a folder of its own.
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/reliability");
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("fuzz.json");
        let text = std::fs::read_to_string(&file).unwrap_or_else(|_| "{}".to_owned());
        let mut all: serde_json::Map<String, Value> = serde_json::from_str(&text).unwrap();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros();
        let new = json!({
            "executions": self.executions,
            "executions_per_s": (self.executions as f64 / self.began.elapsed().as_secs_f64()).round(),
            "findings": findings,
            "mode": "mutations",
            "date": format_rfc3339_us(now as i64),
        });
        // What stands there is the largest run without a finding, or the last one with.
        let more = |old: &Value| old["executions"].as_u64() > Some(self.executions) && old["findings"] == 0;
        if findings > 0 || !all.get(self.target).is_some_and(more) {
            all.insert(self.target.to_owned(), new);
            std::fs::write(&file, serde_json::to_string_pretty(&all).unwrap() + "\n").unwrap();
        }
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.note(u64::from(std::thread::panicking()));
    }
}

fn mutate(input: &mut Vec<u8>, other: &[u8], tokens: &[Vec<u8>], rng: &mut SmallRng) {
    let at = rng.random_range(0..=input.len());
    let upto = input.len().min(at + rng.random_range(1..=8));
    match rng.random_range(0..9) {
        0 if at < input.len() => input[at] ^= 1 << rng.random_range(0..8),
        1 if at < input.len() => input[at] = rng.random(),
        2 => input.insert(at, rng.random()),
        3 => {
            input.drain(at..upto);
        }
        4 => {
            // Again, somewhere else.
            let piece = input[at..upto].to_vec();
            let to = rng.random_range(0..=input.len());
            input.splice(to..to, piece);
        }
        5 => {
            // The end of another.
            let from = rng.random_range(0..=other.len());
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        6 if rng.random_range(0..4) == 0 => input.truncate(at),
        7 if !tokens.is_empty() => {
            let token = &tokens[rng.random_range(0..tokens.len())];
            input.splice(at..upto, token.iter().copied());
        }
        _ if !tokens.is_empty() => {
            let token = &tokens[rng.random_range(0..tokens.len())];
            input.splice(at..at, token.iter().copied());
        }
        _ => {
            // A piece of another.
            let from = rng.random_range(0..=other.len());
            let end = other.len().min(from + rng.random_range(1..=16));
            input.splice(at..at, other[from..end].iter().copied());
        }
    }
}

/// The tokens of a dictionary of libFuzzer: `name="text"`, with `\\`, `\"` and `\xAB` in the text.
fn dictionary(name: &str) -> Vec<Vec<u8>> {
    let text = std::fs::read_to_string(folder().join(name)).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| token(line).unwrap_or_else(|| panic!("{name}: {line} is no entry"))).collect()
}

fn token(line: &str) -> Option<Vec<u8>> {
    let mut rest = line.split_once("=\"")?.1.strip_suffix('"')?.as_bytes();
    let mut token = Vec::new();
    loop {
        rest = match rest {
            [] => return Some(token),
            [b'\\', escaped @ (b'\\' | b'"'), rest @ ..] => {
                token.push(*escaped);
                rest
            }
            [b'\\', b'x', high, low, rest @ ..] => {
                let digits = [*high, *low];
                token.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
                rest
            }
            [b'\\' | b'"', ..] => return None,
            [plain, rest @ ..] => {
                token.push(*plain);
                rest
            }
        };
    }
}

// Tests of the names of their targets; what each checks is in fuzz/src.

#[test]
fn json_agreement() {
    run("json_agreement", &dictionary("json.dict"), checks::json_agreement::check);
}

#[test]
fn msgpack() {
    run("msgpack", &[], checks::msgpack::check);
}

#[test]
fn frames() {
    run("frames", &[], checks::frames::check);
}

#[test]
fn http_request() {
    run("http_request", &dictionary("http.dict"), checks::http_request::check);
}

#[test]
fn query() {
    run("query", &dictionary("http.dict"), checks::query::check);
}

#[test]
fn upgrade() {
    run("upgrade", &dictionary("http.dict"), checks::upgrade::check);
}

#[test]
fn rules() {
    run("rules", &dictionary("json.dict"), checks::rules::check);
}

#[test]
fn expressions() {
    run("expressions", &dictionary("toml.dict"), checks::expressions::check);
}

#[test]
fn configuration() {
    run("configuration", &dictionary("toml.dict"), checks::configuration::check);
}

#[test]
fn the_targets_are_built_with_the_daemons_libraries() {
    let version = |lock: &Path, name: &str| {
        let text = std::fs::read_to_string(lock).unwrap();
        let (_, behind) = text.split_once(&format!("name = \"{name}\"\nversion = ")).expect(name);
        behind.lines().next().map(str::to_owned)
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
    for name in ["serde_json", "simdutf8", "tungstenite", "toml", "httparse"] {
        let (own, fuzz) = (version(&root, name), version(&folder().join("Cargo.lock"), name));
        assert_eq!(own, fuzz, "{name}: copy Cargo.lock to fuzz/ and run scripts/fuzz");
    }
}
