//! TOML tables with places: typed keys with defaults, every misspelt key or value a finding with its mend.
//!
//! The one file of the plan that knows the `toml` crate. A [`Table`] remembers which keys it was asked for; whatever
//! else stands in it is unknown, and is reported when the table is dropped, so no list of keys has to be kept.

use core::cell::RefCell;
use core::fmt::Display;
use core::ops::{Range, RangeInclusive};
use core::str::FromStr;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::Date;
use serde::Serialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::model::{Label, Millis, Seconds};
use crate::finding::{Finding, Source, nearest};

/// A parsed text.
pub(super) type Document<'t> = DeTable<'t>;

/// Where each key of a configuration stands: path (`queue.support.overflow[0].to`) → byte range of its value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Places(BTreeMap<String, Range<usize>>);

/// A text being read: its findings so far, and the places of its keys.
pub(super) struct Reader<'a> {
    pub source: &'a Source,
    findings: RefCell<Vec<Finding>>,
    places: RefCell<Places>,
    /// Every key asked for, whether present or not, with names and indices cut out of the path.
    asked: RefCell<BTreeSet<String>>,
}

/// One table of the text, or the empty one where it is absent.
pub(super) struct Table<'r> {
    reader: &'r Reader<'r>,
    table: Option<&'r DeTable<'r>>,
    /// `queue.support`; empty at the top.
    pub path: String,
    /// What names the table: its header or key.
    pub span: Range<usize>,
    asked: RefCell<Vec<&'static str>>,
    /// Whether keys are names that people choose.
    open: bool,
}

/// A string value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Word<'r> {
    pub text: &'r str,
    pub span: Range<usize>,
}

impl Places {
    /// The place of a key; where it is absent, that of what it would stand in; the top of the file at last.
    pub fn of(&self, path: &str) -> Range<usize> {
        let mut path = path;
        loop {
            if let Some(range) = self.0.get(path) {
                return range.clone();
            }
            match path.rfind(['.', '[']) {
                Some(at) => path = &path[..at],
                None => return 0..0,
            }
        }
    }
}

impl Places {
    /// Every path that stands in the text.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether the key stands in the text.
    pub fn holds(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    /// Whether item `len` of a list stands in the text: then some item before it could not be read, and the indices
    /// of what was read are not those of the text.
    pub(super) fn exceeds(&self, list: &str, len: usize) -> bool {
        self.holds(&format!("{list}[{len}]"))
    }
}

impl<'r> Reader<'r> {
    pub fn new(source: &'r Source) -> Self {
        Self { source, findings: RefCell::default(), places: RefCell::default(), asked: RefCell::default() }
    }

    pub fn error(&self, code: &'static str, span: Range<usize>, reason: impl Into<String>, mend: impl Into<String>) {
        self.findings.borrow_mut().push(self.source.error(code, span, reason, mend));
    }

    /// The findings so far, the places, and (for a test of completeness) every key asked for.
    pub fn finish(self) -> (Vec<Finding>, Places, BTreeSet<String>) {
        (self.findings.into_inner(), self.places.into_inner(), self.asked.into_inner())
    }

    fn place(&self, path: &str, span: Range<usize>) {
        self.places.borrow_mut().0.insert(path.to_owned(), span);
    }

    /// The top table of a parsed text.
    pub fn top(&'r self, table: &'r DeTable<'r>) -> Table<'r> {
        Table {
            reader: self,
            table: Some(table),
            path: String::new(),
            span: 0..0,
            asked: RefCell::default(),
            open: false,
        }
    }
}

/// The text as a table, and its syntax errors as findings.
pub(super) fn parse_toml(source: &Source) -> (Spanned<DeTable<'_>>, Vec<Finding>) {
    let (table, errors) = DeTable::parse_recoverable(&source.text);
    let findings = errors.iter().map(|error| {
        let span = error.span().unwrap_or(0..0);
        let reason = format!("This is no TOML: {}.", error.message().trim().replace('\n', ", "));
        source.error("config.syntax", span, reason, "Write `key = value` under a `[table]`, strings in quotes.")
    });
    // One slip often trips the parser twice.
    let mut findings: Vec<Finding> = findings.collect();
    findings.dedup_by_key(|finding| finding.line);
    (table, findings)
}

impl<'r> Table<'r> {
    pub fn error(&self, code: &'static str, span: Range<usize>, reason: impl Into<String>, mend: impl Into<String>) {
        self.reader.error(code, span, reason, mend);
    }

