//! The query of a request: its parameters, decoded and checked; pure.

use crate::event::time::parse_rfc3339_us;

/// The most of anything that one request lists.
pub const MAX_LIMIT: usize = 10_000;

/// A query parameter, percent-decoded.
pub fn parameter(query: &str, name: &str) -> Option<String> {
    parameters(query, name).next()
}

/// All query parameters of that name, percent-decoded.
pub fn parameters(query: &str, name: &str) -> impl Iterator<Item = String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(move |(key, _)| *key == name).map(|(_, value)| percent_decode(value))
}

/// Undoes percent-encoding (RFC 3986); what is malformed stays as it is.
pub fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digit = |at: usize| bytes.get(at).and_then(|&byte| char::from(byte).to_digit(16));
        match (bytes[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            (b'+', ..) => {
                out.push(b' ');
                at += 1;
            }
            (other, ..) => {
                out.push(other);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// `limit=`, or `default` where there is none.
///
/// # Errors
/// It is not a whole number from 1 to [`MAX_LIMIT`].
pub fn limit(query: &str, default: usize) -> Result<usize, String> {
    match parameter(query, "limit") {
        None => Ok(default),
        Some(text) => match text.parse::<usize>() {
            Ok(limit) if (1..=MAX_LIMIT).contains(&limit) => Ok(limit),
            _ => Err(format!("limit={:?}: expected a whole number from 1 to {MAX_LIMIT}", cut(&text))),
        },
    }
}

/// Seconds since the epoch or RFC 3339, in microseconds.
///
/// # Errors
/// It is neither.
pub fn moment(text: &str) -> Result<i64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds.abs() < 1e12 => Ok((seconds * 1e6).round() as i64),
        _ => parse_rfc3339_us(text).ok_or_else(|| {
            format!("since={:?}: expected seconds since the epoch or an RFC 3339 time", cut(text))
        }),
    }
}

/// Foreign text in a message: short.
pub fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        assert_eq!(parameter("limit=5&since=a%20b+c%", "since").unwrap(), "a b c%");
        assert_eq!(parameter("limit=5", "since"), None);
        assert_eq!(percent_decode("%4a%4A %+5 %-5 %é5"), "JJ % 5 %-5 %é5", "digits only, no sign");
    }

    #[test]
    fn moments_are_seconds_or_rfc3339() {
        assert_eq!(moment("1.5"), Ok(1_500_000));
        assert_eq!(moment("1970-01-01T00:00:01Z"), Ok(1_000_000));
        assert!(moment("yesterday").unwrap_err().contains("yesterday"));
    }
}
