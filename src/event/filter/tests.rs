//! Meaning and errors as tables; and properties: what is printed parses back, the meaning is
//! that of a second evaluator over plain maps, no text does any harm.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::event::{Limits, Reader};

/// What an event says to a filter.
fn ask(event: &str, filter: &Filter) -> bool {
    let mut answer = None;
    Reader::new(Limits::USUAL).read(event.as_bytes(), &mut |outcome| {
        answer = Some(filter.matches(outcome.event.unwrap()));
    });
    answer.unwrap()
}

/// An event with a bit of everything.
const RICH: &str = r#"{"source":"web-1","type":"sensor_data","metadata":{"rack":"r7","n":5,"a b":"c","deep":{"er":"yes"}},
    "data":{"value":10,"neg":-2.5,"tiny":1e-300,"ok":true,"off":false,"nil":null,"list":[1],"empty":"",
    "user_id":"u7","a":{"b":3,"c":"x"},"source":"inner","type":4,"metadata":{"rack":"fake","n":1,"only":"here"},
    "data":{"x":7},"in":5,"sp ace":6,"t`ck":8,"größe":9,"9lives":1,"quote":"it's","path":"C:\\tmp","lines":"a\nb\tc",
    "$cost":2,"user@host":"me","the-end":1,"ten":"10"}}"#;
/// Next to nothing.
const BARE: &str = r#"{"source":"s","type":"t","data":{}}"#;
/// `metadata` in front of `data`, and a name that both have.
const TWICE: &str =
    r#"{"source":"s","type":"t","metadata":{"x":"m","y":"m"},"data":{"metadata":{"x":"d","y":1}}}"#;

