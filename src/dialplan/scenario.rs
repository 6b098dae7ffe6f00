//! Tests that stand beside a dialplan: `dialplans/NAME.test.toml`, a scripted caller each.
//!
//! Here is what such a file says and how it is read; the machine in `ivr` runs it, in virtual time, with no phone.
//!
//! ```toml
//! [[test]]
//! name = "a gold customer hears the balance"
//! caller = "+8613800138000"
//! called = "95588"
//! at = 2026-11-23T10:00:00+08:00            # the virtual clock; left out: Monday 2026-01-05, 10:00 UTC
//! language = "zh"                           # left out: the dialplan's first
//! customer = { name = "白女士", tier = "gold" }  # what every lookup finds; left out: nobody
//! hours = { office = "open" }               # open, closed or holiday; left out: open
//! queues = { service = { waiting = 2, wait_s = 90, agents = 3 } }
//! headers = { x-account = "77" }            # of the INVITE
//! steps = [                                 # in order
//!   { hear = "welcome" },                   # this prompt is spoken, perhaps after others
//!   { press = "1234567890#" },
//!   { state = "main" },                     # the call comes to this state
//!   { words = "余额" },                      # something with these words is spoken
//!   { silence = true },                     # no key until the present input has waited in vain
//!   { wait_s = 20 },
//!   { hangup = true },                      # the caller hangs up
//! ]
//! end = { queue = "service", priority = 5, attach = { tier = "gold" } }
//!
//! [test.answers]                            # what the world outside does, by state; a list: one answer a visit
//! pay = "timeout"                           # the edge to leave by
//! "verify/pin" = "denied"                   # state `pin` of the page `verify`: pages are walked, not answered
//! balance = [{ status = 500 }, { status = 200, body = { balance = "12.50" } }]
//! ```
//!
//! An end is `{ queue = … }`, `{ dial = "1001" }`, `{ account = "1001" }` (only a phone of ours may be rung),
//! `{ voicemail = "box" }`, `{ hangup = true }` (the dialplan hung up), `{ caller_hangup = true }`, or in a page `{ return = "outcome" }`. A state with no answer does the friendliest:
//! a queue answers, a number answers, a PIN is right, a message is left; only `http` must be told what to answer.
//! Keys are pressed at the next state that takes any. An `http` state that tries again, and every attempt of an
//! `authenticate` state, takes a further answer of the list.
//! A page is tested with `give = { parameter = "value" }`.

use core::ops::Range;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::finding::{Finding, Source, nearest};
use crate::ids::{HoursName, Language, PromptName, QueueName};
use crate::time::Time;

use super::facts::{CustomerFacts, QueueFacts};
use super::model::{Action, Book, Dialplan, DialplanId, EdgeLabel, OutcomeId, State, StateId, VarId};
use super::table::{
    Datetime, DeTable, DeValue, Findings, Item, Offset, Spanned, Table, Text, document, integer, table, text, wrong,
};
use super::value::{Date, Key, Value};

/// One test file.
#[derive(Clone, Debug)]
pub struct Scenarios {
    pub dialplan: DialplanId,
    pub source: Source,
    pub scenarios: Vec<Scenario>,
}

/// One test: a caller and a world.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: Arc<str>,
    /// 1-based line of the test's name.
    pub line: u32,
    pub caller: Arc<str>,
    pub called: Arc<str>,
    pub headers: BTreeMap<Arc<str>, Arc<str>>,
    /// Where the virtual clock begins.
    pub at: Time,
    /// Minutes by which the centre's clock is ahead of UTC: the offset that `at` is written with.
    pub offset_minutes: i16,
    pub language: Option<Language>,
    pub customer: Option<CustomerFacts>,
    /// Hours not named are open.
    pub hours: BTreeMap<HoursName, HoursAnswer>,
    pub queues: BTreeMap<QueueName, QueueFacts>,
    /// Parameters, where the dialplan is a page.
    pub give: Vec<(VarId, Value)>,
    /// Answers by state (of the dialplan or of a page), one for each visit; the last holds for all further visits.
    pub answers: BTreeMap<(DialplanId, StateId), Vec<Answer>>,
    pub steps: Vec<Step>,
    pub end: End,
}

