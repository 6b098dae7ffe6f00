//! The shipped dialplans: nothing is wrong with them, their tests pass, and their tests walk nearly every edge.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use strowger::config::compose::read_skills;
use strowger::config::prompts::{Recorded, read_prompts};
use strowger::dialplan::coverage::Coverage;
use strowger::dialplan::model::DialplanId;
use strowger::dialplan::scenario::{Scenarios, read_scenarios};
use strowger::dialplan::{Book, Names, load};
use strowger::finding::Source;
use strowger::ids::{HoursName, QueueName, SkillName};
use strowger::ivr::testing;

/// Edges that the tests of a shipped dialplan must have walked, percent.
const EDGES_WALKED: usize = 95;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The files of `dialplans/` that are (or are not) tests, by name.
fn files(tests: bool) -> Vec<Source> {
    let entries = std::fs::read_dir(folder("dialplans")).expect("the dialplans are shipped");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("is readable").path()).collect();
    paths.retain(|path| path.to_string_lossy().ends_with(".test.toml") == tests);
    paths.sort();
    let read = |path: &PathBuf| {
        let name = path.file_name().expect("a file has a name").to_string_lossy();
        Source::new(format!("dialplans/{name}"), std::fs::read_to_string(path).expect("is readable"))
    };
    paths.iter().map(read).collect()
}

/// What the shipped dialplans ask of a configuration.
fn names() -> Names {
    Names {
        queues: ["airline", "bank", "laptop"].map(QueueName::new).into(),
        hours: ["airline", "bank"].map(HoursName::new).into(),
        dial_prefixes: Vec::new(),
        skills: ["hardware", "software"].map(SkillName::new).into(),
        read_skills: Some(read_skills),
    }
}

struct Shipped {
    book: Arc<Book>,
    recorded: Recorded,
    tests: Vec<Scenarios>,
}

fn shipped() -> Shipped {
    let recorded = read_prompts(&folder("prompts"));
    let loaded = load(&files(false), &recorded.catalogue, &names());
    let findings: Vec<_> = loaded.findings.iter().map(|found| found.to_string()).collect();
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    let book = loaded.book.expect("no finding, so a book");
    let read = |source: &Source| {
        read_scenarios(source, &book).unwrap_or_else(|findings| {
            panic!("{}", findings.iter().map(|found| format!("{found}\n")).collect::<String>())
        })
    };
    let tests = files(true).iter().map(read).collect();
    Shipped { book: Arc::new(book), recorded, tests }
}

#[test]
fn each_shipped_dialplan_has_tests_beside_it() {
    let Shipped { book, tests, .. } = shipped();
    for (id, plan) in book.iter() {
        assert!(tests.iter().any(|file| file.dialplan == id), "{} has no tests", plan.name);
    }
    for name in ["airline", "bank", "laptop", "information"] {
        let plan = book.get(book.find(name).expect("is shipped"));
        let tags: Vec<_> = plan.languages.iter().map(|tag| tag.as_str()).collect();
        assert_eq!(tags, ["en", "zh"], "{name} speaks both");
    }
}

#[test]
fn the_tests_of_the_shipped_dialplans_pass_and_walk_nearly_every_edge() {
    let Shipped { book, recorded, tests } = shipped();
    let mut coverage: BTreeMap<DialplanId, Coverage> = BTreeMap::new();
    let mut failed = Vec::new();
    for file in &tests {
        let report = testing::run(&book, &recorded.catalogue, file);
        failed.extend(report.failures().map(|found| found.to_string()));
        for (id, touched) in &report.coverage {
            coverage.entry(*id).or_default().merge(touched);
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    for (id, plan) in book.iter() {
        let report = coverage.get(&id).cloned().unwrap_or_default().report(plan);
        let missed =
            report.missed_edges.iter().map(|(from, edge)| format!("{} {}", plan.state(*from).name, edge.label));
        let missed: Vec<_> = missed.collect();
        assert_eq!(report.states_percent(), 100, "{}: {:?}", plan.name, report.missed_states);
        assert!(report.edges_percent() >= EDGES_WALKED, "{}: {}", plan.name, missed.join(", "));
    }
}
