//! Walks without a phone: what `strowger dialplan try` shows and `strowger dialplan test` judges.
//!
//! A scripted caller and a canned world ([`Scenario`]) around the machine that serves real calls, in virtual time.
//! Nothing here reads a file: the texts come in, findings and transcripts go out.

mod canned;
#[cfg(test)]
mod tests;
mod transcript;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::dialplan::coverage::Coverage;
use crate::dialplan::facts::CallFacts;
use crate::dialplan::model::{Action, Dialplan, DialplanId, EdgeLabel, StateId};
use crate::dialplan::scenario::{Answer as Canned, End, MONDAY, Scenario, Scenarios, Step, StepKind};
use crate::dialplan::value::Key;
use crate::dialplan::{Book, PromptCatalogue};
use crate::finding::{Finding, Severity};
use crate::ids::{Language, PromptName};
use crate::limits;
use crate::time::Time;

use super::effect::{AskTicket, IvrEffect, PlayTicket, Question, Spoken};
use super::input::{Answer, Compared, DialEnd, IvrInput, QueueEnd};
use super::machine::Machine;
use canned::CannedWorld;
use transcript::end_text;

/// How long an answer from outside takes where the test says nothing of time.
const REPLY_TIME: Duration = Duration::from_millis(200);
/// How long a conversation or a message lasts.
const TALK_TIME: Duration = Duration::from_secs(10);
/// Speech is not timed by its recordings: about fifteen letters, or five characters of Chinese, a second.
const PER_BYTE: Duration = Duration::from_millis(70);

/// What happened in one walk.
#[derive(Clone, Debug)]
pub struct Walked {
    /// Since the call began, and what.
    pub happenings: Vec<(Duration, Happening)>,
    /// How it ended; `None` where it did not within its bounds.
    pub end: Option<End>,
    /// States and edges touched, of the dialplan and of its pages.
    pub coverage: BTreeMap<DialplanId, Coverage>,
    /// Outside steps of the walk that the scenario has no answer for, by state.
    pub unanswered: BTreeSet<(DialplanId, StateId)>,
    /// The person or box that had the caller last, where the walk went on afterwards.
    handed: Option<End>,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// The call came to a state.
    Entered { dialplan: DialplanId, state: StateId, name: String },
    /// The caller heard this.
    Heard { prompts: Vec<PromptName>, words: String },
    /// The caller pressed these keys; dots where they are secret.
    Pressed(String),
    /// The caller kept silent until the input gave up waiting.
    KeptSilent,
    /// Something outside was asked or told: a customer's record, a company system, a queue.
    Asked(String),
    /// What came back.
    Answered(String),
}

/// What a test file's tests came to.
#[derive(Clone, Debug)]
pub struct Report {
    pub results: Vec<TestResult>,
    /// Of all tests together, of the dialplan and of every page they walked.
    pub coverage: BTreeMap<DialplanId, Coverage>,
}

impl Report {
    pub fn failures(&self) -> impl Iterator<Item = &Finding> {
        self.results.iter().filter_map(|result| result.failure.as_ref())
    }
}

/// One test: passed where there is no failure.
#[derive(Clone, Debug)]
pub struct TestResult {
    pub name: Arc<str>,
    pub failure: Option<Finding>,
    pub walked: Walked,
}

/// Runs the tests of one file, each in a world of its own.
pub fn run(book: &Arc<Book>, catalogue: &PromptCatalogue, tests: &Scenarios) -> Report {
    let mut coverage: BTreeMap<DialplanId, Coverage> = BTreeMap::new();
    let results = tests.scenarios.iter().map(|scenario| {
        let mut walk = Walk::new(book, catalogue, tests.dialplan, scenario);
        let failure = walk.judge().err().map(|failure| failure.at(&tests.source.file, scenario));
        for (dialplan, touched) in &walk.walked.coverage {
            coverage.entry(*dialplan).or_default().merge(touched);
        }
        TestResult { name: scenario.name.clone(), failure, walked: walk.walked }
    });
    let results = results.collect();
    Report { results, coverage }
}