/// What opening hours say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoursAnswer {
    Open,
    Closed,
    Holiday,
}

/// What happens outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The state is left by this edge.
    Edge(EdgeLabel),
    /// A company system answers this.
    Http { status: u16, body: serde_json::Value },
    /// A lookup finds this record.
    Customer(CustomerFacts),
}

/// What the caller does or expects next, with its 1-based line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub line: u32,
    pub what: StepKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// This prompt is spoken, perhaps after others.
    Hear(PromptName),
    /// Something is spoken whose words hold this text.
    Words(Arc<str>),
    /// The call comes to this state, of the dialplan or of a page.
    State(DialplanId, StateId),
    Press(Vec<Key>),
    Wait(Duration),
    /// No key until the present input has waited in vain.
    Silence,
    HangUp,
}

/// How the walk must end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// In this queue; priority and attached values only where they are written.
    Queue {
        queue: QueueName,
        priority: Option<i64>,
        attach: BTreeMap<Arc<str>, Arc<str>>,
    },
    Dial(Arc<str>),
    /// A phone of ours, where nothing else may be rung.
    Account(Arc<str>),
    Voicemail(Arc<str>),
    /// The dialplan hung up.
    Hangup,
    CallerHangup,
    Return(OutcomeId),
}

/// When a test takes place that does not say when: Monday 2026-01-05, 10:00 UTC.
pub const MONDAY: Time = Time::from_secs(1_767_607_200);

/// Reads the test file of a dialplan in `book`; each name in it is checked against the dialplan.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn read_scenarios(source: &Source, book: &Book) -> Result<Scenarios, Vec<Finding>> {
    let mut findings = Findings::of(source);
    let Some(document) = document(source, &mut findings) else { return Err(findings.list) };
    let scenarios = read(document, book, &mut findings);
    match scenarios {
        Some((dialplan, scenarios)) if findings.list.is_empty() => {
            Ok(Scenarios { dialplan, source: source.clone(), scenarios })
        }
        _ => Err(findings.list),
    }
}

fn read(
    document: Spanned<DeTable<'_>>,
    book: &Book,
    findings: &mut Findings<'_>,
) -> Option<(DialplanId, Vec<Scenario>)> {
    let table = document.into_inner();
    let mut top = Table::new("a test file", 0..0, &table);
    let file = findings.source.file.rsplit(['/', '\\']).next().unwrap_or("").to_string();
    let by_file = file.strip_suffix(".test.toml").unwrap_or(&file).to_string();
    let named = top.text("dialplan", findings);
    let (name, place) = named.map_or((by_file, 0..0), |named| (named.text.to_string(), named.span));
    let tests = top.take("test");
    top.finish(findings);
    let Some(dialplan) = book.find(&name) else {
        let mend = match nearest(&name, book.iter().map(|(_, plan)| plan.name.as_str())) {
            Some(near) => format!("Did you mean `{near}`?"),
            None => "Write `dialplan = \"…\"` at the top.".to_string(),
        };
        findings.error("test.unknown-dialplan", place, format!("There is no dialplan `{name}`."), mend);
        return None;
    };
    let plan = book.get(dialplan);
    let Some(tests) = tests else {
        findings.error("test.no-tests", 0..0, "The file holds no test.", "Add one: `[[test]]`.");
        return None;
    };
    let DeValue::Array(tests) = tests.get_ref() else {
        wrong(findings, tests.span(), "test", "as a list of tables: `[[test]]`", tests.get_ref());
        return None;
    };
    let scenarios = tests.iter().filter_map(|test| {
        let table = self::table(test, "a test".to_string(), findings)?;
        TestReader { book, dialplan, plan, table, findings: &mut *findings }.read(test.span())
    });
    Some((dialplan, scenarios.collect()))
}

/// A test being read.
struct TestReader<'r, 'f, 's> {
    book: &'r Book,
    dialplan: DialplanId,
    plan: &'r Dialplan,
    table: Table<'r>,
    findings: &'f mut Findings<'s>,
}

