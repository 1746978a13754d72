//! A step of the latency bench, what came of it in each round, and the table of all.

use serde_json::{Map, Value, json};

use crate::support::{Mode, spread};

pub const PERCENTILES: [&str; 6] = ["p50", "p90", "p99", "p99.9", "p99.99", "max"];

#[derive(Clone, Copy, PartialEq)]
pub enum Server {
    Daemon,
    Echo,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Group {
    /// Each connection sends what is due every millisecond: at 100,000/s over 100, one event.
    Rates,
    /// Each connection in turn sends a batch, one a millisecond in all.
    Batches,
    /// Every event in a write of its own.
    WriteEach,
    /// The four steps of the prototype's load test, 10 ms batches.
    Prototype,
}

pub struct Case {
    pub name: String,
    pub server: Server,
    pub group: Group,
    clients: u32,
    rate: u32,
    batch_ms: u32,
    write_each: bool,
    seconds: f64,
    /// One a round.
    pub outcomes: Vec<Outcome>,
}

pub struct Outcome {
    /// Why these figures do not count.
    void: Option<String>,
    /// In the order of [`PERCENTILES`].
    latency_us: [f64; 6],
    cpu_ns_per_event: f64,
    events: f64,
    events_per_write: f64,
}

impl Outcome {
    /// `step` is what `flumen load --json` says of it.
    pub fn read(step: &Value, cpu_ns: u64) -> Self {
        let number = |name: &str| step[name].as_f64().unwrap_or(f64::NAN);
        let mut why = Vec::new();
        if step["valid"] != true {
            why.push(format!("{:.1} % offered", number("offered") * 100.0));
        }
        for (name, text) in [
            ("unacknowledged", "unacknowledged"),
            ("rejected", "rejected"),
            ("connection_errors", "lost connections"),
        ] {
            if number(name) != 0.0 {
                why.push(format!("{} {text}", number(name)));
            }
        }
        let sent = number("sent").max(1.0);
        Self {
            void: (!why.is_empty()).then(|| why.join(", ")),
            latency_us: PERCENTILES.map(|p| step["latency_ms"][p].as_f64().map_or(f64::NAN, |ms| ms * 1e3)),
            // An account of 0 is no account.
            cpu_ns_per_event: if cpu_ns == 0 { f64::NAN } else { cpu_ns as f64 / sent },
            events: sent,
            events_per_write: sent / number("writes").max(1.0),
        }
    }

    pub fn failed(why: &str) -> Self {
        Self {
            void: Some(why.to_owned()),
            latency_us: [f64::NAN; 6],
            cpu_ns_per_event: f64::NAN,
            events: 0.0,
            events_per_write: f64::NAN,
        }
    }
}

impl Case {
    pub fn new(
        server: Server,
        group: Group,
        clients: u32,
        rate: u32,
        batch_ms: u32,
        write_each: bool,
        seconds: f64,
    ) -> Self {
        let who = if server == Server::Daemon { "flumen" } else { "echo" };
        let rate_text = thousands(rate);
        let name = match group {
            Group::Rates => format!("{who} {rate_text}/s"),
            Group::Batches => format!("{who} {rate_text}/s, a batch a ms"),
            Group::WriteEach => format!("{who} {rate_text}/s of {clients}, one a write"),
            Group::Prototype => format!("{who} {clients} x {rate_text}/s, {batch_ms} ms"),
        };
        Self { name, server, group, clients, rate, batch_ms, write_each, seconds, outcomes: Vec::new() }
    }

    pub fn load_args(&self) -> Vec<String> {
        let mut args = Vec::new();
        for (flag, value) in [
            ("--clients", self.clients.to_string()),
            ("--rate", self.rate.to_string()),
            ("--batch-ms", self.batch_ms.to_string()),
            ("--duration", self.seconds.to_string()),
        ] {
            args.extend([flag.to_owned(), value]);
        }
        args.extend(self.write_each.then(|| "--write-each".to_owned()));
        args
    }

    pub fn file_name(&self, round: usize) -> String {
        let plain: String =
            self.name.replace("/s", "").chars().filter(|c| !",.".contains(*c)).collect::<String>();
        format!("{}-round-{round}.hgrm", plain.replace(' ', "-"))
    }

    fn void_rounds(&self) -> usize {
        self.outcomes.iter().filter(|o| o.void.is_some()).count()
    }

    fn is_void(&self) -> bool {
        self.void_rounds() == self.outcomes.len()
    }

    /// A figure of every round that counts; of all rounds when none does.
    fn samples(&self, pick: impl Fn(&Outcome) -> f64) -> Vec<f64> {
        let all = self.is_void();
        self.outcomes.iter().filter(|o| all || o.void.is_none()).map(pick).collect()
    }

    fn has_the_load_of(&self, other: &Self) -> bool {
        (self.clients, self.rate, self.batch_ms, self.write_each)
            == (other.clients, other.rate, other.batch_ms, other.write_each)
    }

    /// This over `floor` at one percentile, in every round in which both count.
    fn ratios(&self, floor: &Self, percentile: usize) -> Vec<f64> {
        let pairs = self.outcomes.iter().zip(&floor.outcomes);
        let valid = pairs.filter(|(a, b)| a.void.is_none() && b.void.is_none());
        valid.map(|(a, b)| a.latency_us[percentile] / b.latency_us[percentile]).collect()
    }

