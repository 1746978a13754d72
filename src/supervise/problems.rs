//! Problems in words: what the counters say has gone wrong, a line when it begins and then one
//! every ten seconds for as long as it goes on. Main reads the counters, so that no thread of the
//! pipeline says anything per event, however fast something goes wrong.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tracing::Level;

use crate::event::Reject;
use crate::telemetry::counters::{Counter, Telemetry, WindowCounters};
use crate::telemetry::refusal::{CHANGE_REASONS, HTTP_REASONS, Refusal};

/// How long a problem that was told of stays quiet.
const QUIET: Duration = Duration::from_secs(10);

/// A kind of problem: counters that should not rise.
struct Kind {
    level: Level,
    /// Completes "1 ..." and "12 ...".
    what: (&'static str, &'static str),
    /// Where to look or what to do.
    remedy: &'static str,
    /// The counters, each with its name; an empty one says nothing.
    read: fn(&Telemetry) -> Vec<(&'static str, u64)>,
}

const KINDS: &[Kind] = &[
    Kind {
        level: Level::WARN,
        what: ("event was rejected", "events were rejected"),
        remedy: "/api/deadletters shows the newest, with the reason",
        read: |t| Reject::ALL.iter().map(|reason| reason.as_str()).zip(t.events().rejected).collect(),
    },
    Kind {
        level: Level::WARN,
        what: ("event was dropped under overload", "events were dropped under overload"),
        remedy: "ingest.overload = \"block\" makes clients wait instead",
        read: |t| vec![("", t.parse_sum(|p| &p.dropped))],
    },
    Kind {
        level: Level::ERROR,
        what: (
            "dead letter did not get into deadletters.file",
            "dead letters did not get into deadletters.file",
        ),
        remedy: "look at the disk, the folder and who may write there; /api/deadletters has the newest",
        read: |t| t.letters.lost().collect(),
    },
    Kind {
        level: Level::INFO,
        what: ("event came too late for every window", "events came too late for every window"),
        remedy: "/api/late shows the newest; time.watermark_delay waits longer",
        read: |t| windows(t, |w| &w.late),
    },
    Kind {
        level: Level::WARN,
        what: (
            "event found no room for a new group in some window",
            "events found no room for a new group in some window",
        ),
        remedy: "limits.keys or limits.new_keys_per_second is reached",
        read: |t| vec![("", t.parse.iter().flat_map(|p| &p.no_room).map(Counter::get).sum())],
    },
    Kind {
        level: Level::WARN,
        what: ("field was left out of its event", "fields were left out of their events"),
        remedy: "limits.field_names is reached",
        read: |t| vec![("", t.parse_sum(|p| &p.fields_left_out))],
    },
    Kind {
        level: Level::WARN,
        what: ("connection was refused at the limit", "connections were refused at the limit"),
        remedy: "ingest.connections is reached",
        read: |t| vec![("", t.ingest_sum(|i| &i.refused))],
    },
    Kind {
        level: Level::WARN,
        what: (
            "connection was refused because its address had too many",
            "connections were refused because their address had too many",
        ),
        remedy: "ingest.connections_per_address is reached; ingest.trusted_addresses takes proxies",
        read: |t| vec![("", t.ingest_sum(|i| &i.refused_by_address))],
    },
    Kind {
        level: Level::INFO,
        what: (
            "connection was closed because nothing came and no answer to a ping",
            "connections were closed because nothing came and no answer to a ping",
        ),
        remedy: "these clients have gone without a word, or do not read; ingest.ping_interval waits longer",
        read: |t| vec![("", t.ingest_sum(|i| &i.silent_closed))],
    },
    Kind {
        level: Level::WARN,
        what: ("connection was closed for what it sent", "connections were closed for what they sent"),
        remedy: "1002: broken frames; 1007: text that is not UTF-8; 1009: limits.message_size or limits.frame_size is reached",
        read: |t| {
            let count = |at: usize| t.parse_sum(|p| &p.violations[at]);
            ["1002", "1007", "1009"].into_iter().enumerate().map(|(at, code)| (code, count(at))).collect()
        },
    },
    Kind {
        level: Level::WARN,
        what: (
            "connection was closed because its message was long in coming",
            "connections were closed because their messages were long in coming",
        ),
        remedy: "messages that had come in part filled limits.unfinished_size",
        read: |t| vec![("", t.parse_sum(|p| &p.unfinished_closed))],
    },
    Kind {
        level: Level::WARN,
        what: ("request to open a WebSocket was refused", "requests to open a WebSocket were refused"),
        remedy: "clients get the reason as well; see \"Clients cannot connect\" in docs/OPERATIONS.md",
        read: |t| {
            let count = |why: Refusal| t.ingest_sum(|i| &i.handshakes_refused[why.index()]);
            let told = |why: &Refusal| !matches!(why, Refusal::DashboardElsewhere | Refusal::Draining);
            Refusal::ALL.into_iter().filter(told).map(|why| (why.as_str(), count(why))).collect()
        },
    },
    Kind {
        level: Level::ERROR,
        what: ("time no connection could be accepted", "times no connection could be accepted"),
        remedy: "descriptors have run out: LimitNOFILE= or ulimit -n",
        read: |t| vec![("ingest", t.ingest_sum(|i| &i.accept_errors)), ("http", t.http.accept_errors.get())],
    },
    Kind {
        level: Level::WARN,
        what: ("HTTP request was not served", "HTTP requests were not served"),
        remedy: "refused: http.connections is reached; timed_out: they did not come within http.request_timeout; \
                 unavailable: descriptors have run out",
        read: |t| {
            let http = &t.http;
            vec![
                ("refused", http.refused.get()),
                ("timed_out", http.timed_out.get()),
                ("unavailable", http.unavailable.get()),
            ]
        },
    },
    Kind {
        level: Level::WARN,
        what: ("HTTP request was refused", "HTTP requests were refused"),
        remedy: "clients get the reason as well; see \"Requests to the HTTP port are refused\" in docs/OPERATIONS.md",
        read: |t| {
            let http = &t.http;
            let requests = HTTP_REASONS.into_iter().zip(http.requests_refused.iter().map(Counter::get));
            let changes = http.changes_refused.iter().map(|n| n.load(Ordering::Relaxed));
            requests
                .chain(CHANGE_REASONS.into_iter().zip(changes))
                .chain([("sse_clients", http.streams_refused.get())])
                .collect()
        },
    },
    Kind {
        level: Level::INFO,
        what: ("episode of backpressure: clients wait", "episodes of backpressure: clients wait"),
        remedy: "/api/stats names the thread whose ring is full",
        read: |t| vec![("", t.ingest_sum(|i| &i.backpressure))],
    },
    Kind {
        level: Level::INFO,
        what: (
            "HTTP client was put out because it did not read",
            "HTTP clients were put out because they did not read",
        ),
        remedy: "readers of the stream may come back with Last-Event-ID",
        read: |t| {
            let streams = t.publish.evicted.get() + t.http.streams_evicted.get();
            vec![("streams", streams), ("answers", t.http.evicted.get())]
        },
    },
    Kind {
        level: Level::WARN,
        what: ("result could not be watched for an alert", "results could not be watched for an alert"),
        remedy: "too many groups fire already",
        read: |t| vec![("", t.publish.alerts_untracked.get())],
    },
    Kind {
        level: Level::DEBUG,
        what: ("turn of a thread took more than 10 ms", "turns of a thread took more than 10 ms"),
        remedy: "flumen_thread_slow_turns_total says which",
        read: |t| vec![("", t.threads.iter().map(|thread| thread.slow_turns()).sum())],
    },
];

fn windows(t: &Telemetry, pick: impl Fn(&WindowCounters) -> &Counter) -> Vec<(&'static str, u64)> {
    vec![("", t.window.iter().map(|w| pick(w).get()).sum())]
}

/// What has been told of each kind.
pub struct Problems {
    told: Vec<Told>,
}

struct Told {
    values: Vec<(&'static str, u64)>,
    at: Instant,
    /// Counts since `at` are a period of its own: the problem had been told of then.
    going_on: bool,
}

impl Problems {
    /// What has happened until now is not told.
    pub fn new(telemetry: &Telemetry, now: Instant) -> Self {
        let told = |kind: &Kind| Told { values: (kind.read)(telemetry), at: now, going_on: false };
        Self { told: KINDS.iter().map(told).collect() }
    }