impl<'r> TestReader<'r, '_, '_> {
    fn read(mut self, span: Range<usize>) -> Option<Scenario> {
        let name = self.table.text("name", self.findings);
        let line = self.line(name.as_ref().map_or(span.start, |name| name.span.start));
        if name.is_none() {
            self.findings.error(
                "test.no-name",
                span.clone(),
                "The test has no name.",
                "Add `name = \"what is shown\"`.",
            );
        }
        let mut plain = |key| self.table.text(key, self.findings).map_or("", |text| text.text);
        let (caller, called) = (Arc::from(plain("caller")), Arc::from(plain("called")));
        let headers = self.headers();
        let (at, offset_minutes) = self.clock();
        let language = self.table.text("language", self.findings).map(|tag| Language::new(tag.text));
        let customer = self.table.table("customer", self.findings).map(|record| self.record(record));
        let (hours, queues, give) = (self.hours(), self.queues(), self.given());
        let answers = self.answers();
        let steps = self.steps();
        let end = self.end(span);
        self.table.finish(self.findings);
        Some(Scenario {
            name: Arc::from(name?.text),
            line,
            caller,
            called,
            headers,
            at,
            offset_minutes,
            language,
            customer,
            hours,
            queues,
            give,
            answers,
            steps,
            end: end?,
        })
    }

    fn line(&self, at: usize) -> u32 {
        self.findings.source.position(at).0
    }

    fn error(&mut self, span: Range<usize>, reason: String, mend: String) {
        self.findings.error("test.value", span, reason, mend);
    }

    fn entries(&mut self, key: &'static str) -> Vec<(&'r str, Range<usize>, Item<'r>)> {
        self.table.table(key, self.findings).map(|mut table| table.take_rest()).unwrap_or_default()
    }

    fn headers(&mut self) -> BTreeMap<Arc<str>, Arc<str>> {
        let entries = self.entries("headers");
        let fields = entries.into_iter().filter_map(|(name, _, item)| {
            let value = text(item, name, self.findings)?;
            Some((Arc::from(name.to_ascii_lowercase()), Arc::from(value.text)))
        });
        fields.collect()
    }

    fn clock(&mut self) -> (Time, i16) {
        let monday = (MONDAY, 0);
        let Some(item) = self.table.take("at") else { return monday };
        let time = match item.get_ref() {
            DeValue::Datetime(when) => instant(when).map(|at| (at, offset_minutes(when))),
            _ => None,
        };
        time.unwrap_or_else(|| {
            let mend = "Write it without quotes and with its offset: 2026-11-23T10:00:00+08:00.".to_string();
            self.error(item.span(), "This is no instant.".to_string(), mend);
            monday
        })
    }

    fn record(&mut self, mut record: Table<'r>) -> CustomerFacts {
        let mut customer = CustomerFacts::default();
        for (name, span, item) in record.take_rest() {
            if !self.plan.customer.iter().any(|(known, _)| &**known == name) {
                let known = self.plan.customer.iter().map(|(known, _)| &**known);
                let mend = match nearest(name, known) {
                    Some(near) => format!("Did you mean `{near}`?"),
                    None => "Declare it in `[customer]` of the dialplan, or remove it.".to_string(),
                };
                self.error(span, format!("The dialplan reads no `{name}` of a customer."), mend);
            } else if let Some(value) = self.plain_value(name, item) {
                customer.fields.insert(Arc::from(name), value);
            }
        }
        customer
    }

    fn plain_value(&mut self, key: &str, item: Item<'r>) -> Option<Value> {
        let value = match item.get_ref() {
            DeValue::String(text) => Some(Value::text(text)),
            DeValue::Boolean(yes) => Some(Value::Bool(*yes)),
            DeValue::Integer(_) => integer(item).map(Value::Number),
            DeValue::Datetime(when) => {
                when.date.and_then(|date| Date::new(date.year, date.month, date.day)).map(Value::Date)
            }
            _ => None,
        };
        if value.is_none() {
            wrong(self.findings, item.span(), key, "a text, number, date or truth value", item.get_ref());
        }
        value
    }

    fn hours(&mut self) -> BTreeMap<HoursName, HoursAnswer> {
        let entries = self.entries("hours");
        let answers = entries.into_iter().filter_map(|(name, _, item)| {
            let answer = text(item, name, self.findings)?;
            let answer = match answer.text {
                "open" => HoursAnswer::Open,
                "closed" => HoursAnswer::Closed,
                "holiday" => HoursAnswer::Holiday,
                other => {
                    let reason = format!("`{other}` is nothing opening hours say.");
                    self.error(answer.span, reason, "Write open, closed or holiday.".to_string());
                    return None;
                }
            };
            Some((HoursName::new(name), answer))
        });
        answers.collect()
    }

