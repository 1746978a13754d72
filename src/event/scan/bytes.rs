//! Looks at bytes, eight at a time.
//!
//! What must always hold: positions may lie anywhere, also behind the end.

/// A byte in every byte of a word.
pub(super) const ONES: u64 = u64::MAX / 255;
pub(in super::super) const HIGH: u64 = ONES * 0x80;

/// The eight bytes from `at`, the first being the lowest, if there are eight.
#[inline(always)]
pub(in super::super) fn word(bytes: &[u8], at: usize) -> Option<u64> {
    chunk(bytes, at).map(|eight| u64::from_le_bytes(*eight))
}

/// The bytes from `at`, if there are as many.
#[inline(always)]
pub(in super::super) fn chunk<const N: usize>(bytes: &[u8], at: usize) -> Option<&[u8; N]> {
    bytes.get(at..)?.first_chunk()
}

/// The byte there; 0, which is nothing in JSON, behind the end.
#[inline(always)]
pub(in super::super) fn byte(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

/// The sixteen bytes from `at`, the first being the lowest; zeros behind the end.
#[inline(always)]
pub(in super::super) fn sixteen(bytes: &[u8], at: usize) -> u128 {
    match chunk(bytes, at) {
        Some(piece) => u128::from_le_bytes(*piece),
        None => last_ones(bytes, at),
    }
}

/// The same, where there are fewer. Apart, or every look at sixteen bytes would carry the sums of this
/// one along.
#[cold]
#[inline(never)]
fn last_ones(bytes: &[u8], at: usize) -> u128 {
    let left = bytes.len().saturating_sub(at);
    match bytes.last_chunk() {
        // By way of the last sixteen, of which the first ones go.
        Some(last) if left > 0 => u128::from_le_bytes(*last) >> (8 * (16 - left)),
        _ => bytes.iter().skip(at).rev().fold(0, |all, &b| all << 8 | u128::from(b)),
    }
}

/// The position of the quote that closes the string whose inside begins at `at`; `None`: there
/// is an escape or a control character before it, or the text ends.
#[inline(always)]
pub(super) fn string_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        // What is not there looks like a control character.
        if let Some(n) = first_special(sixteen(bytes, at)) {
            at += n;
            return (byte(bytes, at) == b'"').then_some(at);
        }
        at += 16;
    }
}

/// Where the first quote, backslash or control character of sixteen bytes is.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn first_special(piece: u128) -> Option<usize> {
    use std::arch::x86_64::*;

    #[target_feature(enable = "sse2")]
    #[inline]
    fn specials(low: i64, high: i64) -> i32 {
        let piece = _mm_set_epi64x(high, low);
        let quotes = _mm_cmpeq_epi8(piece, _mm_set1_epi8(b'"' as i8));
        let escapes = _mm_cmpeq_epi8(piece, _mm_set1_epi8(b'\\' as i8));
        let controls = _mm_cmpeq_epi8(_mm_min_epu8(piece, _mm_set1_epi8(0x1f)), piece);
        _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quotes, escapes), controls))
    }

    // SAFETY: every x86_64 has SSE2. In words of eight bytes, as below, an event takes a third
    // more instructions.
    let specials = unsafe { specials(piece as i64, (piece >> 64) as i64) };
    (specials != 0).then_some(specials.trailing_zeros() as usize)
}

/// Where the first quote, backslash or control character of sixteen bytes is.
///
/// By the zero-byte test of Alan Mycroft (1987; Henry S. Warren, "Hacker's Delight", 6-1). A
/// borrow may flag bytes above a hit, never below one, so the lowest flag is exact. Bytes from
/// 0x80 on are flagged by none of the three tests.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn first_special_portable(piece: u128) -> Option<usize> {
    let flags = |word: u64| {
        let quote = word ^ (ONES * b'"' as u64);
        let escape = word ^ (ONES * b'\\' as u64);
        let quotes = quote.wrapping_sub(ONES) & !quote;
        let others = escape.wrapping_sub(ONES) & !escape | word.wrapping_sub(ONES * 0x20) & !word;
        (quotes | others) & HIGH
    };
    match (flags(piece as u64), flags((piece >> 64) as u64)) {
        (0, 0) => None,
        (0, high) => Some(8 + high.trailing_zeros() as usize / 8),
        (low, _) => Some(low.trailing_zeros() as usize / 8),
    }
}

#[cfg(not(target_arch = "x86_64"))]
use first_special_portable as first_special;

/// Up to the first eight bytes of a name, and the mask of as many; so that two names which
/// differ there are told apart by one comparison.
#[inline(always)]
pub(in super::super) fn head(bytes: &[u8], start: usize, end: usize) -> (u64, u64) {
    let mask = match end - start {
        n @ 0..8 => (1 << (8 * n)) - 1,
        _ => u64::MAX,
    };
    let first = word(bytes, start).unwrap_or_else(|| {
        let name = bytes.get(start..end).unwrap_or(&[]);
        name.iter().rev().fold(0, |word, &b| word << 8 | u64::from(b))
    });
    (first & mask, mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte at every place, in front of every kind of neighbour.
    #[test]
    fn both_ways_find_the_first_special_byte() {
        for filler in [b'a', b' ', 0x7f, 0x80, 0xff, b'!', b'#', b'[', b']'] {
            for place in 0..16 {
                for special in 0..=255 {
                    for behind in [filler, b'"', b'\\', 0, 0x1f] {
                        let mut piece = [filler; 16];
                        piece[place] = special;
                        piece[place + 1..].fill(behind);
                        let is_special = |&b: &u8| b == b'"' || b == b'\\' || b < b' ';
                        let expected = piece.iter().position(is_special);
                        let word = u128::from_le_bytes(piece);
                        assert_eq!(first_special(word), expected, "{piece:?}");
                        assert_eq!(first_special_portable(word), expected, "{piece:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn sixteen_bytes_from_anywhere() {
        let bytes: Vec<u8> = (1..=40).collect();
        for len in 0..=40 {
            for at in 0..60 {
                let mut piece = [0; 16];
                for (to, from) in piece.iter_mut().zip(bytes[..len].iter().skip(at)) {
                    *to = *from;
                }
                assert_eq!(sixteen(&bytes[..len], at), u128::from_le_bytes(piece), "{at} of {len}");
            }
        }
    }
}
