//! Non-INVITE client transaction (RFC 3261 §17.1.2).

use core::time::Duration;

use super::timer::Timers;
use super::{Fired, Verdict};
use crate::time::Time;

/// The state machine.
///
/// | state | 1xx | 200–699 | Timer E | Timer F | Timer K | transport error |
/// |---|---|---|---|---|---|---|
/// | Trying | up → Proceeding | up → Completed | send again, E doubles up to T2 | time-out → Terminated | – | error → Terminated |
/// | Proceeding | up | up → Completed | send again, E = T2 | time-out → Terminated | – | error → Terminated |
/// | Completed | drop | drop | – | – | → Terminated | – |
#[derive(Debug)]
pub struct Client {
    state: State,
    timers: Timers,
    reliable: bool,
    /// Timer E: when to send again, and the interval that led there. `None` over reliable transports.
    e: Option<(Time, Duration)>,
    /// Timer F until the final response, then K.
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

impl Client {
    /// The owner has just sent the request for the first time.
    pub fn start(now: Time, timers: Timers, reliable: bool) -> Self {
        let e = (!reliable).then(|| (now + timers.t1, timers.t1));
        Self { state: State::Trying, timers, reliable, e, deadline: Some(now + timers.timeout()) }
    }

    pub fn state(&self) -> State {
        self.state
    }

    pub fn handle_response(&mut self, now: Time, status: u16) -> Verdict {
        match (self.state, status) {
            (State::Trying | State::Proceeding, 100..=199) => {
                self.state = State::Proceeding;
                Verdict::Up
            }
            (State::Trying | State::Proceeding, 200..=699) => {
                self.state = State::Completed;
                self.e = None;
                self.deadline = Some(now + self.timers.linger(self.reliable));
                Verdict::Up
            }
            _ => Verdict::Drop,
        }
    }

    /// The transport could not deliver (RFC 3261 §17.1.4). True where the owner must hear of it.
    pub fn handle_transport_error(&mut self) -> bool {
        let tell = matches!(self.state, State::Trying | State::Proceeding);
        if tell {
            self.terminate();
        }
        tell
    }

    pub fn handle_timeout(&mut self, now: Time) -> Fired {
        if self.deadline.is_some_and(|at| at <= now) {
            let fired = if self.state == State::Completed { Fired::Nothing } else { Fired::TimedOut };
            self.terminate();
            return fired;
        }
        match self.e {
            Some((at, interval)) if at <= now => {
                // RFC 3261 §17.1.2.2: doubling up to T2 in Trying, T2 at once in Proceeding.
                let next = match self.state {
                    State::Proceeding => self.timers.t2,
                    _ => self.timers.doubled(interval),
                };
                self.e = Some((at + next, next));
                Fired::Retransmit
            }
            _ => Fired::Nothing,
        }
    }

    pub fn poll_timeout(&self) -> Option<Time> {
        [self.e.map(|(at, _)| at), self.deadline].into_iter().flatten().min()
    }

    fn terminate(&mut self) {
        self.state = State::Terminated;
        self.e = None;
        self.deadline = None;
    }
}