    fn queues(&mut self) -> BTreeMap<QueueName, QueueFacts> {
        let entries = self.entries("queues");
        let queues = entries.into_iter().filter_map(|(name, _, item)| {
            let mut facts = table(item, format!("queue `{name}`"), self.findings)?;
            let mut figure = |key| u32::try_from(facts.integer(key, 0, 0..=86_400, self.findings)).unwrap_or(0);
            let facts_of =
                QueueFacts { waiting: figure("waiting"), wait_s: figure("wait_s"), agents: figure("agents") };
            facts.finish(self.findings);
            Some((QueueName::new(name), facts_of))
        });
        queues.collect()
    }

    fn given(&mut self) -> Vec<(VarId, Value)> {
        let entries = self.entries("give");
        let values = entries.into_iter().filter_map(|(name, span, item)| {
            let Some(var) = self.plan.find_var(name) else {
                let reason = format!("The dialplan has no parameter `{name}`.");
                self.error(span, reason, "Use a name of its `[params]`.".to_string());
                return None;
            };
            let kind = self.plan.var(var).kind;
            let value = self.plain_value(name, item)?;
            let value = if value.type_of() == kind { Some(value) } else { kind.from_text(&value.to_string()) };
            if value.is_none() {
                let reason = format!("This is no value for `{name}`, a {kind}.");
                self.error(item.span(), reason, "Write it as text, such as \"0042\" or \"12.50\".".to_string());
            }
            Some((var, value?))
        });
        values.collect()
    }

