//! The house's rules that no compiler holds: imports go down only, files stay readable, nothing is left half done.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each room with the rooms it may import. Absent means: not even by accident.
const TABLE: &[(&str, &[&str])] = &[
    // L0
    ("time", &[]),
    ("limits", &[]),
    ("finding", &[]),
    ("network", &[]),
    ("number", &["limits"]),
    ("ids", &["time"]),
    ("cause", &[]),
    ("codec", &[]),
    ("tier", &[]),
    ("strategy", &[]),
    ("event", &["cause", "ids", "limits", "time"]),
    ("command", &["event", "ids"]),
    // L1
    ("sip", &[L0, "sdp"]),
    ("sdp", &[L0]),
    ("rtp", &[L0]),
    ("audio", &[L0]),
    // L2
    ("acd", &[L0]),
    ("crm", &[L0]),
    ("media", &[L0, "audio", "rtp"]),
    ("dialplan", &[L0]),
    ("plan", &[L0, "dialplan"]),
    ("ivr", &[L0, "dialplan"]),
    ("call", &[L0, L1, "media", "ivr"]),
    // L3
    ("switch", &[L0, L1, L2]),
    // the foreign side in virtual time
    ("sim", &[L0, L1, L2, "switch"]),
    // L4
    ("net", &[L0, L1]),
    ("store", &[L0, L1, L2, "switch"]),
    ("observe", &[L0, L1, L2, "switch"]),
    ("load", &[L0, "audio", "sim"]),
    ("config", &[L0, L1, L2, "switch", "load"]),
    ("runtime", &[L0, L1, L2, "switch", "net", "store", "observe", "config"]),
    ("http", &[L0, L1, L2, "switch", "store", "observe", "config", "runtime"]),
    // L5
    ("app", &[L0, L1, L2, "switch", "sim", "net", "store", "observe", "config", "runtime", "http", "load"]),
];

const L0: &str = "L0";
const L1: &str = "L1";
const L2: &str = "L2";

/// The rooms that may not wait, lock, spawn, or read a clock: their `mod.rs` must deny it.
const CORES: &[&str] =
    &["sip", "sdp", "rtp", "audio", "media", "dialplan", "plan", "ivr", "acd", "crm", "call", "switch", "sim"];

/// Longest a file may grow before it must be two ideas.
const MOST_LINES: usize = 900;