#[test]
fn what_expressions_mean() {
    let rows: &[(&str, &str, bool)] = &[
        // Source and type.
        ("type == 'sensor_data'", RICH, true),
        ("type == \"sensor_data\"", RICH, true),
        ("type = 'sensor_data'", RICH, true),
        ("type == 'sensor'", RICH, false),
        ("type != 'sensor_data'", RICH, false),
        ("source != 'sensor_data'", RICH, true),
        ("'web-1' == source", RICH, true),
        ("source > 'web-0' and source < 'web-10'", RICH, true),
        ("source >= 'web-1' and source <= 'web-1'", RICH, true),
        ("source < 'web'", RICH, false),
        ("type in ('sensor_data', 'system_metric')", RICH, true),
        ("type in ['x', 'y']", RICH, false),
        ("type not in ('x', 'y')", RICH, true),
        ("type NOT IN ('sensor_data')", RICH, false),
        // Numbers.
        ("value == 10", RICH, true),
        ("data.value == 1e1", RICH, true),
        ("value >= 10 and value <= +10.0", RICH, true),
        ("value > 10 or value < 10", RICH, false),
        ("9.5 < value", RICH, true),
        ("10 < value", RICH, false),
        ("10 >= value && 10 <= value", RICH, true),
        ("neg<-2.4", RICH, true),
        ("neg > -.5", RICH, false),
        ("tiny > 0 and tiny < 1e-299", RICH, true),
        ("a.b in (1, 2, 3)", RICH, true),
        ("a.b in (1, 'x')", RICH, false),
        ("a.c in (1, 'x')", RICH, true),
        ("data.a.c = 'x'", RICH, true),
        ("ok == true and off == FALSE and ok = 1", RICH, true),
        ("ok == false", RICH, false),
        // Absent, or of the other sort.
        ("value == 1", BARE, false),
        ("value != 1", BARE, true),
        ("value < 1 or value >= 1", BARE, false),
        ("not (value < 1)", BARE, true),
        ("value not in (1)", BARE, true),
        ("user_id like '*'", BARE, false),
        ("user_id not like '*'", BARE, true),
        ("value == '10'", RICH, false),
        ("value != '10'", RICH, true),
        ("ten == 10", RICH, false),
        ("ten >= 1 or ten < 1", RICH, false),
        ("value like '10'", RICH, false),
        ("value < 'z' or value > ''", RICH, false),
        ("nil == 0 or nil == '' or list == 1", RICH, false),
        ("has(nil) or has(list) or has(a)", RICH, false),
        // There or not.
        ("has(value) and has(user_id) and has(data.a.b)", RICH, true),
        ("HAS ( empty )", RICH, true),
        ("has(value) or has(metadata.rack)", BARE, false),
        ("has(source) and has(type)", BARE, true),
        ("has(data.source) or has(data.type)", BARE, false),
        ("has(metadata.n)", RICH, false),
        // Names.
        ("data.source == 'inner' and data.type == 4", RICH, true),
        ("source == 'inner'", RICH, false),
        ("metadata.rack == 'r7'", RICH, true),
        ("metadata.rack == 'fake'", RICH, false),
        ("metadata.only == 'here'", RICH, false),
        ("data.metadata.rack == 'fake' and data.metadata.n == 1", RICH, true),
        ("data.metadata.only == 'here'", RICH, true),
        ("metadata.deep.er == 'yes' and `metadata.a b` == 'c'", RICH, true),
        ("metadata.x == 'm' and metadata.y == 'm'", TWICE, true),
        ("data.metadata.x == 'd' and data.metadata.y == 1", TWICE, true),
        ("data.data.x == 7", RICH, true),
        ("data.x == 7 or x == 7", RICH, false),
        ("`in` == 5 and data.in == 5", RICH, true),
        ("`sp ace` == 6 and `t``ck` == 8 and größe == 9", RICH, true),
        ("`data.sp ace` == 6 and `9lives` == 1 and data.9lives == 1", RICH, true),
        ("$cost == 2 and user@host == 'me' and the-end == 1", RICH, true),
        ("Value == 10", RICH, false),
        // Strings.
        ("quote == 'it''s' and quote == 'it\\'s' and quote == \"it's\"", RICH, true),
        ("path == 'C:\\\\tmp' and lines == 'a\\nb\\tc'", RICH, true),
        ("empty == '' and empty < 'a'", RICH, true),
        ("user_id == \"say \"\"u7\"\"\"", RICH, false),
        // Patterns.
        ("source like 'web-*'", RICH, true),
        ("source like 'web-?' and source like '*b*1*'", RICH, true),
        ("source like 'web'", RICH, false),
        ("source not like 'test_*'", RICH, true),
        ("empty like '*' and empty like '' and empty not like '?'", RICH, true),
        // Joined.
        ("type == 'x' or type == 'sensor_data' and value == 10", RICH, true),
        ("type == 'sensor_data' or type == 'x' and value == 0", RICH, true),
        ("(type == 'sensor_data' or type == 'x') and value == 0", RICH, false),
        ("not type == 'x' and value == 10", RICH, true),
        ("not (type == 'x' or value == 10)", RICH, false),
        ("not not value == 10", RICH, true),
        ("!(value == 10) || !value == 11", RICH, true),
        ("((((value == 10))))", RICH, true),
        ("not (source like 'test_*') AnD has(data.user_id)", RICH, true),
        ("type in ('sensor_data','system_metric')and value>=10 and metadata.rack!='r7'", RICH, false),
    ];
    assert!(rows.len() >= 40);
    for (expression, event, said) in rows {
        let filter = Filter::parse(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
        assert_eq!(ask(event, &filter), *said, "{expression} ({filter:?})");
    }
}

#[test]
fn what_is_wrong_is_said_and_where() {
    let long = format!("type == '{}'", "é".repeat(2100));
    let grown = vec!["a<1"; 700].join("||");
    let deep = format!("{}a == 1{}", "(".repeat(33), ")".repeat(33));
    let nots = format!("{}a == 1", "!".repeat(33));
    let name = format!("{} == 1", "n".repeat(257));
    let rows: &[(&str, usize, &str)] = &[
        ("", 0, "the expression is empty; expected one such as"),
        (" \n ", 0, "the expression is empty"),
        (
            "type == sensor_data",
            8,
            "found the word \"sensor_data\" without quotes, expected a number or a string; did you mean 'sensor_data'?",
        ),
        ("type in ('a', b)", 14, "did you mean 'b'?"),
        ("source like web*", 12, "did you mean 'web'?"),
        ("value == other and a == 1", 9, "did you mean 'other'?"),
        ("value == `other`", 9, "members are not compared with each other"),
        (
            "type == 5",
            8,
            "found the number \"5\", expected a string, as type is always a string; did you mean '5'?",
        ),
        ("value == 1 and 5 <= source", 15, "source is always a string"),
        ("type in ('a', 5)", 14, "did you mean '5'?"),
        ("type != true", 8, "did you mean 'true'?"),
        ("metadata.n > 3", 13, "numbers in metadata are not kept"),
        ("type == 'abc", 8, "the string that begins here does not end; expected ' behind"),
        ("type == \"abc'", 8, "expected \" behind"),
        ("type == 'abc\\", 8, "does not end"),
        ("`abc == 1", 0, "the name that begins here does not end"),
        ("type == 'a\\d'", 10, "unknown escape \\d"),
        ("value = 'x' and and", 16, "found \"and\", expected a comparison"),
        ("value = 'x' and", 15, "found the end of the expression, expected a comparison"),
        ("or value == 1", 0, "found \"or\", expected a comparison"),
        ("value == 1 value == 2", 11, "found \"value\", expected and, or, or the end"),
        ("type == 'it's'", 12, "written twice"),
        (
            "1 < value < 5",
            10,
            "found \"<\", expected and, or, or the end of the expression; comparisons are joined",
        ),
        ("value == 1)", 10, "found \")\", expected and, or, or the end of the expression; nothing is open"),
        (
            "(value == 1",
            11,
            "found the end of the expression, expected and, or or \")\" for what was opened at byte 0",
        ),
        ("[value == 1]", 0, "square brackets"),
        ("value", 5, "has(value)"),
        ("ok and value > 1", 3, "ok == true"),
        ("value == ", 9, "found the end of the expression, expected a number or a string"),
        ("value == == 1", 9, "found \"==\""),
        ("value not == 1", 10, "expected in or like after not"),
        ("value => 1", 6, "did you mean >=?"),
        ("value =< 1", 6, "did you mean <=?"),
        ("value <> 1", 6, "did you mean !=?"),
        ("a == 1 & b == 1", 7, "did you mean && or and?"),
        ("a == 1 | b == 1", 7, "did you mean || or or?"),
        ("source ~ 'web.*'", 7, "like 'web-*'"),
        ("type == ‘a’", 8, "typographic quote ‘"),
        ("a == 1; b == 1", 6, "the character \";\""),
        ("größe == 5ms", 11, "\"5ms\" is no number"),
        ("value == -inf", 9, "\"-inf\" is no finite"),
        ("value == 1e999", 9, "\"1e999\" is no finite"),
        ("value == -", 9, "\"-\" is no number"),
        ("9lives == 1", 0, "names that begin with a digit"),
        ("value >= 10and a == 1", 9, "\"10and\" is no number"),
        ("type in 'a'", 8, "expected a list in parentheses, as in ('a', 'b')"),
        ("type in ()", 9, "empty list"),
        ("type in ('a' 'b')", 13, "expected \",\" or \")\" for what was opened at byte 8"),
        ("type in ('a', 'b']", 17, "expected \",\" or \")\""),
        ("type in ['a',]", 13, "found \"]\", expected a number or a string"),
        ("'a' in (source)", 4, "only a name may stand in front of in and like"),
        ("5", 1, "and a name"),
        ("'a' == 'b'", 7, "one side of a comparison is a member"),
        ("value like 5", 11, "found the number \"5\", expected a pattern in quotes, as in '5*'"),
        ("has value", 4, "expected \"(\" and a name"),
        ("has('value')", 4, "expected a name, without quotes"),
        ("has()", 4, "expected a name such as"),
        ("has(a, b)", 5, "expected \")\" for what was opened at byte 3"),
        ("like == 1", 0, "in backticks: `like`"),
        ("a == 1 and metadata. == 1", 11, "names no member"),
        ("`` == 1", 0, "the name is empty"),
        (&name, 0, "257 bytes"),
        (&long, 4095, "bytes; at most 4096 are allowed"),
        (&grown, 0, "when it is written out in full"),
        (&deep, 32, "inside of 32 levels"),
        (&nots, 32, "inside of 32 levels"),
    ];
    assert!(rows.len() >= 15);
    for (text, at, said) in rows {
        let error = Filter::parse(text).expect_err(text);
        assert!(error.message.contains(said), "{text}: {error}");
        assert_eq!(error.at, *at, "{text}: {error}");
        assert!(text.is_char_boundary(error.at), "{text}: {error}");
        assert_eq!(error.to_string(), format!("at byte {at}: {}", error.message));
    }
}

#[test]
fn the_canonical_form_is_short() {
    for (typed, printed) in [
        ("((type='a'))&&!(value>=1.50)||`x`!=TRUE", "type == 'a' and not value >= 1.5 or x != 1"),
        ("a<1 and (b<1 and (c<1 or (d<1 or e<1)))", "a < 1 and b < 1 and (c < 1 or d < 1 or e < 1)"),
        ("not (a<1 or b<1) and not (not (c<1))", "not (a < 1 or b < 1) and not not c < 1"),
        ("10 < data.value", "value > 10"),
        ("\"it's\" = data.source", "data.source == 'it\\'s'"),
        ("metadata.rack not in [\"a\",'b']", "metadata.rack not in ('a', 'b')"),
        ("Source Not Like 'x*' and has(`sp ace`)", "Source not like 'x*' and has(`sp ace`)"),
        ("a in (1e300, -1e-300, 1e15, -0, .5)", "a in (1e300, -1e-300, 1000000000000000, 0, 0.5)"),
        ("data.and == 1 and `data.in` == 1", "`and` == 1 and `in` == 1"),
    ] {
        assert_eq!(Filter::parse(typed).unwrap().to_string(), printed, "{typed}");
    }
}

#[test]
fn deep_and_wide_ones_are_read() {
    let deep = format!("{}a == 1{}", "(".repeat(32), ")".repeat(32));
    assert_eq!(Filter::parse(&deep).unwrap().to_string(), "a == 1");
    let nots = format!("{}a == 1", "!".repeat(32));
    assert!(!ask(BARE, &Filter::parse(&nots).unwrap()));
    // Side by side is not deep.
    let wide = vec!["(a==1)"; 350].join(" or ");
    assert!(!ask(BARE, &Filter::parse(&wide).unwrap()));
    assert!(Filter::parse(&"(".repeat(MAX_TEXT)).is_err());
    assert!(Filter::parse(&"not ".repeat(MAX_TEXT / 4)).is_err());
}

#[test]
fn patterns_of_many_stars_end_soon() {
    let text = "a".repeat(256);
    let pattern = format!("{}b", "*a".repeat(120));
    assert!(!is_like(&text, &pattern));
    assert!(is_like(&text, &pattern.replace('b', "*")));
}

/// The pattern matcher in its plainest form.
fn is_like_plainly(text: &[char], pattern: &[char]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, _) => text.is_empty(),
        (Some(('*', rest)), _) => (0..=text.len()).any(|skip| is_like_plainly(&text[skip..], rest)),
        (Some((wanted, rest)), Some((found, text))) => {
            (*wanted == '?' || wanted == found) && is_like_plainly(text, rest)
        }
        (Some(_), None) => false,
    }
}