    fn answers(&mut self) -> BTreeMap<(DialplanId, StateId), Vec<Answer>> {
        let mut answers = BTreeMap::new();
        for (name, span, item) in self.entries("answers") {
            let Some((dialplan, state)) = self.state(name, span.clone()) else { continue };
            let list: Vec<Item<'r>> = match item.get_ref() {
                DeValue::Array(items) => items.iter().collect(),
                _ => vec![item],
            };
            let state_there = self.book.get(dialplan).state(state);
            if !asks_outside(&state_there.action) {
                let reason = format!("State `{name}` asks nobody outside.");
                let mend = "Answer lookup, http, authenticate, queue, dial and voicemail states; a page's are named \
                            \"page/state\"."
                    .to_string();
                self.error(span, reason, mend);
                continue;
            }
            let read: Vec<_> = list.into_iter().filter_map(|item| self.answer(state_there, item)).collect();
            answers.insert((dialplan, state), read);
        }
        answers
    }

    /// `state`, or `page/state`.
    fn state(&mut self, name: &str, span: Range<usize>) -> Option<(DialplanId, StateId)> {
        let (dialplan, state) = match name.split_once('/') {
            Some((page, state)) => (self.book.find(page), state),
            None => (Some(self.dialplan), name),
        };
        let Some(dialplan) = dialplan else {
            let pages = self.book.iter().filter(|(_, plan)| plan.is_page()).map(|(_, plan)| plan.name.as_str());
            let mend = match nearest(name.split('/').next().unwrap_or(""), pages) {
                Some(near) => format!("Did you mean `{near}`?"),
                None => "Name a state of the dialplan, or \"page/state\".".to_string(),
            };
            self.error(span, format!("There is no page for `{name}`."), mend);
            return None;
        };
        let plan = self.book.get(dialplan);
        let found = plan.find_state(state);
        if found.is_none() {
            let mend = match nearest(state, plan.states.iter().map(|state| &*state.name)) {
                Some(near) => format!("Did you mean `{near}`?"),
                None => "Name a state of the dialplan, or \"page/state\".".to_string(),
            };
            self.error(span, format!("`{}` has no state `{state}`.", plan.name), mend);
        }
        found.map(|state| (dialplan, state))
    }

    fn answer(&mut self, state: &State, item: Item<'r>) -> Option<Answer> {
        if let DeValue::String(edge) = item.get_ref() {
            let edges = state.edges();
            let found = edges.iter().find(|known| known.label.to_string() == **edge);
            if found.is_none() {
                let known: Vec<_> = edges.iter().map(|edge| edge.label.to_string()).collect();
                let reason = format!("State `{}` has no edge `{edge}`.", state.name);
                self.error(item.span(), reason, format!("Use one of {}.", known.join(", ")));
            }
            return found.map(|edge| Answer::Edge(edge.label.clone()));
        }
        let mut answer = table(item, "an answer".to_string(), self.findings)?;
        if let Some(record) = answer.table("customer", self.findings) {
            let customer = self.record(record);
            answer.finish(self.findings);
            return Some(Answer::Customer(customer));
        }
        let status = answer.integer("status", 200, 100..=599, self.findings);
        let body = answer.take("body").map_or(serde_json::Value::Null, |body| json(body.get_ref()));
        answer.finish(self.findings);
        Some(Answer::Http { status: u16::try_from(status).unwrap_or(200), body })
    }

    fn steps(&mut self) -> Vec<Step> {
        let Some(item) = self.table.take("steps") else { return Vec::new() };
        let DeValue::Array(items) = item.get_ref() else {
            wrong(self.findings, item.span(), "steps", "a list", item.get_ref());
            return Vec::new();
        };
        items.iter().filter_map(|item| self.step(item)).collect()
    }

    fn step(&mut self, item: Item<'r>) -> Option<Step> {
        let mut step = table(item, "a step".to_string(), self.findings)?;
        let line = self.line(item.span().start);
        let what = self.step_kind(&mut step, item.span());
        step.finish(self.findings);
        what.map(|what| Step { line, what })
    }

    fn step_kind(&mut self, step: &mut Table<'r>, span: Range<usize>) -> Option<StepKind> {
        if let Some(prompt) = step.text("hear", self.findings) {
            return Some(StepKind::Hear(PromptName::new(prompt.text)));
        }
        if let Some(words) = step.text("words", self.findings) {
            return Some(StepKind::Words(Arc::from(words.text)));
        }
        if let Some(state) = step.text("state", self.findings) {
            return self.state(state.text, state.span).map(|(dialplan, state)| StepKind::State(dialplan, state));
        }
        if let Some(keys) = step.text("press", self.findings) {
            return self.pressed(&keys).map(StepKind::Press);
        }
        if step.keys().any(|(key, _)| key == "wait_s") {
            return Some(StepKind::Wait(step.seconds("wait_s", 1, 1..=86_400, self.findings)));
        }
        if step.boolean("silence", false, self.findings) {
            return Some(StepKind::Silence);
        }
        if step.boolean("hangup", false, self.findings) {
            return Some(StepKind::HangUp);
        }
        let mend = "Write one of hear, words, state, press, wait_s, silence, hangup.".to_string();
        self.error(span, "The step does nothing.".to_string(), mend);
        None
    }

    fn pressed(&mut self, keys: &Text<'_>) -> Option<Vec<Key>> {
        let pressed: Option<Vec<_>> = keys.text.chars().map(Key::new).collect();
        let pressed = pressed.filter(|pressed| !pressed.is_empty());
        if pressed.is_none() {
            let reason = format!("`{}` are no keys of a telephone.", keys.text);
            self.error(keys.span.clone(), reason, "Use 0–9, * and #.".to_string());
        }
        pressed
    }

    fn end(&mut self, span: Range<usize>) -> Option<End> {
        let Some(mut end) = self.table.table("end", self.findings) else {
            let mend = "Add `end = { queue = \"…\" }` or another end.".to_string();
            self.error(span, "The test does not say how the call ends.".to_string(), mend);
            return None;
        };
        let place = end.span.clone();
        let found = self.end_kind(&mut end, place);
        end.finish(self.findings);
        found
    }

    fn end_kind(&mut self, end: &mut Table<'r>, place: Range<usize>) -> Option<End> {
        if let Some(queue) = end.text("queue", self.findings) {
            let wanted = end.keys().any(|(key, _)| key == "priority");
            let priority = end.integer("priority", 0, i64::MIN..=i64::MAX, self.findings);
            let attach = end.table("attach", self.findings).map(|mut attach| attach.take_rest()).unwrap_or_default();
            let attach = attach.into_iter().filter_map(|(label, _, item)| {
                Some((Arc::from(label), Arc::from(self.plain_value(label, item)?.to_string())))
            });
            let attach = attach.collect();
            return Some(End::Queue {
                queue: QueueName::new(queue.text),
                priority: wanted.then_some(priority),
                attach,
            });
        }
        if let Some(number) = end.text("dial", self.findings) {
            return Some(End::Dial(Arc::from(number.text)));
        }
        if let Some(account) = end.text("account", self.findings) {
            return Some(End::Account(Arc::from(account.text)));
        }
        if let Some(mailbox) = end.text("voicemail", self.findings) {
            return Some(End::Voicemail(Arc::from(mailbox.text)));
        }
        if let Some(outcome) = end.text("return", self.findings) {
            let index = self.plan.returns.iter().position(|known| &**known == outcome.text);
            if index.is_none() {
                let reason = format!("`{}` never returns `{}`.", self.plan.name, outcome.text);
                let mend = format!("Use one of {}.", self.plan.returns.join(", "));
                self.error(outcome.span, reason, mend);
            }
            return index.and_then(|index| u16::try_from(index).ok()).map(|index| End::Return(OutcomeId(index)));
        }
        if end.boolean("hangup", false, self.findings) {
            return Some(End::Hangup);
        }
        if end.boolean("caller_hangup", false, self.findings) {
            return Some(End::CallerHangup);
        }
        let mend = "Write one of queue, dial, account, voicemail, hangup, caller_hangup, return.".to_string();
        self.error(place, "This is no end of a call.".to_string(), mend);
        None
    }
}

