//! Actions that happen inside the switch: play, set, branch, hours, language, consent, script, return, hangup.

use std::sync::Arc;

use crate::finding::nearest;
use crate::ids::{HoursName, Language};

use super::super::expr::Expr;
use super::super::model::{
    Action, Branch, Choose, Consent, Hours, LanguageChoice, OutcomeId, Play, Prompts, ScriptStep, Set, StateId, VarId,
};
use super::super::sandbox::{Script, ScriptVar};
use super::super::table::{DeValue, Item, table, text, wrong};
use super::super::typing::{self, a};
use super::super::value::Type;
use super::header::names;
use super::state::StateReader;

impl<'r> StateReader<'r, '_, '_> {
    pub fn play(&mut self, value: Item<'r>) -> Option<Action> {
        let prompts = self.prompts(self.action, value);
        let barge_in = self.table.boolean("barge_in", true, self.findings);
        let next = self.edge("next", "it has spoken");
        Some(Action::Play(Play { prompts: prompts?, barge_in, next: next? }))
    }

    pub fn set(&mut self, value: Item<'r>) -> Option<Action> {
        let next = self.edge("next", "the variables are set");
        let mut values = Vec::new();
        let mut whole = true;
        for (name, span, item) in table(value, "`set`".to_string(), self.findings)?.take_rest() {
            let Some(var) = self.variable_named(name, span, "set", &[]) else {
                whole = false;
                continue;
            };
            match self.value_for(var, name, item) {
                Some(expr) => values.push((var, expr)),
                None => whole = false,
            }
        }
        whole.then_some(())?;
        Some(Action::Set(Set { values, next: next? }))
    }

    /// An expression whose value fits the variable.
    pub fn value_for(&mut self, var: VarId, name: &str, item: Item<'r>) -> Option<Expr> {
        let kind = self.header.vars[var.index()].kind;
        let wanted = Type::ALL.into_iter().filter(|t| t.fits(kind)).collect::<Vec<_>>();
        self.expr(name, item, &wanted)
    }

    pub fn branch(&mut self, value: Item<'r>) -> Option<Action> {
        let otherwise = self.edge("otherwise", "no case holds");
        let DeValue::Array(items) = value.get_ref() else {
            wrong(self.findings, value.span(), "branch", "a list: [{ if = \"…\", go = \"…\" }]", value.get_ref());
            return None;
        };
        let cases: Vec<_> = items.iter().map(|item| self.case(item)).collect();
        let cases: Vec<_> = cases.into_iter().collect::<Option<_>>()?;
        Some(Action::Branch(Branch { cases, otherwise: otherwise? }))
    }

    fn case(&mut self, item: Item<'r>) -> Option<(super::super::expr::Expr, StateId)> {
        let mut case = table(item, "a case".to_string(), self.findings)?;
        let (condition, go) = (case.take("if"), case.take("go"));
        case.finish(self.findings);
        let (Some(condition), Some(go)) = (condition, go) else {
            self.error(
                "dialplan.value",
                item.span(),
                "A case wants a condition and a state.",
                "Write { if = \"expression\", go = \"state\" }.",
            );
            return None;
        };
        let condition = self.expr("if", condition, &[Type::Bool]);
        let go = self.target("go", go);
        Some((condition?, go?))
    }

    pub fn hours(&mut self, value: Item<'r>) -> Option<Action> {
        let hours = text(value, "hours", self.findings);
        let open = self.edge("open", "the hours are open");
        let closed = self.edge("closed", "the hours are closed");
        let holiday = self.edge_or("holiday", closed);
        Some(Action::Hours(Hours {
            hours: HoursName::new(hours?.text),
            open: open?,
            closed: closed?,
            holiday: holiday?,
        }))
    }

    pub fn language(&mut self, value: Item<'r>) -> Option<Action> {
        let next = self.edge("next", "the language is chosen");
        let to = match value.get_ref() {
            DeValue::String(tag) => LanguageChoice::Fixed(self.spoken(tag, value.span())?),
            _ => {
                let mut choice = table(value, "`language`".to_string(), self.findings)?;
                let of = choice.take("of");
                let otherwise = choice.text("otherwise", self.findings);
                choice.finish(self.findings);
                let (Some(of), Some(otherwise)) = (of, otherwise) else {
                    let mend = "Write { of = \"expression\", otherwise = \"en\" }.";
                    self.error("dialplan.value", value.span(), "The language is not said.", mend);
                    return None;
                };
                let tag = self.expr("of", of, &[Type::Text]);
                let otherwise = self.spoken(otherwise.text, otherwise.span);
                LanguageChoice::Of { tag: tag?, otherwise: otherwise? }
            }
        };
        Some(Action::Language(Choose { to, next: next? }))
    }

    /// A language of this dialplan.
    fn spoken(&mut self, tag: &str, span: core::ops::Range<usize>) -> Option<Language> {
        let languages = &self.header.languages;
        if languages.is_empty() || languages.iter().any(|known| known.as_str() == tag) {
            return Some(Language::new(tag));
        }
        let known: Vec<_> = languages.iter().map(Language::as_str).collect();
        let reason = format!("The dialplan does not speak `{tag}`; it speaks {}.", known.join(", "));
        self.error("dialplan.unknown-language", span, reason, "Add it to `languages` at the top, or use one of these.");
        None
    }

