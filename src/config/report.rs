//! Findings for people, with the source line under each, and for machines as JSON.
//!
//! The one file that knows `annotate-snippets`.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::finding::{Finding, Severity, Source};

/// Findings shown to people at most; the rest is a count.
pub const SHOWN_MAX: usize = 100;

/// Whether the terminal wants colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    Plain,
    Colours,
}

/// The findings, each with its source line underlined, the reason and the mend, and how many there are.
pub fn for_people(findings: &[Finding], sources: &[Source], paint: Paint) -> String {
    let renderer = match paint {
        Paint::Plain => Renderer::plain(),
        Paint::Colours => Renderer::styled(),
    };
    let renderer = renderer.decor_style(DecorStyle::Ascii);
    let mut text = String::new();
    for finding in findings.iter().take(SHOWN_MAX) {
        let source = sources.iter().find(|source| source.file == finding.file);
        text.push_str(&renderer.render(&[group(finding, source)]));
        text.push_str("\n\n");
    }
    if findings.len() > SHOWN_MAX {
        text.push_str(&format!("… and {} more\n", findings.len() - SHOWN_MAX));
    }
    text.push_str(&summary(findings));
    text.push('\n');
    text
}

/// `2 errors, 1 warning`, or that nothing was found.
pub fn summary(findings: &[Finding]) -> String {
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let words = |count: usize, one: &str| match count {
        1 => format!("1 {one}"),
        many => format!("{many} {one}s"),
    };
    match (count(Severity::Error), count(Severity::Warning)) {
        (0, 0) => "nothing to find fault with".to_owned(),
        (errors, 0) => words(errors, "error"),
        (0, warnings) => words(warnings, "warning"),
        (errors, warnings) => format!("{}, {}", words(errors, "error"), words(warnings, "warning")),
    }
}

/// The findings as a JSON array, each as [`Finding`] serialises.
pub fn for_machines(findings: &[Finding]) -> String {
    serde_json::to_string_pretty(findings).expect("a finding serialises: its keys are strings")
}

fn group<'f>(finding: &'f Finding, source: Option<&'f Source>) -> Group<'f> {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(finding.reason.as_str()).id(finding.code);
    match source.filter(|_| !finding.span.is_empty()) {
        Some(source) => title.element(
            Snippet::source(source.text.as_ref())
                .path(source.file.as_ref())
                .annotation(AnnotationKind::Primary.span(in_text(finding, source)).label(finding.mend.as_str())),
        ),
        None => title.element(origin(finding)).element(Level::HELP.message(finding.mend.as_str())),
    }
}

/// The place of a finding whose text is not at hand.
fn origin(finding: &Finding) -> Origin<'_> {
    let place = |n: u32| usize::try_from(n).ok().filter(|n| *n > 0);
    match (place(finding.line), place(finding.column)) {
        (Some(line), Some(column)) => Origin::path(finding.file.as_ref()).line(line).char_column(column),
        (Some(line), None) => Origin::path(finding.file.as_ref()).line(line),
        _ => Origin::path(finding.file.as_ref()),
    }
}

/// The finding's span, cut to the text and to its first line: a table is named by its header.
fn in_text(finding: &Finding, source: &Source) -> core::ops::Range<usize> {
    let boundary = |mut at: usize| {
        at = at.min(source.text.len());
        while !source.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let (start, end) = (boundary(finding.span.start), boundary(finding.span.end));
    let line_end = source.text[start..].find('\n').map_or(source.text.len(), |length| start + length);
    start..end.max(start).min(line_end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Surroundings, read};

    fn shown(text: &str) -> String {
        let source = Source::new("strowger.toml", text);
        let findings = read(&source, &Surroundings::NONE).findings;
        let errors: Vec<Finding> = findings.into_iter().filter(|f| f.severity == Severity::Error).collect();
        for_people(&errors, &[source], Paint::Plain)
    }

    #[test]
    fn a_person_sees_the_line_the_reason_and_the_mend() {
        insta::assert_snapshot!(shown("# 销售\n[queue.sales]\nlabel = \"销售\"\nstratgey = \"ring_all\"\n"), @r#"
        error[config.unknown-key]: `stratgey` is not a key of `queue.sales`.
         --> strowger.toml:4:1
          |
        4 | stratgey = "ring_all"
          | ^^^^^^^^ Did you mean `strategy`?

        1 error
        "#);
    }

    #[test]
    fn a_finding_without_a_place_names_its_file() {
        let finding =
            Source::new("none.toml", "").error("config.unreadable", 0..0, "It cannot be read.", "Name another.");
        let text = for_people(&[finding], &[], Paint::Plain);
        assert!(text.contains("none.toml") && text.contains("It cannot be read.") && text.contains("Name another."));
    }

    #[test]
    fn a_finding_whose_text_is_not_at_hand_names_its_line_all_the_same() {
        let finding = Source::new("a.toml", "x\ny\n").error("a.b", 2..3, "It is wrong.", "Mend it.");
        assert!(for_people(&[finding], &[], Paint::Plain).contains("a.toml:2:1"));
    }

    #[test]
    fn machines_get_every_field_but_the_span() {
        let source = Source::new("a.toml", "[media]\nengines = 0\n");
        let findings = read(&source, &Surroundings::NONE).findings;
        let json: serde_json::Value = serde_json::from_str(&for_machines(&findings)).unwrap();
        let error = json.as_array().unwrap().iter().find(|finding| finding["severity"] == "error").unwrap();
        assert_eq!(error["code"], "config.range");
        assert_eq!(
            (error["file"].as_str(), error["line"].as_u64(), error["column"].as_u64()),
            (Some("a.toml"), Some(2), Some(11))
        );
        assert!(error["mend"].as_str().is_some_and(|mend| mend == "Write a number from 1 to 256."));
    }

    #[test]
    fn a_flood_of_findings_is_cut_and_counted() {
        let text: String = (0..SHOWN_MAX + 5).map(|n| format!("wrong_{n} = 1\n")).collect();
        let shown = shown(&text);
        assert!(shown.contains("… and 5 more"), "{shown}");
        assert!(shown.ends_with("105 errors\n"));
    }
}
