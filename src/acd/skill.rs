//! Skill expressions: `billing >= 3 and (en or zh >= 2)`, read once, then asked of each agent.
//!
//! ```text
//! either := both ("or" both)*          term := name [op value]
//! both   := one ("and" one)*           op   := ">=" ">" "<=" "<" "=" "!="
//! one    := "not" one | "(" either ")" | term
//! ```
//! A name alone means level 1 or more. A level is 1 to 10; a skill an agent lacks has level 0. The word `language`
//! stands for the skill named after the caller's language, and is always satisfied where no language is known.
//! A quoted value compares an attribute of the agent: `site = "north"`.

use core::fmt;
use core::ops::Range;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ids::{Language, SkillName};
use crate::limits;

/// An expression over one agent's skills and attributes.
#[derive(Clone, PartialEq)]
pub struct Expression {
    text: Arc<str>,
    root: Node,
    asks_language: bool,
}

/// What an expression is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Abilities<'a> {
    /// Skill → level 1–10.
    pub skills: &'a BTreeMap<SkillName, u8>,
    pub attributes: &'a BTreeMap<Arc<str>, Arc<str>>,
    /// The caller's language, where known.
    pub language: Option<&'a Language>,
}

/// Why a text is no expression: the bytes meant, the reason, the mend. Made for a `Finding`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} {mend}")]
pub struct ExpressionFault {
    /// Byte range in the expression's own text.
    pub span: Range<usize>,
    pub reason: String,
    pub mend: String,
}

