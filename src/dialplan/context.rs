//! What a dialplan is checked against beside itself: the prompts that are recorded, the names that exist.

use core::ops::Range;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::ids::{HoursName, Language, PromptName, QueueName, SkillName};

/// The prompts of `prompts/<language>/…`, with the words each speaks.
#[derive(Clone, Debug, Default)]
pub struct PromptCatalogue {
    prompts: BTreeMap<Language, BTreeMap<PromptName, Arc<str>>>,
}

impl PromptCatalogue {
    pub fn insert(&mut self, language: Language, prompt: PromptName, words: impl AsRef<str>) {
        self.prompts.entry(language).or_default().insert(prompt, Arc::from(words.as_ref()));
    }

    pub fn languages(&self) -> impl Iterator<Item = &Language> {
        self.prompts.keys()
    }

    /// What the prompt says in this language; `None` where it is not recorded.
    pub fn words(&self, language: &Language, prompt: &PromptName) -> Option<&str> {
        self.prompts.get(language)?.get(prompt).map(|words| &**words)
    }

    /// The prompts of a language, in the order of their names.
    pub fn names(&self, language: &Language) -> impl Iterator<Item = &PromptName> {
        self.prompts.get(language).into_iter().flat_map(BTreeMap::keys)
    }

    /// The prompts of a language in a folder: `names` holds `names/white`.
    pub fn folder<'a>(&'a self, language: &Language, folder: &'a str) -> impl Iterator<Item = &'a PromptName> {
        let inside =
            move |name: &&PromptName| name.as_str().strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        self.prompts.get(language).into_iter().flat_map(BTreeMap::keys).filter(inside)
    }
}

/// The names of the configuration that a dialplan may use.
#[derive(Clone, Debug, Default)]
pub struct Names {
    pub queues: BTreeSet<QueueName>,
    pub hours: BTreeSet<HoursName>,
    /// What a number to dial may begin with: the prefixes of the routes out, and our own accounts as they are.
    pub dial_prefixes: Vec<Arc<str>>,
    pub skills: BTreeSet<SkillName>,
    /// Reads a skill expression as the ACD does; `None` leaves them unchecked.
    pub read_skills: Option<ReadSkills>,
}

/// The skills that an expression names, each with its byte range there, or what is wrong with it.
pub type ReadSkills = fn(&str) -> Result<Vec<(Range<usize>, SkillName)>, SkillsFault>;

/// Why a skill expression is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkillsFault {
    /// Byte range in the expression.
    pub span: Range<usize>,
    pub reason: String,
    pub mend: String,
}
