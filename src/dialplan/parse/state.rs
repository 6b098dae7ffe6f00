//! One state: finds its action, and reads what actions share: edges, prompts, expressions, variables.

use core::ops::Range;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::finding::nearest;
use crate::ids::{DialplanName, PromptName};

use super::super::expr::Expr;
use super::super::model::{Action, Currency, DialplanId, Part, Prompts, State, StateId, VarId, VisitLimit};
use super::super::table::{DeValue, Findings, Item, Table, integer, table, text, wrong};
use super::super::typing::{self, Names, a};
use super::super::value::{Key, Type, Value};
use super::header::{Header, StateText, bad_currency};

/// A state being read.
pub(super) struct StateReader<'r, 'f, 's> {
    pub header: &'r Header<'r>,
    pub headers: &'r [Option<Header<'r>>],
    pub by_name: &'r BTreeMap<DialplanName, DialplanId>,
    pub findings: &'f mut Findings<'s>,
    pub table: Table<'r>,
    pub action: &'static str,
    name: &'r str,
    span: Range<usize>,
}

/// Every action, in the order they are named to people.
const ACTIONS: [&str; 20] = [
    "play",
    "say",
    "menu",
    "collect",
    "set",
    "branch",
    "hours",
    "language",
    "consent",
    "lookup",
    "http",
    "script",
    "authenticate",
    "secure",
    "queue",
    "dial",
    "voicemail",
    "page",
    "return",
    "hangup",
];

/// Keys that are no action whatever they stand beside, so that they are never taken for a misspelt one.
const COMMON: [&str; 8] = ["note", "next", "timeout", "failed", "max_visits", "exhausted", "keys", "otherwise"];