    /// The path of a key of this table.
    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn ask(&self, key: &'static str) -> Option<&'r Spanned<DeValue<'r>>> {
        self.asked.borrow_mut().push(key);
        let path = self.path_of(key);
        self.reader.asked.borrow_mut().insert(path.clone());
        let value = self.table?.get(key)?;
        self.reader.place(&path, value.span());
        Some(value)
    }

    /// Whether the key stands in the table.
    pub fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// Where the value of `key` stands, or the table where it is absent.
    pub fn span_of(&self, key: &str) -> Range<usize> {
        self.table.and_then(|table| table.get(key)).map_or(self.span.clone(), Spanned::span)
    }

    fn wrong_type(&self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) {
        let found = type_words(value.get_ref());
        self.error(
            "config.type",
            value.span(),
            format!("`{key}` wants {wanted}, and this is {found}."),
            format!("Write {wanted}."),
        );
    }

    pub fn word(&self, key: &'static str) -> Option<Word<'r>> {
        let value = self.ask(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some(Word { text, span: value.span() }),
            _ => {
                self.wrong_type(key, value, "a string in quotes");
                None
            }
        }
    }

    /// A string that is not empty, or the default.
    pub fn text(&self, key: &'static str, default: &str) -> Arc<str> {
        self.optional_text(key).unwrap_or_else(|| Arc::from(default))
    }

    pub fn optional_text(&self, key: &'static str) -> Option<Arc<str>> {
        let word = self.word(key)?;
        if word.text.trim().is_empty() {
            self.error("config.value", word.span, format!("`{key}` is empty."), "Write a text, or leave the key out.");
            return None;
        }
        Some(Arc::from(word.text))
    }

    /// A string read by `FromStr`.
    pub fn parsed<T>(&self, key: &'static str, mend: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        let word = self.word(key)?;
        self.parse_word(key, &word, mend, T::from_str)
    }

    /// A string read by `parse`; its error becomes a finding.
    pub fn parse_word<T, E: Display>(
        &self,
        key: &str,
        word: &Word<'_>,
        mend: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match parse(word.text) {
            Ok(value) => Some(value),
            Err(why) => {
                let reason = format!("`{key}` cannot be read: {why}.");
                self.error("config.value", word.span.clone(), reason, mend);
                None
            }
        }
    }

    pub fn flag(&self, key: &'static str, default: bool) -> bool {
        let Some(value) = self.ask(key) else { return default };
        match value.get_ref() {
            DeValue::Boolean(flag) => *flag,
            _ => {
                self.wrong_type(key, value, "true or false");
                default
            }
        }
    }

    /// A whole number within a range.
    pub fn integer(&self, key: &'static str, default: u32, range: RangeInclusive<u32>) -> u32 {
        self.optional_integer(key, range).unwrap_or(default)
    }

    pub fn optional_integer(&self, key: &'static str, range: RangeInclusive<u32>) -> Option<u32> {
        let range = i64::from(*range.start())..=i64::from(*range.end());
        let found = self.signed(key, range)?;
        Some(u32::try_from(found).expect("the range is one of u32"))
    }

    pub fn signed(&self, key: &'static str, range: RangeInclusive<i64>) -> Option<i64> {
        let value = self.ask(key)?;
        let DeValue::Integer(integer) = value.get_ref() else {
            self.wrong_type(key, value, "a whole number");
            return None;
        };
        let found = i64::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|n| range.contains(n));
        if found.is_none() {
            let (low, high) = (range.start(), range.end());
            let reason = format!("`{key}` is {integer}, and may be {low} to {high}.");
            self.error("config.range", value.span(), reason, format!("Write a number from {low} to {high}."));
        }
        found
    }

    pub fn seconds(&self, key: &'static str, default: u32, range: RangeInclusive<u32>) -> Seconds {
        Seconds(self.integer(key, default, range))
    }

    pub fn millis(&self, key: &'static str, default: u32, range: RangeInclusive<u32>) -> Millis {
        Millis(self.integer(key, default, range))
    }