/// An event as two flat maps; names need no flattening.
#[derive(Debug)]
struct Model {
    source: String,
    kind: String,
    data: BTreeMap<String, Value>,
    metadata: BTreeMap<String, Value>,
}

impl Model {
    fn json(&self) -> String {
        json!({"source": self.source, "type": self.kind, "data": self.data, "metadata": self.metadata})
            .to_string()
    }

    fn value(&self, member: &Member) -> Option<Value> {
        match member {
            Member::Source => Some(self.source.clone().into()),
            Member::Kind => Some(self.kind.clone().into()),
            Member::Data(name) => self.data.get(name).cloned(),
            Member::Metadata(name) => self.metadata.get(name).filter(|v| v.is_string()).cloned(),
        }
    }

    fn is(&self, node: &Node) -> bool {
        match node {
            Node::Any(parts) => parts.iter().filter(|part| self.is(part)).count() > 0,
            Node::All(parts) => parts.iter().filter(|part| self.is(part)).count() == parts.len(),
            Node::Not(inner) => !self.is(inner),
            Node::Has(member) => self.value(member).is_some(),
            Node::Compare(member, Op::Ne, literal) => !self.compares(member, Op::Eq, literal),
            Node::Compare(member, op, literal) => self.compares(member, *op, literal),
            Node::In(member, polarity, list) => {
                let found = list.iter().any(|literal| self.compares(member, Op::Eq, literal));
                if *polarity == Polarity::Is { found } else { !found }
            }
            Node::Like(member, polarity, pattern) => {
                let chars = |text: &str| text.chars().collect::<Vec<_>>();
                let found = match self.value(member) {
                    Some(Value::String(text)) => is_like_plainly(&chars(&text), &chars(pattern)),
                    _ => false,
                };
                if *polarity == Polarity::Is { found } else { !found }
            }
        }
    }

