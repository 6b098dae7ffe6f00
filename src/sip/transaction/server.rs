//! Non-INVITE server transaction (RFC 3261 §17.2.2).

use super::timer::Timers;
use super::{Fired, Received};
use crate::time::Time;

/// The state machine.
///
/// | state | request again | send 1xx | send 200–699 | Timer J |
/// |---|---|---|---|---|
/// | Trying | drop | send → Proceeding | send → Completed | – |
/// | Proceeding | repeat 1xx | send | send → Completed | – |
/// | Completed | repeat final | – | – | → Terminated |
#[derive(Debug)]
pub struct Server {
    state: State,
    timers: Timers,
    reliable: bool,
    /// Timer J.
    deadline: Option<Time>,
}

/// The RFC's state names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Trying,
    Proceeding,
    Completed,
    Terminated,
}

impl Server {
    pub fn start(timers: Timers, reliable: bool) -> Self {
        Self { state: State::Trying, timers, reliable, deadline: None }
    }

    pub fn state(&self) -> State {
        self.state
    }

    /// The request came once more.
    pub fn handle_repeat(&self) -> Received {
        match self.state {
            State::Proceeding | State::Completed => Received::Repeat,
            State::Trying | State::Terminated => Received::Drop,
        }
    }

    /// The owner wants to send a response. False where the state forbids it.
    pub fn send(&mut self, now: Time, status: u16) -> bool {
        match (self.state, status) {
            (State::Trying | State::Proceeding, 100..=199) => {
                self.state = State::Proceeding;
                true
            }
            (State::Trying | State::Proceeding, 200..=699) => {
                self.state = State::Completed;
                self.deadline = Some(now + self.timers.j(self.reliable));
                true
            }
            _ => false,
        }
    }

    pub fn handle_timeout(&mut self, now: Time) -> Fired {
        if self.deadline.is_some_and(|at| at <= now) {
            self.terminate();
        }
        Fired::Nothing
    }

    pub fn poll_timeout(&self) -> Option<Time> {
        self.deadline
    }

    pub fn terminate(&mut self) {
        self.state = State::Terminated;
        self.deadline = None;
    }
}