/// Walks a dialplan once by a script of the caller's; what outside the script says nothing of does the friendliest,
/// except that company systems fail.
pub fn walk(book: &Arc<Book>, catalogue: &PromptCatalogue, dialplan: DialplanId, scenario: &Scenario) -> Walked {
    let mut walk = Walk::new(book, catalogue, dialplan, scenario);
    // How far the script came shows in the walk itself.
    let _ = walk.follow();
    walk.walked
}

/// As [`walk`], but where the script is used up the walk stays at the next state that takes keys: whoever tries the
/// dialplan by hand goes on with a longer script.
pub fn walk_on(book: &Arc<Book>, catalogue: &PromptCatalogue, dialplan: DialplanId, scenario: &Scenario) -> Walked {
    let mut walk = Walk::new(book, catalogue, dialplan, scenario);
    if walk.take_steps().is_ok() {
        while !walk.machine.takes_keys() && walk.advance(true) {}
    }
    walk.walked
}

/// A script written as on a command line, words apart: `1` and `0042#` are pressed one after the other, each at the
/// next state that takes keys; `~` is silence, `20s` a wait, `hangup` what it says.
///
/// # Errors
/// The word that is none of these.
pub fn script(words: &str) -> Result<Scenario, String> {
    let step = |word: &str| {
        let keys: Option<Vec<Key>> = word.chars().map(Key::new).collect();
        let seconds = word.strip_suffix('s').and_then(|seconds| seconds.parse().ok());
        let what = match (word, keys, seconds) {
            ("~", ..) => StepKind::Silence,
            ("hangup", ..) => StepKind::HangUp,
            (_, Some(keys), _) => StepKind::Press(keys),
            (_, _, Some(seconds)) if seconds <= 86_400 => StepKind::Wait(Duration::from_secs(seconds)),
            _ => return Err(format!("`{word}` is neither keys, nor `~`, nor a wait such as `20s`, nor `hangup`.")),
        };
        Ok(Step { line: 0, what })
    };
    let steps = words.split_whitespace().map(step).collect::<Result<_, _>>()?;
    Ok(Scenario {
        name: Arc::from("try"),
        line: 0,
        caller: Arc::from(""),
        called: Arc::from(""),
        headers: BTreeMap::new(),
        at: MONDAY,
        offset_minutes: 0,
        language: None,
        customer: None,
        hours: BTreeMap::new(),
        queues: BTreeMap::new(),
        give: Vec::new(),
        answers: BTreeMap::new(),
        steps,
        end: End::Hangup,
    })
}

/// Why a test fails.
struct Failure {
    /// 1-based; `None` for the test as a whole.
    line: Option<u32>,
    reason: String,
    mend: String,
}

impl Failure {
    fn at(self, file: &Arc<str>, scenario: &Scenario) -> Finding {
        Finding {
            severity: Severity::Error,
            code: "test.failed",
            file: file.clone(),
            line: self.line.unwrap_or(scenario.line),
            column: 1,
            span: 0..0,
            reason: format!("Test \"{}\": {}", scenario.name, self.reason),
            mend: self.mend,
        }
    }
}

/// What the machine waits for from outside.
enum Pending {
    Nothing,
    Play { ticket: PlayTicket, until: Time },
    Reply { ticket: AskTicket, answer: Answer, at: Time },
    Queue { canned: Option<EdgeLabel>, entered: End },
    Dial { end: DialEnd, to: End, at: Time },
    Message { kept: bool, mailbox: Arc<str>, at: Time },
}

/// One walk under way.
struct Walk<'a> {
    book: &'a Arc<Book>,
    catalogue: &'a PromptCatalogue,
    dialplan: DialplanId,
    scenario: &'a Scenario,
    machine: Machine,
    now: Time,
    pending: Pending,
    secure: bool,
    /// Answers of each state used so far.
    used: BTreeMap<(DialplanId, StateId), usize>,
    /// The happening that expectations have come to, and how many of its prompts they have heard.
    seen: usize,
    heard: usize,
    walked: Walked,
}

