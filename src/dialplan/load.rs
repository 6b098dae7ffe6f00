//! The way in: texts of dialplans to a checked [`Book`], or to everything that is wrong with them.

use crate::finding::{Finding, Severity, Source};

use super::check::check;
use super::context::{Names, PromptCatalogue};
use super::model::Book;
use super::parse::parse;

/// What loading gave. The book is there exactly where no finding is an error: all or nothing.
#[derive(Debug)]
pub struct Loaded {
    pub book: Option<Book>,
    /// In the order of files and lines.
    pub findings: Vec<Finding>,
}

/// Reads, links and proves dialplans. Each source is named by its path: `dialplans/bank.toml` is the dialplan `bank`.
pub fn load(sources: &[Source], catalogue: &PromptCatalogue, names: &Names) -> Loaded {
    let parsed = parse(sources);
    let mut findings = parsed.findings;
    findings.extend(check(&parsed.plans, catalogue, names));
    findings.sort_by(|a, b| (&a.file, a.line, a.column, a.code).cmp(&(&b.file, b.line, b.column, b.code)));
    findings.dedup();
    let refused = findings.iter().any(|finding| finding.severity == Severity::Error);
    let plans: Option<Vec<_>> = parsed.plans.into_iter().collect();
    debug_assert!(refused || plans.is_some(), "a dialplan that is not read has a finding");
    let book = plans.filter(|_| !refused).map(|plans| Book { plans, by_name: parsed.by_name });
    Loaded { book, findings }
}
