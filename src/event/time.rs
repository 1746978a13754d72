//! Event time: numbers in four units, RFC 3339 text; microseconds since the Unix epoch.

/// How to read a number in `timestamp`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimestampUnit {
    /// By magnitude: below 1e11 seconds, below 1e14 ms, below 1e17 us, else ns.
    #[default]
    Auto,
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Millis,
    /// Microseconds.
    Micros,
    /// Nanoseconds.
    Nanos,
}

/// 0001-01-01T00:00:00Z, microseconds.
const FIRST_US: i128 = -62_135_596_800_000_000;
/// 9999-12-31T23:59:59.999999Z, microseconds.
const LAST_US: i128 = 253_402_300_799_999_999;

const DAY_S: i64 = 86_400;

/// The time if it lies in the years 1 to 9999.
pub(super) fn in_range(us: i128) -> Option<i64> {
    (FIRST_US..=LAST_US).contains(&us).then(|| i64::try_from(us).ok()).flatten()
}

fn unit_of(magnitude: f64, unit: TimestampUnit) -> TimestampUnit {
    match unit {
        TimestampUnit::Auto if magnitude < 1e11 => TimestampUnit::Seconds,
        TimestampUnit::Auto if magnitude < 1e14 => TimestampUnit::Millis,
        TimestampUnit::Auto if magnitude < 1e17 => TimestampUnit::Micros,
        TimestampUnit::Auto => TimestampUnit::Nanos,
        fixed => fixed,
    }
}

/// A whole number; nanoseconds are rounded down.
pub(super) fn from_int(value: i128, unit: TimestampUnit) -> Option<i64> {
    let us = match unit_of(value.unsigned_abs() as f64, unit) {
        TimestampUnit::Seconds => value.checked_mul(1_000_000)?,
        TimestampUnit::Millis => value.checked_mul(1_000)?,
        TimestampUnit::Micros => value,
        _ => value.div_euclid(1_000),
    };
    in_range(us)
}

/// What `round` gives (halves go away from zero), without a call of the C library: the cast
/// cuts the fraction off, and taking it from the value is exact. A cast saturates beyond i64,
/// where no time is in range.
fn nearest(value: f64) -> i64 {
    let whole = value as i64;
    let fraction = value - whole as f64;
    whole.saturating_add(i64::from(fraction >= 0.5) - i64::from(fraction <= -0.5))
}

/// A fraction, rounded to the nearest microsecond (f64 holds about 0.2 us in this century).
pub(super) fn from_float(value: f64, unit: TimestampUnit) -> Option<i64> {
    if !value.is_finite() {
        return None;
    }
    let us = match unit_of(value.abs(), unit) {
        TimestampUnit::Seconds => value * 1e6,
        TimestampUnit::Millis => value * 1e3,
        TimestampUnit::Micros => value,
        _ => value / 1e3,
    };
    let us = nearest(us);
    // In 64 bits, which hold the range.
    (FIRST_US as i64..=LAST_US as i64).contains(&us).then_some(us)
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar. Howard Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse, `civil_from_days`.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Takes digits and separators from the front of a text.
struct Front<'a>(&'a [u8]);

impl Front<'_> {
    fn digits(&mut self, n: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        digits.iter().try_fold(0, |sum, b| b.is_ascii_digit().then(|| sum * 10 + i64::from(b - b'0')))
    }

    fn one_of(&mut self, wanted: &[u8]) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        wanted.contains(&first).then(|| {
            self.0 = rest;
            first
        })
    }
}

/// Parses RFC 3339: a date, `T`, `t` or a space, a time with any number of decimals (those
/// beyond microseconds are cut off), `Z`, `z` or an offset. A leap second (60) is read as the
/// last microsecond before the next minute.
pub fn parse_rfc3339_us(text: &str) -> Option<i64> {
    let mut front = Front(text.as_bytes());
    let year = front.digits(4)?;
    front.one_of(b"-")?;
    let month = front.digits(2).filter(|m| (1..=12).contains(m))?;
    front.one_of(b"-")?;
    let last = days_in_month(year, month);
    let day = front.digits(2).filter(|d| (1..=last).contains(d))?;
    front.one_of(b"Tt ")?;
    let hour = front.digits(2).filter(|h| *h <= 23)?;
    front.one_of(b":")?;
    let minute = front.digits(2).filter(|m| *m <= 59)?;
    front.one_of(b":")?;
    let second = front.digits(2).filter(|s| *s <= 60)?;
    let mut us = 0;
    if front.one_of(b".").is_some() {
        let mut scale = 100_000;
        let mut any = false;
        while let Some(digit) = front.one_of(b"0123456789") {
            us += i64::from(digit - b'0') * scale;
            scale /= 10;
            any = true;
        }
        if !any {
            return None;
        }
    }
    let offset_min = match front.one_of(b"Zz+-")? {
        sign @ (b'+' | b'-') => {
            let hours = front.digits(2).filter(|h| *h <= 23)?;
            front.one_of(b":")?;
            let minutes = front.digits(2).filter(|m| *m <= 59)?;
            let total = hours * 60 + minutes;
            if sign == b'-' { -total } else { total }
        }
        _ => 0,
    };
    if !front.0.is_empty() {
        return None;
    }
    let (second, us) = if second == 60 { (59, 999_999) } else { (second, us) };
    let days = days_from_civil(year, month, day);
    let seconds = days * DAY_S + hour * 3_600 + (minute - offset_min) * 60 + second;
    in_range(i128::from(seconds) * 1_000_000 + i128::from(us))
}