/// Whether somebody outside the switch decides how the state is left.
fn asks_outside(action: &Action) -> bool {
    matches!(
        action,
        Action::Lookup(_)
            | Action::Http(_)
            | Action::Authenticate(_)
            | Action::Queue(_)
            | Action::Dial(_)
            | Action::Voicemail(_)
    )
}

/// What a TOML value is in JSON; a date is its text.
fn json(value: &DeValue<'_>) -> serde_json::Value {
    match value {
        DeValue::String(text) => serde_json::Value::from(&**text),
        DeValue::Integer(number) => {
            let whole = i64::from_str_radix(number.as_str(), number.radix());
            whole.map(serde_json::Value::from).unwrap_or_default()
        }
        DeValue::Float(number) => number.as_str().parse::<f64>().map(serde_json::Value::from).unwrap_or_default(),
        DeValue::Boolean(yes) => serde_json::Value::from(*yes),
        DeValue::Datetime(when) => serde_json::Value::from(when.to_string()),
        DeValue::Array(items) => items.iter().map(|item| json(item.get_ref())).collect(),
        DeValue::Table(table) => {
            table.iter().map(|(key, item)| (key.get_ref().to_string(), json(item.get_ref()))).collect()
        }
    }
}

/// An offset date-time of TOML (RFC 3339) as an instant, seconds precise; `None` before 1970 or without an offset.
fn instant(when: &Datetime) -> Option<Time> {
    let (date, time, _) = (when.date?, when.time?, when.offset?);
    // Days since the epoch (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    let (month, day) = (i64::from(date.month), i64::from(date.day));
    let year = i64::from(date.year) - i64::from(month <= 2);
    let of_era = year - year.div_euclid(400) * 400;
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let days = year.div_euclid(400) * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    let in_day = i64::from(time.hour) * 3_600 + i64::from(time.minute) * 60 + i64::from(time.second.unwrap_or(0));
    let seconds = days * 86_400 + in_day - i64::from(offset_minutes(when)) * 60;
    u64::try_from(seconds).ok().map(Time::from_secs)
}

