//! Steps that listen to keys: menu, collect, secure, authenticate. One way of asking for all of them.
//!
//! ```text
//!  Speaking ──prompt over──▶ Listening ──enough keys──▶ judged: an edge, or asked again
//!      └──key with barge-in──────▲  └──silence──▶ no input: asked again, or an edge
//! ```

use core::time::Duration;

use crate::dialplan::model::{Action, Asking, Authenticate, Collect, EdgeLabel};
use crate::dialplan::value::{Key, Value};
use crate::time::Time;

use super::super::effect::{IvrEffect, PlayTicket, Question, Spoken};
use super::super::machine::{Machine, Moment, Waiting};

/// An entry under way.
pub(in super::super) struct Entry {
    phase: Phase,
    /// Keys of this attempt.
    got: String,
    /// Attempts that failed.
    failed: u8,
}

#[derive(Clone, Copy)]
enum Phase {
    Speaking(PlayTicket),
    Listening { until: Time },
}

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Miss {
    Silence,
    Wrong,
}

impl Entry {
    pub fn deadline(&self) -> Option<Time> {
        match self.phase {
            Phase::Listening { until } => Some(until),
            Phase::Speaking(_) => None,
        }
    }

    pub fn is_spoken_by(&self, done: PlayTicket) -> bool {
        matches!(self.phase, Phase::Speaking(ticket) if ticket == done)
    }
}

/// How many keys an entry takes and what ends it.
struct Shape {
    min: usize,
    max: usize,
    terminator: Option<Key>,
    between: Duration,
}

impl Machine {
    pub(super) fn begin_entry(&mut self, at: Moment<'_>) {
        if self.is_secret_entry() {
            self.effects.push_back(IvrEffect::Secure(true));
        }
        self.ask_entry(at, 0, Vec::new());
    }

    /// Speaks (what went wrong first, where something did) and listens. Keys pressed ahead skip the speech.
    fn ask_entry(&mut self, at: Moment<'_>, failed: u8, mut words: Vec<Spoken>) {
        let asking = self.asking().clone();
        words.extend(self.speak(at, &asking.prompts));
        let ahead = asking.barge_in && !self.keys.is_empty();
        let ticket = if ahead { None } else { self.play(words) };
        let phase = ticket.map_or(Phase::Listening { until: at.now + asking.timeout }, Phase::Speaking);
        self.waiting = Waiting::Entry(Entry { phase, got: String::new(), failed });
        if ticket.is_none() {
            self.take_keys(at);
        }
    }

    /// The prompt is over: the clock of silence begins.
    pub(in super::super) fn entry_spoken(&mut self, at: Moment<'_>) {
        let timeout = self.asking().timeout;
        if let Waiting::Entry(entry) = &mut self.waiting {
            entry.phase = Phase::Listening { until: at.now + timeout };
        }
        self.take_keys(at);
    }

    pub(in super::super) fn entry_key(&mut self, at: Moment<'_>, key: char) {
        self.keep_key(key);
        let (barge_in, timeout) = (self.asking().barge_in, self.asking().timeout);
        let Waiting::Entry(entry) = &mut self.waiting else { return };
        if let Phase::Speaking(ticket) = entry.phase {
            if !barge_in {
                return;
            }
            entry.phase = Phase::Listening { until: at.now + timeout };
            self.effects.push_back(IvrEffect::StopPlay(ticket));
        }
        self.take_keys(at);
    }

    /// Feeds the kept keys to the entry until it is judged or they are used up.
    fn take_keys(&mut self, at: Moment<'_>) {
        let shape = self.shape();
        while let Some(key) = self.keys.pop_front() {
            let Waiting::Entry(entry) = &mut self.waiting else { return };
            if shape.terminator.is_some_and(|end| end.as_char() == key) {
                return self.judge(at);
            }
            entry.got.push(key);
            entry.phase = Phase::Listening { until: at.now + shape.between };
            if entry.got.len() >= shape.max {
                self.expect_late_terminator(at, &shape);
                return self.judge(at);
            }
        }
    }

    /// People end a full entry by `#` all the same. Neither the next state nor the next attempt is to hear it.
    fn expect_late_terminator(&mut self, at: Moment<'_>, shape: &Shape) {
        let Some(end) = shape.terminator else { return };
        match self.keys.front() {
            Some(next) if *next == end.as_char() => drop(self.keys.pop_front()),
            Some(_) => {}
            None => self.late_terminator = Some((end, at.now + shape.between)),
        }
    }

    /// Nothing (more) was keyed.
    pub(in super::super) fn entry_silence(&mut self, at: Moment<'_>) {
        let Waiting::Entry(entry) = &self.waiting else { return };
        if entry.got.is_empty() { self.miss(at, Miss::Silence) } else { self.judge(at) }
    }

    fn judge(&mut self, at: Moment<'_>) {
        let shape = self.shape();
        let Waiting::Entry(entry) = &mut self.waiting else { return };
        let got = core::mem::take(&mut entry.got);
        if got.len() < shape.min {
            let miss = if got.is_empty() { Miss::Silence } else { Miss::Wrong };
            return self.miss(at, miss);
        }
        let book = self.book.clone();
        let frame = self.frame();
        match &book.get(frame.plan).state(frame.state).action {
            Action::Menu(menu) => {
                let pressed = got.chars().next().and_then(Key::new);
                match menu.keys.iter().find(|(key, _)| Some(*key) == pressed) {
                    Some((key, _)) => self.menu_chosen(at, *key),
                    None => self.miss(at, Miss::Wrong),
                }
            }
            Action::Collect(collect) => self.collected(at, collect, &got, false),
            Action::Secure(collect) => self.collected(at, collect, &got, true),
            Action::Authenticate(check) => self.compare(at, check, got),
            _ => {}
        }
    }

