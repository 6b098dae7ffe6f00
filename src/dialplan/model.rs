//! The checked dialplan: what a machine walks without meeting a further failure.
//!
//! States, variables and other dialplans are indices that are in range by construction; prompts, expressions, numbers
//! and times are typed. Only [`super::load()`] makes a [`Book`], and only out of dialplans that all checks passed.

use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::finding::Source;
use crate::ids::{DialplanName, HoursName, Language, PromptName, QueueName};

use super::expr::Expr;
use super::sandbox::Script;
use super::value::{Key, Type, Value};

/// Every dialplan of one plan, linked. A running call keeps the book it began with.
#[derive(Clone, Debug, Default)]
pub struct Book {
    pub(super) plans: Vec<Dialplan>,
    pub(super) by_name: BTreeMap<DialplanName, DialplanId>,
}

impl Book {
    pub fn find(&self, name: &str) -> Option<DialplanId> {
        self.by_name.get(name).copied()
    }

    /// The dialplan of an id this book gave.
    pub fn get(&self, id: DialplanId) -> &Dialplan {
        &self.plans[id.index()]
    }

    pub fn iter(&self) -> impl Iterator<Item = (DialplanId, &Dialplan)> {
        (0..).map(DialplanId).zip(&self.plans)
    }

    pub fn len(&self) -> usize {
        self.plans.len()
    }

    pub fn is_empty(&self) -> bool {
        self.plans.is_empty()
    }
}

macro_rules! index {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub(super) u16);

        impl $name {
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

index! {
    /// A dialplan in its [`Book`].
    DialplanId;
    /// A state in its [`Dialplan`].
    StateId;
    /// A variable in its [`Dialplan`].
    VarId;
    /// An outcome in the `returns` of its [`Dialplan`].
    OutcomeId;
}

/// One dialplan: one file.
#[derive(Clone, Debug)]
pub struct Dialplan {
    pub name: DialplanName,
    /// The text it was read from, for findings, drawings and traces.
    pub source: Source,
    /// What it is for, in the administrator's words; `""` where they said nothing.
    pub about: Arc<str>,
    /// Languages it speaks; a call that comes in none of them begins in the first. Empty: every language of the prompts.
    pub languages: Vec<Language>,
    /// True where the administrator says that this line needs no human.
    pub self_service: bool,
    /// A page that is called only where the customer's record is known.
    pub needs_customer: bool,
    pub vars: Vec<Variable>,
    /// Fields of the customer's record it may read, the built-in ones first.
    pub customer: Vec<(Arc<str>, Type)>,
    /// What a page ends with (`return = "verified"`); empty for a dialplan that is no page.
    pub returns: Vec<Arc<str>>,
    pub start: StateId,
    /// In the order of the file.
    pub states: Vec<State>,
}

impl Dialplan {
    /// The state of an id this dialplan gave.
    pub fn state(&self, id: StateId) -> &State {
        &self.states[id.index()]
    }

    pub fn var(&self, id: VarId) -> &Variable {
        &self.vars[id.index()]
    }

    pub fn find_state(&self, name: &str) -> Option<StateId> {
        self.ids().find(|id| &*self.state(*id).name == name)
    }

    pub fn find_var(&self, name: &str) -> Option<VarId> {
        (0..).map(VarId).zip(&self.vars).find(|(_, var)| &*var.name == name).map(|(id, _)| id)
    }

    pub fn ids(&self) -> impl Iterator<Item = StateId> + use<> {
        (0..).map(StateId).take(self.states.len())
    }

    /// A page is called by other dialplans and returns to them.
    pub fn is_page(&self) -> bool {
        !self.returns.is_empty()
    }

    /// The variables as they are before the first state: initial values set, all others not.
    pub fn fresh_vars(&self) -> super::facts::Vars {
        let mut vars = super::facts::Vars::unset(self.vars.len());
        for (id, var) in (0..).map(VarId).zip(&self.vars) {
            if let Some(value) = &var.initial {
                vars.set(id, value.clone());
            }
        }
        vars
    }

    /// The queues whose length, wait or staff an expression of this dialplan asks for.
    pub fn queues_read(&self) -> Vec<QueueName> {
        let mut names = Vec::new();
        for state in &self.states {
            state.each_expr(&mut |expr| expr.each_queue(&mut |queue| names.push(queue.clone())));
        }
        names.sort();
        names.dedup();
        names
    }
}

/// A declared variable.
#[derive(Clone, Debug)]
pub struct Variable {
    pub name: Arc<str>,
    pub kind: Type,
    pub role: Role,
    pub initial: Option<Value>,
    /// 1-based line of its declaration.
    pub line: u32,
}

/// Where a variable comes from and whether a caller of the page can take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `[vars]`.
    Own,
    /// `[params]`: given by the dialplan that calls this page.
    Param,
    /// `[results]`: set before every `return`, taken by the dialplan that called.
    Result,
}

