//! A TOML table read key by key, every complaint with its place: the one file here that knows `toml`.
//!
//! A reader asks for the keys it knows; [`Table::finish`] then turns every key nobody asked for into a finding that
//! suggests the nearest one that was.

use core::ops::{Range, RangeInclusive};
use core::time::Duration;

pub(super) use toml::Spanned;
pub(super) use toml::de::{DeTable, DeValue};
pub(super) use toml::value::{Datetime, Offset};

use crate::finding::{Finding, Source, nearest};
use crate::limits;

/// Where findings of one file go.
#[derive(Debug)]
pub(super) struct Findings<'s> {
    pub source: &'s Source,
    pub list: Vec<Finding>,
}

impl<'s> Findings<'s> {
    pub fn of(source: &'s Source) -> Findings<'s> {
        Findings { source, list: Vec::new() }
    }

    pub fn error(
        &mut self,
        code: &'static str,
        span: Range<usize>,
        reason: impl Into<String>,
        mend: impl Into<String>,
    ) {
        if self.list.len() < limits::DIALPLAN_FINDINGS {
            self.list.push(self.source.error(code, span, reason, mend));
        }
    }
}

/// A parsed document, owned. A text with syntax errors yields them all and no document.
pub(super) fn document<'s>(source: &'s Source, findings: &mut Findings<'_>) -> Option<Spanned<DeTable<'s>>> {
    if source.text.len() > limits::DIALPLAN_BYTES {
        let reason = format!("The file is larger than {} bytes.", limits::DIALPLAN_BYTES);
        findings.error("dialplan.too-large", 0..0, reason, "Split it into pages.");
        return None;
    }
    let (document, errors) = DeTable::parse_recoverable(&source.text);
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        let reason = format!("This is no TOML: {}.", error.message());
        findings.error("toml.syntax", span, reason, "Correct the syntax (https://toml.io).");
    }
    errors.is_empty().then_some(document)
}

/// A value with its place.
pub(super) type Item<'t> = &'t Spanned<DeValue<'t>>;

/// A table being read.
#[derive(Debug)]
pub(super) struct Table<'t> {
    /// What it is, for findings: "state `menu`".
    pub what: String,
    /// Where it is declared.
    pub span: Range<usize>,
    entries: Vec<Entry<'t>>,
    asked: Vec<&'static str>,
}

#[derive(Debug)]
struct Entry<'t> {
    key: &'t str,
    span: Range<usize>,
    value: Item<'t>,
    taken: bool,
}