    fn menu_chosen(&mut self, at: Moment<'_>, key: Key) {
        let name = self.state_name();
        self.tell(at.now, &name, key.to_string());
        self.leave(EdgeLabel::Key(key));
    }

    fn collected(&mut self, at: Moment<'_>, collect: &Collect, got: &str, secret: bool) {
        let var = self.plan().var(collect.into);
        let (name, value) = (var.name.to_string(), var.kind.from_keys(got));
        let Some(value) = value.filter(|_| !collect.luhn || luhn_holds(got)) else {
            return self.miss(at, Miss::Wrong);
        };
        // Judged on a copy: an entry that is refused sets nothing.
        let mut vars = self.frame().vars.clone();
        vars.set(collect.into, value);
        if collect.valid.as_ref().is_some_and(|valid| !valid.holds(&vars, &self.facts(at))) {
            return self.miss(at, Miss::Wrong);
        }
        self.frame_mut().vars = vars;
        if secret {
            self.keep_last4(collect, got);
            self.effects.push_back(IvrEffect::Secure(false));
        } else {
            self.tell(at.now, &name, got.to_owned());
        }
        self.leave(EdgeLabel::Next);
    }

    /// The last four of a long entry may be shown (PCI DSS 3.4.1); of a shorter one they would be too much of it.
    fn keep_last4(&mut self, collect: &Collect, got: &str) {
        let Some(last4) = collect.last4 else { return };
        let shown = got.len().checked_sub(4).filter(|_| got.len() >= 12).and_then(|from| got.get(from..));
        self.frame_mut().vars.set(last4, Value::digits(shown.unwrap_or_default()));
    }

    fn compare(&mut self, at: Moment<'_>, check: &Authenticate, keyed: String) {
        let Waiting::Entry(entry) = &self.waiting else { return };
        self.auth_failed = entry.failed;
        let question = Question::Credential {
            method: check.method,
            customer: self.customer_id(),
            caller: self.call.caller.clone(),
            keyed,
        };
        self.ask(at, question, check.deadline);
    }

    /// The store's verdict was "wrong": asked again, or denied.
    pub(super) fn credential_wrong(&mut self, at: Moment<'_>) {
        let failed = self.auth_failed;
        self.waiting = Waiting::Entry(Entry { phase: Phase::Listening { until: at.now }, got: String::new(), failed });
        self.miss(at, Miss::Wrong);
    }

    /// An attempt failed: asked again, or left by the edge for what the last attempt was.
    fn miss(&mut self, at: Moment<'_>, miss: Miss) {
        let asking = self.asking().clone();
        let Waiting::Entry(entry) = &self.waiting else { return };
        let failed = entry.failed.saturating_add(1);
        if failed > asking.retries {
            return self.give_up(miss);
        }
        self.keys.clear();
        let words = match miss {
            Miss::Silence => self.speak(at, &asking.no_input),
            Miss::Wrong => self.speak(at, &asking.no_match),
        };
        self.ask_entry(at, failed, words);
    }

    fn give_up(&mut self, miss: Miss) {
        if self.is_secret_entry() {
            self.effects.push_back(IvrEffect::Secure(false));
        }
        let authenticates = matches!(self.state_action(), Action::Authenticate(_));
        let label = match miss {
            _ if authenticates => EdgeLabel::Denied,
            Miss::Silence => EdgeLabel::Timeout,
            Miss::Wrong => EdgeLabel::Failed,
        };
        self.leave(label);
    }

    pub(in super::super) fn state_action(&self) -> &Action {
        &self.plan().state(self.frame().state).action
    }

    fn state_name(&self) -> String {
        self.plan().state(self.frame().state).name.to_string()
    }

    pub(super) fn is_secret_entry(&self) -> bool {
        matches!(self.state_action(), Action::Secure(_) | Action::Authenticate(_))
    }

    fn asking(&self) -> &Asking {
        match self.state_action() {
            Action::Menu(menu) => &menu.ask,
            Action::Collect(collect) | Action::Secure(collect) => &collect.ask,
            Action::Authenticate(check) => &check.ask,
            _ => unreachable!("an entry is only ever made by a state that asks"),
        }
    }

    fn shape(&self) -> Shape {
        let one = Shape { min: 1, max: 1, terminator: None, between: Duration::ZERO };
        match self.state_action() {
            Action::Collect(collect) | Action::Secure(collect) => Shape {
                min: usize::from(collect.min),
                max: usize::from(collect.max),
                terminator: collect.terminator,
                between: collect.between_keys,
            },
            Action::Authenticate(check) => Shape {
                min: usize::from(check.min),
                max: usize::from(check.max),
                terminator: Key::new('#'),
                between: check.between_keys,
            },
            _ => one,
        }
    }
}

/// The check digit of ISO/IEC 7812-1 Annex B.
fn luhn_holds(digits: &str) -> bool {
    let mut sum = 0;
    for (nth, digit) in digits.chars().rev().enumerate() {
        let Some(digit) = digit.to_digit(10) else { return false };
        sum += match nth % 2 {
            0 => digit,
            _ => digit * 2 / 10 + digit * 2 % 10,
        };
    }
    !digits.is_empty() && sum % 10 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_luhn_check_knows_a_misread_digit() {
        assert!(luhn_holds("4111111111111111"));
        assert!(!luhn_holds("4111111111111112"));
        assert!(!luhn_holds("") && !luhn_holds("41a1"));
    }
}
