//! Durations and sizes as people write them.

use std::time::Duration;

const DURATIONS: &[(&str, f64)] = &[("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3_600.0), ("d", 86_400.0)];

const SIZES: &[(&str, u64)] = &[
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];

/// `"250ms"`, `"5s"`, `"1.5m"`; exact to the nanosecond, at most some centuries.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let &(_, seconds) = DURATIONS.iter().find(|&&(name, _)| name == unit)?;
    let value: f64 = number.parse().ok()?;
    Duration::try_from_secs_f64(value * seconds).ok().filter(|d| d.as_secs() < 10_000_000_000)
}

/// The shortest form that [`parse_duration`] reads back.
pub fn format_duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    for (unit, per) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
        if ms >= per && ms.is_multiple_of(per) {
            return format!("{}{unit}", ms / per);
        }
    }
    if ms == 0 { "0s".to_owned() } else { format!("{ms}ms") }
}

/// `"1MiB"`, `"64KiB"`, `"1MB"`, `"4096B"`, `"4096"` (bytes).
pub fn parse_size(text: &str) -> Option<usize> {
    if let Ok(bytes) = text.parse() {
        return Some(bytes);
    }
    let (number, unit) = split(text)?;
    let &(_, bytes) = SIZES.iter().find(|&&(name, _)| name == unit)?;
    let value: u64 = number.parse().ok()?;
    usize::try_from(value.checked_mul(bytes)?).ok()
}

/// The shortest form that [`parse_size`] reads back.
pub fn format_size(bytes: usize) -> String {
    for (unit, per) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= per && bytes.is_multiple_of(per) {
            return format!("{}{unit}", bytes / per);
        }
    }
    format!("{bytes}B")
}

fn split(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    let unit = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit);
    let number = number.trim_end();
    let plain = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    plain.then_some((number, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        for text in ["250ms", "5s", "5m", "1h", "2d", "1500ms", "0s"] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
        assert_eq!(parse_duration("1.5s"), Some(Duration::from_millis(1_500)));
        for text in ["1MiB", "64KiB", "3GiB", "1000B"] {
            assert_eq!(format_size(parse_size(text).unwrap()), text);
        }
        assert_eq!(parse_size("1MB"), Some(1_000_000));
        for text in ["", "5", "s", "-5s", "5 parsecs", "1e3s", "5ss", "99999999999d"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        for text in ["", "-1", "1.5MiB", "1XB", "99999999999999999999GiB"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }
}