    /// Logs what is new.
    pub fn look(&mut self, telemetry: &Telemetry, now: Instant) {
        for (level, line) in self.news(telemetry, now) {
            match level {
                Level::ERROR => tracing::error!("{line}"),
                Level::WARN => tracing::warn!("{line}"),
                Level::INFO => tracing::info!("{line}"),
                _ => tracing::debug!("{line}"),
            }
        }
    }

    fn news(&mut self, telemetry: &Telemetry, now: Instant) -> Vec<(Level, String)> {
        let mut news = Vec::new();
        for (kind, told) in KINDS.iter().zip(&mut self.told) {
            let since = now.saturating_duration_since(told.at);
            if told.going_on && since < QUIET {
                continue;
            }
            let values = (kind.read)(telemetry);
            let rise = |(&(name, new), &(_, old)): (&(&'static str, u64), &(&str, u64))| {
                (name, new.saturating_sub(old))
            };
            let risen: Vec<_> = values.iter().zip(&told.values).map(rise).filter(|(_, n)| *n > 0).collect();
            let total: u64 = risen.iter().map(|(_, n)| n).sum();
            if total > 0 {
                let parts = risen.iter().filter(|(name, _)| !name.is_empty());
                let parts: Vec<_> = parts.map(|(name, n)| format!("{name} {n}")).collect();
                let parts = if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) };
                // What begins has begun since the last look, a second ago.
                let seconds = if told.going_on { since.as_secs().max(1) } else { 1 };
                let what = if total == 1 { kind.what.0 } else { kind.what.1 };
                news.push((
                    kind.level,
                    format!("{total} {what} in the last {seconds} s{parts}; {}", kind.remedy),
                ));
            }
            *told = Told { values, at: now, going_on: total > 0 };
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::counters::ParseCounters;
    use std::sync::Arc;

    #[test]
    fn a_problem_is_told_at_once_and_then_every_ten_seconds() {
        let parse = Arc::new(ParseCounters::new(1));
        let telemetry = Telemetry { parse: vec![Arc::clone(&parse)], ..Telemetry::default() };
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut problems = Problems::new(&telemetry, start);
        let mut look = |seconds| {
            let news = problems.news(&telemetry, at(seconds));
            news.into_iter().map(|(_, line)| line).collect::<Vec<_>>()
        };
        assert!(look(1).is_empty());
        parse.received.add(3);
        parse.rejected[0].add(2);
        parse.rejected[3].add(1);
        let (first, second) = (Reject::ALL[0].as_str(), Reject::ALL[3].as_str());
        let line = look(2).pop().unwrap();
        assert!(line.starts_with("3 events were rejected in the last 1 s"), "{line}");
        assert!(line.contains(&format!("({first} 2, {second} 1)")), "{line}");
        parse.received.add(5);
        parse.rejected[0].add(5);
        assert!(look(3).is_empty() && look(11).is_empty());
        let line = look(12).pop().unwrap();
        assert!(line.starts_with("5 events were rejected in the last 10 s"), "{line}");
        assert!(look(22).is_empty(), "nothing new, nothing said");
        parse.dropped.add(1);
        parse.received.add(1);
        let line = look(23).pop().unwrap();
        assert!(line.starts_with("1 event was dropped under overload in the last 1 s"), "{line}");
    }
}
