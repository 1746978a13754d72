//! The words of an expression: taken out of the text, and written so that they are taken out
//! again as what they were.

use std::fmt;

use super::{Op, ParseError};
use crate::event::{Member, quote};

/// One word. Keywords are known in any case; `&&`, `||`, `!` and `=` are what they stand for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'a> {
    /// A bare name.
    Word(&'a str),
    /// A name that was in backticks.
    Name(String),
    Text(String),
    /// Finite; `true` and `false` too.
    Number(f64),
    Op(Op),
    And,
    Or,
    Not,
    In,
    Like,
    Has,
    Open(char),
    Close(char),
    Comma,
    End,
}

/// The rest of the text.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The next token, and where it begins and ends.
    pub(super) fn next(&mut self) -> Result<(Token<'a>, usize, usize), ParseError> {
        let rest = self.text[self.at..].trim_start();
        let at = self.text.len() - rest.len();
        let (token, len) = self.token(rest, at)?;
        self.at = at + len;
        Ok((token, at, self.at))
    }

    /// The token that `rest`, which is at `at`, begins with; and its length.
    fn token(&self, rest: &'a str, at: usize) -> Result<(Token<'a>, usize), ParseError> {
        let wrong = |message: String| Err(ParseError { at, message });
        let mut chars = rest.chars();
        let Some(first) = chars.next() else {
            return Ok((Token::End, 0));
        };
        let second = chars.next();
        Ok(match (first, second) {
            ('(' | '[', _) => (Token::Open(first), 1),
            (')' | ']', _) => (Token::Close(first), 1),
            (',', _) => (Token::Comma, 1),
            ('&', Some('&')) => (Token::And, 2),
            ('|', Some('|')) => (Token::Or, 2),
            ('=', Some('>')) => return wrong("found \"=>\"; did you mean >=?".into()),
            ('=', Some('<')) => return wrong("found \"=<\"; did you mean <=?".into()),
            ('<', Some('>')) => return wrong("found \"<>\"; did you mean !=?".into()),
            ('=', Some('=')) => (Token::Op(Op::Eq), 2),
            ('!', Some('=')) => (Token::Op(Op::Ne), 2),
            ('<', Some('=')) => (Token::Op(Op::Le), 2),
            ('>', Some('=')) => (Token::Op(Op::Ge), 2),
            ('=', _) => (Token::Op(Op::Eq), 1),
            ('<', _) => (Token::Op(Op::Lt), 1),
            ('>', _) => (Token::Op(Op::Gt), 1),
            ('!', _) => (Token::Not, 1),
            ('&', _) => return wrong("found a single \"&\"; did you mean && or and?".into()),
            ('|', _) => return wrong("found a single \"|\"; did you mean || or or?".into()),
            ('\'' | '"', _) => {
                let (text, len) = quoted(rest, at, first)?;
                (Token::Text(text), len)
            }
            ('`', _) => {
                let (name, len) = quoted(rest, at, first)?;
                (Token::Name(name), len)
            }
            ('0'..='9' | '+' | '-', _) | ('.', Some('0'..='9')) => number(rest, at)?,
            (c, _) if is_bare(c) => {
                let word = &rest[..rest.find(|c| !is_bare(c)).unwrap_or(rest.len())];
                (keyword(word).unwrap_or(Token::Word(word)), word.len())
            }
            ('‘' | '’' | '“' | '”' | '«' | '»' | '´', _) => {
                return wrong(format!(
                    "found the typographic quote {first}; strings are in straight ones: 'text' or \"text\""
                ));
            }
            ('~', _) => return wrong("found \"~\"; patterns are written: source like 'web-*'".into()),
            _ => {
                return wrong(format!(
                    "found the character {}, which has no meaning here; strings are written in quotes, unusual names \
                     in backticks",
                    quote(first.encode_utf8(&mut [0; 4]))
                ));
            }
        })
    }
}

/// Characters of names that need no backticks.
fn is_bare(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '$' | '@')
}

fn keyword(word: &str) -> Option<Token<'static>> {
    const KEYWORDS: [(&str, Token<'static>); 8] = [
        ("and", Token::And),
        ("or", Token::Or),
        ("not", Token::Not),
        ("in", Token::In),
        ("like", Token::Like),
        ("has", Token::Has),
        ("true", Token::Number(1.0)),
        ("false", Token::Number(0.0)),
    ];
    KEYWORDS.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, token)| token)
}

/// A number at the beginning of `rest`, with all that clings to it: `5ms` is a mistake, not two
/// words.
fn number<'a>(rest: &str, at: usize) -> Result<(Token<'a>, usize), ParseError> {
    let mut before = 'e';
    let end = rest.find(|c| {
        let goes_on = is_bare(c) || (c == '+' && matches!(before, 'e' | 'E'));
        before = c;
        !goes_on
    });
    let digits = &rest[..end.unwrap_or(rest.len())];
    match digits.parse::<f64>() {
        // The sum makes 0 of -0: there is one way to write what compares equal.
        Ok(value) if value.is_finite() => Ok((Token::Number(value + 0.0), digits.len())),
        Ok(_) => Err(ParseError { at, message: format!("{} is no finite 64-bit number", quote(digits)) }),
        Err(_) => Err(ParseError {
            at,
            message: format!(
                "{} is no number; strings are written in quotes, names that begin with a digit or a sign in backticks",
                quote(digits)
            ),
        }),
    }
}

/// What is between the quotes that `rest` begins with, and the length with the quotes. The
/// doubled quote is one; in strings, but not in names, a backslash escapes.
fn quoted(rest: &str, at: usize, quote: char) -> Result<(String, usize), ParseError> {
    let mut found = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((n, c)) = chars.next() {
        if c == quote {
            match chars.next_if(|&(_, c)| c == quote) {
                Some(_) => found.push(quote),
                None => return Ok((found, n + 1)),
            }
        } else if c == '\\' && quote != '`' {
            match chars.next() {
                Some((_, c @ ('\'' | '"' | '\\'))) => found.push(c),
                Some((_, 'n')) => found.push('\n'),
                Some((_, 't')) => found.push('\t'),
                Some((_, c)) => {
                    let message = format!(
                        "found the unknown escape \\{}; known are \\' \\\" \\\\ \\n \\t, and a backslash is written \\\\",
                        c.escape_debug()
                    );
                    return Err(ParseError { at: at + n, message });
                }
                None => break,
            }
        } else {
            found.push(c);
        }
    }
    let what = if quote == '`' { "name" } else { "string" };
    Err(ParseError {
        at,
        message: format!(
            "the {what} that begins here does not end; expected {quote} behind its last character"
        ),
    })
}

/// A string as an expression has it.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("'")?;
        for c in self.0.chars() {
            match c {
                '\'' => f.write_str("\\'")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\t' => f.write_str("\\t")?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("'")
    }
}

/// A member as an expression has it, in backticks where it needs them.
pub(super) struct Name<'a>(pub(super) &'a Member);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = self.0.label();
        let is_plain = label.chars().all(is_bare)
            && !label.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '.'))
            && keyword(&label).is_none();
        if is_plain { f.write_str(&label) } else { write!(f, "`{}`", label.replace('`', "``")) }
    }
}
