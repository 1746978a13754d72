//! Sensors, users and hosts: the prototype's distributions, written straight as JSON text.

use std::f64::consts::TAU;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Normal};

/// Makes events; the same seed makes the same events but for their time.
#[derive(Debug)]
pub struct Sources {
    rng: SmallRng,
    noise: Normal<f64>,
    sensors: Vec<String>,
    users: u32,
}

impl Sources {
    /// `sources` sensors and ten times as many users.
    pub fn new(sources: u32, seed: u64) -> Self {
        // A standard deviation of 2 is accepted; the default one would only be quieter.
        let noise = Normal::new(0.0, 2.0).unwrap_or_else(|_| unreachable!("2 is a deviation"));
        Self {
            rng: SmallRng::seed_from_u64(seed),
            noise,
            sensors: (0..sources).map(|n| format!("sensor_{n:04}")).collect(),
            users: sources.saturating_mul(10),
        }
    }

    /// Appends one event: `time_us` since the epoch, `elapsed_s` since the start (which the
    /// daily and hourly curves follow).
    pub fn event(&mut self, time_us: u64, elapsed_s: f64, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":\"");
        self.uuid(out);
        out.extend_from_slice(b"\",\"source\":\"");
        match self.rng.random::<f64>() {
            kind if kind < 0.60 => self.sensor(time_us, elapsed_s, out),
            kind if kind < 0.85 => self.user(time_us, out),
            _ => self.host(time_us, out),
        }
    }

    fn sensor(&mut self, time_us: u64, elapsed_s: f64, out: &mut Vec<u8>) {
        let sensor = self.rng.random_range(0..self.sensors.len());
        let daily = 50.0 + 20.0 * (TAU * elapsed_s / 86_400.0).sin();
        let hourly = 5.0 * (TAU * elapsed_s / 3_600.0).sin();
        let mut noise = self.noise.sample(&mut self.rng);
        if self.rng.random::<f64>() < 0.01 {
            noise += if self.rng.random() { 20.0 } else { -20.0 };
        }
        let quality: &[u8] = match self.rng.random_range(0..4) {
            0 => b"degraded",
            _ => b"good",
        };
        out.extend_from_slice(self.sensors[sensor].as_bytes());
        head(out, b"sensor_data", time_us);
        out.extend_from_slice(b"\"value\":");
        decimals(out, daily + hourly + noise, 2);
        out.extend_from_slice(b",\"unit\":\"celsius\",\"quality\":\"");
        out.extend_from_slice(quality);
        out.extend_from_slice(b"\",\"location\":\"zone_");
        whole(out, spread(sensor as u64) % 10);
        out.extend_from_slice(b"\"},\"metadata\":{\"sensor_type\":\"temperature\",\"firmware\":\"v2.1.3\"}}");
    }

    fn user(&mut self, time_us: u64, out: &mut Vec<u8>) {
        let user = u64::from(self.rng.random_range(0..self.users));
        let platform = pick(&mut self.rng, &["web", "mobile", "tablet"]);
        out.extend_from_slice(b"web_app");
        head(out, b"user_action", time_us);
        out.extend_from_slice(b"\"user_id\":\"user_");
        padded(out, user, 6);
        out.extend_from_slice(b"\",\"session_id\":\"session_");
        whole(out, spread(user) % 1_000);
        out.extend_from_slice(b"\",\"platform\":\"");
        out.extend_from_slice(platform.as_bytes());
        out.extend_from_slice(b"\",\"event\":\"");
        match self.rng.random::<f64>() {
            action if action < 0.40 => {
                let page = pick(&mut self.rng, &["/home", "/products", "/about", "/contact"]);
                out.extend_from_slice(b"page_view\",\"page\":\"");
                out.extend_from_slice(page.as_bytes());
                out.extend_from_slice(b"\",\"duration\":");
                whole(out, self.rng.random_range(5..=300));
            }
            action if action < 0.70 => out.extend_from_slice(b"click\""),
            action if action < 0.75 => {
                out.extend_from_slice(b"purchase\",\"amount\":");
                decimals(out, self.rng.random_range(10.0..=500.0), 2);
                out.extend_from_slice(b",\"items\":");
                whole(out, self.rng.random_range(1..=5));
            }
            action if action < 0.90 => {
                out.extend_from_slice(b"search\",\"query\":\"product_");
                whole(out, self.rng.random_range(1..=1_000));
                out.extend_from_slice(b"\",\"results\":");
                whole(out, self.rng.random_range(0..=100));
            }
            _ => out.extend_from_slice(b"logout\""),
        }
        out.extend_from_slice(b"},\"metadata\":null}");
    }

    fn host(&mut self, time_us: u64, out: &mut Vec<u8>) {
        let host = self.rng.random_range(1..=20);
        let mut cpu = 30.0 + 20.0 * self.rng.random::<f64>();
        if self.rng.random::<f64>() < 0.05 {
            cpu = 80.0 + 15.0 * self.rng.random::<f64>();
        }
        out.extend_from_slice(b"server_");
        padded(out, host, 2);
        head(out, b"system_metric", time_us);
        out.extend_from_slice(b"\"cpu_percent\":");
        decimals(out, cpu, 1);
        out.extend_from_slice(b",\"memory_percent\":");
        decimals(out, 40.0 + 30.0 * self.rng.random::<f64>(), 1);
        for (name, range) in [
            ("disk_io_read", 0..=1_000_000),
            ("disk_io_write", 0..=500_000),
            ("network_in", 0..=10_000_000),
            ("network_out", 0..=5_000_000),
            ("active_connections", 10..=1_000),
        ] {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            whole(out, self.rng.random_range::<u64, _>(range));
        }
        out.extend_from_slice(b"},\"metadata\":{\"datacenter\":\"dc_");
        whole(out, spread(host) % 3);
        out.extend_from_slice(b"\",\"rack\":\"rack_");
        whole(out, spread(host) % 10);
        out.extend_from_slice(b"\"}}");
    }

    /// The shape of a random UUID (RFC 9562, version 4).
    fn uuid(&mut self, out: &mut Vec<u8>) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let random: u128 = self.rng.random();
        let random = random & !(0xf << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62;
        for nibble in (0..32).rev() {
            out.push(HEX[(random >> (nibble * 4)) as usize & 15]);
            if matches!(nibble, 24 | 20 | 16 | 12) {
                out.push(b'-');
            }
        }
    }
}