/// One state: a name, an action, its edges.
#[derive(Clone, Debug)]
pub struct State {
    pub name: Arc<str>,
    /// The administrator's note, shown in drawings; `""` where there is none.
    pub note: Arc<str>,
    pub action: Action,
    pub visits: Option<VisitLimit>,
    /// Byte range of the state's header and 1-based line, for findings and traces.
    pub span: core::ops::Range<usize>,
    pub line: u32,
}

/// `max_visits` with `exhausted`: entering the state once more than `max` times in a call goes to `exhausted` instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VisitLimit {
    pub max: u16,
    pub exhausted: StateId,
}

/// What a state does. Words in brackets are the TOML keys.
#[derive(Clone, Debug)]
pub enum Action {
    /// `play`, `say`: speaks.
    Play(Play),
    /// `menu`: speaks, then waits for one key.
    Menu(Menu),
    /// `collect`: speaks, then waits for several keys and keeps them.
    Collect(Collect),
    /// `secure`: as `collect`, but keys are masked in audio, recording, log, ladder and event, and kept as a secret.
    Secure(Collect),
    /// `set`: gives variables values, in the order written.
    Set(Set),
    /// `branch`: the first case that holds.
    Branch(Branch),
    /// `hours`: whether opening hours are open now.
    Hours(Hours),
    /// `language`: what the caller hears from here on.
    Language(Choose),
    /// `consent`: whether the caller agreed to be recorded.
    Consent(Consent),
    /// `lookup`: asks for the customer's record.
    Lookup(Lookup),
    /// `http`: asks a company system.
    Http(Box<Http>),
    /// `script`: computes.
    Script(ScriptStep),
    /// `authenticate`: asks the caller for something only they know and has the store compare it.
    Authenticate(Authenticate),
    /// `queue`: waits for an agent. Answered, the dialplan ends with the conversation.
    Queue(Box<Queue>),
    /// `dial`: rings a number or one of our phones.
    Dial(Dial),
    /// `voicemail`: records a message.
    Voicemail(Voicemail),
    /// `page`: calls another dialplan and goes on by what it returned.
    Page(Box<Page>),
    /// `return`: ends a page with an outcome.
    Return(OutcomeId),
    /// `hangup`: speaks (perhaps nothing) and ends the call.
    Hangup(Prompts),
}

/// What is spoken, in order. Empty is silence.
#[derive(Clone, Debug, Default)]
pub struct Prompts(pub Vec<Part>);

/// A piece of speech.
#[derive(Clone, Debug)]
pub enum Part {
    /// A recorded prompt.
    Prompt(PromptName),
    /// The prompt `folder/key` where `key` is the expression's text as [`clip_key`] writes it; `otherwise` (or nothing)
    /// where no such prompt is recorded in the caller's language.
    Clip {
        folder: Arc<str>,
        key: Expr,
        otherwise: Option<PromptName>,
    },
    /// A whole number: "two hundred and five".
    Number(Expr),
    /// Key by key: "two, zero, five". The expression is digits, text or a number.
    Digits(Expr),
    Money {
        amount: Expr,
        currency: Currency,
    },
    Date(Expr),
    /// A place in line, a number from 1: "you are number three".
    Position(Expr),
    /// A waiting time in seconds, spoken rounded: "about two minutes".
    Wait(Expr),
}

