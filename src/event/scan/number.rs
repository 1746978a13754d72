//! Numbers of the scanner.
//!
//! What must always hold: a number comes out as the nearest f64, which is what serde_json (with
//! `float_roundtrip`) gives, or the answer is `None`.

use super::bytes::{HIGH, ONES, byte, word};

/// Powers of ten that f64 holds exactly.
const EXACT: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// By the number of digits taken at once.
const SHIFT: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// As many digits always fit into a u64.
const DIGITS: usize = 19;

/// A number of the text.
pub(super) struct Number {
    /// What follows it.
    pub(super) end: usize,
    /// The nearest f64; finite.
    pub(super) value: f64,
    /// The same, if serde_json would take it for an integer.
    pub(super) integer: Option<i128>,
}

/// Takes digits from `at` on into the mantissa, which wraps if there are too many.
///
/// How many of eight bytes are digits is counted, not branched on: runs of digits are of every
/// length. Their value comes from three multiplications (Daniel Lemire, "Number parsing at a
/// gigabyte per second", 2021, after Johnny Lee).
#[inline(always)]
fn digits(bytes: &[u8], mut at: usize, mut mantissa: u64) -> (usize, u64) {
    while let Some(word) = word(bytes, at) {
        let values = word ^ (ONES * b'0' as u64);
        let others = (values.wrapping_add(ONES * 0x76) | values) & HIGH;
        let n = others.trailing_zeros() as usize / 8;
        if n == 0 {
            return (at, mantissa);
        }
        // The digits move up, and zeros come in front of them.
        let v = values << (64 - 8 * n);
        let v = v.wrapping_mul(10).wrapping_add(v >> 8);
        let high = (v & 0x0000_00ff_0000_00ff).wrapping_mul(0x000f_4240_0000_0064);
        let low = (v >> 16 & 0x0000_00ff_0000_00ff).wrapping_mul(0x0000_2710_0000_0001);
        let value = high.wrapping_add(low) >> 32;
        mantissa = mantissa.wrapping_mul(SHIFT[n]).wrapping_add(value);
        at += n;
        if n < 8 {
            return (at, mantissa);
        }
    }
    while let digit @ b'0'..=b'9' = byte(bytes, at) {
        mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
        at += 1;
    }
    (at, mantissa)
}

/// Reads the number at `at`.
#[inline(always)]
pub(super) fn read(text: &str, at: usize) -> Option<Number> {
    let bytes = text.as_bytes();
    let negative = byte(bytes, at) == b'-';
    let start = at + usize::from(negative);
    let (mut end, mut mantissa) = digits(bytes, start, 0);
    let mut n = end - start;
    if n == 0 || (n > 1 && byte(bytes, start) == b'0') {
        return None;
    }
    let mut decimals = 0;
    if byte(bytes, end) == b'.' {
        let point = end;
        (end, mantissa) = digits(bytes, point + 1, mantissa);
        decimals = end - point - 1;
        n += decimals;
        if decimals == 0 {
            return None;
        }
    } else if !matches!(byte(bytes, end), b'e' | b'E') {
        if n > DIGITS {
            return None; // It may be a u64 still, or not.
        }
        let value = mantissa as f64;
        let (value, whole) =
            if negative { (-value, -i128::from(mantissa)) } else { (value, i128::from(mantissa)) };
        // serde_json takes -0, and what is below i64, for a float.
        let integer = (!negative || (i128::from(i64::MIN)..0).contains(&whole)).then_some(whole);
        return Some(Number { end, value, integer });
    }
    if matches!(byte(bytes, end), b'e' | b'E') {
        return by_std(text, at, exponent(bytes, end + 1)?);
    }
    // William D. Clinger, "How to read floating point numbers accurately" (1990): both sides are
    // exact in f64, so that the one division rounds once.
    match EXACT.get(decimals) {
        Some(scale) if n <= DIGITS && mantissa < 1 << 53 => {
            let value = mantissa as f64 / scale;
            Some(Number { end, value: if negative { -value } else { value }, integer: None })
        }
        _ => by_std(text, at, end),
    }
}

/// Where the exponent, whose `e` is passed, ends.
#[cold]
fn exponent(bytes: &[u8], at: usize) -> Option<usize> {
    let start = at + usize::from(matches!(byte(bytes, at), b'+' | b'-'));
    let (end, _) = digits(bytes, start, 0);
    // Beyond four digits nothing but zeros and errors is left.
    (1..=4).contains(&(end - start)).then_some(end)
}

/// By the standard library, which rounds correctly too and takes its time.
#[cold]
fn by_std(text: &str, start: usize, end: usize) -> Option<Number> {
    let value: f64 = text.get(start..end)?.parse().ok()?;
    value.is_finite().then_some(Number { end, value, integer: None })
}