    fn compares(&self, member: &Member, op: Op, literal: &Literal) -> bool {
        fn holds<T: PartialOrd>(a: T, op: Op, b: T) -> bool {
            match op {
                Op::Eq => a == b,
                Op::Ne => panic!("is the negation of =="),
                Op::Lt => a < b,
                Op::Le => a <= b,
                Op::Gt => a > b,
                Op::Ge => a >= b,
            }
        }
        match (self.value(member), literal) {
            (Some(Value::String(a)), Literal::Text(b)) => holds(a.as_bytes(), op, b.as_bytes()),
            (Some(Value::Number(a)), Literal::Number(b)) => holds(a.as_f64().unwrap(), op, *b),
            (Some(Value::Bool(a)), Literal::Number(b)) => holds(if a { 1.0 } else { 0.0 }, op, *b),
            _ => false,
        }
    }
}

/// Names that models and expressions share, some of them made to be taken for others.
const NAMES: [&str; 8] = ["v", "source", "metadata.x", "data.v", "a.b", "not", "x y", "x"];

fn model() -> impl Strategy<Value = Model> {
    let value = || {
        prop_oneof![
            (-2..3).prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            short().prop_map(Value::from)
        ]
    };
    let members =
        || prop::collection::btree_map(prop::sample::select(&NAMES).prop_map(String::from), value(), 0..6);
    ("[ab]{1,2}", "[ab]{1,2}", members(), members()).prop_map(|(source, kind, data, metadata)| Model {
        source,
        kind,
        data,
        metadata,
    })
}