impl<'t> Table<'t> {
    pub fn new(what: impl Into<String>, span: Range<usize>, table: &'t DeTable<'t>) -> Table<'t> {
        let entry = |(key, value): (&'t Spanned<toml::de::DeString<'t>>, Item<'t>)| Entry {
            key: key.get_ref(),
            span: key.span(),
            value,
            taken: false,
        };
        let mut entries: Vec<_> = table.iter().map(entry).collect();
        // The table is in the order of its keys' names; people write, and read findings, in the order of the file.
        entries.sort_by_key(|entry| entry.span.start);
        Table { what: what.into(), span, entries, asked: Vec::new() }
    }

    /// Takes the value of `key`, which becomes a known key.
    pub fn take(&mut self, key: &'static str) -> Option<Item<'t>> {
        self.asked.push(key);
        let entry = self.entries.iter_mut().find(|entry| entry.key == key)?;
        entry.taken = true;
        Some(entry.value)
    }

    /// Takes all entries nobody has asked for, in the order of the file: key, place of the key, value.
    pub fn take_rest(&mut self) -> Vec<(&'t str, Range<usize>, Item<'t>)> {
        let rest = self.entries.iter_mut().filter(|entry| !entry.taken);
        rest.map(|entry| {
            entry.taken = true;
            (entry.key, entry.span.clone(), entry.value)
        })
        .collect()
    }

    /// The keys that are there, taken or not, with their places.
    pub fn keys(&self) -> impl Iterator<Item = (&'t str, &Range<usize>)> {
        self.entries.iter().map(|entry| (entry.key, &entry.span))
    }

    pub fn text(&mut self, key: &'static str, findings: &mut Findings<'_>) -> Option<Text<'t>> {
        let item = self.take(key)?;
        text(item, key, findings)
    }

    pub fn boolean(&mut self, key: &'static str, otherwise: bool, findings: &mut Findings<'_>) -> bool {
        match self.take(key).map(|item| (item.get_ref(), item.span())) {
            None => otherwise,
            Some((DeValue::Boolean(yes), _)) => *yes,
            Some((other, span)) => {
                wrong(findings, span, key, "true or false", other);
                otherwise
            }
        }
    }

    pub fn integer(
        &mut self,
        key: &'static str,
        otherwise: i64,
        range: RangeInclusive<i64>,
        findings: &mut Findings<'_>,
    ) -> i64 {
        let Some(item) = self.take(key) else { return otherwise };
        match integer(item) {
            Some(number) if range.contains(&number) => number,
            _ => {
                let reason = format!("`{key}` wants a whole number from {} to {}.", range.start(), range.end());
                findings.error(
                    "dialplan.value",
                    item.span(),
                    reason,
                    format!("Write for example `{key} = {otherwise}`."),
                );
                otherwise
            }
        }
    }

    /// A span of time in seconds; `key` ends in `_s`.
    pub fn seconds(
        &mut self,
        key: &'static str,
        otherwise: i64,
        range: RangeInclusive<i64>,
        findings: &mut Findings<'_>,
    ) -> Duration {
        Duration::from_secs(self.integer(key, otherwise, range, findings).unsigned_abs())
    }

    /// A span of time in milliseconds; `key` ends in `_ms`.
    pub fn millis(
        &mut self,
        key: &'static str,
        otherwise: i64,
        range: RangeInclusive<i64>,
        findings: &mut Findings<'_>,
    ) -> Duration {
        Duration::from_millis(self.integer(key, otherwise, range, findings).unsigned_abs())
    }

    pub fn table(&mut self, key: &'static str, findings: &mut Findings<'_>) -> Option<Table<'t>> {
        let item = self.take(key)?;
        table(item, format!("`{key}`"), findings)
    }

    /// Complains about every key nobody asked for.
    pub fn finish(self, findings: &mut Findings<'_>) {
        for entry in self.entries.iter().filter(|entry| !entry.taken) {
            let near = nearest(entry.key, self.asked.iter().copied());
            let mend = match near {
                Some(near) => format!("Did you mean `{near}`?"),
                None => format!("Remove it; known here are {}.", self.asked.join(", ")),
            };
            let reason = format!("{} has no key `{}`.", capital(&self.what), entry.key);
            findings.error("dialplan.unknown-key", entry.span.clone(), reason, mend);
        }
    }
}

/// A text with its place.
#[derive(Clone, Debug)]
pub(super) struct Text<'t> {
    pub text: &'t str,
    pub span: Range<usize>,
}

pub(super) fn text<'t>(item: Item<'t>, key: &str, findings: &mut Findings<'_>) -> Option<Text<'t>> {
    match item.get_ref() {
        DeValue::String(text) => Some(Text { text, span: item.span() }),
        other => {
            wrong(findings, item.span(), key, "a text in quotes", other);
            None
        }
    }
}

pub(super) fn integer(item: Item<'_>) -> Option<i64> {
    match item.get_ref() {
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
        _ => None,
    }
}

pub(super) fn table<'t>(item: Item<'t>, what: String, findings: &mut Findings<'_>) -> Option<Table<'t>> {
    match item.get_ref() {
        DeValue::Table(table) => Some(Table::new(what, item.span(), table)),
        other => {
            wrong(findings, item.span(), &what, "a table", other);
            None
        }
    }
}

/// The value is of a wrong kind.
pub(super) fn wrong(findings: &mut Findings<'_>, span: Range<usize>, key: &str, wanted: &str, got: &DeValue<'_>) {
    let got = match got {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with decimals",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    let key = key.trim_matches('`');
    findings.error("dialplan.value", span, format!("`{key}` is {got}."), format!("Give `{key}` {wanted}."));
}

pub(super) fn capital(sentence: &str) -> String {
    let mut chars = sentence.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