/// An ISO 4217 code in upper case, `CNY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency(pub(super) [u8; 3]);

impl Currency {
    pub fn new(code: &str) -> Option<Currency> {
        let bytes: [u8; 3] = code.as_bytes().try_into().ok()?;
        bytes.iter().all(u8::is_ascii_uppercase).then_some(Currency(bytes))
    }

    pub fn code(&self) -> &str {
        core::str::from_utf8(&self.0).expect("three ASCII letters, checked when it was made")
    }
}

/// The file name of a clip: lower case, every run of other characters than letters and digits an underscore
/// (`New York` → `new_york`, `白女士` stays).
pub fn clip_key(text: &str) -> String {
    let mut key = String::new();
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        if !key.is_empty() {
            key.push('_');
        }
        key.extend(word.chars().flat_map(char::to_lowercase));
    }
    key
}

#[derive(Clone, Debug)]
pub struct Play {
    pub prompts: Prompts,
    /// Whether a key cuts the speech short. The key is kept for the next input (type-ahead) either way.
    pub barge_in: bool,
    pub next: StateId,
}

/// How an input waits and asks again. Menu, collect, secure and authenticate share it.
#[derive(Clone, Debug)]
pub struct Asking {
    pub prompts: Prompts,
    pub barge_in: bool,
    /// Silence after the prompt until it counts as no input.
    pub timeout: Duration,
    /// How often it asks again after a wrong answer or none; 0 asks once.
    pub retries: u8,
    /// Spoken before asking again after no key.
    pub no_input: Prompts,
    /// Spoken before asking again after a wrong key or entry.
    pub no_match: Prompts,
}

#[derive(Clone, Debug)]
pub struct Menu {
    pub ask: Asking,
    /// In the order of the keys, each key once, at least one.
    pub keys: Vec<(Key, StateId)>,
    /// After the last retry, where the last answer was silence.
    pub timeout: StateId,
    /// After the last retry, where the last answer was a wrong key.
    pub failed: StateId,
}

#[derive(Clone, Debug)]
pub struct Collect {
    pub ask: Asking,
    pub into: VarId,
    /// Keys wanted, without the terminator.
    pub min: u8,
    pub max: u8,
    /// Ends the entry before `max`; `None` where only `max` or a pause ends it.
    pub terminator: Option<Key>,
    /// Silence between two keys that ends the entry.
    pub between_keys: Duration,
    /// Whether the last digit must be right by the Luhn check (ISO/IEC 7812-1 Annex B), as card numbers are.
    pub luhn: bool,
    /// Must hold once `into` is set, or the entry counts as wrong.
    pub valid: Option<Expr>,
    /// A variable for the last four keys in clear, of entries of 12 keys or more; only in `secure`.
    pub last4: Option<VarId>,
    pub next: StateId,
    pub timeout: StateId,
    pub failed: StateId,
}

#[derive(Clone, Debug)]
pub struct Set {
    pub values: Vec<(VarId, Expr)>,
    pub next: StateId,
}

#[derive(Clone, Debug)]
pub struct Branch {
    /// Conditions are of type bool.
    pub cases: Vec<(Expr, StateId)>,
    pub otherwise: StateId,
}

#[derive(Clone, Debug)]
pub struct Hours {
    pub hours: HoursName,
    pub open: StateId,
    pub closed: StateId,
    /// Closed by an exception of the calendar; the same as `closed` where not given.
    pub holiday: StateId,
}

#[derive(Clone, Debug)]
pub struct Choose {
    pub to: LanguageChoice,
    pub next: StateId,
}

#[derive(Clone, Debug)]
pub enum LanguageChoice {
    Fixed(Language),
    /// The language whose tag the expression gives, where the dialplan speaks it.
    Of {
        tag: Expr,
        otherwise: Language,
    },
}