    fn to_json(&self, floor: Option<&Self>, t: f64) -> Value {
        let mut latency_us = Map::new();
        for (at, percentile) in PERCENTILES.iter().enumerate() {
            latency_us.insert((*percentile).to_owned(), spread_json(&self.samples(|o| o.latency_us[at])));
        }
        let cpu = self.samples(|o| o.cpu_ns_per_event);
        let voids: Vec<_> = self.outcomes.iter().map(|o| json!(o.void)).collect();
        json!({
            "name": self.name,
            "server": if self.server == Server::Daemon { "flumen" } else { "echo" },
            "group": match self.group {
                Group::Rates => "rates",
                Group::Batches => "batches",
                Group::WriteEach => "write-each",
                Group::Prototype => "prototype",
            },
            "clients": self.clients,
            "rate": self.rate,
            "batch_ms": self.batch_ms,
            "write_each": self.write_each,
            "seconds": self.seconds,
            "rounds": self.outcomes.len(),
            "void_rounds": self.void_rounds(),
            "void_by_round": voids,
            "latency_us": latency_us,
            "cpu_ns_per_event": spread_json(&cpu),
            "cpu_ratio_to_t": spread(&cpu).0 / t,
            "events_a_round": spread(&self.samples(|o| o.events)).0,
            "events_per_write": spread(&self.samples(|o| o.events_per_write)).0,
            "ratio_to_echo": floor.map(|floor| json!({
                "p50": spread_json(&self.ratios(floor, 0)),
                "p99": spread_json(&self.ratios(floor, 2)),
            })),
        })
    }
}

fn spread_json(samples: &[f64]) -> Value {
    if samples.is_empty() {
        return Value::Null;
    }
    let (median, min, max) = spread(samples);
    json!({ "median": median, "min": min, "max": max })
}

/// The table, then the ratios to the echo; as JSON one row a step.
pub fn report(mode: &mut Mode, cases: &[Case], t: f64) {
    let rounds = cases[0].outcomes.len();
    mode.note("");
    mode.note(&format!(
        "Latency from intended send time to acknowledgement, us: median of {rounds} rounds, range below"
    ));
    let heads = PERCENTILES.iter().chain(&["CPU ns/event", "CPU T"]).map(|head| format!("{head:>15}"));
    mode.note(&format!("{:<30}{}", "", heads.collect::<String>()));
    for case in cases {
        let mut columns: Vec<_> = (0..6).map(|at| case.samples(|o| o.latency_us[at])).collect();
        columns.push(case.samples(|o| o.cpu_ns_per_event));
        columns.push(case.samples(|o| o.cpu_ns_per_event / t));
        let digits = |at: usize| if at == 7 { 2 } else { 0 };
        let cells = columns.iter().enumerate();
        let medians = cells.clone().map(|(at, samples)| format!("{:>15.*}", digits(at), spread(samples).0));
        mode.note(&format!("{:<30}{}", case.name, medians.collect::<String>()));
        if rounds > 1 {
            let ranges = cells.map(|(at, samples)| {
                let (_, low, high) = spread(samples);
                format!("{:>15}", format!("{low:.0$}..{high:.0$}", digits(at)))
            });
            mode.note(&format!("{:<30}{}", "", ranges.collect::<String>()));
        }
        if case.write_each {
            let per_write = spread(&case.samples(|o| o.events_per_write)).0;
            mode.note(&format!("    {per_write:.2} events a write"));
        }
        if case.void_rounds() > 0 {
            mode.note(&format!("    VOID in {} of {rounds} rounds: {}", case.void_rounds(), reasons(case)));
        }
    }
    note_ratios(mode, cases);
    for case in cases {
        mode.push(case.to_json(floor_of(case, cases), t));
    }
}

fn reasons(case: &Case) -> String {
    let rounds = case.outcomes.iter().enumerate();
    let texts = rounds.filter_map(|(at, o)| Some(format!("round {} {}", at + 1, o.void.as_ref()?)));
    texts.collect::<Vec<_>>().join("; ")
}

fn floor_of<'a>(case: &Case, cases: &'a [Case]) -> Option<&'a Case> {
    let is_floor = |other: &&Case| other.server == Server::Echo && case.has_the_load_of(other);
    cases.iter().find(is_floor).filter(|_| case.server == Server::Daemon)
}

fn note_ratios(mode: &Mode, cases: &[Case]) {
    mode.note("");
    mode.note("flumen / echo under the same load in the same round: median [range] of the valid rounds");
    for case in cases {
        let Some(floor) = floor_of(case, cases) else { continue };
        let text = |percentile| {
            let ratios = case.ratios(floor, percentile);
            if ratios.is_empty() {
                return "void".to_owned();
            }
            let (median, low, high) = spread(&ratios);
            format!("{median:.2} [{low:.2} .. {high:.2}]")
        };
        let n = case.ratios(floor, 0).len();
        mode.note(&format!("{:<34}  p50 {:<24}p99 {:<24}{n} rounds", case.name, text(0), text(2)));
    }
    let sustained = cases.iter().filter(|c| c.server == Server::Echo && !c.write_each && !c.is_void());
    if let Some(rate) = sustained.map(|c| c.rate).max() {
        mode.note(&format!("highest rate that the echo sustained in a round: {}/s", thousands(rate)));
    }
}

/// 25000 → 25,000.
fn thousands(n: u32) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