fn head(out: &mut Vec<u8>, kind: &[u8], time_us: u64) {
    out.extend_from_slice(b"\",\"type\":\"");
    out.extend_from_slice(kind);
    out.extend_from_slice(b"\",\"timestamp\":");
    whole(out, time_us / 1_000_000);
    out.push(b'.');
    padded(out, time_us % 1_000_000, 6);
    out.extend_from_slice(b",\"data\":{");
}

fn pick<'a>(rng: &mut SmallRng, from: &[&'a str]) -> &'a str {
    from[rng.random_range(0..from.len())]
}

/// A fixed scrambling of small numbers (the finalizer of splitmix64), where the prototype has
/// Python's `hash`.
fn spread(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// A whole number in decimal.
fn whole(out: &mut Vec<u8>, n: u64) {
    padded(out, n, 1);
}

/// A whole number of at least `width` digits.
fn padded(out: &mut Vec<u8>, mut n: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    while n > 0 {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
    }
    out.extend_from_slice(&digits[at.min(digits.len() - width)..]);
}

/// A number rounded to some decimals.
fn decimals(out: &mut Vec<u8>, value: f64, digits: u32) {
    let scale = 10u64.pow(digits);
    let scaled = (value.abs() * scale as f64).round() as u64;
    if value < 0.0 && scaled > 0 {
        out.push(b'-');
    }
    whole(out, scaled / scale);
    out.push(b'.');
    padded(out, scaled % scale, digits as usize);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn events(n: usize, seed: u64) -> Vec<Value> {
        let mut sources = Sources::new(100, seed);
        let mut out = Vec::new();
        (0..n)
            .map(|_| {
                out.clear();
                sources.event(1_763_888_880_000_001, 0.0, &mut out);
                serde_json::from_slice(&out).unwrap()
            })
            .collect()
    }

    #[test]
    fn a_seed_makes_the_same_events() {
        assert_eq!(events(500, 7), events(500, 7));
        assert_ne!(events(500, 7), events(500, 8));
    }

    #[test]
    fn shares_and_distributions_are_the_prototypes() {
        const N: usize = 100_000;
        let events = events(N, 1);
        let share =
            |test: &dyn Fn(&Value) -> bool| events.iter().filter(|e| test(e)).count() as f64 / N as f64;
        let near =
            |what: &str, got: f64, want: f64| assert!((got - want).abs() < 0.01, "{what}: {got}, not {want}");
        near("sensors", share(&|e| e["type"] == "sensor_data"), 0.60);
        near("users", share(&|e| e["type"] == "user_action"), 0.25);
        near("hosts", share(&|e| e["type"] == "system_metric"), 0.15);
        for (action, weight) in
            [("page_view", 0.4), ("click", 0.3), ("purchase", 0.05), ("search", 0.15), ("logout", 0.1)]
        {
            near(action, share(&|e| e["data"]["event"] == action), 0.25 * weight);
        }
        near("cpu spikes", share(&|e| e["data"]["cpu_percent"].as_f64() >= Some(80.0)), 0.15 * 0.05);
        let values: Vec<f64> = events.iter().filter_map(|e| e["data"]["value"].as_f64()).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        assert!((mean - 50.0).abs() < 0.1, "{mean}");
        let far = values.iter().filter(|v| (*v - 50.0).abs() > 11.0).count() as f64;
        near("anomalies", far / values.len() as f64, 0.01);
        assert_eq!(events[0]["timestamp"], 1_763_888_880.000_001);
        assert_eq!(events[0]["id"].as_str().unwrap().len(), 36);
    }

    #[test]
    fn numbers_are_written_right() {
        let text = |value, digits| {
            let mut out = Vec::new();
            decimals(&mut out, value, digits);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(12.345, 2), "12.35");
        assert_eq!(text(-0.04, 1), "0.0");
        assert_eq!(text(-3.06, 1), "-3.1");
        assert_eq!(text(99.999, 2), "100.00");
    }
}
