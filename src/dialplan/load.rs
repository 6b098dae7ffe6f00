//! The way in: texts of dialplans to a checked [`Book`], or to everything that is wrong with them.

use crate::finding::{Finding, Severity, Source};
use crate::limits;

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
    findings.truncate(limits::DIALPLAN_FINDINGS);
    let plans: Option<Vec<_>> = parsed.plans.into_iter().collect();
    debug_assert!(refused || plans.is_some(), "a dialplan that is not read has a finding");
    let book = plans.filter(|_| !refused).map(|plans| Book { plans, by_name: parsed.by_name });
    Loaded { book, findings }
}

#[cfg(test)]
mod tests {
    use super::super::corpus::context;
    use super::*;
    use std::fmt::Write;

    fn codes(sources: &[Source]) -> Vec<&'static str> {
        let (catalogue, names) = context();
        let mut codes: Vec<_> = load(sources, &catalogue, &names).findings.iter().map(|found| found.code).collect();
        codes.dedup();
        codes
    }

    fn one(text: impl AsRef<str>) -> Vec<&'static str> {
        codes(&[Source::new("dialplans/big.toml", text)])
    }

    /// `count` states, each leading to the next.
    fn chain(count: usize) -> String {
        let mut text = String::from("start = \"s0\"\n");
        for nth in 0..count - 1 {
            let _ = write!(text, "[state.s{nth}]\nplay = \"welcome\"\nnext = \"s{}\"\n", nth + 1);
        }
        let _ = write!(text, "[state.s{}]\nhangup = true\n", count - 1);
        text
    }

    #[test]
    fn a_dialplan_of_as_many_states_as_allowed_is_read_and_one_more_is_refused() {
        assert_eq!(one(chain(limits::DIALPLAN_STATES)), Vec::<&str>::new());
        assert!(one(chain(limits::DIALPLAN_STATES + 1)).contains(&"dialplan.too-large"));
    }

    #[test]
    fn too_large_a_file_and_too_many_variables_are_refused() {
        assert_eq!(one("#".repeat(limits::DIALPLAN_BYTES + 1)), ["dialplan.too-large"]);
        let vars: String = (0..=limits::DIALPLAN_VARS).map(|nth| format!("v{nth} = 0\n")).collect();
        let text = |vars: &str| format!("start = \"s\"\n[vars]\n{vars}[state.s]\nhangup = true\n");
        assert_eq!(one(text(&vars)), ["dialplan.too-large"]);
        assert_eq!(one(text(vars.trim_end_matches(&format!("v{} = 0\n", limits::DIALPLAN_VARS)))), Vec::<&str>::new());
    }

    #[test]
    fn too_many_files_and_two_of_one_name_are_refused() {
        let file = |nth: usize| Source::new(format!("d{nth:04}.toml"), chain(1));
        let files: Vec<_> = (0..=limits::DIALPLANS).map(file).collect();
        assert_eq!(codes(&files[..limits::DIALPLANS]), Vec::<&str>::new());
        assert_eq!(codes(&files), ["dialplan.too-many"]);
        assert_eq!(codes(&[Source::new("a/x.toml", chain(1)), Source::new("b/x.toml", chain(1))]), ["dialplan.twice"]);
    }

    #[test]
    fn pages_nested_too_deep_are_refused() {
        let page = |nth: usize| {
            let head = "start = \"s\"\nreturns = [\"done\"]\n";
            let call = format!("[state.s]\npage = \"p{:02}\"\nnext = \"done\"\n", nth + 1);
            let call = if nth == 0 { "[state.s]\nplay = \"welcome\"\nnext = \"done\"\n".to_string() } else { call };
            let call = call.replace(&format!("p{:02}", nth + 1), &format!("p{:02}", nth.saturating_sub(1)));
            Source::new(format!("p{nth:02}.toml"), format!("{head}{call}[state.done]\nreturn = \"done\"\n"))
        };
        let pages: Vec<_> = (0..=limits::DIALPLAN_PAGE_DEPTH + 1).map(page).collect();
        assert_eq!(codes(&pages[..=limits::DIALPLAN_PAGE_DEPTH]), Vec::<&str>::new());
        assert_eq!(codes(&pages), ["dialplan.page-recursion"]);
    }

    #[test]
    fn findings_are_told_up_to_their_bound() {
        let keys: String = (0..limits::DIALPLAN_FINDINGS + 50).map(|nth| format!("key{nth} = 1\n")).collect();
        let text = format!("{}{keys}", chain(1));
        let (catalogue, names) = context();
        let loaded = load(&[Source::new("x.toml", text)], &catalogue, &names);
        assert!(loaded.book.is_none());
        assert_eq!(loaded.findings.len(), limits::DIALPLAN_FINDINGS);
    }
}
