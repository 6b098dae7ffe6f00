//! The corpus in `tests/data/dialplans`: every broken dialplan is refused for its declared reasons at its declared
//! lines and for nothing else, and no good one is refused.

#![allow(clippy::disallowed_methods, reason = "a test reads the files it tests; no core does")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use crate::finding::Source;
use crate::ids::{HoursName, Language, PromptName, QueueName, SkillName};

use super::{Book, Loaded, Names, PromptCatalogue, load};

/// `context.toml`.
#[derive(Deserialize)]
struct Context {
    languages: Vec<String>,
    prompts: Vec<String>,
    english_only: Vec<String>,
    queues: Vec<String>,
    hours: Vec<String>,
    skills: Vec<String>,
    dial_prefixes: Vec<String>,
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/dialplans").join(name)
}

fn sources(name: &str) -> Vec<Source> {
    files(name, |file| file.ends_with(".toml") && !file.ends_with(".test.toml"))
}

fn files(name: &str, wanted: impl Fn(&str) -> bool) -> Vec<Source> {
    let mut files: Vec<_> = std::fs::read_dir(folder(name))
        .expect("the corpus is there")
        .map(|entry| entry.expect("is readable").path())
        .filter(|path| wanted(&path.to_string_lossy()))
        .collect();
    files.sort();
    files
        .iter()
        .map(|path| {
            let file = path.file_name().expect("a file has a name").to_string_lossy();
            Source::new(file, std::fs::read_to_string(path).expect("is readable"))
        })
        .collect()
}

pub(super) fn context() -> (PromptCatalogue, Names) {
    let text = std::fs::read_to_string(folder("context.toml")).expect("the corpus is there");
    let context: Context = toml::from_str(&text).expect("is TOML");
    let mut catalogue = PromptCatalogue::default();
    for language in &context.languages {
        for prompt in &context.prompts {
            catalogue.insert(Language::new(language), PromptName::new(prompt), format!("{prompt} in {language}"));
        }
    }
    for prompt in &context.english_only {
        catalogue.insert(Language::new("en"), PromptName::new(prompt), prompt);
    }
    let names = Names {
        queues: context.queues.iter().map(QueueName::new).collect(),
        hours: context.hours.iter().map(HoursName::new).collect(),
        dial_prefixes: context.dial_prefixes.iter().map(|prefix| Arc::from(prefix.as_str())).collect(),
        skills: context.skills.iter().map(SkillName::new).collect(),
        read_skills: Some(crate::config::compose::read_skills),
    };
    (catalogue, names)
}

fn load_all(sources: &[Source]) -> Loaded {
    let (catalogue, names) = context();
    load(sources, &catalogue, &names)
}

/// The good dialplans, linked.
pub(super) fn good() -> Book {
    let loaded = load_all(&sources("good"));
    let told: Vec<_> = loaded.findings.iter().map(ToString::to_string).collect();
    assert_eq!(told, Vec::<String>::new(), "no good dialplan is refused");
    loaded.book.expect("no finding, so a book")
}

#[test]
fn no_good_dialplan_is_refused() {
    assert!(good().len() >= 5);
}

/// Its prompts are not recorded; nothing else may be wrong with what people copy from the documentation.
#[test]
fn the_example_in_the_documentation_is_a_good_dialplan() {
    let page = include_str!("mod.rs");
    let lines = page.lines().skip_while(|line| *line != "//! ```toml").skip(1);
    let example: Vec<_> = lines.map_while(|line| line.strip_prefix("//!")).take_while(|line| *line != " ```").collect();
    assert!(example.len() > 50, "the example is found");
    let loaded = load_all(&[Source::new("example.toml", example.join("\n"))]);
    let told: Vec<_> = loaded.findings.iter().filter(|found| found.code != "dialplan.missing-prompt").collect();
    assert!(told.is_empty(), "{told:#?}");
}

#[test]
fn the_tests_beside_the_good_dialplans_are_read() {
    let book = good();
    let tests = files("good", |file| file.ends_with(".test.toml"));
    assert!(!tests.is_empty());
    for source in &tests {
        let read = super::scenario::read_scenarios(source, &book).expect("names only what is there");
        assert!(!read.scenarios.is_empty(), "{}", source.file);
    }
}

#[test]
fn every_broken_dialplan_is_refused_with_its_line_a_reason_and_a_mend() {
    let broken = sources("broken");
    assert!(broken.len() >= 50, "the corpus has {} dialplans", broken.len());
    let mut wrong = Vec::new();
    for source in &broken {
        // Beside it the good pages, for those that call one.
        let page = sources("good").into_iter().filter(|good| ["pin.toml", "verify.toml"].contains(&&*good.file));
        let both: Vec<_> = page.chain([source.clone()]).collect();
        let loaded = load_all(&both);
        assert!(loaded.book.is_none(), "{} is accepted", source.file);
        let told: Vec<_> =
            loaded.findings.iter().map(|found| format!("{} at line {}", found.code, found.line)).collect();
        let mut expected: Vec<_> =
            source.text.lines().filter_map(|line| line.strip_prefix("# expect: ")).map(str::to_string).collect();
        let mut sorted = told.clone();
        sorted.sort();
        expected.sort();
        if sorted != expected {
            let all: Vec<_> = loaded.findings.iter().map(|found| format!("  {found}")).collect();
            wrong.push(format!("{}: expected {expected:?}, told\n{}", source.file, all.join("\n")));
        }
        for found in &loaded.findings {
            assert!(*found.file == *source.file, "{found}");
            assert!(found.reason.ends_with('.') && found.reason.len() > 10, "{found}");
            assert!(found.mend.ends_with(['.', '?']) && found.mend.len() > 5, "{found}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Whatever is cut from a good dialplan, reading it ends with findings or a book, never with a panic.
#[test]
fn a_dialplan_cut_anywhere_never_panics() {
    let (catalogue, names) = context();
    for source in sources("good") {
        let lines: Vec<_> = source.text.lines().collect();
        for cut in 0..lines.len() {
            let rest: Vec<_> = lines[..cut].iter().chain(&lines[cut + 1..]).copied().collect();
            let shorter = Source::new(&source.file, rest.join("\n"));
            let loaded = load(&[shorter], &catalogue, &names);
            assert!(loaded.book.is_some() || !loaded.findings.is_empty());
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// Nor where a few characters are overwritten by others.
    #[test]
    fn a_dialplan_with_slips_of_the_pen_never_panics(
        file in 0_usize..6,
        slips in proptest::collection::vec((0_usize..4_000, "[a-z0-9\"'{}\\[\\]=.,#\n🙂]{1,3}"), 1..6)
    ) {
        let (catalogue, names) = context();
        let files = sources("good");
        let source = &files[file % files.len()];
        let mut text: Vec<char> = source.text.chars().collect();
        for (at, slip) in &slips {
            let at = at % text.len();
            text.splice(at..(at + 1).min(text.len()), slip.chars());
        }
        let slipped = Source::new(&source.file, text.into_iter().collect::<String>());
        let loaded = load(&[slipped], &catalogue, &names);
        proptest::prop_assert!(loaded.book.is_some() || !loaded.findings.is_empty());
    }
}