#[derive(Clone, Debug)]
pub struct Consent {
    pub agreed: bool,
    pub next: StateId,
}

#[derive(Clone, Debug)]
pub struct Lookup {
    /// A telephone number or a customer number, text.
    pub key: Expr,
    pub by: LookupBy,
    pub deadline: Duration,
    pub next: StateId,
    pub not_found: StateId,
    pub timeout: StateId,
    pub failed: StateId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupBy {
    /// By telephone number, the default.
    Number,
    /// By the company's customer number.
    Account,
}

#[derive(Clone, Debug)]
pub struct Http {
    pub method: Method,
    pub url: Template,
    pub query: Vec<(Arc<str>, Expr)>,
    pub headers: Vec<(Arc<str>, Header)>,
    /// Fields of the JSON object sent; empty sends no body. In a secure step a field may be a bare secret variable.
    pub body: Vec<(Arc<str>, Expr)>,
    /// True: nothing of the exchange is logged, kept or shown, and the body may hold secrets.
    pub secure: bool,
    /// For all attempts together.
    pub deadline: Duration,
    /// Further attempts after a connection that failed or a 5xx; at most 3.
    pub retries: u8,
    /// Variables and where the JSON answer holds their values (RFC 6901 pointers). One missing or of a wrong type
    /// leaves by `failed`, and none is set.
    pub into: Vec<(VarId, Arc<str>)>,
    /// A 2xx answer.
    pub next: StateId,
    /// Answers with these statuses leave here instead, before `into` is read.
    pub status: Vec<(u16, StateId)>,
    pub timeout: StateId,
    pub failed: StateId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    pub const ALL: [Method; 5] = [Method::Get, Method::Post, Method::Put, Method::Patch, Method::Delete];

    pub const fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }
}

/// Text with holes: `https://bank.example/accounts/{account}`. A value is percent-encoded where it goes into a URL.
#[derive(Clone, Debug)]
pub struct Template(pub Vec<TemplatePart>);

#[derive(Clone, Debug)]
pub enum TemplatePart {
    Fixed(Arc<str>),
    Hole(Expr),
}

/// A header field of an `http` step.
#[derive(Clone, Debug)]
pub enum Header {
    Text(Template),
    /// The value of an environment variable of the server: for tokens, which have no place in a dialplan.
    Environment(Arc<str>),
}

#[derive(Clone, Debug)]
pub struct ScriptStep {
    pub script: Arc<Script>,
    /// Variables the script may read; those it writes among them may be unset.
    pub reads: Vec<VarId>,
    pub writes: Vec<VarId>,
    pub next: StateId,
    /// An error in the script, a value of a wrong type, or more work than is allowed.
    pub failed: StateId,
}

#[derive(Clone, Debug)]
pub struct Authenticate {
    pub method: Credential,
    pub ask: Asking,
    pub min: u8,
    pub max: u8,
    pub between_keys: Duration,
    /// How long the store may take to compare.
    pub deadline: Duration,
    /// Verified.
    pub next: StateId,
    /// Wrong after the last retry, or nothing keyed.
    pub denied: StateId,
    /// Too many wrong answers for this customer across calls; the same as `denied` where not given.
    pub locked: StateId,
    pub timeout: StateId,
    pub failed: StateId,
}

/// What the caller is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    Pin,
    /// Keyed as `YYYYMMDD`.
    BirthDate,
    /// The last four of the identity card.
    IdLast4,
}

impl Credential {
    pub const ALL: [Credential; 3] = [Credential::Pin, Credential::BirthDate, Credential::IdLast4];

