//! CSV as spreadsheets write it (RFC 4180), with the place of every field.
//!
//! Of our own because a finding needs the line and the byte range of the field it is about, and because the lenient
//! readers take a forgotten quotation mark for one huge field instead of saying where it was opened.
//! Read: comma, semicolon or tab (the one the header line uses), a UTF-8 byte order mark, LF or CRLF, quoted fields
//! with doubled quotes and line breaks inside. Written: comma, CRLF, quotes where needed.

use core::ops::Range;

use crate::finding::{Finding, Source};
use crate::limits::crm as limits;

/// A table that was read: the header and the rows, each field with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub header: Vec<Field>,
    pub rows: Vec<Vec<Field>>,
}

/// One field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Without quotes, trimmed of spaces around it where it was not quoted.
    pub text: String,
    /// Its bytes in the source, quotes included.
    pub span: Range<usize>,
}

/// Reads a table. A row that cannot be read is left out and reported; a table without a header is an error.
pub fn parse(source: &Source) -> Result<(Table, Vec<Finding>), Finding> {
    let text = source.text.as_ref();
    if text.len() > limits::IMPORT_BYTES {
        let reason = format!("The file is larger than {} MiB.", limits::IMPORT_BYTES >> 20);
        return Err(source.error("csv.size", 0..0, reason, "Import it in parts."));
    }
    let start = if text.starts_with(BOM) { BOM.len() } else { 0 };
    let mut reader = Reader { source, at: start, separator: separator(&text[start..]) };
    let header = match reader.row() {
        Some(Ok(header)) => header,
        Some(Err(finding)) => return Err(finding),
        None => {
            let mend = "Begin with a line of column names.";
            return Err(source.error("csv.empty", 0..0, "The file is empty.", mend));
        }
    };
    let mut findings = Vec::new();
    let mut rows = Vec::new();
    while let Some(row) = reader.row() {
        match row.and_then(|row| check_width(source, &header, row)) {
            Ok(row) if rows.len() < limits::IMPORT_ROWS => rows.push(row),
            Ok(row) => {
                let reason = format!("More than {} rows.", limits::IMPORT_ROWS);
                findings.push(source.error("csv.rows", span_of(&row), reason, "Import the rest as a second file."));
                break;
            }
            Err(finding) => findings.push(finding),
        }
    }
    Ok((Table { header, rows }, findings))
}

/// Writes rows as CSV, the header first. Fields that a spreadsheet would run as a formula get a leading apostrophe
/// ([`parse`] takes it away again): an exported note must not become code on the reader's desk.
pub fn write<'a>(header: &[&str], rows: impl IntoIterator<Item = Vec<&'a str>>) -> String {
    let mut out = String::new();
    write_row(&mut out, header.iter().copied());
    for row in rows {
        write_row(&mut out, row.into_iter());
    }
    out
}

fn write_row<'a>(out: &mut String, fields: impl Iterator<Item = &'a str>) {
    for (at, field) in fields.enumerate() {
        if at > 0 {
            out.push(',');
        }
        let guarded = is_formula(field);
        let quoted = guarded || field.contains([',', ';', '\t', '"', '\n', '\r']) || field.trim() != field;
        if !quoted {
            out.push_str(field);
            continue;
        }
        out.push('"');
        if guarded {
            out.push('\'');
        }
        out.push_str(&field.replace('"', "\"\""));
        out.push('"');
    }
    out.push_str("\r\n");
}

/// `=`, `@`, `+` and `-` begin formulas in spreadsheets (OWASP, "CSV injection"); a number with a sign does not. An
/// apostrophe before one of them is guarded as well, so that reading gives back what was written.
fn is_formula(field: &str) -> bool {
    let bare = field.trim_start_matches('\'');
    let number = bare.starts_with(['+', '-']) && bare[1..].bytes().all(|b| b.is_ascii_digit() || b == b'.');
    bare.starts_with(['=', '@', '+', '-']) && !(number && bare.len() > 1)
}

