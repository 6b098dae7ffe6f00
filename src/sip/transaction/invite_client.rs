//! INVITE client transaction (RFC 3261 §17.1.1 with RFC 6026 §7.2): no message, no socket, only states and deadlines.

use core::time::Duration;

use super::timer::Timers;
use super::{Fired, Verdict};
use crate::time::Time;

/// The state machine. Times are absolute; the owner keeps the request and sends it as the answers here say.
///
/// | state | 1xx | 2xx | 300–699 | Timer A | Timer B | Timer D / M | transport error |
/// |---|---|---|---|---|---|---|---|
/// | Calling | up → Proceeding | up → Accepted | up, ACK → Completed | send again, A doubles | time-out → Terminated | – | error → Terminated |
/// | Proceeding | up | up → Accepted | up, ACK → Completed | – | – | – | – |
/// | Completed | drop | drop | ACK again | – | – | → Terminated | error → Terminated |
/// | Accepted | drop | up | drop | – | – | → Terminated | – |
///
/// The 2xx is acknowledged by the dialog, not here (§13.2.2.4); each 2xx, repeated or forked, goes up while Accepted.
#[derive(Debug)]
pub struct InviteClient {
    state: State,
    timers: Timers,
    reliable: bool,
    /// Timer A: when to send again, and the interval that led there. `None` over reliable transports.
    a: Option<(Time, Duration)>,
    /// Timer B in Calling, D in Completed, M in Accepted.
    deadline: Option<Time>,
}

/// The RFC's state names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Calling,
    Proceeding,
    Completed,
    Accepted,
    Terminated,
}

impl InviteClient {
    /// The owner has just sent the request for the first time.
    pub fn start(now: Time, timers: Timers, reliable: bool) -> Self {
        let a = (!reliable).then(|| (now + timers.t1, timers.t1));
        Self { state: State::Calling, timers, reliable, a, deadline: Some(now + timers.timeout()) }
    }

    pub fn state(&self) -> State {
        self.state
    }

    /// `status` is that of a response whose key matches.
    pub fn handle_response(&mut self, now: Time, status: u16) -> Verdict {
        match (self.state, status) {
            (State::Calling | State::Proceeding, 100..=199) => {
                self.enter(State::Proceeding, None);
                Verdict::Up
            }
            (State::Calling | State::Proceeding, 200..=299) => {
                // RFC 6026 §7.2: Timer M, so that repeated and forked 2xx find their way up.
                self.enter(State::Accepted, Some(now + self.timers.timeout()));
                Verdict::Up
            }
            (State::Calling | State::Proceeding, 300..=699) => {
                self.enter(State::Completed, Some(now + self.timers.d(self.reliable)));
                Verdict::UpAndAck
            }
            (State::Accepted, 200..=299) => Verdict::Up,
            (State::Completed, 300..=699) => Verdict::Ack,
            _ => Verdict::Drop,
        }
    }

    /// The transport could not deliver (RFC 3261 §17.1.4). True where the owner must hear of it.
    pub fn handle_transport_error(&mut self) -> bool {
        let tell = matches!(self.state, State::Calling | State::Completed);
        if tell {
            self.enter(State::Terminated, None);
        }
        tell
    }

    /// The owner gives the transaction up: a CANCEL got no final response (RFC 3261 §9.1).
    pub fn abandon(&mut self) {
        self.enter(State::Terminated, None);
    }

    pub fn handle_timeout(&mut self, now: Time) -> Fired {
        if self.deadline.is_some_and(|at| at <= now) {
            let fired = if self.state == State::Calling { Fired::TimedOut } else { Fired::Nothing };
            self.enter(State::Terminated, None);
            return fired;
        }
        match self.a {
            Some((at, interval)) if at <= now => {
                // RFC 3261 §17.1.1.2: 0, T1, 3·T1, 7·T1 … without a ceiling, until B.
                self.a = Some((at + interval * 2, interval * 2));
                Fired::Retransmit
            }
            _ => Fired::Nothing,
        }
    }

    pub fn poll_timeout(&self) -> Option<Time> {
        [self.a.map(|(at, _)| at), self.deadline].into_iter().flatten().min()
    }

    fn enter(&mut self, state: State, deadline: Option<Time>) {
        self.state = state;
        self.a = None;
        self.deadline = deadline;
    }
}
