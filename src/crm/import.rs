//! What reading customers and reading people have in common: columns by name, JSON items with their place, and
//! findings that stop at a bound.

use core::ops::Range;

use serde::de::DeserializeOwned;

use super::csv::{Field, Table};
use crate::finding::{Finding, Source, nearest};
use crate::limits::crm as limits;

/// Findings up to [`limits::IMPORT_FINDINGS`]; beyond, only their number is kept.
#[derive(Debug, Default)]
pub struct Findings {
    kept: Vec<Finding>,
    more: usize,
}

impl Findings {
    pub fn push(&mut self, finding: Finding) {
        if self.kept.len() < limits::IMPORT_FINDINGS { self.kept.push(finding) } else { self.more += 1 }
    }

    pub fn extend(&mut self, findings: impl IntoIterator<Item = Finding>) {
        findings.into_iter().for_each(|finding| self.push(finding));
    }

    /// In the order of the file; a last one says how many were left out.
    pub fn finish(self, source: &Source) -> Vec<Finding> {
        let mut all = self.kept;
        all.sort_by_key(|finding| (finding.line, finding.column));
        if self.more > 0 {
            let reason = format!("{} further findings are not listed.", self.more);
            all.push(source.error("import.findings", 0..0, reason, "Mend the ones above and import again."));
        }
        all
    }
}

/// Which column holds what.
#[derive(Debug)]
pub struct Columns {
    names: Vec<String>,
}

impl Columns {
    /// Reads the header. A name that is neither `known` nor begins with one of `prefixes` is ignored with a warning;
    /// one that stands twice is an error, for the second would win in silence.
    pub fn parse(source: &Source, table: &Table, known: &[&str], prefixes: &[&str], findings: &mut Findings) -> Self {
        let mut names: Vec<String> = Vec::new();
        for field in &table.header {
            let name = field.text.trim().to_ascii_lowercase().replace([' ', '-'], "_");
            if names.contains(&name) && !name.is_empty() {
                let reason = format!("The column `{name}` stands twice.");
                findings.push(source.error("import.column", field.span.clone(), reason, "Remove one of them."));
            }
            let prefixed = prefixes.iter().any(|prefix| name.len() > prefix.len() && name.starts_with(prefix));
            if !prefixed && !known.contains(&name.as_str()) {
                findings.push(unknown_column(source, field, &name, known, prefixes));
            }
            names.push(name);
        }
        Self { names }
    }

    pub fn has(&self, name: &str) -> bool {
        self.names.iter().any(|column| column == name)
    }

    /// The row's field of that name; `None` where there is no such column or the field is empty.
    pub fn field<'a>(&self, row: &'a [Field], name: &str) -> Option<&'a Field> {
        let at = self.names.iter().position(|column| column == name)?;
        row.get(at).filter(|field| !field.text.is_empty())
    }

    /// Fields of all columns that begin with `prefix`, with the rest of the name.
    pub fn prefixed<'a>(&'a self, row: &'a [Field], prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Field)> {
        let named = self.names.iter().zip(row);
        named
            .filter_map(move |(name, field)| Some((name.strip_prefix(prefix)?, field)))
            .filter(|(name, field)| !name.is_empty() && !field.text.is_empty())
    }
}

fn unknown_column(source: &Source, field: &Field, name: &str, known: &[&str], prefixes: &[&str]) -> Finding {
    let mend = match (nearest(name, known.iter().copied()), prefixes.first()) {
        (Some(meant), _) => format!("Did you mean `{meant}`?"),
        (None, Some(prefix)) => format!("Call it `{prefix}{name}` to keep it."),
        (None, None) => format!("Known are: {}.", known.join(", ")),
    };
    source.warning(
        "import.column",
        field.span.clone(),
        format!("The column `{name}` is not known and is ignored."),
        mend,
    )
}

/// Reads a JSON array of objects, each with its place. An item that does not fit is reported and left out; a text
/// that is no array of objects is one error.
pub fn json_items<T: DeserializeOwned>(source: &Source, findings: &mut Findings) -> Vec<(T, Range<usize>)> {
    let text = source.text.trim_start_matches('\u{feff}');
    let skipped = source.text.len() - text.len();
    if text.len() > limits::IMPORT_BYTES {
        let reason = format!("The file is larger than {} MiB.", limits::IMPORT_BYTES >> 20);
        findings.push(source.error("json.size", 0..0, reason, "Import it in parts."));
        return Vec::new();
    }
    if let Err(error) = serde_json::from_str::<Vec<serde::de::IgnoredAny>>(text) {
        let at = skipped + offset_of(text, error.line(), error.column());
        findings.push(source.error("json.syntax", at..at, format!("{error}."), "Write an array of objects."));
        return Vec::new();
    }
    let mut items = Vec::new();
    for (number, item) in object_spans(text).into_iter().enumerate() {
        let span = item.start + skipped..item.end + skipped;
        if number >= limits::IMPORT_ROWS {
            let reason = format!("More than {} items.", limits::IMPORT_ROWS);
            findings.push(source.error("json.rows", span, reason, "Import the rest as a second file."));
            break;
        }
        match serde_json::from_str(&text[item]) {
            Ok(item) => items.push((item, span)),
            Err(error) => {
                let at = span.start + offset_of(&source.text[span.clone()], error.line(), error.column());
                findings.push(source.error(
                    "json.item",
                    at..at,
                    format!("{error}."),
                    "Mend this item; it is left out.",
                ));
            }
        }
    }
    items
}

/// Byte offset of serde's 1-based line and column (in bytes).
fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    (before + column.saturating_sub(1)).min(text.len())
}

/// The top-level objects of an array that is known to be valid JSON.
fn object_spans(text: &str) -> Vec<Range<usize>> {
    let (mut spans, mut depth, mut start) = (Vec::new(), 0usize, 0);
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => {
                depth += 1;
                if depth == 2 {
                    start = at;
                }
            }
            b'}' | b']' => {
                if depth == 2 {
                    spans.push(start..at + 1);
                }
                depth = depth.saturating_sub(1);
            }
            _ => {}
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_items_are_found_with_their_places() {
        let text = "[\n {\"a\": \"}[\\\"\"},\n  {\"a\": 5},\n {\"a\": \"y\"}]";
        #[derive(serde::Deserialize)]
        struct Item {
            a: String,
        }
        let source = Source::new("x.json", text);
        let mut findings = Findings::default();
        let items: Vec<(Item, _)> = json_items(&source, &mut findings);
        assert_eq!(items.iter().map(|(item, _)| item.a.as_str()).collect::<Vec<_>>(), ["}[\"", "y"]);
        let findings = findings.finish(&source);
        assert_eq!(findings.len(), 1);
        assert_eq!((findings[0].code, findings[0].line), ("json.item", 3));
    }

    #[test]
    fn a_broken_array_is_one_finding_where_it_breaks() {
        let source = Source::new("x.json", "[\n {\"a\": 1},\n {oops}\n]");
        let mut findings = Findings::default();
        assert!(json_items::<serde_json::Value>(&source, &mut findings).is_empty());
        assert_eq!(findings.finish(&source).iter().map(|finding| finding.line).collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn endless_findings_are_counted_not_listed() {
        let source = Source::new("x.csv", "a");
        let mut findings = Findings::default();
        findings.extend((0..limits::IMPORT_FINDINGS + 7).map(|_| source.error("x", 0..1, "r", "m")));
        let all = findings.finish(&source);
        assert_eq!(all.len(), limits::IMPORT_FINDINGS + 1);
        assert!(all.last().is_some_and(|last| last.reason.starts_with('7')));
    }
}