fn unguard(field: &str) -> &str {
    match field.strip_prefix('\'') {
        Some(rest) if is_formula(rest) => rest,
        _ => field,
    }
}

/// The separator that the first line uses most.
fn separator(text: &str) -> u8 {
    let line = text.lines().next().unwrap_or_default();
    let count = |separator: u8| line.bytes().filter(|byte| *byte == separator).count();
    [b',', b';', b'\t'].into_iter().rev().max_by_key(|separator| count(*separator)).unwrap_or(b',')
}

fn check_width(source: &Source, header: &[Field], row: Vec<Field>) -> Result<Vec<Field>, Finding> {
    if row.len() == header.len() {
        return Ok(row);
    }
    let reason = format!("The row has {} fields, the header {}.", row.len(), header.len());
    let mend = "Quote fields that hold a separator, and write empty fields as nothing between two separators.";
    Err(source.error("csv.width", span_of(&row), reason, mend))
}

/// From the first field to the last.
pub fn span_of(row: &[Field]) -> Range<usize> {
    match (row.first(), row.last()) {
        (Some(first), Some(last)) => first.span.start..last.span.end,
        _ => 0..0,
    }
}

struct Reader<'a> {
    source: &'a Source,
    at: usize,
    separator: u8,
}

impl Reader<'_> {
    fn rest(&self) -> &[u8] {
        self.source.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// The next row that is not blank. After an error the reader stands behind the row.
    fn row(&mut self) -> Option<Result<Vec<Field>, Finding>> {
        self.skip_blank_lines();
        if self.rest().is_empty() {
            return None;
        }
        let mut fields = Vec::new();
        loop {
            match self.field() {
                Ok(field) => fields.push(field),
                Err(finding) => {
                    self.skip_line();
                    return Some(Err(finding));
                }
            }
            if fields.len() > limits::CSV_FIELDS {
                let reason = format!("The row has more than {} fields.", limits::CSV_FIELDS);
                let finding =
                    self.source.error("csv.width", span_of(&fields), reason, "Look for a missing line break.");
                self.skip_line();
                return Some(Err(finding));
            }
            match self.rest().first() {
                Some(byte) if *byte == self.separator => self.at += 1,
                _ => break,
            }
        }
        self.skip_line();
        Some(Ok(fields))
    }

    fn field(&mut self) -> Result<Field, Finding> {
        let blanks = self.rest().iter().take_while(|byte| **byte == b' ').count();
        if self.rest().get(blanks) == Some(&b'"') {
            self.at += blanks;
            return self.quoted();
        }
        let separator = self.separator;
        let length = self.rest().iter().position(|byte| [separator, b'\n', b'\r'].contains(byte));
        let span = self.at..self.at + length.unwrap_or(self.rest().len());
        self.at = span.end;
        let text = unguard(self.source.text.get(span.clone()).unwrap_or_default().trim()).to_owned();
        Ok(Field { text, span })
    }

    fn quoted(&mut self) -> Result<Field, Finding> {
        let start = self.at;
        let mut text = String::new();
        let mut from = start + 1;
        loop {
            let Some(length) = self.source.text.get(from..).and_then(|rest| rest.find('"')) else {
                let mend = "Close it, or double the quotation marks inside the field.";
                return Err(self.source.error(
                    "csv.quote",
                    start..start + 1,
                    "This quotation mark is never closed.",
                    mend,
                ));
            };
            text.push_str(&self.source.text[from..from + length]);
            self.at = from + length + 1;
            if self.rest().first() != Some(&b'"') {
                break;
            }
            text.push('"');
            from = self.at + 1;
        }
        let span = start..self.at;
        self.at += self.rest().iter().take_while(|byte| **byte == b' ').count();
        match self.rest().first() {
            None | Some(b'\n' | b'\r') => {}
            Some(byte) if *byte == self.separator => {}
            Some(_) => {
                let mend = "Double the quotation marks inside the field.";
                return Err(self.source.error("csv.quote", span, "Text follows the closing quotation mark.", mend));
            }
        }
        Ok(Field { text: unguard(&text).to_owned(), span })
    }

    fn skip_line(&mut self) {
        let left = self.rest().len();
        self.at += self.rest().iter().position(|byte| *byte == b'\n').map_or(left, |at| at + 1);
    }

    /// Also lines of separators only, which spreadsheets leave at the end.
    fn skip_blank_lines(&mut self) {
        loop {
            let rest = self.rest();
            let end = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1);
            let blank = rest[..end].iter().all(|byte| byte.is_ascii_whitespace() || *byte == self.separator);
            if end == 0 || !blank {
                return;
            }
            self.at += end;
        }
    }
}

