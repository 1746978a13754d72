//! The checks of the fuzz targets under plain `cargo test`: every committed seed, and many mutations
//! of them, the same in every run. `FUZZ_MUTATIONS=1000000 cargo test --test fuzz_seeds` makes more.

use std::path::{Path, PathBuf};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

#[path = "../fuzz/src/lib.rs"]
mod checks;

/// Mutations of all the seeds of a target together; some seconds in the profile of tests.
const MUTATIONS: u32 = 100_000;

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

/// Runs the seeds, then mutations of them, a few changes each.
fn run(target: &str, tokens: &[Vec<u8>], check: fn(&[u8])) {
    let seeds = seeds(target);
    for (name, seed) in &seeds {
        checked(name, seed, check);
    }
    let mutations = std::env::var("FUZZ_MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(MUTATIONS);
    let mut rng = SmallRng::seed_from_u64(1);
    for n in 0..mutations as usize {
        let (name, seed) = &seeds[n % seeds.len()];
        let mut input = seed.clone();
        for _ in 0..rng.random_range(1..=4) {
            let other = &seeds[rng.random_range(0..seeds.len())].1;
            mutate(&mut input, other, tokens, &mut rng);
        }
        input.truncate(MAX_LEN);
        checked(name, &input, check);
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

#[test]
fn the_scanner_and_serde_json_agree() {
    run("json_agreement", &dictionary("json.dict"), checks::json_agreement::check);
}

#[test]
fn any_messagepack_is_read_or_rejected() {
    run("msgpack", &[], checks::msgpack::check);
}

#[test]
fn frames_say_the_same_however_they_are_cut() {
    run("frames", &[], checks::frames::check);
}

#[test]
fn the_targets_are_built_with_the_daemons_libraries() {
    let version = |lock: &Path, name: &str| {
        let text = std::fs::read_to_string(lock).unwrap();
        let (_, behind) = text.split_once(&format!("name = \"{name}\"\nversion = ")).expect(name);
        behind.lines().next().map(str::to_owned)
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
    for name in ["serde_json", "simdutf8", "tungstenite"] {
        let (own, fuzz) = (version(&root, name), version(&folder().join("Cargo.lock"), name));
        assert_eq!(own, fuzz, "{name}: copy Cargo.lock to fuzz/ and run scripts/fuzz");
    }
}
