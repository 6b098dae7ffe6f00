//! An edition of the plan: configuration, dialplans and sounds that belong together, checked, immutable.
//!
//! A reload makes the next edition; new calls take it, running calls keep theirs.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::acd;
use crate::audio::clip::Clip;
use crate::dialplan::Book;
use crate::ids::{Language, PromptName};
use crate::plan::Plan;

/// One edition.
#[derive(Clone, Debug)]
pub struct Edition {
    pub plan: Arc<Plan>,
    pub book: Arc<Book>,
    pub sounds: Sounds,
    /// The queues as the ACD takes them: expressions parsed, spans as durations.
    pub queues: acd::Settings,
    /// Names the edition in events: a digest of everything it was made from.
    pub digest: String,
}

/// Prompts by language, and music.
#[derive(Clone, Debug, Default)]
pub struct Sounds {
    prompts: BTreeMap<Language, BTreeMap<PromptName, Arc<Clip>>>,
    music: BTreeMap<PromptName, Arc<Clip>>,
}

impl Sounds {
    pub fn add_prompt(&mut self, language: Language, name: PromptName, clip: Arc<Clip>) {
        self.prompts.entry(language).or_default().insert(name, clip);
    }

    pub fn add_music(&mut self, name: PromptName, clip: Arc<Clip>) {
        self.music.insert(name, clip);
    }

    /// The prompt in this language, else in any that has it (the first by tag), else nothing: `check` has proved
    /// that a shipped dialplan never meets that.
    pub fn prompt(&self, language: &Language, name: &PromptName) -> Option<Arc<Clip>> {
        let own = self.prompts.get(language).and_then(|prompts| prompts.get(name));
        own.or_else(|| self.prompts.values().find_map(|prompts| prompts.get(name))).cloned()
    }

    pub fn has_prompt(&self, language: &Language, name: &PromptName) -> bool {
        self.prompts.get(language).is_some_and(|prompts| prompts.contains_key(name))
    }

    /// Music by name, else whatever music there is.
    pub fn music(&self, name: &PromptName) -> Option<Arc<Clip>> {
        self.music.get(name).or_else(|| self.music.values().next()).cloned()
    }
}
