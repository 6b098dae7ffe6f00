//! The top of a dialplan: what it is for, its variables, its parameters and results, the names of its states.

use core::ops::Range;
use std::sync::Arc;

use crate::finding::{Source, nearest};
use crate::ids::{DialplanName, Language};
use crate::limits;

use super::super::facts::CUSTOMER_FIELDS;
use super::super::model::{Currency, Role, StateId, VarId, Variable};
use super::super::sandbox::{Form, parse_expression};
use super::super::table::{DeTable, DeValue, Findings, Item, Spanned, Table, integer, table, text, wrong};
use super::super::value::{Type, Value};

/// The first pass over one file.
#[derive(Debug)]
pub(super) struct Header<'t> {
    pub name: DialplanName,
    pub source: &'t Source,
    pub about: String,
    pub languages: Vec<Language>,
    pub currency: Currency,
    pub self_service: bool,
    pub needs_customer: bool,
    pub vars: Vec<Variable>,
    pub customer: Vec<(Arc<str>, Type)>,
    pub returns: Vec<Arc<str>>,
    pub states: Vec<StateText<'t>>,
    start: Option<(String, Range<usize>)>,
    /// No finding so far.
    pub whole: bool,
}

/// A state not read yet.
#[derive(Debug)]
pub(super) struct StateText<'t> {
    pub name: String,
    pub span: Range<usize>,
    pub value: Spanned<DeValue<'t>>,
}

impl<'t> Header<'t> {
    pub fn read(
        name: &DialplanName,
        source: &'t Source,
        document: Spanned<DeTable<'t>>,
        findings: &mut Findings<'_>,
    ) -> Header<'t> {
        let before = findings.list.len();
        let mut document = document.into_inner();
        let states = states(&mut document, findings);
        let mut top = Table::new("a dialplan", 0..0, &document);
        top.take("state");
        let about = top.text("about", findings).map(|about| about.text.to_string()).unwrap_or_default();
        let start = top.text("start", findings).map(|start| (start.text.to_string(), start.span));
        let languages =
            names(&mut top, "languages", findings).into_iter().map(|(name, _)| Language::new(name)).collect();
        let currency = currency(&mut top, findings);
        let self_service = top.boolean("self_service", false, findings);
        let returns: Vec<_> =
            names(&mut top, "returns", findings).into_iter().map(|(name, _)| Arc::from(name)).collect();
        let needs_customer = top.boolean("needs_customer", false, findings);
        let mut vars = Vec::new();
        for (key, role) in [("params", Role::Param), ("results", Role::Result), ("vars", Role::Own)] {
            if let Some(declared) = top.table(key, findings) {
                declarations(declared, role, &mut vars, findings);
            }
        }
        let given = vars.iter().any(|var: &Variable| var.role != Role::Own) || needs_customer;
        if given && returns.is_empty() {
            let reason =
                "Only a page is given anything: `params`, `results` and `needs_customer` have no meaning here.";
            findings.error("dialplan.no-page", 0..0, reason, "Add `returns = [\"done\"]` at the top, or use `[vars]`.");
        }
        let customer = customer_fields(&mut top, findings);
        top.finish(findings);
        let whole = findings.list.len() == before;
        Header {
            name: name.clone(),
            source,
            about,
            languages,
            currency,
            self_service,
            needs_customer,
            vars,
            customer,
            returns,
            states,
            start,
            whole,
        }
    }

    /// The id of the state `name`.
    pub fn state(&self, name: &str) -> Option<StateId> {
        (0..).map(StateId).zip(&self.states).find(|(_, state)| state.name == name).map(|(id, _)| id)
    }

    pub fn var(&self, name: &str) -> Option<(VarId, &Variable)> {
        (0..).map(VarId).zip(&self.vars).find(|(_, var)| &*var.name == name)
    }

    /// The first state; a finding where there is none.
    pub fn start_state(&self, findings: &mut Findings<'_>) -> Option<StateId> {
        let Some((name, span)) = &self.start else {
            let first = self.states.first().map_or("welcome", |state| &state.name);
            let mend = format!("Write `start = \"{first}\"` at the top.");
            findings.error("dialplan.no-start", 0..0, "The dialplan does not say where a call begins.", mend);
            return None;
        };
        let found = self.state(name);
        if found.is_none() {
            self.unknown_state(name, span.clone(), findings);
        }
        found
    }

    pub fn unknown_state(&self, name: &str, span: Range<usize>, findings: &mut Findings<'_>) {
        let mend = match nearest(name, self.states.iter().map(|state| state.name.as_str())) {
            Some(near) => format!("Did you mean `{near}`?"),
            None => format!("Add a state `[state.{name}]`, or name one that is there."),
        };
        findings.error("dialplan.unknown-state", span, format!("There is no state `{name}`."), mend);
    }
}

