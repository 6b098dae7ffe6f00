//! INVITE server transaction (RFC 3261 §17.2.1 with RFC 6026 §7.1).

use core::time::Duration;

use super::timer::Timers;
use super::{Fired, Received};
use crate::time::Time;

/// The state machine. The owner answers 100 at once, keeps the latest response, and sends it as the answers here say.
///
/// | state | INVITE again | send 1xx | send 2xx | send 300–699 | ACK | Timer G | Timer H | Timer I / L |
/// |---|---|---|---|---|---|---|---|---|
/// | Proceeding | repeat 1xx | send | send → Accepted | send → Completed | drop | – | – | – |
/// | Completed | repeat final | – | – | – | → Confirmed | repeat, G doubles up to T2 | time-out → Terminated | – |
/// | Confirmed | drop | – | – | – | drop | – | – | → Terminated |
/// | Accepted | drop | – | send | – | up | – | – | → Terminated |
///
/// The 2xx is repeated by the dialog until its ACK (§13.3.1.4); Accepted only absorbs repeated INVITEs (RFC 6026 §6).
#[derive(Debug)]
pub struct InviteServer {
    state: State,
    timers: Timers,
    reliable: bool,
    /// Timer G: when to repeat the final response, and the interval that led there.
    g: Option<(Time, Duration)>,
    /// Timer H in Completed, I in Confirmed, L in Accepted.
    deadline: Option<Time>,
}

/// The RFC's state names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Proceeding,
    Completed,
    Confirmed,
    Accepted,
    Terminated,
}

impl InviteServer {
    pub fn start(timers: Timers, reliable: bool) -> Self {
        Self { state: State::Proceeding, timers, reliable, g: None, deadline: None }
    }

    pub fn state(&self) -> State {
        self.state
    }

    /// The INVITE came once more.
    pub fn handle_repeat(&self) -> Received {
        match self.state {
            State::Proceeding | State::Completed => Received::Repeat,
            State::Confirmed | State::Accepted | State::Terminated => Received::Drop,
        }
    }

    pub fn handle_ack(&mut self, now: Time) -> Received {
        match self.state {
            State::Completed => {
                self.state = State::Confirmed;
                self.g = None;
                self.deadline = Some(now + self.timers.linger(self.reliable));
                Received::Drop
            }
            // RFC 6026 §7.1: an ACK that matches while Accepted belongs to the 2xx and to the dialog.
            State::Accepted => Received::Up,
            State::Proceeding | State::Confirmed | State::Terminated => Received::Drop,
        }
    }

    /// The owner wants to send a response. False where the state forbids it.
    pub fn send(&mut self, now: Time, status: u16) -> bool {
        match (self.state, status) {
            (State::Proceeding, 100..=199) | (State::Accepted, 200..=299) => true,
            (State::Proceeding, 200..=299) => {
                self.state = State::Accepted;
                self.deadline = Some(now + self.timers.timeout());
                true
            }
            (State::Proceeding, 300..=699) => {
                self.state = State::Completed;
                self.g = (!self.reliable).then(|| (now + self.timers.t1, self.timers.t1));
                self.deadline = Some(now + self.timers.timeout());
                true
            }
            _ => false,
        }
    }

    pub fn handle_timeout(&mut self, now: Time) -> Fired {
        if self.deadline.is_some_and(|at| at <= now) {
            let fired = if self.state == State::Completed { Fired::TimedOut } else { Fired::Nothing };
            self.terminate();
            return fired;
        }
        match self.g {
            Some((at, interval)) if at <= now => {
                let next = self.timers.doubled(interval);
                self.g = Some((at + next, next));
                Fired::Retransmit
            }
            _ => Fired::Nothing,
        }
    }

    pub fn poll_timeout(&self) -> Option<Time> {
        [self.g.map(|(at, _)| at), self.deadline].into_iter().flatten().min()
    }

    /// The response cannot be delivered, or the owner gives up.
    pub fn terminate(&mut self) {
        self.state = State::Terminated;
        self.g = None;
        self.deadline = None;
    }
}