fn short() -> impl Strategy<Value = String> {
    prop_oneof!["[ab]{0,2}", "[ab*?'é]{0,4}"]
}

fn member(any_name: bool) -> impl Strategy<Value = Member> {
    let name = if any_name {
        prop_oneof![prop::sample::select(&NAMES).prop_map(String::from), "[^\0]{1,6}", "[0-9.a-]{1,3}"]
            .boxed()
    } else {
        prop::sample::select(&NAMES).prop_map(String::from).boxed()
    };
    prop_oneof![
        1 => Just(Member::Source),
        1 => Just(Member::Kind),
        4 => name.clone().prop_map(Member::Data),
        2 => name.prop_map(Member::Metadata),
    ]
}

fn literal(any_value: bool) -> impl Strategy<Value = Literal> {
    let (number, text) = if any_value {
        let finite = prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO;
        (prop_oneof![finite, -100.0..100.0].boxed(), prop_oneof![short(), "\\PC{0,6}", ".{0,4}"].boxed())
    } else {
        ((-2..3).prop_map(f64::from).boxed(), short().boxed())
    };
    // The parser makes 0 of -0.
    prop_oneof![number.prop_map(|x| Literal::Number(x + 0.0)), text.prop_map(Literal::Text)]
}

/// What the parser refuses, numbers against what is a string, becomes a string.
fn sorted(member: &Member, literal: Literal) -> Literal {
    match (member, literal) {
        (Member::Data(_), literal) | (_, literal @ Literal::Text(_)) => literal,
        (_, Literal::Number(x)) => Literal::Text(x.to_string()),
    }
}