const BOM: &str = "\u{feff}";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(csv: &str) -> (Vec<Vec<String>>, Vec<String>) {
        let (table, findings) = parse(&Source::new("c.csv", csv)).unwrap();
        let row = |row: &Vec<Field>| row.iter().map(|field| field.text.clone()).collect();
        (table.rows.iter().map(row).collect(), findings.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_table_from_a_spreadsheet_reads_as_it_looks() {
        let (rows, findings) =
            texts("\u{feff}name;notes\r\n白雪; \"likes \"\"window\"\"\nseats; and tea\" \r\n\r\n;;\r\nBai ;x");
        assert_eq!(rows, [["白雪", "likes \"window\"\nseats; and tea"], ["Bai", "x"]]);
        assert_eq!(findings, [""; 0]);
        assert_eq!(texts("a\tb\n1\t2,3").0, [["1", "2,3"]]);
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_line_and_the_rest_is_read() {
        let (rows, findings) = texts("a,b\n1,2,3\n\"x\"y,2\n3,4\n5,\"open\n6,7\n");
        assert_eq!(rows, [["3", "4"], ["6", "7"]]);
        let places: Vec<&str> = findings.iter().map(|text| text.split(": ").next().unwrap()).collect();
        assert_eq!(places, ["c.csv:2:1", "c.csv:3:1", "c.csv:5:3"]);
        assert!(parse(&Source::new("c.csv", " \n")).is_err());
    }

    #[test]
    fn a_row_of_endless_fields_and_a_file_of_endless_rows_are_refused() {
        let wide = format!("a\n{}\n", ",x".repeat(limits::CSV_FIELDS + 1));
        assert!(texts(&wide).1[0].contains("csv.width"));
        let long = format!("a\n{}", "x\n".repeat(limits::IMPORT_ROWS + 2));
        let (rows, findings) = texts(&long);
        assert_eq!((rows.len(), findings.len()), (limits::IMPORT_ROWS, 1));
    }

    #[test]
    fn an_exported_note_is_no_formula() {
        let text = write(&["a"], [vec!["=1+1"], vec!["+8613800138000"], vec!["'quoted'"]]);
        assert_eq!(text, "a\r\n\"'=1+1\"\r\n+8613800138000\r\n'quoted'\r\n");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_is_read(rows in prop::collection::vec(prop::collection::vec("[a-z,;\"'\n\r=+@白 -]{0,8}", 3), 0..6)) {
            // A row of nothing but blanks and separators is a blank line.
            let blank = |row: &Vec<String>| row.iter().all(|field| field.chars().all(|c| c.is_whitespace() || c == ','));
            let rows: Vec<_> = rows.into_iter().filter(|row| !blank(row)).collect();
            let text = write(&["one", "two", "three"], rows.iter().map(|row| row.iter().map(String::as_str).collect()));
            let (read, findings) = texts(&text);
            prop_assert_eq!(findings, Vec::<String>::new());
            prop_assert_eq!(read, rows);
        }

        #[test]
        fn any_text_reads_without_a_panic(text in "[a\",;\t\n\r 白=]{0,60}") {
            let _ = parse(&Source::new("c.csv", &text));
        }
    }

    #[test]
    fn an_endless_text_is_refused_unread() {
        let text = " ".repeat(limits::IMPORT_BYTES + 1);
        assert!(parse(&Source::new("c.csv", text)).is_err_and(|finding| finding.reason.contains("larger than 64 MiB")));
    }
}