impl<'r, 'f, 's> StateReader<'r, 'f, 's> {
    pub fn new(
        header: &'r Header<'r>,
        state: &'r StateText<'r>,
        headers: &'r [Option<Header<'r>>],
        by_name: &'r BTreeMap<DialplanName, DialplanId>,
        findings: &'f mut Findings<'s>,
    ) -> Option<StateReader<'r, 'f, 's>> {
        let what = format!("state `{}`", state.name);
        let mut table = table(&state.value, what, findings)?;
        table.span = state.span.clone();
        let action = find_action(&table, findings)?;
        Some(StateReader {
            header,
            headers,
            by_name,
            findings,
            table,
            action,
            name: &state.name,
            span: state.span.clone(),
        })
    }

    pub fn read(mut self) -> Option<State> {
        let note = self.table.text("note", self.findings).map_or("", |note| note.text);
        let visits = self.visits();
        let action = self.read_action();
        self.table.finish(self.findings);
        let line = self.findings.source.position(self.span.start).0;
        Some(State {
            name: Arc::from(self.name),
            note: Arc::from(note),
            action: action?,
            visits,
            span: self.span,
            line,
        })
    }

    fn read_action(&mut self) -> Option<Action> {
        let value = self.table.take(self.action)?;
        match self.action {
            "play" | "say" => self.play(value),
            "set" => self.set(value),
            "branch" => self.branch(value),
            "hours" => self.hours(value),
            "language" => self.language(value),
            "consent" => self.consent(value),
            "script" => self.script(value),
            "return" => self.give_back(value),
            "hangup" => self.hangup(value),
            "menu" => self.menu(value),
            "collect" => self.collect(value).map(Action::Collect),
            "secure" => self.collect(value).map(Action::Secure),
            "authenticate" => self.authenticate(value),
            "lookup" => self.lookup(value),
            "http" => self.http(value),
            "queue" => self.queue(value),
            "dial" => self.dial(value),
            "voicemail" => self.voicemail(value),
            _ => self.page(value),
        }
    }

    fn visits(&mut self) -> Option<VisitLimit> {
        let limited = self.table.keys().any(|(key, _)| key == "max_visits");
        let max = self.table.integer("max_visits", 1, 1..=100, self.findings);
        if !limited {
            // `exhausted` alone stays unknown, and is complained of.
            return None;
        }
        let exhausted = self.edge("exhausted", "the visit limit is reached")?;
        Some(VisitLimit { max: u16::try_from(max).unwrap_or(1), exhausted })
    }

    /// An edge that must be there; `when` says when it is taken.
    pub fn edge(&mut self, key: &'static str, when: &str) -> Option<StateId> {
        if let Some(item) = self.table.take(key) {
            return self.target(key, item);
        }
        let reason = format!("State `{}` ({}) does not say where to go when {when}.", self.name, self.action);
        self.findings.error("dialplan.missing-edge", self.span.clone(), reason, format!("Add `{key} = \"…\"`."));
        None
    }

    /// An edge that may be left out.
    pub fn edge_or(&mut self, key: &'static str, otherwise: Option<StateId>) -> Option<StateId> {
        match self.table.take(key) {
            Some(item) => self.target(key, item),
            None => otherwise,
        }
    }

    /// The state an item names.
    pub fn target(&mut self, key: &str, item: Item<'_>) -> Option<StateId> {
        let name = text(item, key, self.findings)?;
        let found = self.header.state(name.text);
        if found.is_none() {
            self.header.unknown_state(name.text, name.span, self.findings);
        }
        found
    }

    /// `keys = { 1 = "sales", "*" = "back" }`, in the order of the keys.
    pub fn keys(&mut self) -> Vec<(Key, StateId)> {
        let Some(mut keys) = self.table.table("keys", self.findings) else { return Vec::new() };
        let mut found = Vec::new();
        for (name, span, item) in keys.take_rest() {
            let mut chars = name.chars();
            match (chars.next().and_then(Key::new), chars.next()) {
                (Some(key), None) => found.extend(self.target(name, item).map(|state| (key, state))),
                _ => {
                    let reason = format!("`{name}` is no key of a telephone.");
                    self.error("dialplan.value", span, reason, "Use one of 0–9, \"*\" and \"#\".");
                }
            }
        }
        found.sort();
        found
    }

    /// The prompts of `key`; none where it is left out.
    pub fn prompts_of(&mut self, key: &'static str) -> Option<Prompts> {
        match self.table.take(key) {
            Some(item) => self.prompts(key, item),
            None => Some(Prompts::default()),
        }
    }

    /// A prompt's name, a piece of speech, or a list of both.
    pub fn prompts(&mut self, key: &str, item: Item<'r>) -> Option<Prompts> {
        match item.get_ref() {
            DeValue::Array(items) => {
                let parts: Vec<_> = items.iter().map(|item| self.part(key, item)).collect();
                parts.into_iter().collect::<Option<_>>().map(Prompts)
            }
            _ => self.part(key, item).map(|part| Prompts(vec![part])),
        }
    }

    fn part(&mut self, key: &str, item: Item<'r>) -> Option<Part> {
        match item.get_ref() {
            DeValue::String(name) => self.prompt_name(name, item.span()).map(Part::Prompt),
            DeValue::Table(_) => {
                let mut speech = table(item, "a piece of speech".to_string(), self.findings)?;
                let part = self.speech(&mut speech, item.span());
                speech.finish(self.findings);
                part
            }
            other => {
                wrong(self.findings, item.span(), key, "prompts: \"name\", { number = \"…\" } or a list", other);
                None
            }
        }
    }

    fn prompt_name(&mut self, name: &str, span: Range<usize>) -> Option<PromptName> {
        let good = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '/');
        let fine = !name.is_empty() && name.chars().all(good) && !name.starts_with('/') && !name.ends_with('/');
        if !fine {
            let reason = format!("`{name}` is no name of a prompt.");
            let mend = "Name the file under the language's folder without `.wav`, such as \"bank/welcome\".";
            self.error("dialplan.name", span, reason, mend);
        }
        fine.then(|| PromptName::new(name))
    }

    fn speech(&mut self, speech: &mut Table<'r>, span: Range<usize>) -> Option<Part> {
        const TEXTS: [Type; 2] = [Type::Text, Type::Digits];
        const NUMBER: [Type; 1] = [Type::Number];
        if let Some(item) = speech.take("number") {
            return self.expr("number", item, &NUMBER).map(Part::Number);
        }
        if let Some(item) = speech.take("digits") {
            return self.expr("digits", item, &[Type::Digits, Type::Text, Type::Number]).map(Part::Digits);
        }
        if let Some(item) = speech.take("money") {
            let amount = self.expr("money", item, &[Type::Money]);
            let currency = self.spoken_currency(speech);
            return Some(Part::Money { amount: amount?, currency });
        }
        if let Some(item) = speech.take("date") {
            return self.expr("date", item, &[Type::Date]).map(Part::Date);
        }
        if let Some(item) = speech.take("position") {
            return self.expr("position", item, &NUMBER).map(Part::Position);
        }
        if let Some(item) = speech.take("wait") {
            return self.expr("wait", item, &NUMBER).map(Part::Wait);
        }
        if let Some(item) = speech.take("clip") {
            let key = self.expr("clip", item, &TEXTS);
            let folder = speech.text("in", self.findings);
            if folder.is_none() {
                let reason = "A clip does not say which folder of prompts it is in.";
                self.error("dialplan.value", span, reason, "Add `in = \"…\"`.");
            }
            let otherwise = speech.text("otherwise", self.findings);
            let otherwise = match otherwise {
                Some(name) => Some(self.prompt_name(name.text, name.span)?),
                None => None,
            };
            return Some(Part::Clip { folder: Arc::from(folder?.text), key: key?, otherwise });
        }
        let reason = "This says nothing that can be spoken.";
        let mend = "Use one of { number, digits, money, date, position, wait, clip = \"expression\" }.";
        self.error("dialplan.value", span, reason, mend);
        None
    }

    fn spoken_currency(&mut self, speech: &mut Table<'r>) -> Currency {
        let Some(code) = speech.text("currency", self.findings) else { return self.header.currency };
        Currency::new(code.text).unwrap_or_else(|| {
            bad_currency(code.text, code.span, self.findings);
            self.header.currency
        })
    }

    /// An expression of one of the `wanted` types (any but a secret where none is named); whole numbers and truth
    /// values may stand without quotes.
    pub fn expr(&mut self, key: &str, item: Item<'_>, wanted: &[Type]) -> Option<Expr> {
        let expr = match item.get_ref() {
            DeValue::String(written) => self.typed(written, item.span())?,
            DeValue::Boolean(yes) => typing::constant(Value::Bool(*yes), &yes.to_string()),
            DeValue::Integer(_) => {
                let number = integer(item);
                if number.is_none() {
                    self.error("dialplan.value", item.span(), "This number is too large.", "Use at most 18 digits.");
                }
                let number = number?;
                typing::constant(Value::Number(number), &number.to_string())
            }
            other => {
                wrong(self.findings, item.span(), key, "an expression in quotes", other);
                return None;
            }
        };
        self.of_type(key, expr, item.span(), wanted)
    }

    /// An expression written at `span`, of whatever type.
    pub fn typed(&mut self, written: &str, span: Range<usize>) -> Option<Expr> {
        let names = Names { vars: &self.header.vars, customer: &self.header.customer };
        match typing::expression(written, names) {
            Ok(expr) => Some(Expr { place: span, ..expr }),
            Err(error) => {
                let place = self.place(span, written, error.at);
                self.error(error.code, place, error.reason, error.mend);
                None
            }
        }
    }

    pub fn of_type(&mut self, key: &str, expr: Expr, span: Range<usize>, wanted: &[Type]) -> Option<Expr> {
        let expr = if wanted.contains(&Type::Digits) { typing::text_as_digits(expr) } else { expr };
        let kind = expr.kind();
        if wanted.contains(&kind) || (wanted.is_empty() && kind != Type::Secret) {
            return Some(expr);
        }
        if kind == Type::Secret {
            let leak = typing::secret_leaves(&format!("`{key}` would hold `{}`", expr.text()), 0);
            self.error(leak.code, span, leak.reason, leak.mend);
            return None;
        }
        let wanted: Vec<_> = wanted.iter().map(|kind| a(*kind)).collect();
        let reason = format!("`{}` is {}, where `{key}` wants {}.", expr.text(), a(kind), wanted.join(" or "));
        self.error("dialplan.type", span, reason, "Change the expression or the variable's declared type.");
        None
    }

    /// Where byte `at` of a text that stands at `span` is in the file. Exact as long as the text is written without
    /// escapes; its beginning otherwise.
    pub fn place(&self, span: Range<usize>, written: &str, at: usize) -> Range<usize> {
        let raw = self.findings.source.text.get(span.clone()).unwrap_or("");
        match raw.find(written) {
            Some(begin) => span.start + begin + at..span.end,
            None => span,
        }
    }

    /// The variable an item names, where it is of one of the `wanted` types (any where none is named).
    pub fn variable(&mut self, key: &str, item: Item<'_>, wanted: &[Type]) -> Option<VarId> {
        let name = text(item, key, self.findings)?;
        self.variable_named(name.text, name.span, key, wanted)
    }

    pub fn variable_named(&mut self, name: &str, span: Range<usize>, key: &str, wanted: &[Type]) -> Option<VarId> {
        let header = self.header;
        let Some((id, var)) = header.var(name) else {
            let mend = match nearest(name, header.vars.iter().map(|var| &*var.name)) {
                Some(near) => format!("Did you mean `{near}`?"),
                None => format!("Declare it: `{name} = \"text\"` in `[vars]`."),
            };
            self.error("dialplan.unknown-variable", span, format!("There is no variable `{name}`."), mend);
            return None;
        };
        if !wanted.is_empty() && !wanted.contains(&var.kind) {
            let wanted: Vec<_> = wanted.iter().map(|kind| a(*kind)).collect();
            let reason = format!("`{name}` is {}, where `{key}` wants {}.", a(var.kind), wanted.join(" or "));
            self.error("dialplan.type", span, reason, "Use another variable, or change its declared type.");
            return None;
        }
        Some(id)
    }

    pub fn error(
        &mut self,
        code: &'static str,
        span: Range<usize>,
        reason: impl Into<String>,
        mend: impl Into<String>,
    ) {
        self.findings.error(code, span, reason, mend);
    }

    /// The place of the state's name.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    pub fn name(&self) -> &'r str {
        self.name
    }
}