/// A tree as the parser makes them; `any`: of any names and values, not of a few only.
fn node(any: bool) -> impl Strategy<Value = Node> {
    let polarity = || prop::sample::select(&[Polarity::Is, Polarity::IsNot]);
    let op = prop::sample::select(&[Op::Eq, Op::Ne, Op::Lt, Op::Le, Op::Gt, Op::Ge]);
    let leaf = prop_oneof![
        1 => member(any).prop_map(Node::Has),
        4 => (member(any), op, literal(any)).prop_map(|(m, op, l)| {
            let literal = sorted(&m, l);
            Node::Compare(m, op, literal)
        }),
        2 => (member(any), polarity(), prop::collection::vec(literal(any), 1..4)).prop_map(|(m, p, list)| {
            let list = list.into_iter().map(|l| sorted(&m, l)).collect();
            Node::In(m, p, list)
        }),
        2 => (member(any), polarity(), short()).prop_map(|(m, p, s)| Node::Like(m, p, s)),
    ];
    leaf.prop_recursive(5, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| Node::join(parts, Node::Any)),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| Node::join(parts, Node::All)),
            inner.prop_map(|inner| Node::Not(Box::new(inner))),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_printed_parses_back(root in node(true)) {
        let filter = Filter { root };
        let printed = filter.to_string();
        prop_assume!(printed.len() <= MAX_TEXT);
        prop_assert_eq!(Filter::parse(&printed), Ok(filter), "{}", printed);
    }

    #[test]
    fn the_meaning_is_that_of_the_plain_one(root in node(false), models in prop::collection::vec(model(), 4)) {
        let filter = Filter { root };
        let parsed = Filter::parse(&filter.to_string()).unwrap();
        for model in models {
            let wanted = model.is(&filter.root);
            prop_assert_eq!(ask(&model.json(), &filter), wanted, "{} {:?}", filter, model);
            prop_assert_eq!(ask(&model.json(), &parsed), wanted);
        }
    }

    #[test]
    fn no_text_does_any_harm(bytes: Vec<u8>) {
        parse_and_look(&String::from_utf8_lossy(&bytes))?;
    }

    #[test]
    fn nor_does_what_is_nearly_one(words in prop::collection::vec(prop::sample::select(&[
        "type", "value", "data.", "metadata.x", "==", "!=", "<", ">=", "=", "and", "or", "not", "!", "in", "like",
        "has", "(", ")", "[", "]", ",", "'a'", "\"b", "`c`", "1", "-1e5", "1e999", "'", "\\", "é", "&&", "|", "true",
    ]), 0..12), gap in " ?") {
        parse_and_look(&words.join(&gap))?;
    }

    #[test]
    fn patterns_are_as_the_plain_ones(text in "[abé]{0,8}", pattern in "[abé*?]{0,8}") {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        prop_assert_eq!(is_like(&text, &pattern), is_like_plainly(&chars(&text), &chars(&pattern)));
    }
}

/// Whatever parses prints to what parses the same; whatever does not has a place and a message.
fn parse_and_look(text: &str) -> Result<(), TestCaseError> {
    match Filter::parse(text) {
        Ok(filter) => prop_assert_eq!(Filter::parse(&filter.to_string()), Ok(filter)),
        Err(error) => {
            prop_assert!(text.is_char_boundary(error.at) && !error.message.is_empty(), "{}", error);
        }
    }
    Ok(())
}
