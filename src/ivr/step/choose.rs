//! Steps that need no time: set, branch, hours, language, consent, script, page.

use crate::dialplan::Dialplan;
use crate::dialplan::model::{Branch, Choose, EdgeLabel, Hours, LanguageChoice, Page, Part, ScriptStep, Set};
use crate::dialplan::value::Value;
use crate::ids::Language;

use super::super::effect::IvrEffect;
use super::super::machine::{Machine, Moment};
use super::super::world::{Opening, World};

impl Machine {
    pub(super) fn set(&mut self, at: Moment<'_>, set: &Set) {
        let facts = self.facts(at);
        for (var, expr) in &set.values {
            let value = expr.value(&self.frame().vars, &facts);
            self.frame_mut().vars.set(*var, value);
        }
        self.leave(EdgeLabel::Next);
    }

    pub(super) fn branch(&mut self, at: Moment<'_>, branch: &Branch) {
        let facts = self.facts(at);
        let vars = &self.frame().vars;
        let case = (1..).zip(&branch.cases).find(|(_, (condition, _))| condition.holds(vars, &facts));
        self.leave(case.map_or(EdgeLabel::Otherwise, |(nth, _)| EdgeLabel::Case(nth)));
    }

    pub(super) fn hours(&mut self, at: Moment<'_>, hours: &Hours) {
        let label = match at.world.opening(&hours.hours) {
            Opening::Open => EdgeLabel::Open,
            Opening::Closed => EdgeLabel::Closed,
            Opening::Holiday => EdgeLabel::Holiday,
        };
        self.leave(label);
    }

    pub(super) fn choose_language(&mut self, at: Moment<'_>, choose: &Choose) {
        let language = match &choose.to {
            LanguageChoice::Fixed(language) => language.clone(),
            LanguageChoice::Of { tag, otherwise } => {
                let facts = self.facts(at);
                let wanted = text_of(&tag.value(&self.frame().vars, &facts));
                let wanted = Language::new(wanted);
                if self.plan().speaks(&wanted, at.world) { wanted } else { otherwise.clone() }
            }
        };
        self.call.language = language.clone();
        self.effects.push_back(IvrEffect::Language(language));
        self.leave(EdgeLabel::Next);
    }

    pub(super) fn consent(&mut self, agreed: bool) {
        self.effects.push_back(IvrEffect::Consent(agreed));
        self.leave(EdgeLabel::Next);
    }

    pub(super) fn script(&mut self, step: &ScriptStep) {
        match step.script.run(&self.frame().vars) {
            Ok(written) => {
                for (var, value) in written {
                    self.frame_mut().vars.set(var, value);
                }
                self.leave(EdgeLabel::Next);
            }
            Err(_) => self.leave(EdgeLabel::Failed),
        }
    }

    pub(super) fn page(&mut self, at: Moment<'_>, page: &Page) {
        let facts = self.facts(at);
        let mut vars = self.book.get(page.page).fresh_vars();
        for (param, expr) in &page.give {
            vars.set(*param, expr.value(&self.frame().vars, &facts));
        }
        self.call_page(page.page, vars);
    }
}

impl Dialplan {
    /// Whether a caller can be spoken to in this language. A dialplan that lists no languages speaks each that its
    /// prompts are recorded in, and one prompt stands for all: `check` has proved that none is missing.
    fn speaks(&self, language: &Language, world: &dyn World) -> bool {
        if !self.languages.is_empty() {
            return self.languages.contains(language);
        }
        let mut recorded = false;
        for state in &self.states {
            state.each_prompts(&mut |prompts| {
                recorded |= prompts
                    .0
                    .iter()
                    .any(|part| matches!(part, Part::Prompt(prompt) if world.has_prompt(language, prompt)));
            });
        }
        recorded
    }
}

/// A value as words for a URL, a number to dial, an agent's screen. A secret is never among them: it prints as dots.
pub(super) fn text_of(value: &Value) -> String {
    match value {
        Value::Text(text) | Value::Digits(text) => text.to_string(),
        other => other.to_string(),
    }
}
