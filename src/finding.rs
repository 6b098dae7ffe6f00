//! A finding: something wrong or doubtful in text a person wrote, with its place, the reason and the mend.
//!
//! Configuration, dialplans, prompts manifests and CSV all report in this one shape; `config::report` prints it
//! for people with the source line under it, `--json` prints it as it is.

use core::ops::Range;
use std::sync::Arc;

use serde::Serialize;

/// How bad it is. An error keeps the plan from loading; a warning does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Warning,
    Error,
}

/// One finding. `code` is stable (`dialplan.unreachable-state`) so that tests and people can name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub severity: Severity,
    pub code: &'static str,
    /// The file as the user named it.
    pub file: Arc<str>,
    /// 1-based line of the place; 0 where the whole file is meant.
    pub line: u32,
    /// 1-based column in characters; 0 where the whole line is meant.
    pub column: u32,
    /// Byte range in the file's text, for underlining. Empty where the whole file is meant.
    #[serde(skip)]
    pub span: Range<usize>,
    /// What is wrong and why it matters, one sentence.
    pub reason: String,
    /// What to do about it, one sentence in the imperative.
    pub mend: String,
}

/// A text with its name, able to say which line and column a byte is on.
#[derive(Clone, Debug)]
pub struct Source {
    pub file: Arc<str>,
    pub text: Arc<str>,
}

impl Source {
    pub fn new(file: impl AsRef<str>, text: impl AsRef<str>) -> Self {
        Self { file: Arc::from(file.as_ref()), text: Arc::from(text.as_ref()) }
    }

    /// 1-based (line, column in characters) of a byte offset; past the end means the end.
    pub fn position(&self, offset: usize) -> (u32, u32) {
        let mut end = offset.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &self.text[..end];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        let line = 1 + before.bytes().filter(|&b| b == b'\n').count();
        let column = 1 + before[line_start..].chars().count();
        (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
    }

    /// An error at `span`.
    pub fn error(
        &self,
        code: &'static str,
        span: Range<usize>,
        reason: impl Into<String>,
        mend: impl Into<String>,
    ) -> Finding {
        self.finding(Severity::Error, code, span, reason.into(), mend.into())
    }

    /// A warning at `span`.
    pub fn warning(
        &self,
        code: &'static str,
        span: Range<usize>,
        reason: impl Into<String>,
        mend: impl Into<String>,
    ) -> Finding {
        self.finding(Severity::Warning, code, span, reason.into(), mend.into())
    }

    fn finding(
        &self,
        severity: Severity,
        code: &'static str,
        span: Range<usize>,
        reason: String,
        mend: String,
    ) -> Finding {
        let (line, column) = self.position(span.start);
        Finding { severity, code, file: self.file.clone(), line, column, span, reason, mend }
    }
}

impl core::fmt::Display for Finding {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let word = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{}:{}:{}: {word}[{}]: {} {}", self.file, self.line, self.column, self.code, self.reason, self.mend)
    }
}

/// The known word nearest to a misspelt one, for "did you mean"; `None` where nothing is near
/// (more than a third of the letters would have to change).
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = wrong.chars().count().div_ceil(3);
    known
        .into_iter()
        .map(|word| (edit_distance(wrong, word), word))
        .filter(|(distance, _)| *distance <= near)
        .min()
        .map(|(_, word)| word)
}

/// Optimal string alignment distance: insertions, deletions, changes and swaps of neighbours.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let change = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + change);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_names_file_line_reason_and_mend() {
        let source = Source::new("a.toml", "first = 1\n键 = 2\nthird = x\n");
        let at = source.text.find("x\n").unwrap();
        let finding = source.error("toml.value", at..at + 1, "`x` is no value.", "Write a number.");
        assert_eq!(finding.to_string(), "a.toml:3:9: error[toml.value]: `x` is no value. Write a number.");
        assert_eq!(source.position(usize::MAX), (4, 1));
        assert_eq!(source.position(source.text.find("= 2").unwrap()), (2, 3));
    }

    #[test]
    fn a_near_miss_is_suggested_and_a_far_one_is_not() {
        let known = ["answer_timeout_s", "strategy", "skills"];
        assert_eq!(nearest("stratgey", known), Some("strategy"));
        assert_eq!(nearest("answr_timeout_s", known), Some("answer_timeout_s"));
        assert_eq!(nearest("colour", known), None);
    }
}