    pub const fn name(self) -> &'static str {
        match self {
            Credential::Pin => "pin",
            Credential::BirthDate => "birth_date",
            Credential::IdLast4 => "id_last4",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Queue {
    pub queue: QueueName,
    /// A number; `None` where the customer's tier and the queue decide alone.
    pub priority: Option<Expr>,
    /// A skill expression wanted beside the queue's own, as `acd` reads it.
    pub skills: Option<Arc<str>>,
    /// The name of the agent the caller is for, as long as that agent is signed in and the queue waits for one.
    pub prefer: Option<Expr>,
    /// What travels to the agent's screen with the offer: label and value.
    pub attach: Vec<(Arc<str>, Expr)>,
    pub max_wait: Duration,
    /// Keys that leave the queue.
    pub keys: Vec<(Key, StateId)>,
    /// Nobody answered within `max_wait`.
    pub timeout: StateId,
    /// The queue refused the call; `full`, `closed` and `no_agents` say why, and are the same where not given.
    pub failed: StateId,
    pub full: StateId,
    pub closed: StateId,
    pub no_agents: StateId,
}

#[derive(Clone, Debug)]
pub struct Dial {
    pub to: Destination,
    pub caller_id: Option<Arc<str>>,
    pub ring: Duration,
    /// After a conversation that the far side ended; `None` ends the call.
    pub next: Option<StateId>,
    pub busy: StateId,
    /// Nobody answered within `ring`.
    pub timeout: StateId,
    pub failed: StateId,
}

#[derive(Clone, Debug)]
pub enum Destination {
    /// A number or an account name as written.
    Fixed(Arc<str>),
    /// A number or an account, whatever the expression says.
    Of(Expr),
    /// An account and nothing else: what callers key in cannot lead outside.
    Account(Expr),
}

#[derive(Clone, Debug)]
pub struct Voicemail {
    /// The box: a queue's or an account's name.
    pub mailbox: Arc<str>,
    pub greeting: Prompts,
    pub beep: bool,
    pub max: Duration,
    /// Silence that ends the message.
    pub silence: Duration,
    /// After the message; `None` ends the call.
    pub next: Option<StateId>,
    /// Nothing could be recorded.
    pub failed: StateId,
}

#[derive(Clone, Debug)]
pub struct Page {
    pub page: DialplanId,
    pub name: DialplanName,
    pub needs_customer: bool,
    /// The page's parameters, all of them, and their values here.
    pub give: Vec<(VarId, Expr)>,
    /// Variable here, result there.
    pub take: Vec<(VarId, VarId)>,
    /// One for each outcome of the page, in the page's order: `outcomes[outcome.index()]`.
    pub outcomes: Vec<(Arc<str>, StateId)>,
}

/// A way out of a state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    pub label: EdgeLabel,
    pub to: StateId,
}

/// Why a state was left, in the words of the TOML keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EdgeLabel {
    Next,
    Key(Key),
    /// A case of a branch, counted from 1.
    Case(u16),
    Otherwise,
    Open,
    Closed,
    Holiday,
    NotFound,
    Status(u16),
    Denied,
    Locked,
    Busy,
    Full,
    NoAgents,
    Outcome(Arc<str>),
    Timeout,
    Failed,
    Exhausted,
}

impl fmt::Display for EdgeLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EdgeLabel::Key(key) => write!(f, "key {key}"),
            EdgeLabel::Case(nth) => write!(f, "case {nth}"),
            EdgeLabel::Status(status) => write!(f, "status {status}"),
            EdgeLabel::Outcome(name) => write!(f, "outcome {name}"),
            EdgeLabel::Next => f.write_str("next"),
            EdgeLabel::Otherwise => f.write_str("otherwise"),
            EdgeLabel::Open => f.write_str("open"),
            EdgeLabel::Closed => f.write_str("closed"),
            EdgeLabel::Holiday => f.write_str("holiday"),
            EdgeLabel::NotFound => f.write_str("not_found"),
            EdgeLabel::Denied => f.write_str("denied"),
            EdgeLabel::Locked => f.write_str("locked"),
            EdgeLabel::Busy => f.write_str("busy"),
            EdgeLabel::Full => f.write_str("full"),
            EdgeLabel::NoAgents => f.write_str("no_agents"),
            EdgeLabel::Timeout => f.write_str("timeout"),
            EdgeLabel::Failed => f.write_str("failed"),
            EdgeLabel::Exhausted => f.write_str("exhausted"),
        }
    }
}
