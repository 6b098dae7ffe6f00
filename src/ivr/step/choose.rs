//! Steps that need no time: set, branch, hours, language, consent, script, page.

use crate::dialplan::model::{Branch, Choose, EdgeLabel, Hours, LanguageChoice, Page, ScriptStep, Set};
use crate::dialplan::value::Value;
use crate::ids::Language;

use super::super::effect::IvrEffect;
use super::super::machine::{Machine, Moment};
use super::super::world::Opening;

impl Machine {
    pub(super) fn set(&mut self, at: Moment<'_>, set: &Set) {
        let facts = self.facts(at);
        for (var, expr) in &set.values {
            let value = expr.value(&self.frame().vars, &facts);
            self.frame_mut().vars.set(*var, value);
        }
        self.leave(at, EdgeLabel::Next);
    }

    pub(super) fn branch(&mut self, at: Moment<'_>, branch: &Branch) {
        let facts = self.facts(at);
        let vars = &self.frame().vars;
        let case = (1..).zip(&branch.cases).find(|(_, (condition, _))| condition.holds(vars, &facts));
        self.leave(at, case.map_or(EdgeLabel::Otherwise, |(nth, _)| EdgeLabel::Case(nth)));
    }

    pub(super) fn hours(&mut self, at: Moment<'_>, hours: &Hours) {
        let label = match at.world.opening(&hours.hours) {
            Opening::Open => EdgeLabel::Open,
            Opening::Closed => EdgeLabel::Closed,
            // A state without a `holiday` edge treats it as closed.
            Opening::Holiday if hours.holiday != hours.closed => EdgeLabel::Holiday,
            Opening::Holiday => EdgeLabel::Closed,
        };
        self.leave(at, label);
    }

    pub(super) fn choose_language(&mut self, at: Moment<'_>, choose: &Choose) {
        let language = match &choose.to {
            LanguageChoice::Fixed(language) => language.clone(),
            LanguageChoice::Of { tag, otherwise } => {
                let facts = self.facts(at);
                let wanted = text_of(&tag.value(&self.frame().vars, &facts));
                let known = self.plan().languages.iter().any(|language| language.as_str() == wanted);
                if known { Language::new(wanted) } else { otherwise.clone() }
            }
        };
        self.call.language = language.clone();
        self.effects.push_back(IvrEffect::Language(language));
        self.leave(at, EdgeLabel::Next);
    }

    pub(super) fn consent(&mut self, at: Moment<'_>, agreed: bool) {
        self.effects.push_back(IvrEffect::Consent(agreed));
        self.leave(at, EdgeLabel::Next);
    }

    pub(super) fn script(&mut self, at: Moment<'_>, step: &ScriptStep) {
        match step.script.run(&self.frame().vars) {
            Ok(written) => {
                for (var, value) in written {
                    self.frame_mut().vars.set(var, value);
                }
                self.leave(at, EdgeLabel::Next);
            }
            Err(_) => self.leave(at, EdgeLabel::Failed),
        }
    }

    pub(super) fn page(&mut self, at: Moment<'_>, page: &Page) {
        let facts = self.facts(at);
        let mut vars = self.book.get(page.page).fresh_vars();
        for (param, expr) in &page.give {
            vars.set(*param, expr.value(&self.frame().vars, &facts));
        }
        self.call_page(at, page.page, vars);
    }
}

/// A value as words for a URL, a number to dial, an agent's screen. A secret is never among them: it prints as dots.
pub(super) fn text_of(value: &Value) -> String {
    match value {
        Value::Text(text) | Value::Digits(text) => text.to_string(),
        other => other.to_string(),
    }
}
