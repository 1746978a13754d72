//! Looks at bytes, eight at a time.
//!
//! What must always hold: positions may lie anywhere, also behind the end.

/// A byte in every byte of a word.
pub(super) const ONES: u64 = u64::MAX / 255;
pub(super) const HIGH: u64 = ONES * 0x80;

/// The eight bytes from `at`, the first being the lowest, if there are eight.
#[inline(always)]
pub(super) fn word(bytes: &[u8], at: usize) -> Option<u64> {
    chunk(bytes, at).map(|eight| u64::from_le_bytes(*eight))
}

/// The bytes from `at`, if there are as many.
#[inline(always)]
pub(super) fn chunk<const N: usize>(bytes: &[u8], at: usize) -> Option<&[u8; N]> {
    bytes.get(at..)?.first_chunk()
}

/// The byte there; 0, which is nothing in JSON, behind the end.
#[inline(always)]
pub(super) fn byte(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

/// The position of the quote that closes the string whose inside begins at `at`; `None`: there
/// is an escape or a control character before it, or the text ends.
///
/// Eight bytes at a time, by the zero-byte test of Alan Mycroft (1987; Henry S. Warren,
/// "Hacker's Delight", 6-1). A borrow may flag bytes above a hit, never below one, so the lowest
/// flag is exact. Bytes from 0x80 on are flagged by none of the three tests.
#[inline(always)]
pub(super) fn string_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    while let Some(word) = word(bytes, at) {
        let quote = word ^ (ONES * b'"' as u64);
        let escape = word ^ (ONES * b'\\' as u64);
        let quotes = quote.wrapping_sub(ONES) & !quote & HIGH;
        let others = (escape.wrapping_sub(ONES) & !escape | word.wrapping_sub(ONES * 0x20) & !word) & HIGH;
        // The next token waits for the position of the quote only; that nothing is wrong in front
        // of it is branched on, which does not delay.
        if others & (quotes ^ quotes.wrapping_sub(1)) != 0 {
            return None;
        }
        if quotes != 0 {
            return Some(at + quotes.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    loop {
        match byte(bytes, at) {
            b'"' => return Some(at),
            b'\\' | 0..=0x1f => return None,
            _ => at += 1,
        }
    }
}

/// Up to the first eight bytes of a name, and the mask of as many; so that two names which
/// differ there are told apart by one comparison.
#[inline(always)]
pub(super) fn head(bytes: &[u8], start: usize, end: usize) -> (u64, u64) {
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