/// Moves the states out of the document, in the order of the file.
fn states<'t>(document: &mut DeTable<'t>, findings: &mut Findings<'_>) -> Vec<StateText<'t>> {
    let mut found = Vec::new();
    let states = document.iter_mut().find(|(key, _)| key.get_ref() == "state").map(|(_, value)| value);
    match states.map(|value| (value.span(), value.get_mut())) {
        Some((_, DeValue::Table(states))) => {
            for (key, value) in core::mem::take(states) {
                found.push(StateText { name: key.get_ref().to_string(), span: key.span(), value });
            }
        }
        Some((span, other)) => wrong(findings, span, "state", "tables, one a state: `[state.welcome]`", other),
        None => findings.error(
            "dialplan.no-states",
            0..0,
            "The dialplan has no states.",
            "Add one: `[state.welcome]`, with an action and its edges.",
        ),
    }
    found.sort_by_key(|state| state.span.start);
    if found.len() > limits::DIALPLAN_STATES {
        let span = found[limits::DIALPLAN_STATES].span.clone();
        let reason = format!("A dialplan may have {} states.", limits::DIALPLAN_STATES);
        findings.error("dialplan.too-large", span, reason, "Move some into pages.");
        found.truncate(limits::DIALPLAN_STATES);
    }
    for state in &found {
        let good = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        if state.name.is_empty() || !state.name.chars().all(good) {
            let reason = format!("`{}` is no name for a state.", state.name);
            findings.error("dialplan.name", state.span.clone(), reason, "Use letters, digits, `_` and `-`.");
        }
    }
    found
}

/// A list of texts, or one text.
pub(super) fn names<'t>(
    from: &mut Table<'t>,
    key: &'static str,
    findings: &mut Findings<'_>,
) -> Vec<(&'t str, Range<usize>)> {
    match from.take(key).map(|item| (item, item.get_ref())) {
        None => Vec::new(),
        Some((_, DeValue::Array(items))) => {
            items.iter().filter_map(|item| text(item, key, findings)).map(|found| (found.text, found.span)).collect()
        }
        Some((item, _)) => text(item, key, findings).map(|found| (found.text, found.span)).into_iter().collect(),
    }
}

fn currency(top: &mut Table<'_>, findings: &mut Findings<'_>) -> Currency {
    let cny = Currency::new("CNY").expect("three capital letters");
    match top.text("currency", findings) {
        None => cny,
        Some(code) => Currency::new(code.text).unwrap_or_else(|| {
            bad_currency(code.text, code.span, findings);
            cny
        }),
    }
}

pub(super) fn bad_currency(code: &str, span: Range<usize>, findings: &mut Findings<'_>) {
    let reason = format!("`{code}` is no currency.");
    findings.error("dialplan.value", span, reason, "Write its ISO 4217 code, three capital letters: CNY, USD, EUR.");
}

fn declarations(mut declared: Table<'_>, role: Role, vars: &mut Vec<Variable>, findings: &mut Findings<'_>) {
    for (name, span, item) in declared.take_rest() {
        let is_name = matches!(parse_expression(name).map(|s| s.form), Ok(Form::Name(read)) if read == name);
        if !is_name || name == "call" || name == "customer" {
            let reason = format!("`{name}` is no name for a variable.");
            findings.error("dialplan.name", span, reason, "Use letters, digits and `_`, and no word of the language.");
            continue;
        }
        if vars.iter().any(|var| &*var.name == name) {
            let reason = format!("`{name}` is declared twice.");
            findings.error("dialplan.twice", span, reason, "Keep one of `[vars]`, `[params]`, `[results]`.");
            continue;
        }
        if vars.len() >= limits::DIALPLAN_VARS {
            let reason = format!("A dialplan may have {} variables.", limits::DIALPLAN_VARS);
            findings.error("dialplan.too-large", span, reason, "Move some into pages.");
            return;
        }
        if let Some((kind, initial)) = declaration(name, item, findings) {
            let line = findings.source.position(span.start).0;
            vars.push(Variable { name: Arc::from(name), kind, role, initial, line });
        }
    }
}

