//! The folder of prompts → the words the checks know, and the sounds callers hear.
//!
//! ```text
//! prompts/en/manifest.toml      [prompts]  "queue/welcome" = "All our agents are busy. …"
//! prompts/en/queue/welcome.wav  8 kHz, mono, 16 bit
//! prompts/zh/…
//! prompts/music/music.wav       heard in every language
//! ```

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use crate::audio::clip::Clip;
use crate::audio::wav;
use crate::dialplan::PromptCatalogue;
use crate::finding::{Finding, Source};
use crate::ids::{Language, PromptName};
use crate::limits;
use crate::switch::Sounds;

/// The words of a language's prompts.
pub const MANIFEST: &str = "manifest.toml";
/// The folder beside the languages.
pub const MUSIC: &str = "music";

/// What a folder of prompts holds.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    pub catalogue: PromptCatalogue,
    pub sounds: Sounds,
    /// Prompts without words, words without a prompt, files that are no sound. Each such prompt is left out.
    pub findings: Vec<Finding>,
}

/// Reads a folder of prompts. No folder is no prompt.
pub fn read_prompts(folder: &Path) -> Recorded {
    let mut recorded = Recorded::default();
    for language in folders(folder) {
        match language.file_name().map(|name| name.to_string_lossy().into_owned()) {
            Some(name) if name == MUSIC => read_music(&language, &mut recorded),
            Some(name) => read_language(&language, &Language::new(name), &mut recorded),
            None => {}
        }
    }
    recorded
}

#[derive(Deserialize)]
struct Manifest {
    prompts: BTreeMap<String, String>,
}

fn read_language(folder: &Path, language: &Language, recorded: &mut Recorded) {
    let path = folder.join(MANIFEST);
    let (source, manifest) = match manifest(&path) {
        Ok(read) => read,
        Err(finding) => return recorded.findings.push(finding),
    };
    let mut files = Vec::new();
    wav_files(folder, "", 0, &mut files);
    for (name, _) in files.iter().filter(|(name, _)| !manifest.prompts.contains_key(name)) {
        let reason = format!("The prompt `{name}` has no words.");
        let mend = format!("Add `\"{name}\" = \"…\"` to the manifest, or remove the file.");
        recorded.findings.push(source.warning("prompts.no-words", 0..0, reason, mend));
    }
    for (name, words) in manifest.prompts {
        let clip = read_clip(&folder.join(format!("{name}.wav")), &name);
        match clip {
            Ok(clip) => {
                let prompt = PromptName::new(&name);
                recorded.catalogue.insert(language.clone(), prompt.clone(), words);
                recorded.sounds.add_prompt(language.clone(), prompt, clip);
            }
            Err(why) => {
                let at = source.text.find(&format!("\"{name}\"")).unwrap_or(0);
                let reason = format!("The prompt `{name}` cannot be heard: {why}.");
                let mend = "Record it (8 kHz, mono, 16 bit), or speak it by `make prompts`.";
                recorded.findings.push(source.error("prompts.unreadable", at..at + name.len(), reason, mend));
            }
        }
    }
}

fn read_music(folder: &Path, recorded: &mut Recorded) {
    let mut files = Vec::new();
    wav_files(folder, "", 0, &mut files);
    for (name, path) in files {
        match read_clip(&path, &name) {
            Ok(clip) => recorded.sounds.add_music(PromptName::new(name), clip),
            Err(why) => {
                let reason = format!("The music `{name}` cannot be heard: {why}.");
                let source = Source::new(path.to_string_lossy(), "");
                recorded.findings.push(source.error(
                    "prompts.unreadable",
                    0..0,
                    reason,
                    "Save it as WAV, 8 kHz, mono.",
                ));
            }
        }
    }
}

fn manifest(path: &Path) -> Result<(Source, Manifest), Finding> {
    let source = super::load::read_source(path, limits::CONFIG_BYTES)?;
    let manifest: Manifest = toml::from_str(&source.text).map_err(|why| {
        let reason = format!("The manifest is not readable: {}.", why.message());
        let span = why.span().unwrap_or(0..0);
        source.error("prompts.manifest", span, reason, "Write `[prompts]` and below it `\"name\" = \"words\"`.")
    })?;
    if manifest.prompts.len() > limits::PROMPT_FILES {
        let reason = format!("There are more than {} prompts.", limits::PROMPT_FILES);
        return Err(source.error("config.too-many", 0..0, reason, "Remove those not in use."));
    }
    Ok((source, manifest))
}

fn read_clip(path: &Path, name: &str) -> Result<Arc<Clip>, String> {
    let file = File::open(path).map_err(|why| why.to_string())?;
    wav::read_clip(name, BufReader::new(file)).map(Arc::new).map_err(|why| why.to_string())
}

/// The folders inside a folder, in the order of their names.
fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut folders: Vec<_> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// The WAV files under a folder as `folder/name`, to a depth of four.
pub(super) fn wav_files(folder: &Path, prefix: &str, depth: usize, files: &mut Vec<(String, PathBuf)>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        let Some(stem) = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()) else { continue };
        if path.is_dir() && depth < 4 {
            wav_files(&path, &format!("{prefix}{stem}/"), depth + 1, files);
        } else if path.extension().is_some_and(|extension| extension == "wav") && files.len() <= limits::PROMPT_FILES {
            files.push((format!("{prefix}{stem}"), path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_prompts_are_all_heard_and_all_have_words() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("prompts");
        let recorded = read_prompts(&folder);
        let told: Vec<_> = recorded.findings.iter().map(ToString::to_string).collect();
        assert_eq!(told, Vec::<String>::new());
        let (english, mandarin) = (Language::new("en"), Language::new("zh"));
        let welcome = PromptName::new("queue/welcome");
        assert_eq!(recorded.catalogue.words(&mandarin, &welcome), Some("客服人员正忙，请不要挂机。"));
        assert!(recorded.sounds.has_prompt(&english, &welcome));
        let music = recorded.sounds.music(&PromptName::new("music")).expect("is shipped");
        assert!(music.duration().as_secs() >= 20, "a loop that does not wear out at once");
    }

    #[test]
    fn a_prompt_without_a_file_and_a_file_without_words_are_findings_and_the_rest_is_there() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let language = folder.path().join("en");
        std::fs::create_dir_all(language.join("a")).expect("is made");
        std::fs::write(language.join("manifest.toml"), "[prompts]\n\"gone\" = \"Gone.\"\n\"noise\" = \"?\"\n")
            .expect("is written");
        std::fs::write(language.join("noise.wav"), "no sound").expect("is written");
        std::fs::write(language.join("a/mute.wav"), "").expect("is written");
        let recorded = read_prompts(folder.path());
        let told: Vec<_> = recorded.findings.iter().map(|found| (found.code, found.line)).collect();
        assert_eq!(told, [("prompts.no-words", 1), ("prompts.unreadable", 2), ("prompts.unreadable", 3)]);
        assert_eq!(recorded.catalogue.languages().count(), 0);
    }

    #[test]
    fn a_language_without_a_manifest_is_a_finding() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir_all(folder.path().join("fr")).expect("is made");
        assert_eq!(read_prompts(folder.path()).findings.len(), 1);
        std::fs::write(folder.path().join("fr/manifest.toml"), "prompts = 1").expect("is written");
        assert_eq!(read_prompts(folder.path()).findings[0].code, "prompts.manifest");
        assert!(read_prompts(Path::new("no/such/folder")).findings.is_empty());
    }
}
