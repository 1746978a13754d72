//! The grammar, by recursive descent: `or` < `and` < `not` < comparison.
//!
//! What must hold: only parentheses and `not` recurse, and each is counted, so that no text can
//! exhaust the stack; errors come from left to right, each with its place, what was found, what
//! was expected and what to do.

use super::lex::{Lexer, Name, Quoted, Token};
use super::{Literal, MAX_NESTING, MAX_TEXT, Node, ParseError, Polarity};
use crate::event::{Member, quote};

/// Reads all of a text.
pub(super) fn expression(text: &str) -> Result<Node, ParseError> {
    if text.len() > MAX_TEXT {
        return Err(ParseError {
            at: (0..=MAX_TEXT).rfind(|&at| text.is_char_boundary(at)).unwrap_or(0),
            message: format!("the expression has {} bytes; at most {MAX_TEXT} are allowed", text.len()),
        });
    }
    if text.trim().is_empty() {
        return Err(ParseError {
            at: 0,
            message: "the expression is empty; expected one such as type == 'sensor_data' and value >= 10"
                .into(),
        });
    }
    let mut parser = Parser::new(text)?;
    let node = parser.any()?;
    match parser.token {
        Token::End => Ok(node),
        _ => Err(parser.trailing()),
    }
}

struct Parser<'a> {
    text: &'a str,
    lexer: Lexer<'a>,
    /// The token to be looked at, and where it begins and ends.
    token: Token<'a>,
    at: usize,
    end: usize,
    /// Where the token before ended.
    before: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Result<Self, ParseError> {
        let mut lexer = Lexer::new(text);
        let (token, at, end) = lexer.next()?;
        Ok(Self { text, lexer, token, at, end, before: 0, depth: 0 })
    }

    /// Takes the token; the next one comes into view.
    fn take(&mut self) -> Result<Token<'a>, ParseError> {
        let (token, at, end) = self.lexer.next()?;
        self.before = self.end;
        (self.at, self.end) = (at, end);
        Ok(std::mem::replace(&mut self.token, token))
    }

    fn error(&self, message: String) -> ParseError {
        ParseError { at: self.at, message }
    }

    fn found(&self) -> String {
        match self.token {
            Token::End => "the end of the expression".to_owned(),
            _ => quote(&self.text[self.at..self.end]),
        }
    }

    fn expected(&self, expected: &str) -> ParseError {
        self.error(format!("found {}, expected {expected}", self.found()))
    }

    fn any(&mut self) -> Result<Node, ParseError> {
        let mut parts = vec![self.all()?];
        while self.token == Token::Or {
            self.take()?;
            parts.push(self.all()?);
        }
        Ok(Node::join(parts, Node::Any))
    }

    fn all(&mut self) -> Result<Node, ParseError> {
        let mut parts = vec![self.one()?];
        while self.token == Token::And {
            self.take()?;
            parts.push(self.one()?);
        }
        Ok(Node::join(parts, Node::All))
    }

    /// A `not`, a pair of parentheses or a comparison.
    fn one(&mut self) -> Result<Node, ParseError> {
        match self.token {
            Token::Not => self.deeper(|parser| {
                parser.take()?;
                Ok(Node::Not(Box::new(parser.one()?)))
            }),
            Token::Open('(') => self.deeper(|parser| {
                let opened = parser.at;
                parser.take()?;
                let inner = parser.any()?;
                parser.close(')', "and, or or ", opened)?;
                Ok(inner)
            }),
            _ => self.comparison(),
        }
    }

    fn deeper(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<Node, ParseError>,
    ) -> Result<Node, ParseError> {
        if self.depth == MAX_NESTING {
            return Err(self.error(format!(
                "found {} inside of {MAX_NESTING} levels of parentheses and not; expected no deeper one",
                self.found()
            )));
        }
        self.depth += 1;
        let node = read(self);
        self.depth -= 1;
        node
    }

    fn comparison(&mut self) -> Result<Node, ParseError> {
        if let Some(literal) = self.value() {
            return self.literal_first(literal);
        }
        match self.token {
            Token::Word(_) | Token::Name(_) => {
                let member = self.member()?;
                self.of_member(member)
            }
            Token::Has => {
                self.take()?;
                let opened = self.at;
                self.open(
                    "\"(\" and a name, as in has(user_id); a member called has is written `has`",
                    false,
                )?;
                let member = self.member()?;
                self.close(')', "", opened)?;
                Ok(Node::Has(member))
            }
            Token::In | Token::Like => {
                let word = &self.text[self.at..self.end];
                Err(self.expected(&format!(
                    "a name in front of it; a member called {word} is written in backticks: `{word}`"
                )))
            }
            Token::Open(_) => Err(self.expected("\"(\" or a comparison; square brackets are for lists only")),
            _ => Err(self.expected("a comparison such as value >= 10 or type == 'sensor_data'")),
        }
    }

    /// What follows a member.
    fn of_member(&mut self, member: Member) -> Result<Node, ParseError> {
        match self.token {
            Token::Op(op) => {
                self.take()?;
                let literal = self.literal(&member)?;
                Ok(Node::Compare(member, op, literal))
            }
            Token::Not => {
                self.take()?;
                match self.token {
                    Token::In | Token::Like => self.listed_or_like(member, Polarity::IsNot),
                    _ => {
                        Err(self
                            .expected("in or like after not; not in front of all of a comparison negates it"))
                    }
                }
            }
            Token::In | Token::Like => self.listed_or_like(member, Polarity::Is),
            _ => {
                let name = Name(&member);
                Err(self.expected(&format!(
                    "a comparison with {name}: ==, !=, <, <=, >, >=, in or like; whether it is there at all is asked \
                     with has({name}), whether it is true with {name} == true"
                )))
            }
        }
    }

    fn listed_or_like(&mut self, member: Member, polarity: Polarity) -> Result<Node, ParseError> {
        if self.take()? == Token::In {
            let list = self.list(&member)?;
            return Ok(Node::In(member, polarity, list));
        }
        let place = self.at..self.end;
        match self.literal(&member)? {
            Literal::Text(pattern) => Ok(Node::Like(member, polarity, pattern)),
            Literal::Number(_) => {
                let number = &self.text[place.clone()];
                let found = quote(number);
                Err(ParseError {
                    at: place.start,
                    message: format!(
                        "found the number {found}, expected a pattern in quotes, as in '{number}*'; only strings are \
                         like something"
                    ),
                })
            }
        }
    }

    fn list(&mut self, member: &Member) -> Result<Vec<Literal>, ParseError> {
        let opened = self.at;
        let close = self.open("a list in parentheses, as in ('a', 'b')", true)?;
        let mut list = Vec::new();
        if matches!(self.token, Token::Close(_)) {
            return Err(self.expected("a number or a string; no member is in an empty list"));
        }
        loop {
            list.push(self.literal(member)?);
            if self.token != Token::Comma {
                self.close(close, "\",\" or ", opened)?;
                return Ok(list);
            }
            self.take()?;
        }
    }

    /// Takes what opens; returns what closes.
    fn open(&mut self, expected: &str, square_too: bool) -> Result<char, ParseError> {
        let close = match self.token {
            Token::Open('(') => ')',
            Token::Open('[') if square_too => ']',
            _ => return Err(self.expected(expected)),
        };
        self.take()?;
        Ok(close)
    }

    /// Takes what closes. `more`: what could stand there as well.
    fn close(&mut self, close: char, more: &str, opened: usize) -> Result<(), ParseError> {
        if self.token != Token::Close(close) {
            return Err(self.expected(&format!("{more}\"{close}\" for what was opened at byte {opened}")));
        }
        self.take()?;
        Ok(())
    }

    fn member(&mut self) -> Result<Member, ParseError> {
        let parsed = match &self.token {
            Token::Word(name) => Member::parse(name),
            Token::Name(name) => Member::parse(name),
            Token::Text(_) => return Err(self.expected("a name, without quotes")),
            _ => return Err(self.expected("a name such as value, type or metadata.rack")),
        };
        let member = parsed.map_err(|message| self.error(message))?;
        self.take()?;
        Ok(member)
    }

    /// The token's value, if it is a literal; the token stays, empty.
    fn value(&mut self) -> Option<Literal> {
        match &mut self.token {
            Token::Number(value) => Some(Literal::Number(*value)),
            Token::Text(text) => Some(Literal::Text(std::mem::take(text))),
            _ => None,
        }
    }

    /// A literal to compare the member with.
    fn literal(&mut self, member: &Member) -> Result<Literal, ParseError> {
        let place = self.at..self.end;
        let Some(literal) = self.value() else {
            return Err(match self.token {
                Token::Word(word) => self.error(format!(
                    "found the word {} without quotes, expected a number or a string; did you mean {}?",
                    quote(word),
                    Quoted(word)
                )),
                Token::Name(_) => {
                    self.expected("a number or a string: members are not compared with each other")
                }
                _ => self.expected("a number or a string, as in 10 or 'sensor_data'"),
            });
        };
        self.check_sort(member, &literal, place)?;
        self.take()?;
        Ok(literal)
    }

    /// `10 < value`: the same as `value > 10`.
    fn literal_first(&mut self, literal: Literal) -> Result<Node, ParseError> {
        let place = self.at..self.end;
        self.take()?;
        let op = match self.token {
            Token::Op(op) => op,
            Token::In | Token::Like | Token::Not => {
                return Err(
                    self.expected("==, !=, <, <=, > or >=; only a name may stand in front of in and like")
                );
            }
            _ => return Err(self.expected("==, !=, <, <=, > or >= and a name")),
        };
        self.take()?;
        if matches!(self.token, Token::Text(_) | Token::Number(_)) {
            return Err(self.expected("a name: one side of a comparison is a member, written without quotes"));
        }
        let member = self.member()?;
        self.check_sort(&member, &literal, place)?;
        Ok(Node::Compare(member, op.flipped(), literal))
    }

    /// A number against what can only be a string is a mistake that would never show otherwise.
    fn check_sort(
        &self,
        member: &Member,
        literal: &Literal,
        place: std::ops::Range<usize>,
    ) -> Result<(), ParseError> {
        let why = match (literal, member) {
            (Literal::Text(_), _) | (_, Member::Data(_)) => return Ok(()),
            (_, Member::Source | Member::Kind) => "is always a string",
            (_, Member::Metadata(_)) => "can only be a string: numbers in metadata are not kept",
        };
        let number = &self.text[place.clone()];
        Err(ParseError {
            at: place.start,
            message: format!(
                "found the number {}, expected a string, as {} {why}; did you mean {}?",
                quote(number),
                Name(member),
                Quoted(number)
            ),
        })
    }

    /// The expression is complete, the text is not.
    fn trailing(&self) -> ParseError {
        let remedy = match self.token {
            Token::Op(_) => "; comparisons are joined one by one: value > 1 and value < 5",
            Token::Close(_) => "; nothing is open that it would close",
            _ if self.before == self.at && self.text[..self.at].ends_with(['\'', '"']) => {
                "; a quote inside of a string is written twice"
            }
            _ => "",
        };
        self.expected(&format!("and, or, or the end of the expression{remedy}"))
    }
}