/// `"digits"`, `0`, `true`, or `{ type = "money", value = "5000.00" }`.
fn declaration(name: &str, item: Item<'_>, findings: &mut Findings<'_>) -> Option<(Type, Option<Value>)> {
    match item.get_ref() {
        DeValue::String(kind) => Some((kind_of(kind, item.span(), findings)?, None)),
        DeValue::Boolean(yes) => Some((Type::Bool, Some(Value::Bool(*yes)))),
        DeValue::Integer(_) => Some((Type::Number, integer(item).map(Value::Number))),
        DeValue::Table(_) => {
            let mut entry = table(item, format!("variable `{name}`"), findings)?;
            let kind = entry.text("type", findings);
            let value = entry.take("value");
            entry.finish(findings);
            let Some(kind) = kind else {
                let reason = format!("The variable `{name}` has no type.");
                findings.error("dialplan.type", item.span(), reason, format!("Add `type`, one of {}.", type_names()));
                return None;
            };
            let kind = kind_of(kind.text, kind.span, findings)?;
            Some((kind, value.map(|value| initial(name, kind, value, findings)).unwrap_or_default()))
        }
        other => {
            wrong(findings, item.span(), name, &format!("a type: {}", type_names()), other);
            None
        }
    }
}

fn initial(name: &str, kind: Type, item: Item<'_>, findings: &mut Findings<'_>) -> Option<Value> {
    let value = match item.get_ref() {
        // A secret in a file under version control is none.
        _ if kind == Type::Secret => None,
        DeValue::String(text) => kind.from_text(text),
        DeValue::Integer(_) if kind == Type::Number => integer(item).map(Value::Number),
        DeValue::Boolean(yes) if kind == Type::Bool => Some(Value::Bool(*yes)),
        _ => None,
    };
    if value.is_none() {
        let reason = format!("This is no value for `{name}`, which is {}.", super::super::typing::a(kind));
        let mend = match kind {
            Type::Secret => "Leave the value out: a secret comes from the caller's keys.",
            _ => "Write the value as text, such as \"12.50\", \"2026-02-17\", \"0042\".",
        };
        findings.error("dialplan.type", item.span(), reason, mend);
    }
    value
}

fn kind_of(name: &str, span: Range<usize>, findings: &mut Findings<'_>) -> Option<Type> {
    let kind = Type::from_name(name);
    if kind.is_none() {
        let mend = match nearest(name, Type::ALL.into_iter().map(Type::name)) {
            Some(near) => format!("Did you mean `{near}`?"),
            None => format!("Use one of {}; an initial text is `{{ type = \"text\", value = \"…\" }}`.", type_names()),
        };
        findings.error("dialplan.type", span, format!("`{name}` is no type."), mend);
    }
    kind
}

fn type_names() -> String {
    Type::ALL.map(Type::name).join(", ")
}

fn customer_fields(top: &mut Table<'_>, findings: &mut Findings<'_>) -> Vec<(Arc<str>, Type)> {
    let mut fields: Vec<(Arc<str>, Type)> =
        CUSTOMER_FIELDS.into_iter().map(|(name, kind)| (Arc::from(name), kind)).collect();
    let Some(mut declared) = top.table("customer", findings) else { return fields };
    for (name, span, item) in declared.take_rest() {
        if fields.iter().any(|(known, _)| &**known == name) {
            let reason = format!("Every customer has `{name}`.");
            findings.error("dialplan.twice", span, reason, "Remove the line.");
            continue;
        }
        let kind = text(item, name, findings).and_then(|kind| kind_of(kind.text, kind.span, findings));
        match kind {
            Some(Type::Secret) => {
                let reason = format!("`{name}` would be a secret that the record gives away.");
                findings.error("dialplan.secret-leaves", span, reason, "Compare it by an `authenticate` state.");
            }
            Some(kind) => fields.push((Arc::from(name), kind)),
            None => {}
        }
    }
    fields
}