/// Writes RFC 3339 in UTC with microseconds.
pub fn format_rfc3339_us(us: i64) -> String {
    let seconds = us.div_euclid(1_000_000);
    let (year, month, day) = civil_from_days(seconds.div_euclid(DAY_S));
    let of_day = seconds.rem_euclid(DAY_S);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:06}Z",
        of_day / 3_600,
        of_day / 60 % 60,
        of_day % 60,
        us.rem_euclid(1_000_000)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_told_apart_by_magnitude() {
        let auto = |n| from_int(n, TimestampUnit::Auto);
        assert_eq!(auto(1_763_888_880), Some(1_763_888_880_000_000));
        assert_eq!(auto(1_763_888_880_123), Some(1_763_888_880_123_000));
        assert_eq!(auto(1_763_888_880_123_456), Some(1_763_888_880_123_456));
        assert_eq!(auto(1_763_888_880_123_456_789), Some(1_763_888_880_123_456));
        assert_eq!(auto(0), Some(0));
        assert_eq!(auto(-1), Some(-1_000_000));
        assert_eq!(from_int(-1, TimestampUnit::Nanos), Some(-1), "rounded down");
        assert_eq!(from_int(5, TimestampUnit::Micros), Some(5));
        assert_eq!(from_float(1_763_888_880.123_456, TimestampUnit::Auto), Some(1_763_888_880_123_456));
        assert_eq!(from_float(1_763_888_880_123.456, TimestampUnit::Auto), Some(1_763_888_880_123_456));
    }

    #[test]
    fn the_nearest_is_what_round_gives() {
        let mut state = 1u64;
        for _ in 0..200_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let any = f64::from_bits(state);
            let near = (state >> 32) as f64 / 2.0 - 1e9;
            for value in [any, near, near.next_up(), near.next_down(), near * 4e6, near * 1e-9] {
                let rounded = value.round();
                if rounded.abs() < 9e18 {
                    assert_eq!(nearest(value), rounded as i64, "{value}");
                }
                let in_range = in_range(i128::from(nearest(value)));
                assert_eq!(in_range, super::in_range(rounded as i128), "{value}");
            }
        }
    }

    #[test]
    fn the_range_is_the_years_1_to_9999() {
        assert_eq!(from_int(i128::MAX, TimestampUnit::Seconds), None);
        assert_eq!(from_int(253_402_300_800, TimestampUnit::Seconds), None);
        assert_eq!(from_float(f64::MAX, TimestampUnit::Auto), None);
        assert_eq!(from_float(f64::NAN, TimestampUnit::Auto), None);
        assert_eq!(parse_rfc3339_us("0000-12-31T23:59:59Z"), None);
        assert!(parse_rfc3339_us("0001-01-01T00:00:00Z").is_some());
    }

    #[test]
    fn rfc3339_both_ways() {
        for (text, us) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1969-12-31T23:59:59.999999Z", -1),
            ("2025-11-23T09:08:00.5+01:30", 1_763_883_480_500_000),
            ("2000-02-29 12:00:00z", 951_825_600_000_000),
            ("2016-12-31T23:59:60Z", 1_483_228_799_999_999),
        ] {
            assert_eq!(parse_rfc3339_us(text), Some(us), "{text}");
            assert_eq!(parse_rfc3339_us(&format_rfc3339_us(us)), Some(us));
        }
        assert_eq!(format_rfc3339_us(1_763_888_880_000_001), "2025-11-23T09:08:00.000001Z");
    }

    #[test]
    fn what_is_not_rfc3339_is_refused() {
        for text in [
            "",
            "yesterday",
            "2025-11-23",
            "2025-11-23T09:08:00",
            "2025-02-29T00:00:00Z",
            "2025-13-01T00:00:00Z",
            "2025-11-23T24:00:00Z",
            "2025-11-23T09:08:00.Z",
            "2025-11-23T09:08:00Zx",
            "2025-11-23T09:08:61Z",
            "2025-11-23T09:08:00+1:00",
            "+025-11-23T09:08:00Z",
            "2025-11-23T09:08:00\u{660}Z",
        ] {
            assert_eq!(parse_rfc3339_us(text), None, "{text}");
        }
    }
}
