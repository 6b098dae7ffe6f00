//! Files → plan and dialplans, all or nothing.
//!
//! Everything is read into memory first, so that the checks see one state of the folder, and findings can show their
//! source lines whatever happens to the files meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::compose::queue_settings;
use super::prompts::{MANIFEST, MUSIC, wav_files};
use crate::acd;
use crate::finding::{Finding, Severity, Source};
use crate::ids::{DialplanName, PromptName};
use crate::limits;
use crate::plan::{Places, Plan, Reading, Surroundings, read};

/// Reads the dialplans of a folder against a plan. The seam to whoever knows dialplans.
pub trait ReadDialplans {
    /// What the dialplans become.
    type Dialplans;

    /// Reads and checks them. The plan may be a draft with errors: its names are good, so that all findings of a
    /// folder come in one run. `prompts`: the folder of prompts, for what else the checks want to know of it.
    /// Nothing comes back only where an error is found.
    fn read(&self, plan: &Plan, sources: &[Source], prompts: &Path) -> (Option<Self::Dialplans>, Vec<Finding>);
}

/// What a configuration loaded into.
#[derive(Clone, Debug)]
pub struct Loaded<D> {
    pub plan: Arc<Plan>,
    pub dialplans: Arc<D>,
    /// The plan's queues as the ACD takes them.
    pub queues: acd::Settings,
    /// Where each key of the configuration stands.
    pub places: Places,
    /// Findings that do not keep the plan from running.
    pub warnings: Vec<Finding>,
    /// Every text read, for showing findings.
    pub sources: Vec<Source>,
    /// Every file of the folder of prompts as it was then, so that a prompt recorded anew is a change.
    pub prompts: BTreeMap<PathBuf, Stamp>,
    /// Files and folders whose change asks for a reload.
    pub watched: Vec<PathBuf>,
}

/// What tells one state of a file from another without reading it: its bytes, and when it was written.
pub type Stamp = (u64, Option<SystemTime>);

/// Why a configuration did not load.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Errors and warnings, at least one error.
    pub findings: Vec<Finding>,
    pub sources: Vec<Source>,
    /// What to watch, so that the mend is noticed.
    pub watched: Vec<PathBuf>,
}

/// Loads a configuration with the secrets of this process's environment.
pub fn load<R: ReadDialplans>(config: &Path, dialplans: &R) -> Result<Loaded<R::Dialplans>, Refused> {
    load_with(config, dialplans, &|name| std::env::var(name).ok())
}

/// As [`load`], with secrets from elsewhere.
pub fn load_with<R: ReadDialplans>(
    config: &Path,
    dialplans: &R,
    secret: &dyn Fn(&str) -> Option<String>,
) -> Result<Loaded<R::Dialplans>, Refused> {
    let mut findings = Vec::new();
    let mut watched = vec![config.to_owned()];
    let source = match read_source(config, limits::CONFIG_BYTES) {
        Ok(source) => source,
        Err(finding) => return Err(Refused { findings: vec![finding], sources: Vec::new(), watched }),
    };
    let folders = Folders::of(config, &source);
    watched.extend([folders.dialplans.clone(), folders.prompts.clone()]);
    let texts = read_folder(&folders.dialplans, &mut findings);
    let names: BTreeSet<DialplanName> = texts.iter().map(|text| dialplan_name(&text.file)).collect();
    let stamps = stamps(&folders.prompts);
    let prompts = prompts_in_every_language(&folders.prompts, &mut findings);
    let surroundings = Surroundings { dialplans: Some(&names), prompts: prompts.as_ref(), secret };
    let Reading { draft, places, findings: found } = read(&source, &surroundings);
    findings.splice(0..0, found);
    let (queues, found) = queue_settings(&draft, &source, &places);
    findings.extend(found);
    let (dialplans, found) = dialplans.read(&draft, &texts, &folders.prompts);
    findings.extend(found);
    let sources = core::iter::once(source).chain(texts).collect();
    let refused = findings.iter().any(|finding| finding.severity == Severity::Error);
    let Some(dialplans) = dialplans.filter(|_| !refused) else {
        return Err(Refused { findings, sources, watched });
    };
    let (plan, dialplans) = (Arc::new(draft), Arc::new(dialplans));
    Ok(Loaded { plan, dialplans, queues, places, warnings: findings, sources, prompts: stamps, watched })
}