    pub fn consent(&mut self, value: Item<'r>) -> Option<Action> {
        let next = self.edge("next", "the consent is noted");
        match value.get_ref() {
            DeValue::Boolean(agreed) => Some(Action::Consent(Consent { agreed: *agreed, next: next? })),
            other => {
                wrong(self.findings, value.span(), "consent", "true (may be recorded) or false", other);
                None
            }
        }
    }

    pub fn script(&mut self, value: Item<'r>) -> Option<Action> {
        let next = self.edge("next", "the script is done");
        let failed = self.edge("failed", "the script fails");
        let script = text(value, "script", self.findings);
        let reads = self.script_vars("reads");
        let writes = self.script_vars("writes");
        let (script, reads, writes) = (script?, reads?, writes?);
        let var = |id: VarId, writes: bool| {
            let var = &self.header.vars[id.index()];
            ScriptVar { var: id, name: var.name.clone(), kind: var.kind, writes }
        };
        let read_only = reads.iter().filter(|id| !writes.contains(id)).map(|id| var(*id, false));
        let vars = read_only.chain(writes.iter().map(|id| var(*id, true))).collect();
        match Script::compile(script.text, vars) {
            Ok(script) => Some(Action::Script(ScriptStep {
                script: Arc::new(script),
                reads,
                writes,
                next: next?,
                failed: failed?,
            })),
            Err(error) => {
                let place = self.place(script.span, script.text, error.at);
                let mend = "Correct it; variables come in by `reads` and out by `writes`, others by `let`.";
                self.error("dialplan.script", place, format!("The script is refused: {}.", error.reason), mend);
                None
            }
        }
    }

    fn script_vars(&mut self, key: &'static str) -> Option<Vec<VarId>> {
        let mut vars = Vec::new();
        let mut whole = true;
        for (name, span) in names(&mut self.table, key, self.findings) {
            let Some(id) = self.variable_named(name, span.clone(), key, &[]) else {
                whole = false;
                continue;
            };
            if self.header.vars[id.index()].kind == Type::Secret {
                let leak = typing::secret_leaves(&format!("the script would have `{name}`"), 0);
                self.error(leak.code, span, leak.reason, leak.mend);
                whole = false;
            } else if !vars.contains(&id) {
                vars.push(id);
            }
        }
        whole.then_some(vars)
    }

    pub fn give_back(&mut self, value: Item<'r>) -> Option<Action> {
        let outcome = text(value, "return", self.findings)?;
        let returns = &self.header.returns;
        if let Some(index) = returns.iter().position(|known| &**known == outcome.text) {
            return Some(Action::Return(OutcomeId(u16::try_from(index).ok()?)));
        }
        let (reason, mend) = match nearest(outcome.text, returns.iter().map(|known| &**known)) {
            _ if returns.is_empty() => (
                "This dialplan is no page: a call has nowhere to return to.".to_string(),
                format!("Add `returns = [\"{}\"]` at the top, or use `hangup`.", outcome.text),
            ),
            Some(near) => (format!("The page has no outcome `{}`.", outcome.text), format!("Did you mean `{near}`?")),
            None => (
                format!("The page has no outcome `{}`.", outcome.text),
                format!("Add it to `returns`, or use one of {}.", returns.join(", ")),
            ),
        };
        self.error("dialplan.unknown-outcome", outcome.span, reason, mend);
        None
    }

    pub fn hangup(&mut self, value: Item<'r>) -> Option<Action> {
        match value.get_ref() {
            DeValue::Boolean(true) => Some(Action::Hangup(Prompts::default())),
            DeValue::Boolean(false) => {
                let reason = "`hangup = false` does nothing.";
                self.error("dialplan.value", value.span(), reason, "Write `hangup = true`, or the prompt to end with.");
                None
            }
            _ => self.prompts("hangup", value).map(Action::Hangup),
        }
    }

    /// A list of variables, or a table of labels and expressions: what an agent's screen or a company system gets.
    pub fn labelled(&mut self, key: &'static str) -> Option<Vec<(Arc<str>, Expr)>> {
        let Some(item) = self.table.take(key) else { return Some(Vec::new()) };
        let DeValue::Array(items) = item.get_ref() else {
            let entries = table(item, format!("`{key}`"), self.findings)?.take_rest();
            let entries: Vec<_> = entries
                .into_iter()
                .map(|(label, _, item)| Some((Arc::from(label), self.expr(label, item, &[])?)))
                .collect();
            return entries.into_iter().collect();
        };
        let entries: Vec<_> = items
            .iter()
            .map(|item| {
                let var = self.variable(key, item, &[])?;
                let name = self.header.vars[var.index()].name.clone();
                let expr = self.typed(&name, item.span())?;
                Some((name, self.of_type(key, expr, item.span(), &[])?))
            })
            .collect();
        entries.into_iter().collect()
    }

    /// For findings that name a variable's type.
    pub fn kind_of(&self, var: VarId) -> &'static str {
        a(self.header.vars[var.index()].kind)
    }
}
