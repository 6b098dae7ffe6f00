//! The steps: what a state does when it is entered, one idea a file.

mod ask;
mod choose;
pub(super) mod entry;
mod leave;

use crate::dialplan::model::{Action, EdgeLabel};

use super::machine::{Machine, Moment, Waiting};

impl Machine {
    /// Does what the state that was just entered says.
    pub(super) fn act(&mut self, at: Moment<'_>) {
        let book = self.book.clone();
        let frame = self.frame();
        let state = book.get(frame.plan).state(frame.state);
        match &state.action {
            Action::Play(play) => {
                // A key pressed ahead speaks for itself: the prompt is skipped.
                let skipped = play.barge_in && !self.keys.is_empty();
                let parts = if skipped { Vec::new() } else { self.speak(at, &play.prompts) };
                match self.play(parts) {
                    Some(ticket) => self.waiting = Waiting::Speech { ticket, barge_in: play.barge_in },
                    None => self.leave(EdgeLabel::Next),
                }
            }
            Action::Menu(_) | Action::Collect(_) | Action::Secure(_) | Action::Authenticate(_) => self.begin_entry(at),
            Action::Set(set) => self.set(at, set),
            Action::Branch(branch) => self.branch(at, branch),
            Action::Hours(hours) => self.hours(at, hours),
            Action::Language(choose) => self.choose_language(at, choose),
            Action::Consent(consent) => self.consent(consent.agreed),
            Action::Script(step) => self.script(step),
            Action::Lookup(lookup) => self.lookup(at, lookup),
            Action::Http(http) => self.http(at, http),
            Action::Queue(queue) => self.queue(at, queue),
            Action::Dial(dial) => self.dial(at, dial),
            Action::Voicemail(voicemail) => self.voicemail(at, voicemail),
            Action::Page(page) => self.page(at, page),
            Action::Return(outcome) => self.return_from_page(*outcome),
            Action::Hangup(words) => {
                let parts = self.speak(at, words);
                match self.play(parts) {
                    Some(ticket) => self.waiting = Waiting::Farewell(ticket),
                    None => self.hang_up(),
                }
            }
        }
    }
}