#[test]
fn imports_go_down_only() {
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        TABLE.iter().map(|(room, may)| (*room, may.iter().flat_map(|m| expand(m)).collect())).collect();
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let room = room_of(&path);
        let Some(may) = allowed.get(room.as_str()) else {
            assert!(matches!(room.as_str(), "lib" | "main"), "{room} is a room without a place in the table");
            continue;
        };
        for (number, line) in production_lines(&path, &text) {
            for imported in crate_imports(line) {
                if imported != room && !may.contains(imported.as_str()) {
                    wrong.push(format!("{}:{number}: {room} may not import {imported}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "imports that climb:\n{}", wrong.join("\n"));
}

#[test]
fn every_core_denies_clocks_locks_threads_and_files() {
    for core in CORES {
        let text = fs::read_to_string(source_root().join(core).join("mod.rs")).unwrap();
        for ban in ["clippy::disallowed_methods", "clippy::disallowed_types", "clippy::disallowed_macros"] {
            assert!(text.contains(ban), "src/{core}/mod.rs must deny {ban}");
        }
    }
}

#[test]
fn no_core_waits_locks_or_spawns() {
    let banned = [
        "tokio::",
        "std::thread",
        "async fn",
        ".await;",
        ".await?",
        ".await)",
        "Mutex<",
        "RwLock<",
        "std::env",
        "std::fs",
        "SystemTime",
    ];
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        if !CORES.contains(&room_of(&path).as_str()) {
            continue;
        }
        for (number, line) in production_lines(&path, &text) {
            let code = line.split("//").next().unwrap_or("");
            if let Some(ban) = banned.iter().find(|b| code.contains(**b)) {
                wrong.push(format!("{}:{number}: a core says {ban}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn one_file_knows_each_wrapped_library() {
    let wrapped = [
        ("rsip", "sim/rsip_wire.rs"),
        ("rtp", "load/rtp_wire.rs"),
        ("sled", "store/sled.rs"),
        ("hound", "audio/wav.rs"),
        ("rhai", "dialplan/sandbox.rs"),
        ("annotate_snippets", "config/report.rs"),
        ("tokio_tungstenite", "load/cti.rs"),
        ("prometheus_client", "observe/metrics.rs"),
    ];
    for (library, home) in wrapped {
        for (path, text) in sources() {
            let shown = path.strip_prefix(source_root()).unwrap().display().to_string();
            // The crate itself stands at the start of a path: `use sled::`, `::sled::`, ` sled::`, never `store::sled::`.
            let speaks = production_lines(&path, &text).any(|(_, line)| {
                let code = line.split("//").next().unwrap_or("");
                let own_module =
                    code.contains(&format!("crate::{library}::")) || code.contains(&format!("super::{library}::"));
                let named = code.match_indices(&format!("{library}::")).any(|(at, _)| {
                    let before = code[..at].trim_end_matches("::").chars().next_back();
                    let path_goes_on =
                        code[..at].ends_with("::") && before.is_some_and(|c| c.is_alphanumeric() || c == '_');
                    let word_goes_on = code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
                    !path_goes_on && !word_goes_on
                });
                named && !own_module
            });
            // `rtp` is also a room of ours, reached by `super::` and `crate::` only.
            assert!(!speaks || shown == home, "{shown} speaks {library}, which belongs to {home}");
        }
    }
}

#[test]
fn every_file_says_its_purpose_first_and_stays_readable() {
    for (path, text) in sources() {
        assert!(text.starts_with("//!"), "{} must begin with its purpose (`//!`)", path.display());
        let lines = text.lines().count();
        assert!(lines <= MOST_LINES, "{} has {lines} lines: is it still one idea?", path.display());
    }
}

#[test]
fn nothing_is_left_half_done() {
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("#[ig", "nore"),
    ];
    for (path, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            for mark in marks {
                assert!(!line.contains(mark), "{}:{}: {mark}", path.display(), number + 1);
            }
        }
    }
}

/// A bound that nothing reaches in a test may as well not hold.
/// The methods by which the parser of dialplans takes a key.
const TAKES: [&str; 12] = [
    "take",
    "text",
    "boolean",
    "integer",
    "seconds",
    "millis",
    "table",
    "edge",
    "edge_or",
    "prompts_of",
    "labelled",
    "script_vars",
];

#[test]
fn every_key_of_a_dialplan_stands_in_its_reference() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let reference = fs::read_to_string(root.join("docs/dialplan.md")).expect("the reference is shipped");
    let mut keys: BTreeSet<String> = ["languages", "returns", "params", "results", "vars"].map(str::to_owned).into();
    for (path, text) in files_below(&root.join("src/dialplan/parse")) {
        let code: String = production_lines(&path, &text).map(|(_, line)| format!("{line}\n")).collect();
        for (at, _) in code.match_indices("(\"") {
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let method = code[..at].rsplit(|c| !word(c)).next().unwrap_or_default();
            let key = code[at + 2..].split('"').next().unwrap_or_default();
            if TAKES.contains(&method) && key.chars().all(word) {
                keys.insert(key.to_owned());
            }
        }
    }
    let actions = fs::read_to_string(root.join("src/dialplan/parse/state.rs")).expect("is there");
    let actions = actions.split("const ACTIONS").nth(1).and_then(|rest| rest.split("];").next()).expect("is there");
    keys.extend(actions.split('"').skip(1).step_by(2).map(str::to_owned));
    assert!(keys.len() > 80 && keys.contains("prefer") && keys.contains("hangup"), "{keys:?}");
    let missing: Vec<_> = keys.iter().filter(|key| !reference.contains(&format!("`{key}`"))).collect();
    assert_eq!(missing, [""; 0], "docs/dialplan.md");
}

#[test]
fn every_limit_is_reached_in_a_test() {
    let limits = fs::read_to_string(source_root().join("limits.rs")).unwrap();
    let names: Vec<&str> =
        limits.lines().filter_map(|line| line.trim_start().strip_prefix("pub const ")?.split(':').next()).collect();
    assert!(names.len() > 150, "{} limits", names.len());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut tested: BTreeSet<String> = BTreeSet::new();
    let regions = sources().into_iter().map(|(path, text)| text[tests_begin(&path, &text)..].to_owned());
    for region in regions.chain(files_below(&folder).into_iter().map(|(_, text)| text)) {
        let words = region.split(|c: char| !c.is_alphanumeric() && c != '_');
        tested.extend(words.filter(|word| names.contains(word)).map(str::to_owned));
    }
    let forgotten: Vec<&str> = names.into_iter().filter(|name| !tested.contains(*name)).collect();
    assert!(forgotten.is_empty(), "limits that no test names:\n{}", forgotten.join("\n"));
}

fn expand(name: &'static str) -> Vec<&'static str> {
    match name {
        L0 => {
            vec![
                "time", "ids", "number", "cause", "codec", "tier", "strategy", "limits", "finding", "network", "event",
                "command",
            ]
        }
        L1 => vec!["sip", "sdp", "rtp", "audio"],
        L2 => vec!["media", "dialplan", "plan", "ivr", "acd", "crm", "call"],
        room => vec![room],
    }
}

fn source_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn sources() -> Vec<(PathBuf, String)> {
    files_below(&source_root())
}

fn files_below(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found.sort();
    found
}

/// The first folder or file name under `src/`.
fn room_of(path: &Path) -> String {
    let inside = path.strip_prefix(source_root()).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// Every library is under a licence of `deny.toml`, and comes from crates.io.
#[test]
fn every_library_is_under_a_licence_that_we_take() {
    let deny: toml::Table =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deny.toml")).unwrap().parse().unwrap();
    let licences = deny["licenses"].as_table().unwrap();
    let words = |list: &toml::Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let about = |key: &str, name: &str| {
        let entries = licences[key].as_array().unwrap();
        entries.iter().find(|entry| entry["crate"].as_str() == Some(name)).cloned()
    };
    let allowed = words(&licences["allow"]);
    let metadata = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).expect("cargo knows the libraries");
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100);
    let mut wrong = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let clarified = about("clarify", name).map(|entry| entry["expression"].as_str().unwrap().to_owned());
        let licence = package["license"].as_str().map(str::to_owned).or(clarified).unwrap_or_default();
        let mut allowed = allowed.clone();
        allowed.extend(about("exceptions", name).into_iter().flat_map(|entry| words(&entry["allow"])));
        if !is_allowed(&licence, &allowed) {
            wrong.push(format!("{name}: `{licence}`"));
        }
        let source = package["source"].as_str();
        if source.is_some_and(|source| source != "registry+https://github.com/rust-lang/crates.io-index") {
            wrong.push(format!("{name} comes from {source:?}"));
        }
    }
    assert!(wrong.is_empty(), "not in deny.toml:\n{}", wrong.join("\n"));
}

/// Whether an SPDX expression can be met with these licences; `/` is an old way to write OR.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let expression = expression.replace('/', " OR ").split_whitespace().collect::<Vec<_>>().join(" ");
    let text = expression.trim();
    for (word, any) in [(" OR ", true), (" AND ", false)] {
        let parts = split_outside(text, word);
        if parts.len() > 1 {
            let mut met = parts.iter().map(|part| is_allowed(part, allowed));
            return if any { met.any(|met| met) } else { met.all(|met| met) };
        }
    }
    match text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) {
        Some(inner) => is_allowed(inner, allowed),
        None => allowed.iter().any(|licence| licence == text),
    }
}

/// The parts of a text between a word, where it stands outside brackets.
fn split_outside<'t>(text: &'t str, word: &str) -> Vec<&'t str> {
    let (mut depth, mut from, mut parts) = (0, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 && at >= from && text[at..].starts_with(word) => {
                parts.push(&text[from..at]);
                from = at + word.len();
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

#[test]
fn a_licence_expression_is_met_as_spdx_says() {
    let allowed = ["MIT", "ISC", "Apache-2.0"].map(str::to_owned);
    for met in ["MIT", "MIT OR GPL-3.0", "GPL-3.0/MIT", "ISC AND (GPL-3.0 OR MIT) AND Apache-2.0", "(MIT)"] {
        assert!(is_allowed(met, &allowed), "{met}");
    }
    for unmet in ["", "GPL-3.0", "MIT AND GPL-3.0", "ISC AND (GPL-3.0 OR BSL-1.0)"] {
        assert!(!is_allowed(unmet, &allowed), "{unmet}");
    }
}

/// Lines before the file's tests, with 1-based numbers; none of a file that is a test as a whole. Tests may reach
/// anywhere.
fn production_lines<'t>(path: &Path, text: &'t str) -> impl Iterator<Item = (usize, &'t str)> {
    text[..tests_begin(path, text)].lines().enumerate().map(|(i, line)| (i + 1, line))
}

/// Where a file's tests begin; its end where it has none.
fn tests_begin(path: &Path, text: &str) -> usize {
    if is_test_file(path) {
        return 0;
    }
    let marks = ["mod tests {", "pub mod tests {", "pub(super) mod tests {", "pub(crate) mod tests {"];
    let found = marks.iter().filter_map(|mark| text.find(&format!("#[cfg(test)]\n{mark}")));
    found.min().unwrap_or(text.len())
}

/// Whether a file, or a folder it lies in, is declared by `#[cfg(test)] mod NAME;`.
fn is_test_file(path: &Path) -> bool {
    // Those that lie beside what they test are declared by `#[path]`.
    if path.file_stem().is_some_and(|name| name.to_string_lossy().ends_with("_tests")) {
        return true;
    }
    let mut inside = path.to_owned();
    while inside != source_root() {
        let parent = inside.parent().unwrap().to_owned();
        let name = inside.file_stem().unwrap().to_string_lossy().into_owned();
        let declared_in = [parent.join("mod.rs"), parent.with_extension("rs")];
        for declares in declared_in.iter().filter(|file| **file != path) {
            let Ok(text) = fs::read_to_string(declares) else { continue };
            let lines: Vec<&str> = text.lines().collect();
            let declared = lines.iter().position(|line| {
                line.trim_start().trim_start_matches("pub(crate) ").trim_start_matches("pub(super) ")
                    == format!("mod {name};")
            });
            if let Some(at) = declared {
                let above = lines[..at].iter().rev().take_while(|line| line.starts_with("#["));
                if above.into_iter().any(|line| line.contains("cfg(test)")) {
                    return true;
                }
            }
        }
        inside = parent;
    }
    false
}

/// Rooms named after `crate::` in one line, also in `use crate::{a, b}`.
fn crate_imports(line: &str) -> Vec<String> {
    let code = line.split("//").next().unwrap_or("");
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let names: Vec<&str> = match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or("").split(',').collect(),
            None => vec![rest],
        };
        for name in names {
            let word: String = name.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if !word.is_empty() {
                found.push(word);
            }
        }
    }
    found
}