/// The folders a configuration names, relative to itself.
struct Folders {
    dialplans: PathBuf,
    prompts: PathBuf,
}

impl Folders {
    /// The names are needed before the plan can be checked, which needs what is in them.
    fn of(config: &Path, source: &Source) -> Self {
        let draft = read(source, &Surroundings::NONE).draft;
        Self { dialplans: beside(config, &draft.dialplans), prompts: beside(config, &draft.prompts) }
    }
}

/// A path of the configuration, which is relative to the configuration's own folder.
pub fn beside(config: &Path, path: &str) -> PathBuf {
    config.parent().unwrap_or(Path::new("")).join(path)
}

/// A file as a source, named as the user named it.
pub fn read_source(path: &Path, bytes_max: usize) -> Result<Source, Finding> {
    let name = path.to_string_lossy();
    let unreadable = |reason: String, mend: &str| Finding {
        line: 0,
        column: 0,
        ..Source::new(&name, "").error("config.unreadable", 0..0, reason, mend)
    };
    let length = std::fs::metadata(path).map(|about| about.len());
    if length.as_ref().is_ok_and(|&length| length > u64::try_from(bytes_max).unwrap_or(u64::MAX)) {
        return Err(unreadable(
            format!("The file is larger than {bytes_max} bytes."),
            "Split it, or store data in the store.",
        ));
    }
    match length.and_then(|_| std::fs::read(path)) {
        Ok(bytes) => match String::from_utf8(bytes) {
            // An editor's byte order mark is no part of the text.
            Ok(text) => Ok(Source::new(&name, text.strip_prefix('\u{feff}').unwrap_or(&text))),
            Err(why) => {
                let at = why.utf8_error().valid_up_to();
                Err(unreadable(format!("The file is not UTF-8 from byte {at} on."), "Save it as UTF-8."))
            }
        },
        Err(why) => Err(unreadable(
            format!("The file cannot be read: {why}."),
            "Name the right file with --config, or let this user read it.",
        )),
    }
}

/// The dialplans of a folder in the order of their names; tests beside them are left out. No folder is no dialplan.
fn read_folder(folder: &Path, findings: &mut Vec<Finding>) -> Vec<Source> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let is_dialplan = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.ends_with(".toml") && !name.ends_with(".test.toml") && !name.starts_with('.')
    };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(is_dialplan)
        .take(limits::DIALPLAN_FILES + 1)
        .collect();
    paths.sort();
    if paths.len() > limits::DIALPLAN_FILES {
        findings.push(too_many(folder, "dialplans", limits::DIALPLAN_FILES));
        paths.truncate(limits::DIALPLAN_FILES);
    }
    let mut sources = Vec::new();
    for path in &paths {
        match read_source(path, limits::CONFIG_BYTES) {
            Ok(source) => sources.push(source),
            Err(finding) => findings.push(finding),
        }
    }
    sources
}

/// A dialplan's name: its file's, without `.toml`.
pub fn dialplan_name(file: &str) -> DialplanName {
    let name = Path::new(file).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    DialplanName::new(name.unwrap_or_default())
}

/// Prompts that every language folder holds, and music, which is the same in every language; `None` where there is no
/// folder of prompts.
fn prompts_in_every_language(folder: &Path, findings: &mut Vec<Finding>) -> Option<BTreeSet<PromptName>> {
    let folders = std::fs::read_dir(folder).ok()?;
    let folders = folders.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir());
    let mut named = |folder: &PathBuf| {
        let mut files = Vec::new();
        wav_files(folder, "", 0, &mut files);
        if files.len() > limits::PROMPT_FILES {
            findings.push(too_many(folder, "prompts", limits::PROMPT_FILES));
        }
        files.into_iter().map(|(name, _)| PromptName::new(name)).collect::<BTreeSet<_>>()
    };
    let (music, languages): (Vec<_>, Vec<_>) = folders.partition(|path| path.ends_with(MUSIC));
    let every = languages.iter().map(&mut named).reduce(|every, one| every.intersection(&one).cloned().collect());
    let music = music.iter().flat_map(named).collect();
    Some(every.unwrap_or_default().union(&music).cloned().collect())
}