fn offset_minutes(when: &Datetime) -> i16 {
    match when.offset {
        Some(Offset::Custom { minutes }) => minutes,
        Some(Offset::Z) | None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::corpus::good;
    use super::*;

    fn read(text: &str) -> Result<Scenarios, Vec<Finding>> {
        read_scenarios(&Source::new("dialplans/bank.test.toml", text), &good())
    }

    #[test]
    fn a_scripted_caller_is_read_with_the_world_around() {
        let book = good();
        let read = read(
            r##"
[[test]]
name = "balance"
caller = "+8613800138000"
called = "95588"
at = 2026-11-23T10:00:00+08:00
language = "zh"
customer = { name = "白女士", tier = "gold" }
hours = { office = "closed" }
queues = { service = { waiting = 2, wait_s = 90, agents = 3 } }
headers = { X-Account = "77" }
steps = [
  { hear = "welcome" },
  { press = "0042#" },
  { state = "main" },
  { words = "余额" },
  { silence = true },
  { wait_s = 20 },
  { hangup = true },
]
end = { queue = "service", priority = 5, attach = { tries = 3 } }

[test.answers]
"pin/pin" = "denied"
balance = [{ status = 500 }, { body = { balance = 12.5, list = [1, "a"] } }, "timeout"]

[[test]]
name = "at night"
end = { voicemail = "service" }
"##,
        )
        .expect("is good");
        let plan = book.get(read.dialplan);
        let state = |name| plan.find_state(name).expect("is there");
        assert_eq!((&*plan.name.to_string(), read.scenarios.len()), ("bank", 2));
        let test = &read.scenarios[0];
        assert_eq!(test.line, 3);
        assert_eq!((&*test.at.rfc3339(), test.offset_minutes), ("2026-11-23T02:00:00.000Z", 480));
        assert_eq!(test.hours.get("office"), Some(&HoursAnswer::Closed));
        assert_eq!(test.queues.get("service"), Some(&QueueFacts { waiting: 2, wait_s: 90, agents: 3 }));
        assert_eq!(test.headers.get("x-account").map(|value| &**value), Some("77"));
        let body = serde_json::json!({ "balance": 12.5, "list": [1, "a"] });
        let answers = [
            Answer::Http { status: 500, body: serde_json::Value::Null },
            Answer::Http { status: 200, body },
            Answer::Edge(EdgeLabel::Timeout),
        ];
        assert_eq!(test.answers[&(read.dialplan, state("balance"))], answers);
        let page = book.find("pin").expect("is good");
        let pin = book.get(page).find_state("pin").expect("is there");
        assert_eq!(test.answers[&(page, pin)], [Answer::Edge(EdgeLabel::Denied)]);
        let keys = "0042#".chars().filter_map(Key::new).collect();
        let steps: Vec<_> = test.steps.iter().map(|step| step.what.clone()).collect();
        assert_eq!(
            steps,
            [
                StepKind::Hear(PromptName::new("welcome")),
                StepKind::Press(keys),
                StepKind::State(read.dialplan, state("main")),
                StepKind::Words(Arc::from("余额")),
                StepKind::Silence,
                StepKind::Wait(Duration::from_secs(20)),
                StepKind::HangUp,
            ]
        );
        assert_eq!(test.steps[1].line, 14);
        let attach = BTreeMap::from([(Arc::from("tries"), Arc::from("3"))]);
        assert_eq!(test.end, End::Queue { queue: QueueName::new("service"), priority: Some(5), attach });
        assert_eq!(read.scenarios[1].end, End::Voicemail(Arc::from("service")));
        assert_eq!(read.scenarios[1].at.rfc3339(), "2026-01-05T10:00:00.000Z");
    }

    #[test]
    fn a_test_that_names_what_is_not_there_is_refused_at_its_line() {
        let findings = read(
            r#"dialplans = "bank"
[[test]]
name = "wrong"
at = "today"
customer = { nmae = "x" }
hours = { office = "maybe" }
steps = [
  { press = "12a" },
  { state = "mian" },
  { whistle = true },
]
end = { return = "verified" }
[test.answers]
balance = "busy"
balanc = "next"
main = "key 1"
"pyn/pin" = "denied"
[[test]]
steps = []
"#,
        )
        .expect_err("is refused");
        let mut lines: Vec<_> = findings.iter().map(|found| found.line).collect();
        lines.sort_unstable();
        assert_eq!(lines, [1, 4, 5, 6, 8, 9, 10, 10, 12, 14, 15, 16, 17, 18, 18]);
        assert!(findings.iter().all(|found| !found.reason.is_empty() && !found.mend.is_empty()));
        assert!(read("").is_err());
        assert!(read("test = 1").is_err());
    }
}