fn find_action(table: &Table<'_>, findings: &mut Findings<'_>) -> Option<&'static str> {
    let mut present = ACTIONS.into_iter().filter(|action| table.keys().any(|(key, _)| key == *action));
    let actions = || ACTIONS.join(", ");
    match (present.next(), present.next()) {
        (Some(action), None) => Some(action),
        (Some(one), Some(two)) => {
            let reason = format!("The {} has two actions, `{one}` and `{two}`.", table.what);
            findings.error("dialplan.two-actions", table.span.clone(), reason, "Make two states of it.");
            None
        }
        (None, _) => {
            let others = || table.keys().filter(|(key, _)| !COMMON.contains(key));
            let near = others().find_map(|(key, span)| nearest(key, ACTIONS).map(|near| (key, span, near)));
            match (near, others().next()) {
                (Some((key, span, near)), _) => findings.error(
                    "dialplan.unknown-action",
                    span.clone(),
                    format!("`{key}` is no action."),
                    format!("Did you mean `{near}`? The actions are {}.", actions()),
                ),
                (None, Some((key, span))) => findings.error(
                    "dialplan.unknown-action",
                    span.clone(),
                    format!("`{key}` is no action."),
                    format!("The actions are {}.", actions()),
                ),
                (None, None) => findings.error(
                    "dialplan.no-action",
                    table.span.clone(),
                    format!("The {} does nothing.", table.what),
                    format!("Give it one action: {}.", actions()),
                ),
            }
            None
        }
    }
}