/// The sounds and the words of a folder of prompts, as files.
fn stamps(folder: &Path) -> BTreeMap<PathBuf, Stamp> {
    let languages = std::fs::read_dir(folder).into_iter().flatten();
    let languages = languages.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir());
    let files = languages.flat_map(|language| {
        let mut sounds = Vec::new();
        wav_files(&language, "", 0, &mut sounds);
        sounds.into_iter().map(|(_, path)| path).chain([language.join(MANIFEST)])
    });
    let stamped = files.filter_map(|path| {
        let about = std::fs::metadata(&path).ok()?;
        Some((path, (about.len(), about.modified().ok())))
    });
    stamped.collect()
}

/// A folder that holds more than a limit, as a whole.
fn too_many(folder: &Path, what: &str, limit: usize) -> Finding {
    let reason = format!("There are more than {limit} {what}.");
    let finding =
        Source::new(folder.to_string_lossy(), "").error("config.too-many", 0..0, reason, "Remove those not in use.");
    Finding { line: 0, column: 0, ..finding }
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;

    use super::*;

    /// Dialplans as their names: any text is one, `broken` is not.
    pub struct AnyText;

    impl ReadDialplans for AnyText {
        type Dialplans = Vec<DialplanName>;

        fn read(&self, _: &Plan, sources: &[Source], _: &Path) -> (Option<Vec<DialplanName>>, Vec<Finding>) {
            let broken = sources.iter().filter(|source| source.text.contains("broken"));
            let findings = broken.map(|source| source.error("dialplan.broken", 0..1, "It is broken.", "Mend it."));
            (Some(sources.iter().map(|source| dialplan_name(&source.file)).collect()), findings.collect())
        }
    }

    fn centre(config: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("strowger.toml");
        fs::write(&path, config).unwrap();
        for name in ["dialplans/airline.toml", "dialplans/night.toml", "dialplans/airline.test.toml"] {
            fs::create_dir_all(folder.path().join("dialplans")).unwrap();
            fs::write(folder.path().join(name), "greeting = 1\n").unwrap();
        }
        for name in ["music/music.wav", "en/welcome.wav", "en/say/one.wav", "zh/say/one.wav"] {
            let file = folder.path().join("prompts").join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        (folder, path)
    }

    fn codes(refused: &Refused) -> Vec<(&str, u32)> {
        let errors = refused.findings.iter().filter(|finding| finding.severity == Severity::Error);
        errors.map(|finding| (finding.code, finding.line)).collect()
    }

    #[test]
    fn a_folder_loads_into_a_plan_and_its_dialplans() {
        let (_folder, path) = centre("[[number]]\nmatch = \"95539\"\ndialplan = \"airline\"\n");
        let loaded = load(&path, &AnyText).unwrap();
        let names: Vec<&str> = loaded.dialplans.iter().map(DialplanName::as_str).collect();
        assert_eq!(names, ["airline", "night"], "tests beside dialplans are none");
        assert_eq!(loaded.plan.numbers.len(), 1);
        assert_eq!(loaded.sources.len(), 3);
        assert_eq!(loaded.watched.len(), 3);
    }

    #[test]
    fn a_broken_dialplan_refuses_the_whole_and_every_finding_comes_at_once() {
        let (folder, path) = centre("[[number]]\nmatch = \"95539\"\ndialplan = \"airlin\"\n");
        fs::write(folder.path().join("dialplans/night.toml"), "broken\n").unwrap();
        let refused = load(&path, &AnyText).unwrap_err();
        assert_eq!(codes(&refused), [("number.unknown-dialplan", 3), ("dialplan.broken", 1),]);
        assert_eq!(refused.findings[0].mend, "Did you mean `airline`?");
    }

    #[test]
    fn a_prompt_must_be_there_in_every_language() {
        let text = |greeting: &str| format!("[queue.a.announcements]\nmusic = \"music\"\ngreeting = \"{greeting}\"\n");
        let (_folder, path) = centre(&text("say/one"));
        assert!(load(&path, &AnyText).is_ok());
        let (_folder, path) = centre(&text("welcome"));
        assert_eq!(codes(&load(&path, &AnyText).unwrap_err()), [("queue.unknown-prompt", 3)]);
    }

    #[test]
    fn a_missing_file_a_wrong_encoding_and_a_huge_file_are_findings() {
        let (folder, path) = centre("");
        let missing = load(&folder.path().join("none.toml"), &AnyText).unwrap_err();
        assert_eq!(codes(&missing), [("config.unreadable", 0)]);
        fs::write(&path, b"domain = \"\xc4\xe3\"\n").unwrap();
        let gbk = load(&path, &AnyText).unwrap_err();
        assert_eq!(gbk.findings[0].reason, "The file is not UTF-8 from byte 10 on.");
        fs::write(&path, "#".repeat(limits::CONFIG_BYTES + 1)).unwrap();
        assert_eq!(codes(&load(&path, &AnyText).unwrap_err()), [("config.unreadable", 0)]);
    }

    #[test]
    fn a_byte_order_mark_does_no_harm() {
        let (_folder, path) = centre("\u{feff}domain = \"a.example\"\n");
        assert_eq!(load(&path, &AnyText).unwrap().plan.domain.as_ref(), "a.example");
    }

    #[test]
    fn secrets_come_from_the_surroundings() {
        let (_folder, path) = centre("[trunk.a]\nhost = \"a.example\"\nuser = \"u\"\npassword_env = \"A_PASSWORD\"\n");
        let refused = load_with(&path, &AnyText, &|_| None).unwrap_err();
        assert_eq!(codes(&refused), [("trunk.password-unset", 4)]);
        let loaded = load_with(&path, &AnyText, &|name| (name == "A_PASSWORD").then(|| "s3cret".to_owned())).unwrap();
        let trunk = loaded.plan.trunks.values().next().unwrap();
        assert_eq!(trunk.credentials.as_ref().unwrap().password.reveal(), "s3cret");
    }

    #[test]
    fn too_many_dialplans_or_prompts_are_refused() {
        let (folder, path) = centre("");
        for n in 0..=limits::DIALPLAN_FILES {
            fs::write(folder.path().join(format!("dialplans/d{n}.toml")), "").unwrap();
        }
        for n in 0..=limits::PROMPT_FILES {
            fs::write(folder.path().join(format!("prompts/en/p{n}.wav")), "").unwrap();
        }
        let refused = load(&path, &AnyText).unwrap_err();
        assert_eq!(codes(&refused), [("config.too-many", 0), ("config.too-many", 0)]);
    }

    /// Every `tests/data/config/broken/*.toml` says on top what is to be found: `# expect: CODE:LINE, …`.
    #[test]
    fn every_broken_configuration_is_refused_at_its_line_with_a_reason_and_a_mend() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/config/broken");
        let mut seen = 0;
        let mut failures = String::new();
        for entry in fs::read_dir(corpus).unwrap() {
            let path = entry.unwrap().path();
            let source = read_source(&path, limits::CONFIG_BYTES).unwrap();
            let expected = source.text.lines().next().and_then(|line| line.strip_prefix("# expect: "));
            let found = corpus_findings(&source);
            let places: Vec<String> = found.iter().map(|f| format!("{}:{}", f.code, f.line)).collect();
            let taught = |f: &Finding| f.reason.ends_with('.') && f.mend.ends_with(['.', '?']) && !f.span.is_empty();
            if expected != Some(&places.join(", ")) || !found.iter().all(taught) {
                let told: String = found.iter().map(|finding| format!("  {finding}\n")).collect();
                failures.push_str(&format!("{} expects {expected:?}:\n{told}", path.display()));
            }
            seen += 1;
        }
        assert!(failures.is_empty(), "{failures}");
        assert!(seen >= 60, "{seen} broken configurations");
    }

    #[test]
    fn no_good_configuration_is_refused() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/config");
        let good = fs::read_dir(corpus.join("good")).unwrap().map(|entry| entry.unwrap().path());
        for path in good.chain([corpus.join("strowger.toml")]) {
            let found = corpus_findings(&read_source(&path, limits::CONFIG_BYTES).unwrap());
            let told: String = found.iter().map(|finding| format!("  {finding}\n")).collect();
            assert!(found.is_empty(), "{}\n{told}", path.display());
        }
    }

    fn corpus_findings(source: &Source) -> Vec<Finding> {
        let dialplans = ["airline", "bank", "night"].map(DialplanName::new).into();
        let prompts = ["music", "welcome", "closed", "please-wait"].map(PromptName::new).into();
        let secret = |name: &str| (name == "MOBILE_PASSWORD").then(|| "a password".to_owned());
        let surroundings = Surroundings { dialplans: Some(&dialplans), prompts: Some(&prompts), secret: &secret };
        let mut found = read(source, &surroundings).findings;
        // Without trunks there is no way out: expected of these small files, and tested with its own.
        found.retain(|finding| finding.severity == Severity::Error);
        found
    }
}