    /// One of several words.
    pub fn choice<T: Copy>(&self, key: &'static str, choices: &[(&str, T)], default: T) -> T {
        let Some(word) = self.word(key) else { return default };
        self.choose(key, &word, choices).unwrap_or(default)
    }

    pub fn choose<T: Copy>(&self, key: &str, word: &Word<'_>, choices: &[(&str, T)]) -> Option<T> {
        let found = choices.iter().find(|(name, _)| *name == word.text);
        if found.is_none() {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            let mend = did_you_mean(word.text, &names);
            self.error("config.choice", word.span.clone(), format!("`{key}` knows no `{}`.", word.text), mend);
        }
        found.map(|&(_, value)| value)
    }

    /// Strings of an array; a single string counts as an array of one. `None` where the key is absent.
    pub fn words(&self, key: &'static str) -> Option<Vec<Word<'r>>> {
        let value = self.ask(key)?;
        let path = self.path_of(key);
        match value.get_ref() {
            DeValue::String(text) => Some(vec![Word { text, span: value.span() }]),
            DeValue::Array(items) => {
                let word = |(at, item): (usize, &'r Spanned<DeValue<'r>>)| {
                    self.reader.place(&format!("{path}[{at}]"), item.span());
                    match item.get_ref() {
                        DeValue::String(text) => Some(Word { text, span: item.span() }),
                        _ => {
                            self.wrong_type(key, item, "strings in quotes");
                            None
                        }
                    }
                };
                Some(items.iter().enumerate().filter_map(word).collect())
            }
            _ => {
                self.wrong_type(key, value, "a list of strings");
                None
            }
        }
    }

    /// A TOML date, or a string; the string is the caller's to read.
    pub fn date_or_word(&self, key: &'static str) -> Option<Result<(Date, Range<usize>), Word<'r>>> {
        let value = self.ask(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some(Err(Word { text, span: value.span() })),
            DeValue::Datetime(moment) => {
                let civil = moment.date.filter(|_| moment.time.is_none()).and_then(|date| {
                    let (month, day) = (i8::try_from(date.month).ok()?, i8::try_from(date.day).ok()?);
                    Date::new(i16::try_from(date.year).ok()?, month, day).ok()
                });
                if civil.is_none() {
                    self.wrong_type(key, value, "a date such as 2026-10-01");
                }
                civil.map(|date| Ok((date, value.span())))
            }
            _ => {
                self.wrong_type(key, value, "a date such as 2026-10-01");
                None
            }
        }
    }

    /// A label: one string for both languages, or `{ en = "…", zh = "…" }`.
    pub fn label(&self, key: &'static str) -> Option<Label> {
        let value = self.ask(key)?;
        self.read_label(key, &self.path_of(key), value)
    }

    fn read_label(&self, key: &str, path: &str, value: &'r Spanned<DeValue<'r>>) -> Option<Label> {
        match value.get_ref() {
            DeValue::String(text) => Some(Label::plain(text)),
            DeValue::Table(table) => {
                let table = self.sub(path.to_owned(), Some(table), value.span());
                let (en, zh) = (table.optional_text("en"), table.optional_text("zh"));
                if en.is_none() && zh.is_none() {
                    let mend = "Write { en = \"…\", zh = \"…\" }, or one string for both.";
                    self.error("config.missing", value.span(), format!("`{key}` names no language."), mend);
                }
                let en = en.or_else(|| zh.clone())?;
                Some(Label { zh: zh.unwrap_or_else(|| en.clone()), en })
            }
            _ => {
                self.wrong_type(key, value, "a string, or { en = \"…\", zh = \"…\" }");
                None
            }
        }
    }

    /// `[key]`; the empty table where it is absent.
    pub fn section(&self, key: &'static str) -> Table<'r> {
        let path = self.path_of(key);
        let Some(value) = self.ask(key) else { return self.sub(path, None, self.span.clone()) };
        match value.get_ref() {
            DeValue::Table(table) => self.sub(path, Some(table), value.span()),
            _ => {
                self.wrong_type(key, value, &format!("a table `[{key}]`"));
                self.sub(path, None, value.span())
            }
        }
    }

    /// `[key.NAME]` each, in the order of the file.
    pub fn named(&self, key: &'static str) -> Vec<(&'r str, Table<'r>)> {
        let section = self.section(key).opened();
        let entries = section.entries();
        let table = |(name, span, value): (&'r str, Range<usize>, &'r Spanned<DeValue<'r>>)| {
            let path = section.path_of(name);
            section.reader.place(&path, span.clone());
            match value.get_ref() {
                DeValue::Table(table) => Some((name, section.sub(path, Some(table), span))),
                _ => {
                    section.wrong_type(name, value, &format!("a table `[{path}]`"));
                    None
                }
            }
        };
        entries.into_iter().filter_map(table).collect()
    }

    /// A table of names and labels.
    pub fn labels(&self, key: &'static str) -> Vec<(&'r str, Label)> {
        let section = self.section(key).opened();
        let entries = section.entries();
        let label = |(name, span, value): (&'r str, Range<usize>, &'r Spanned<DeValue<'r>>)| {
            let path = section.path_of(name);
            section.reader.place(&path, span);
            Some((name, section.read_label(name, &path, value)?))
        };
        entries.into_iter().filter_map(label).collect()
    }

    /// `[[key]]` each, or an array of inline tables.
    pub fn list(&self, key: &'static str) -> Vec<Table<'r>> {
        let Some(value) = self.ask(key) else { return Vec::new() };
        let path = self.path_of(key);
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong_type(key, value, &format!("a list of tables `[[{path}]]`"));
            return Vec::new();
        };
        let table = |(at, item): (usize, &'r Spanned<DeValue<'r>>)| {
            let path = format!("{path}[{at}]");
            self.reader.place(&path, item.span());
            match item.get_ref() {
                DeValue::Table(table) => Some(self.sub(path, Some(table), item.span())),
                _ => {
                    self.wrong_type(key, item, "a table");
                    None
                }
            }
        };
        items.iter().enumerate().filter_map(table).collect()
    }

    fn entries(&self) -> Vec<(&'r str, Range<usize>, &'r Spanned<DeValue<'r>>)> {
        let Some(table) = self.table else { return Vec::new() };
        let entry = |(key, value): (&'r Spanned<_>, &'r Spanned<DeValue<'r>>)| {
            let name: &'r std::borrow::Cow<'r, str> = key.get_ref();
            (name.as_ref(), key.span(), value)
        };
        let mut entries: Vec<_> = table.iter().map(entry).collect();
        entries.sort_by_key(|(_, span, _)| span.start);
        for (name, span, _) in &entries {
            let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
            if name.is_empty() || name.chars().count() > crate::limits::NAME_CHARS || !name.chars().all(plain) {
                let reason = format!("`{name}` is no name: it goes into logs, metrics and addresses.");
                self.error("config.name", span.clone(), reason, "Use letters, digits, `-` and `_`, at most 64.");
            }
        }
        entries
    }

    fn sub(&self, path: String, table: Option<&'r DeTable<'r>>, span: Range<usize>) -> Table<'r> {
        Table { reader: self.reader, table, path, span, asked: RefCell::default(), open: false }
    }

    fn opened(mut self) -> Self {
        self.open = true;
        self
    }
}

impl Drop for Table<'_> {
    /// Whatever was not asked for is unknown.
    fn drop(&mut self) {
        let Some(table) = self.table.filter(|_| !self.open) else { return };
        let asked = self.asked.borrow();
        for key in table.keys().filter(|key| !asked.contains(&key.get_ref().as_ref())) {
            let place = if self.path.is_empty() { "the top".to_owned() } else { format!("`{}`", self.path) };
            let reason = format!("`{}` is not a key of {place}.", key.get_ref());
            self.error("config.unknown-key", key.span(), reason, did_you_mean(key.get_ref(), &asked));
        }
    }
}

/// What could have been meant, as a mend.
pub(super) fn did_you_mean(wrong: &str, known: &[&str]) -> String {
    match nearest(wrong, known.iter().copied()) {
        Some(word) => format!("Did you mean `{word}`?"),
        None if known.is_empty() => "Remove it; none is defined.".to_owned(),
        None => format!("Use one of: {}.", known.join(", ")),
    }
}

fn type_words(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
