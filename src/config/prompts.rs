//! The folder of prompts: `LANGUAGE/manifest.toml` says the words, `LANGUAGE/NAME.wav` is the sound; `music/` is played.

use std::collections::BTreeMap;
use std::fs::{self, File};
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

/// The folder beside the languages that holds music.
const MUSIC: &str = "music";

/// Everything that can be played, and what could not be read.
#[derive(Debug, Default)]
pub struct Prompts {
    pub clips: Vec<(Language, PromptName, Arc<Clip>)>,
    pub music: Vec<(PromptName, Arc<Clip>)>,
    pub findings: Vec<Finding>,
}

/// `manifest.toml`.
#[derive(Debug, Deserialize)]
struct Manifest {
    /// Prompt → words.
    #[serde(default)]
    prompts: BTreeMap<String, String>,
}

/// The words of every prompt that has both words and a sound, for the checks.
pub fn catalogue(folder: &Path) -> (PromptCatalogue, Vec<Finding>) {
    let (mut catalogue, mut findings) = (PromptCatalogue::default(), Vec::new());
    for (language, path) in languages(folder) {
        match manifest(&path, &mut findings) {
            Some(manifest) => {
                for (name, words) in &manifest.prompts {
                    if path.join(format!("{name}.wav")).is_file() {
                        catalogue.insert(language.clone(), PromptName::new(name), words);
                    }
                }
            }
            None => continue,
        }
    }
    (catalogue, findings)
}

/// Reads every sound into memory: once, for all calls.
pub fn read(folder: &Path) -> Prompts {
    let mut prompts = Prompts::default();
    for (language, path) in languages(folder) {
        for file in wav_files(&path) {
            if let Some((name, clip)) = clip(&path, &file, &mut prompts.findings) {
                prompts.clips.push((language.clone(), name, clip));
            }
        }
    }
    let music = folder.join(MUSIC);
    for file in wav_files(&music) {
        if let Some((name, clip)) = clip(&music, &file, &mut prompts.findings) {
            prompts.music.push((name, clip));
        }
    }
    prompts
}

/// The languages that have a folder, by tag.
fn languages(folder: &Path) -> Vec<(Language, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<(Language, PathBuf)> = entries
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .filter_map(|path| Some((path.file_name()?.to_str()?.to_owned(), path)))
        .filter(|(name, _)| name != MUSIC && !name.starts_with('.'))
        .map(|(name, path)| (Language::new(name), path))
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

fn manifest(language: &Path, findings: &mut Vec<Finding>) -> Option<Manifest> {
    let path = language.join("manifest.toml");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            let source = Source::new(path.to_string_lossy(), "");
            let reason = format!("The manifest cannot be read: {error}.");
            findings.push(source.error("prompts.manifest", 0..0, reason, "Give each language a manifest.toml."));
            return None;
        }
    };
    let source = Source::new(path.to_string_lossy(), &text);
    match toml::from_str(&text) {
        Ok(manifest) => Some(manifest),
        Err(error) => {
            let mend = "Write `[prompts]` and lines of `\"name\" = \"words\"`.";
            findings.push(source.error("prompts.manifest", error.span().unwrap_or(0..0), error.message(), mend));
            None
        }
    }
}

/// Every `*.wav` below a folder, in order, at most [`limits::PROMPT_FILES`].
fn wav_files(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "wav") {
                found.push(path);
            }
        }
    }
    found.sort();
    found.truncate(limits::PROMPT_FILES);
    found
}

fn clip(folder: &Path, file: &Path, findings: &mut Vec<Finding>) -> Option<(PromptName, Arc<Clip>)> {
    let inside = file.strip_prefix(folder).ok()?.with_extension("");
    let name = inside.to_str()?.to_owned();
    let read = File::open(file)
        .map_err(|error| error.to_string())
        .and_then(|sound| wav::read_clip(&name, BufReader::new(sound)).map_err(|error| error.to_string()));
    match read {
        Ok(clip) => Some((PromptName::new(&name), Arc::new(clip))),
        Err(reason) => {
            let source = Source::new(file.to_string_lossy(), "");
            let mend = "Make it PCM, 8 kHz, mono, 16 bits: sox in.wav -r 8000 -c 1 -b 16 out.wav";
            findings.push(source.error("prompts.sound", 0..0, format!("The prompt {reason}."), mend));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::wav::RecordingWriter;

    fn sound(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut writer = RecordingWriter::new(File::create(path).unwrap(), 1).unwrap();
        writer.write(&[0; 800]).unwrap();
        writer.finish().unwrap();
    }

    #[test]
    fn a_prompt_needs_its_words_and_its_sound() {
        let folder = tempfile::tempdir().unwrap();
        sound(&folder.path().join("en/bank/welcome.wav"));
        sound(&folder.path().join("music/music.wav"));
        let words = "[prompts]\n\"bank/welcome\" = \"Welcome.\"\n\"bank/gone\" = \"No sound.\"\n";
        fs::write(folder.path().join("en/manifest.toml"), words).unwrap();
        let (catalogue, findings) = catalogue(folder.path());
        assert!(findings.is_empty());
        let english = Language::new("en");
        assert_eq!(catalogue.words(&english, &"bank/welcome".into()), Some("Welcome."));
        assert_eq!(catalogue.words(&english, &"bank/gone".into()), None);
        let prompts = read(folder.path());
        assert_eq!((prompts.clips.len(), prompts.music.len(), prompts.findings.len()), (1, 1, 0));
        assert_eq!(prompts.clips[0].1, PromptName::new("bank/welcome"));
    }

    #[test]
    fn a_sound_that_cannot_be_played_is_a_finding_with_its_mend() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("en")).unwrap();
        fs::write(folder.path().join("en/bad.wav"), b"not a wav").unwrap();
        let prompts = read(folder.path());
        assert_eq!(prompts.findings.len(), 1);
        assert!(prompts.findings[0].mend.contains("8 kHz"));
    }
}