impl<'a> Walk<'a> {
    fn new(
        book: &'a Arc<Book>,
        catalogue: &'a PromptCatalogue,
        dialplan: DialplanId,
        scenario: &'a Scenario,
    ) -> Walk<'a> {
        let plan = book.get(dialplan);
        let first = plan.languages.first().or_else(|| catalogue.languages().next());
        let language = scenario.language.as_ref().or(first).cloned();
        let call = CallFacts {
            caller: scenario.caller.clone(),
            called: scenario.called.clone(),
            language: language.unwrap_or_else(|| Language::new("en")),
            headers: scenario.headers.clone(),
            ..CallFacts::default()
        };
        let known = scenario.customer.clone().filter(|_| plan.needs_customer);
        let walked = Walked {
            happenings: Vec::new(),
            end: None,
            coverage: BTreeMap::new(),
            unanswered: BTreeSet::new(),
            handed: None,
        };
        let machine = Machine::of_page(book.clone(), dialplan, call, &scenario.give, known);
        let (now, pending, used) = (scenario.at, Pending::Nothing, BTreeMap::new());
        Walk {
            book,
            catalogue,
            dialplan,
            scenario,
            machine,
            now,
            pending,
            secure: false,
            used,
            seen: 0,
            heard: 0,
            walked,
        }
    }

    // -- the script --------------------------------------------------------------------------------------------------

    fn judge(&mut self) -> Result<(), Failure> {
        self.follow()?;
        if let Some((dialplan, state)) = self.walked.unanswered.first() {
            let state = self.place_name(*dialplan, *state);
            return Err(Failure {
                line: None,
                reason: format!("It does not say what the company system of `{state}` answers."),
                mend: format!("Add `\"{state}\" = {{ body = {{ … }} }}` or an edge under `[test.answers]`."),
            });
        }
        let expected = &self.scenario.end;
        match &self.walked.end {
            Some(end) if ends_as(expected, end) || self.walked.handed.as_ref() == Some(expected) => Ok(()),
            end => {
                let end = end.as_ref().map_or("nowhere".to_string(), |end| self.end_text(end));
                let reason = format!("It ends in {end}, not in {}.", self.end_text(expected));
                let mend = format!("Correct `end`, or the dialplan. {}", self.way());
                Err(Failure { line: None, reason, mend })
            }
        }
    }

    /// Goes through the steps, then lets the call come to its end.
    fn follow(&mut self) -> Result<(), Failure> {
        self.take_steps()?;
        while self.advance(true) {}
        Ok(())
    }

    fn take_steps(&mut self) -> Result<(), Failure> {
        self.entered(self.dialplan, self.book.get(self.dialplan).start);
        self.tell(IvrInput::Start);
        for step in &self.scenario.steps {
            self.take_step(step).map_err(|reason| Failure {
                line: Some(step.line),
                reason,
                mend: format!("Correct the step, or the dialplan. {}", self.way()),
            })?;
        }
        Ok(())
    }

    fn take_step(&mut self, step: &Step) -> Result<(), String> {
        match &step.what {
            StepKind::Hear(prompt) => {
                let heard = |happening: &Happening, from: usize| match happening {
                    Happening::Heard { prompts, .. } => {
                        let at = prompts.iter().skip(from).position(|heard| heard == prompt);
                        at.map(|at| from + at + 1)
                    }
                    _ => None,
                };
                self.expect(heard).ok_or_else(|| format!("The prompt `{prompt}` is not heard."))
            }
            StepKind::Words(text) => {
                let heard = |happening: &Happening, from: usize| match happening {
                    Happening::Heard { words, .. } if words.contains(&**text) => Some(from),
                    _ => None,
                };
                self.expect(heard).ok_or_else(|| format!("Nothing is said with the words \"{text}\"."))
            }
            StepKind::State(dialplan, state) => {
                if self.machine.place() == Some((*dialplan, *state)) {
                    return Ok(());
                }
                let came = |happening: &Happening, from: usize| match happening {
                    Happening::Entered { dialplan: d, state: s, .. } if (d, s) == (dialplan, state) => Some(from),
                    _ => None,
                };
                let name = self.place_name(*dialplan, *state);
                self.expect(came).ok_or_else(|| format!("The call does not come to the state `{name}`."))
            }
            StepKind::Press(keys) => {
                self.until_keys_are_taken("presses keys")?;
                self.look_ahead();
                self.press(keys);
                Ok(())
            }
            StepKind::Silence => {
                self.until_keys_are_taken("keeps silent")?;
                self.look_ahead();
                self.keep_silent();
                Ok(())
            }
            StepKind::Wait(span) => {
                self.look_ahead();
                let until = self.now + *span;
                while self.due(false).is_some_and(|due| due <= until) && self.advance(false) {}
                self.now = until;
                Ok(())
            }
            StepKind::HangUp => {
                self.walked.end.get_or_insert(End::CallerHangup);
                Ok(())
            }
        }
    }

    /// What is expected after the caller has done something happens after it.
    fn look_ahead(&mut self) {
        (self.seen, self.heard) = (self.walked.happenings.len(), 0);
    }

    /// Goes on until something happens that is expected; `None` where the walk ends without it. `what` is given a
    /// happening and how many of its prompts were heard before, and says how many are now.
    fn expect(&mut self, what: impl Fn(&Happening, usize) -> Option<usize>) -> Option<()> {
        loop {
            while let Some((_, happening)) = self.walked.happenings.get(self.seen) {
                if let Some(heard) = what(happening, self.heard) {
                    self.heard = heard;
                    return Some(());
                }
                (self.seen, self.heard) = (self.seen + 1, 0);
            }
            if !self.advance(true) {
                return None;
            }
        }
    }

    fn until_keys_are_taken(&mut self, what: &str) -> Result<(), String> {
        while !self.machine.takes_keys() {
            if !self.advance(false) {
                return Err(format!("Where the caller {what}, the call is over or takes no keys."));
            }
        }
        Ok(())
    }

    fn press(&mut self, keys: &[Key]) {
        let shown = if self.secure { "•".repeat(keys.len()) } else { keys.iter().map(Key::to_string).collect() };
        self.note(Happening::Pressed(shown));
        for key in keys {
            self.tell(IvrInput::Key(key.as_char()));
        }
    }

    /// Until the machine's own clock has run out once.
    fn keep_silent(&mut self) {
        self.note(Happening::KeptSilent);
        while self.machine.poll_timeout().is_none() {
            if !self.advance(false) {
                return;
            }
        }
        while let Some(due) = self.machine.poll_timeout() {
            let by_clock = self.pending_due(false).is_none_or(|at| due < at);
            if !self.advance(false) || by_clock {
                return;
            }
        }
    }

    // -- virtual time ------------------------------------------------------------------------------------------------

    /// When the world outside does what it is waited for. A queue answers at once where agents are `friendly`.
    fn pending_due(&self, friendly: bool) -> Option<Time> {
        match &self.pending {
            Pending::Nothing => None,
            Pending::Play { until: at, .. }
            | Pending::Reply { at, .. }
            | Pending::Dial { at, .. }
            | Pending::Message { at, .. } => Some(*at),
            Pending::Queue { canned: Some(EdgeLabel::Timeout), .. } => None,
            Pending::Queue { canned: Some(_), .. } => Some(self.now),
            Pending::Queue { canned: None, .. } => friendly.then_some(self.now),
        }
    }

    fn due(&self, friendly: bool) -> Option<Time> {
        self.pending_due(friendly).into_iter().chain(self.machine.poll_timeout()).min()
    }

    /// Lets the next thing happen; false where the call is over or nothing would ever happen.
    fn advance(&mut self, friendly: bool) -> bool {
        let too_long = self.walked.happenings.len() >= limits::TRIAL_HAPPENINGS;
        if self.walked.end.is_some() || too_long {
            return false;
        }
        let Some(due) = self.due(friendly) else { return false };
        let outside = self.pending_due(friendly).is_some_and(|at| at <= due);
        self.now = self.now.max(due);
        if outside {
            self.outside();
        } else {
            self.tell(IvrInput::Timeout { at: self.now });
        }
        true
    }

    /// The world outside does what it is waited for.
    fn outside(&mut self) {
        match core::mem::replace(&mut self.pending, Pending::Nothing) {
            Pending::Nothing => {}
            Pending::Play { ticket, .. } => self.tell(IvrInput::PlayDone(ticket)),
            Pending::Reply { ticket, answer, .. } => self.tell(IvrInput::Answered(ticket, answer)),
            Pending::Queue { canned, entered } => self.queue_ends(canned, entered),
            Pending::Dial { end, to, .. } => {
                self.note(Happening::Answered(format!("{end:?}")));
                self.hand_over(matches!(end, DialEnd::Talked).then_some(to), IvrInput::DialDone(end));
            }
            Pending::Message { kept: true, mailbox, .. } => {
                let input = IvrInput::MessageKept { seconds: TALK_TIME.as_secs_f64() };
                self.hand_over(Some(End::Voicemail(mailbox)), input);
            }
            Pending::Message { .. } => self.tell(IvrInput::MessageFailed),
        }
    }

    fn queue_ends(&mut self, canned: Option<EdgeLabel>, entered: End) {
        let end = match canned {
            None => {
                self.walked.end = Some(entered);
                QueueEnd::Answered
            }
            Some(EdgeLabel::Key(key)) => {
                self.press(&[key]);
                return;
            }
            Some(EdgeLabel::Full) => QueueEnd::Full,
            Some(EdgeLabel::Closed) => QueueEnd::Closed,
            Some(EdgeLabel::NoAgents) => QueueEnd::NoAgents,
            Some(_) => QueueEnd::Failed,
        };
        self.note(Happening::Answered(format!("the queue: {end:?}")));
        self.tell(IvrInput::QueueLeft(end));
    }

    /// The caller comes back from somebody; where the dialplan does not go on from there, that was the end.
    fn hand_over(&mut self, to: Option<End>, input: IvrInput) {
        let came_to = self.walked.happenings.len();
        self.tell(input);
        let went_on =
            self.walked.happenings[came_to..].iter().any(|(_, what)| matches!(what, Happening::Entered { .. }));
        if self.walked.end == Some(End::Hangup) && !went_on && to.is_some() {
            self.walked.end.clone_from(&to);
        }
        if to.is_some() {
            self.walked.handed = to;
        }
    }

    // -- the machine -------------------------------------------------------------------------------------------------

    fn tell(&mut self, input: IvrInput) {
        let world = CannedWorld { scenario: self.scenario, catalogue: self.catalogue, now: self.now };
        self.machine.handle(self.now, &world, input);
        while let Some(effect) = self.machine.poll_effect() {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: IvrEffect) {
        match effect {
            IvrEffect::Play { ticket, parts } => {
                let (prompts, words, span) = self.heard(&parts);
                self.pending = Pending::Play { ticket, until: self.now + span };
                self.note(Happening::Heard { prompts, words });
            }
            IvrEffect::StopPlay(_) | IvrEffect::LeaveQueue => self.pending = Pending::Nothing,
            IvrEffect::Ask { ticket, question, deadline } => self.ask(ticket, &question, deadline),
            IvrEffect::Queue { queue, priority, skills, prefer, attach } => {
                let skills = skills.map(|skills| format!(", skills {skills}")).unwrap_or_default();
                let prefer = prefer.map(|agent| format!(", for {agent}")).unwrap_or_default();
                self.note(Happening::Asked(format!("queue {queue}, priority {priority}{skills}{prefer}")));
                let attach = attach.into_iter().map(|(label, value)| (label, Arc::from(value))).collect();
                let entered = End::Queue { queue, priority: Some(i64::from(priority)), attach };
                self.pending = Pending::Queue { canned: self.canned_edge(), entered };
            }
            IvrEffect::Dial { to, account, ring, .. } => {
                let only = if account { "account " } else { "" };
                self.note(Happening::Asked(format!("dial {only}{to}")));
                let (end, at) = match self.canned_edge() {
                    None | Some(EdgeLabel::Next) => (DialEnd::Talked, self.now + TALK_TIME),
                    Some(EdgeLabel::Busy) => (DialEnd::Busy, self.now + REPLY_TIME),
                    Some(EdgeLabel::Timeout) => (DialEnd::NoAnswer, self.now + ring),
                    Some(_) => (DialEnd::Failed, self.now + REPLY_TIME),
                };
                let to = if account { End::Account(to) } else { End::Dial(to) };
                self.pending = Pending::Dial { end, to, at };
            }
            IvrEffect::Message { mailbox, .. } => {
                self.note(Happening::Asked(format!("record a message for {mailbox}")));
                let kept = !matches!(self.canned_edge(), Some(EdgeLabel::Failed));
                self.pending = Pending::Message { kept, mailbox, at: self.now + TALK_TIME };
            }
            IvrEffect::Secure(on) => self.secure = on,
            IvrEffect::Consent(agreed) => {
                let word = if agreed { "the call may be recorded" } else { "the call may not be recorded" };
                self.note(Happening::Asked(word.to_string()));
            }
            IvrEffect::Language(language) => self.note(Happening::Asked(format!("speak {language} from here on"))),
            IvrEffect::Collected(_) => {}
            IvrEffect::Stepped { dialplan, state, outcome } => self.stepped(dialplan.as_str(), &state, &outcome),
            IvrEffect::HangUp => {
                let end = self.machine.returned().map_or(End::Hangup, End::Return);
                self.walked.end.get_or_insert(end);
            }
        }
    }

    fn ask(&mut self, ticket: AskTicket, question: &Question, deadline: Time) {
        let (asked, answer) = match question {
            Question::Customer { key, .. } => (format!("whose record is {key}"), self.record()),
            Question::Http(call) => (format!("{} {}", call.method.name(), call.url), self.response(call.retries)),
            Question::Credential { method, .. } => (format!("compare the {}", method.name()), self.verdict()),
        };
        let told = match &answer {
            Answer::Customer(Some(_)) => "a record".to_string(),
            Answer::Customer(None) => "nobody".to_string(),
            Answer::Http { status, body } => format!("{status} {body}"),
            Answer::Compared(verdict) => format!("{verdict:?}"),
            Answer::TimedOut => "nothing in time".to_string(),
            Answer::Failed => "a failure".to_string(),
        };
        let at = if answer == Answer::TimedOut { deadline } else { self.now + REPLY_TIME };
        self.note(Happening::Asked(asked));
        self.note(Happening::Answered(told));
        self.pending = Pending::Reply { ticket, answer, at };
    }

    // -- canned answers ----------------------------------------------------------------------------------------------

    /// The next answer of the state the call is in; the last one holds for good.
    fn canned(&mut self) -> Option<Canned> {
        let place = self.machine.place()?;
        let answers = self.scenario.answers.get(&place)?;
        let used = self.used.entry(place).or_default();
        let answer = answers.get(*used).or(answers.last());
        *used += 1;
        answer.cloned()
    }

    fn canned_edge(&mut self) -> Option<EdgeLabel> {
        match self.canned()? {
            Canned::Edge(edge) => Some(edge),
            Canned::Http { .. } | Canned::Customer(_) => None,
        }
    }

    fn record(&mut self) -> Answer {
        let known = self.scenario.customer.clone();
        match self.canned() {
            None => Answer::Customer(known),
            Some(Canned::Customer(record)) => Answer::Customer(Some(record)),
            Some(Canned::Edge(EdgeLabel::Next)) => Answer::Customer(Some(known.unwrap_or_default())),
            Some(Canned::Edge(EdgeLabel::NotFound)) => Answer::Customer(None),
            Some(Canned::Edge(EdgeLabel::Timeout)) => Answer::TimedOut,
            Some(Canned::Edge(_) | Canned::Http { .. }) => Answer::Failed,
        }
    }

    /// As the shell does it: a 5xx is tried again as often as the state says.
    fn response(&mut self, retries: u8) -> Answer {
        for attempt in 0..=retries {
            match self.canned() {
                Some(Canned::Http { status, body }) if status < 500 || attempt == retries => {
                    return Answer::Http { status, body };
                }
                Some(Canned::Http { .. }) => {}
                Some(Canned::Edge(EdgeLabel::Next)) => {
                    return Answer::Http { status: 200, body: serde_json::Value::Null };
                }
                Some(Canned::Edge(EdgeLabel::Status(status))) => {
                    return Answer::Http { status, body: serde_json::Value::Null };
                }
                Some(Canned::Edge(EdgeLabel::Timeout)) => return Answer::TimedOut,
                Some(Canned::Edge(_) | Canned::Customer(_)) => return Answer::Failed,
                None => {
                    self.walked.unanswered.extend(self.machine.place());
                    return Answer::Failed;
                }
            }
        }
        Answer::Failed
    }

    fn verdict(&mut self) -> Answer {
        match self.canned() {
            None | Some(Canned::Edge(EdgeLabel::Next)) => Answer::Compared(Compared::Verified),
            Some(Canned::Edge(EdgeLabel::Denied)) => Answer::Compared(Compared::Wrong),
            Some(Canned::Edge(EdgeLabel::Locked)) => Answer::Compared(Compared::Locked),
            Some(Canned::Edge(EdgeLabel::Timeout)) => Answer::TimedOut,
            Some(_) => Answer::Failed,
        }
    }

    // -- what is kept of it ------------------------------------------------------------------------------------------

    fn note(&mut self, happening: Happening) {
        let since = self.now.since(self.scenario.at);
        self.walked.happenings.push((since, happening));
    }

    fn entered(&mut self, dialplan: DialplanId, state: StateId) {
        let name = self.place_name(dialplan, state);
        self.note(Happening::Entered { dialplan, state, name });
        self.walked.coverage.entry(dialplan).or_default().visit(state);
        if let Action::Page(page) = &self.book.get(dialplan).state(state).action {
            self.entered(page.page, self.book.get(page.page).start);
        }
    }

    fn stepped(&mut self, dialplan: &str, state: &str, outcome: &str) {
        let Some(dialplan) = self.book.find(dialplan) else { return };
        let plan = self.book.get(dialplan);
        let Some(state) = plan.find_state(state) else { return };
        let Some(edge) = plan.state(state).edges().into_iter().find(|edge| edge.label.to_string() == outcome) else {
            return;
        };
        self.walked.coverage.entry(dialplan).or_default().cross(state, edge.label);
        self.entered(dialplan, edge.to);
    }

    /// `state`, or `page/state`.
    fn place_name(&self, dialplan: DialplanId, state: StateId) -> String {
        let plan: &Dialplan = self.book.get(dialplan);
        let state = &plan.state(state).name;
        if dialplan == self.dialplan { state.to_string() } else { format!("{}/{state}", plan.name) }
    }

    /// The prompts of a play, their words, and how long they take.
    fn heard(&self, parts: &[Spoken]) -> (Vec<PromptName>, String, Duration) {
        let (mut prompts, mut words, mut span) = (Vec::new(), String::new(), Duration::ZERO);
        for part in parts {
            match part {
                Spoken::Silence(pause) => span += *pause,
                Spoken::Prompt { language, prompt } => {
                    if !words.is_empty() && !language.as_str().starts_with("zh") {
                        words.push(' ');
                    }
                    words.push_str(self.catalogue.words(language, prompt).unwrap_or(prompt.as_str()));
                    prompts.push(prompt.clone());
                }
            }
        }
        let span = span + PER_BYTE * u32::try_from(words.len()).unwrap_or(u32::MAX);
        (prompts, words, span)
    }

    fn end_text(&self, end: &End) -> String {
        match end {
            End::Return(outcome) => {
                let name = self.book.get(self.dialplan).returns.get(outcome.index());
                format!("return `{}`", name.map_or("", |name| name))
            }
            other => end_text(other),
        }
    }

    /// The last states of the walk, for whoever mends it.
    fn way(&self) -> String {
        let entered = self.walked.happenings.iter().filter_map(|(_, happening)| match happening {
            Happening::Entered { name, .. } => Some(name.as_str()),
            _ => None,
        });
        let names: Vec<_> = entered.collect();
        let from = names.len().saturating_sub(8);
        let before = if from > 0 { "… → " } else { "" };
        format!("It went {before}{}.", names[from..].join(" → "))
    }
}

/// Whether a walk ended as a test expects: what the test does not mention may be anything.
fn ends_as(expected: &End, end: &End) -> bool {
    match (expected, end) {
        (End::Queue { queue, priority, attach }, End::Queue { queue: found, priority: points, attach: attached }) => {
            let told = attach.iter().all(|(label, value)| attached.get(label) == Some(value));
            queue == found && told && (priority.is_none() || priority == points)
        }
        _ => expected == end,
    }
}
