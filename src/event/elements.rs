//! A JSON array split into elements by strings, brackets and commas alone.
//!
//! What must always hold: a broken element does not take its neighbours with it, and passing
//! over a well-formed object leads to where splitting it off would have led.

/// A piece of a JSON array.
pub(super) enum Piece<'a> {
    /// Between two commas or brackets.
    Element(&'a [u8]),
    /// What could not be split, or stands behind the array.
    Rest(&'a [u8]),
}

/// White space of JSON, which has no form feed among it.
fn is_space(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Without the white space around it.
pub(super) fn trim(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|b| !is_space(b)).unwrap_or(text.len());
    let end = text.iter().rposition(|b| !is_space(b)).map_or(start, |last| last + 1);
    &text[start..end]
}

/// Where the string that begins at `at` ends: its quote, or the end of all.
#[inline]
fn quote_end(body: &[u8], mut at: usize) -> usize {
    at += 1;
    while let Some(&inside) = body.get(at) {
        match inside {
            b'\\' => at += 1,
            b'"' => break,
            _ => {}
        }
        at += 1;
    }
    at
}

/// The bracket from `at` on that closes all that are open, `depth` of them at first, strings left out.
pub(super) fn closed_at(text: &[u8], mut at: usize, depth: &mut usize) -> Option<usize> {
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => at = quote_end(text, at),
            b'{' | b'[' => *depth += 1,
            b'}' | b']' if *depth == 1 => {
                *depth = 0;
                return Some(at);
            }
            b'}' | b']' => *depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    None
}

/// How many brackets are open behind a line, `depth` of them before it.
pub(super) fn depth_behind(line: &[u8], mut depth: usize) -> usize {
    let mut at = 0;
    while let Some(closed) = closed_at(line, at, &mut depth) {
        at = closed + 1;
    }
    depth
}

/// How many lines there are on which something begins that is not inside of what began before; brackets and strings
/// tell. `None`: not all of them are closed.
pub(super) fn count_lines(body: &[u8]) -> Option<u64> {
    let (mut count, mut depth) = (0, 0);
    for line in body.split(|&b| b == b'\n') {
        count += u64::from(depth == 0 && !trim(line).is_empty());
        depth = depth_behind(line, depth);
    }
    (depth == 0).then_some(count)
}

/// The elements of a JSON array, found by strings, brackets and commas alone.
pub(super) struct Elements<'a> {
    body: &'a [u8],
    at: usize,
    done: bool,
    first: bool,
}

impl<'a> Elements<'a> {
    /// `body` begins with `[`.
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self { body, at: 1, done: false, first: true }
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.body.get(self.at..).unwrap_or(&[])
    }

    /// Where the next element's first byte should be.
    pub(super) fn start(&self) -> usize {
        self.at + self.rest().iter().take_while(|b| is_space(b)).count()
    }

    /// Goes on behind the element that begins at [`Elements::start`] and ends here, if it is one.
    pub(super) fn pass(&mut self, end: usize) -> bool {
        let rest = self.body.get(end..).unwrap_or(&[]);
        let gap = rest.iter().position(|b| !is_space(b)).unwrap_or(rest.len());
        match rest.get(gap) {
            _ if self.done => return false,
            Some(b',') => self.first = false,
            Some(b']') => self.done = true,
            _ => return false,
        }
        self.at = end + gap + 1;
        true
    }

    pub(super) fn next(&mut self) -> Option<Piece<'a>> {
        if self.done {
            let rest = trim(self.rest());
            self.at = self.body.len();
            return (!rest.is_empty()).then_some(Piece::Rest(rest));
        }
        let start = self.at;
        let mut depth = 0usize;
        let mut at = start;
        while let Some(&byte) = self.body.get(at) {
            match byte {
                b'"' => at = quote_end(self.body, at),
                b'{' | b'[' => depth += 1,
                b']' if depth == 0 => return self.close(start, at),
                b'}' | b']' => depth = depth.saturating_sub(1),
                b',' if depth == 0 => {
                    self.at = at + 1;
                    self.first = false;
                    return Some(Piece::Element(trim(&self.body[start..at])));
                }
                _ => {}
            }
            at += 1;
        }
        // The end came before the bracket.
        self.at = self.body.len();
        self.done = true;
        Some(Piece::Rest(trim(&self.body[start..])))
    }

    fn close(&mut self, start: usize, at: usize) -> Option<Piece<'a>> {
        self.at = at + 1;
        self.done = true;
        let last = trim(&self.body[start..at]);
        if last.is_empty() && self.first {
            return self.next(); // An empty array holds no event.
        }
        Some(Piece::Element(last))
    }
}