impl Expression {
    pub fn parse(text: &str) -> Result<Self, ExpressionFault> {
        if text.len() > limits::ACD_EXPRESSION_BYTES {
            let reason = format!("The expression is longer than {} bytes.", limits::ACD_EXPRESSION_BYTES);
            return Err(ExpressionFault { span: 0..text.len(), reason, mend: "Split it into steps.".into() });
        }
        let mut parser = Parser { text, tokens: tokens(text)?, at: 0, depth: 0 };
        let root = parser.either()?;
        match parser.peek() {
            None => {
                let asks_language = root.asks_language();
                Ok(Self { text: Arc::from(text), root, asks_language })
            }
            Some(_) => Err(parser.wanted("`and`, `or` or the end")),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How well an agent satisfies it: the mean level in the skills that count, in hundredths; `None`: not at all.
    /// Of several satisfied sides of an `or` the best counts.
    pub fn fit(&self, abilities: Abilities<'_>) -> Option<u16> {
        self.root.fit(abilities).map(Levels::mean)
    }

    pub fn is_satisfied(&self, abilities: Abilities<'_>) -> bool {
        self.root.fit(abilities).is_some()
    }

    /// Does the answer depend on the caller's language? If not, it can be worked out once for each agent.
    pub fn asks_language(&self) -> bool {
        self.asks_language
    }

    /// The first thing missing, in words: `billing >= 3 (has 2)`. `None` where nothing is.
    pub fn missing(&self, abilities: Abilities<'_>) -> Option<String> {
        if self.is_satisfied(abilities) { None } else { self.root.missing(abilities) }
    }

    /// Every skill it names with its place in the text, so that a plan can refuse unknown ones.
    pub fn skills(&self) -> Vec<(&SkillName, Range<usize>)> {
        let mut found = Vec::new();
        self.root.collect_skills(&mut found);
        found
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.text)
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Both(Vec<Node>),
    Either(Vec<Node>),
    Not(Box<Node>),
    Level { skill: SkillName, compare: Compare, level: u8, span: Range<usize> },
    CallersLanguage { compare: Compare, level: u8 },
    Attribute { name: Arc<str>, equal: bool, value: Arc<str> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compare {
    AtLeast,
    Above,
    AtMost,
    Below,
    Equal,
    NotEqual,
}

/// Sum and number of the levels that counted.
#[derive(Clone, Copy, Default)]
struct Levels {
    sum: u32,
    count: u32,
}

impl Levels {
    fn one(level: u8) -> Self {
        Self { sum: u32::from(level), count: 1 }
    }

    fn plus(self, other: Self) -> Self {
        Self { sum: self.sum + other.sum, count: self.count + other.count }
    }

    /// Hundredths; at most 1000, as levels end at 10.
    fn mean(self) -> u16 {
        u16::try_from(self.sum * 100 / self.count.max(1)).unwrap_or(u16::MAX)
    }
}

impl Compare {
    fn holds(self, has: u8, wants: u8) -> bool {
        match self {
            Compare::AtLeast => has >= wants,
            Compare::Above => has > wants,
            Compare::AtMost => has <= wants,
            Compare::Below => has < wants,
            Compare::Equal => has == wants,
            Compare::NotEqual => has != wants,
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Compare::AtLeast => ">=",
            Compare::Above => ">",
            Compare::AtMost => "<=",
            Compare::Below => "<",
            Compare::Equal => "=",
            Compare::NotEqual => "!=",
        }
    }
}

impl Node {
    fn fit(&self, abilities: Abilities<'_>) -> Option<Levels> {
        match self {
            Node::Both(nodes) => {
                nodes.iter().try_fold(Levels::default(), |sum, node| Some(sum.plus(node.fit(abilities)?)))
            }
            Node::Either(nodes) => nodes.iter().filter_map(|node| node.fit(abilities)).max_by_key(|l| l.mean()),
            Node::Not(node) => node.fit(abilities).is_none().then(Levels::default),
            Node::Level { skill, compare, level, .. } => {
                let has = abilities.level(skill);
                compare.holds(has, *level).then(|| Levels::one(has))
            }
            Node::CallersLanguage { compare, level } => match abilities.language {
                None => Some(Levels::default()),
                Some(language) => {
                    let has = abilities.level_by_name(language.as_str());
                    compare.holds(has, *level).then(|| Levels::one(has))
                }
            },
            Node::Attribute { name, equal, value } => {
                let same = abilities.attributes.get(name).is_some_and(|has| has == value);
                (same == *equal).then(Levels::default)
            }
        }
    }

    fn missing(&self, abilities: Abilities<'_>) -> Option<String> {
        if self.fit(abilities).is_some() {
            return None;
        }
        Some(match self {
            Node::Both(nodes) => nodes.iter().find_map(|node| node.missing(abilities))?,
            Node::Either(nodes) => {
                let all: Vec<_> = nodes.iter().filter_map(|node| node.missing(abilities)).collect();
                all.join(" or ")
            }
            Node::Not(_) => "something the expression excludes".into(),
            Node::Level { skill, compare, level, .. } => {
                format!("{skill} {} {level} (has {})", compare.sign(), abilities.level(skill))
            }
            Node::CallersLanguage { compare, level } => {
                let language = abilities.language?;
                let has = abilities.level_by_name(language.as_str());
                format!("language {language} {} {level} (has {has})", compare.sign())
            }
            Node::Attribute { name, equal, value } => {
                let sign = if *equal { "=" } else { "!=" };
                let has = abilities.attributes.get(name).map_or("nothing", |has| has);
                format!("{name} {sign} \"{value}\" (has {has})")
            }
        })
    }

    fn asks_language(&self) -> bool {
        match self {
            Node::Both(nodes) | Node::Either(nodes) => nodes.iter().any(Node::asks_language),
            Node::Not(node) => node.asks_language(),
            Node::CallersLanguage { .. } => true,
            Node::Level { .. } | Node::Attribute { .. } => false,
        }
    }

    fn collect_skills<'a>(&'a self, found: &mut Vec<(&'a SkillName, Range<usize>)>) {
        match self {
            Node::Both(nodes) | Node::Either(nodes) => nodes.iter().for_each(|node| node.collect_skills(found)),
            Node::Not(node) => node.collect_skills(found),
            Node::Level { skill, span, .. } => found.push((skill, span.clone())),
            Node::CallersLanguage { .. } | Node::Attribute { .. } => {}
        }
    }
}

impl Abilities<'_> {
    fn level(&self, skill: &SkillName) -> u8 {
        self.level_by_name(skill.as_str())
    }

    fn level_by_name(&self, skill: &str) -> u8 {
        self.skills.get(skill).copied().unwrap_or(0)
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Open,
    Close,
    And,
    Or,
    Not,
    Compare(Compare),
    Number(u32),
    Text(Arc<str>),
    Name(Arc<str>),
}

fn tokens(text: &str) -> Result<Vec<(Token, Range<usize>)>, ExpressionFault> {
    let mut found = Vec::new();
    let mut rest = text.char_indices().peekable();
    while let Some((start, first)) = rest.next() {
        let mut end = start + first.len_utf8();
        let mut take_while = |wanted: fn(char) -> bool, end: &mut usize| {
            while let Some((at, c)) = rest.next_if(|(_, c)| wanted(*c)) {
                *end = at + c.len_utf8();
            }
        };
        let token = match first {
            c if c.is_whitespace() => continue,
            '(' => Token::Open,
            ')' => Token::Close,
            '"' => {
                take_while(|c| c != '"', &mut end);
                let inside = text.get(start + 1..end).unwrap_or_default();
                let value = Token::Text(Arc::from(inside));
                if rest.next().is_none() {
                    return Err(fault(start..end, "The text has no closing quote.", "Add `\"` at its end."));
                }
                end += 1;
                value
            }
            '0'..='9' => {
                take_while(|c| c.is_ascii_digit(), &mut end);
                Token::Number(text.get(start..end).and_then(|digits| digits.parse().ok()).unwrap_or(u32::MAX))
            }
            c if c.is_alphabetic() || c == '_' => {
                take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'), &mut end);
                word(text.get(start..end).unwrap_or_default())
            }
            '<' | '>' | '=' | '!' | '&' | '|' => {
                take_while(|c| matches!(c, '<' | '>' | '=' | '!' | '&' | '|'), &mut end);
                operator(text.get(start..end).unwrap_or_default(), start..end)?
            }
            other => {
                let reason = format!("`{other}` has no meaning here.");
                return Err(fault(start..end, reason, "Write skills, levels, `and`, `or`, `not` and parentheses."));
            }
        };
        found.push((token, start..end));
    }
    Ok(found)
}

fn word(text: &str) -> Token {
    match text {
        "and" => Token::And,
        "or" => Token::Or,
        "not" => Token::Not,
        name => Token::Name(Arc::from(name)),
    }
}

fn operator(text: &str, span: Range<usize>) -> Result<Token, ExpressionFault> {
    Ok(Token::Compare(match text {
        ">=" => Compare::AtLeast,
        ">" => Compare::Above,
        "<=" => Compare::AtMost,
        "<" => Compare::Below,
        "=" => Compare::Equal,
        "!=" => Compare::NotEqual,
        other => {
            let mend = match other {
                "&&" | "&" => "Write `and`.",
                "||" | "|" => "Write `or`.",
                "!" => "Write `not`.",
                "==" => "Write `=`.",
                "=>" => "Write `>=`.",
                "=<" => "Write `<=`.",
                _ => "Write one of `>=`, `>`, `<=`, `<`, `=`, `!=`.",
            };
            return Err(fault(span, format!("`{other}` is no comparison."), mend));
        }
    }))
}

fn fault(span: Range<usize>, reason: impl Into<String>, mend: impl Into<String>) -> ExpressionFault {
    ExpressionFault { span, reason: reason.into(), mend: mend.into() }
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<(Token, Range<usize>)>,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn next(&mut self) -> Option<(Token, Range<usize>)> {
        let token = self.tokens.get(self.at).cloned();
        self.at += usize::from(token.is_some());
        token
    }

    fn take(&mut self, token: &Token) -> bool {
        let same = self.peek() == Some(token);
        self.at += usize::from(same);
        same
    }

    /// The fault "this is not what should stand here" at the current token.
    fn wanted(&self, what: &str) -> ExpressionFault {
        match self.tokens.get(self.at) {
            Some((_, span)) => {
                let found = self.text.get(span.clone()).unwrap_or_default();
                fault(span.clone(), format!("`{found}` stands where {what} should."), format!("Write {what} here."))
            }
            None => {
                let end = self.text.len();
                fault(end..end, format!("The expression ends where {what} should stand."), format!("Add {what}."))
            }
        }
    }

    fn either(&mut self) -> Result<Node, ExpressionFault> {
        let mut nodes = vec![self.both()?];
        while self.take(&Token::Or) {
            nodes.push(self.both()?);
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::Either(nodes) })
    }

    fn both(&mut self) -> Result<Node, ExpressionFault> {
        let mut nodes = vec![self.one()?];
        while self.take(&Token::And) {
            nodes.push(self.one()?);
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::Both(nodes) })
    }

    fn one(&mut self) -> Result<Node, ExpressionFault> {
        self.depth += 1;
        if self.depth > limits::ACD_EXPRESSION_DEPTH {
            let span = self.tokens.get(self.at).map_or(self.text.len()..self.text.len(), |(_, span)| span.clone());
            return Err(fault(span, "The expression is nested too deeply.", "Take parentheses away."));
        }
        let node = match self.next() {
            Some((Token::Not, _)) => Node::Not(Box::new(self.one()?)),
            Some((Token::Open, open)) => {
                let inside = self.either()?;
                if !self.take(&Token::Close) {
                    let reason = "This parenthesis is never closed.";
                    return Err(match self.peek() {
                        None => fault(open, reason, "Add `)`."),
                        Some(_) => self.wanted("`and`, `or` or `)`"),
                    });
                }
                inside
            }
            Some((Token::Name(name), span)) => self.term(name, span)?,
            Some(_) => {
                self.at -= 1;
                return Err(self.wanted("a skill, `not` or `(`"));
            }
            None => return Err(self.wanted("a skill")),
        };
        self.depth -= 1;
        Ok(node)
    }

    fn term(&mut self, name: Arc<str>, span: Range<usize>) -> Result<Node, ExpressionFault> {
        let Some(&Token::Compare(compare)) = self.peek() else {
            return Ok(level_term(name, span, Compare::AtLeast, 1));
        };
        self.at += 1;
        match self.next() {
            Some((Token::Number(level), at)) => match u8::try_from(level) {
                Ok(level @ 1..=10) => Ok(level_term(name, span, compare, level)),
                _ => Err(fault(at, format!("Level {level} does not exist: levels are 1 to 10."), "Write 1 to 10.")),
            },
            Some((Token::Text(value), at)) => match compare {
                Compare::Equal => Ok(Node::Attribute { name, equal: true, value }),
                Compare::NotEqual => Ok(Node::Attribute { name, equal: false, value }),
                _ => Err(fault(at, "Text has no order.", "Compare text with `=` or `!=`.")),
            },
            Some(_) => {
                self.at -= 1;
                Err(self.wanted("a level from 1 to 10 or a quoted text"))
            }
            None => Err(self.wanted("a level from 1 to 10 or a quoted text")),
        }
    }
}

fn level_term(name: Arc<str>, span: Range<usize>, compare: Compare, level: u8) -> Node {
    if &*name == "language" {
        Node::CallersLanguage { compare, level }
    } else {
        Node::Level { skill: SkillName::new(name), compare, level, span }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, prop_assert, proptest};

    use super::*;

    struct Person {
        skills: BTreeMap<SkillName, u8>,
        attributes: BTreeMap<Arc<str>, Arc<str>>,
    }

    fn person(skills: &[(&str, u8)]) -> Person {
        Person {
            skills: skills.iter().map(|(name, level)| (SkillName::from(*name), *level)).collect(),
            attributes: BTreeMap::from([(Arc::from("site"), Arc::from("north"))]),
        }
    }

    impl Person {
        fn ask(&self, text: &str, language: Option<&str>) -> Option<u16> {
            let language = language.map(Language::from);
            let abilities =
                Abilities { skills: &self.skills, attributes: &self.attributes, language: language.as_ref() };
            Expression::parse(text).unwrap().fit(abilities)
        }
    }

    #[test]
    fn the_fit_is_the_mean_level_of_what_was_asked() {
        let ana = person(&[("billing", 4), ("en", 1), ("zh", 9)]);
        assert_eq!(ana.ask("billing >= 3 and (en or zh >= 2)", None), Some(650));
        assert_eq!(ana.ask("billing >= 5", None), None);
        assert_eq!(ana.ask("not billing >= 5", None), Some(0));
        assert_eq!(
            ana.ask("billing > 3 and billing < 5 and billing <= 4 and billing = 4 and billing != 3", None),
            Some(400)
        );
        assert_eq!(ana.ask("site = \"north\" and en", None), Some(100));
        assert_eq!(ana.ask("site != \"north\"", None), None);
        assert_eq!(ana.ask("not not zh", None), Some(0));
    }

    #[test]
    fn language_means_the_callers() {
        let ana = person(&[("zh", 9)]);
        assert_eq!(ana.ask("language >= 2", Some("zh")), Some(900));
        assert_eq!(ana.ask("language", Some("en")), None);
        assert_eq!(ana.ask("language", None), Some(0));
    }

    #[test]
    fn and_binds_before_or() {
        let ana = person(&[("a", 1)]);
        assert!(ana.ask("a or b and c", None).is_some());
        assert!(ana.ask("(a or b) and c", None).is_none());
    }

    #[test]
    fn what_is_missing_is_said_in_words() {
        let ana = person(&[("billing", 2)]);
        let abilities = |language| Abilities { skills: &ana.skills, attributes: &ana.attributes, language };
        let zh = Language::from("zh");
        let missing = |text: &str, language| Expression::parse(text).unwrap().missing(abilities(language));
        assert_eq!(missing("billing >= 3", None).as_deref(), Some("billing >= 3 (has 2)"));
        assert_eq!(missing("en or fr", None).as_deref(), Some("en >= 1 (has 0) or fr >= 1 (has 0)"));
        assert_eq!(missing("language", Some(&zh)).as_deref(), Some("language zh >= 1 (has 0)"));
        assert_eq!(missing("site = \"south\"", None).as_deref(), Some("site = \"south\" (has north)"));
        assert_eq!(missing("billing", None), None);
    }

    #[test]
    fn skills_are_listed_with_their_place() {
        let expression = Expression::parse("en or 中文 >= 2").unwrap();
        let places: Vec<_> = expression.skills().into_iter().map(|(name, span)| (name.to_string(), span)).collect();
        assert_eq!(places, [("en".to_string(), 0..2), ("中文".to_string(), 6..12)]);
    }

    #[test]
    fn faults_point_at_the_place_and_name_the_mend() {
        let cases = [
            ("", 0..0, "Add a skill."),
            ("billing >=", 10..10, "Add a level from 1 to 10 or a quoted text."),
            ("billing >= 11", 11..13, "Write 1 to 10."),
            ("billing >= 0", 11..12, "Write 1 to 10."),
            ("billing == 3", 8..10, "Write `=`."),
            ("en && zh", 3..5, "Write `and`."),
            ("en || zh", 3..5, "Write `or`."),
            ("(en or zh", 0..1, "Add `)`."),
            ("(en zh)", 4..6, "Write `and`, `or` or `)` here."),
            ("en zh", 3..5, "Write `and`, `or` or the end here."),
            ("en) or zh", 2..3, "Write `and`, `or` or the end here."),
            ("en and", 6..6, "Add a skill."),
            ("en and >= 3", 7..9, "Write a skill, `not` or `(` here."),
            ("en # zh", 3..4, "Write skills, levels, `and`, `or`, `not` and parentheses."),
            ("site = \"north", 7..13, "Add `\"` at its end."),
            ("site > \"north\"", 7..14, "Compare text with `=` or `!=`."),
            ("en >= zh", 6..8, "Write a level from 1 to 10 or a quoted text here."),
        ];
        for (text, span, mend) in cases {
            let fault = Expression::parse(text).unwrap_err();
            assert_eq!((fault.span.clone(), fault.mend.as_str()), (span, mend), "{text}: {fault}");
        }
    }

    #[test]
    fn depth_and_length_are_bounded() {
        let deep = |depth: usize| Expression::parse(&format!("{}en{}", "(".repeat(depth), ")".repeat(depth)));
        assert!(deep(limits::ACD_EXPRESSION_DEPTH - 1).is_ok());
        for depth in [limits::ACD_EXPRESSION_DEPTH, limits::ACD_EXPRESSION_BYTES / 2 - 2] {
            assert!(deep(depth).unwrap_err().reason.contains("nested too deeply"));
        }
        let long = "en or ".repeat(limits::ACD_EXPRESSION_BYTES);
        assert!(Expression::parse(&long).unwrap_err().reason.contains("longer than"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,60}") {
            if let Err(fault) = Expression::parse(&text) {
                prop_assert!(text.get(fault.span).is_some());
            }
        }

        #[test]
        fn nor_does_a_text_of_its_own_words(words in prop::collection::vec(
            prop::sample::select(vec!["(", ")", "and", "or", "not", ">=", "=", "3", "en", "\"", "language"]), 0..30)
        ) {
            let text = words.join(" ");
            if let Err(fault) = Expression::parse(&text) {
                prop_assert!(text.get(fault.span).is_some());
            }
        }
    }
}
