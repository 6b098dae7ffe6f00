//! One client's session, kept while its socket comes and goes. A value: who locks it, and who writes to sockets, is
//! [`super::hub`]'s and [`super::socket`]'s business.
//!
//! Every event sent is kept in a ring, so that a client which comes back within [`limits::CTI_RING_TIME`] misses
//! nothing. What waits for the socket stands in the outbox; a client that reads too slowly loses what waits there and
//! gets snapshots instead, and one that keeps falling behind is dropped. Nothing here ever waits.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tokio::sync::{Notify, watch};

use super::frame::ServerFrame;
use crate::command::UserRole;
use crate::event::Seq;
use crate::http::desk::Viewer;
use crate::http::desk::entity::Me;
use crate::limits::http as limits;
use crate::time::Time;

/// A client's session.
#[derive(Debug)]
pub struct Session {
    pub viewer: Viewer,
    pub me: Me,
    /// The last event sent, or the place of the welcome: `prev` of the next.
    last: Seq,
    ring: VecDeque<Kept>,
    /// What a client must have seen at least for the ring to fill the rest.
    ring_after: Seq,
    outbox: VecDeque<Waiting>,
    events_waiting: usize,
    answers_waiting: usize,
    falls: VecDeque<Time>,
    commands: BTreeMap<String, Answered>,
    /// Which connection it is attached to; a newer one takes over.
    connection: u64,
    attached: Option<Arc<Line>>,
    ended: bool,
    /// When the last socket was lost.
    detached: Time,
    lag_events: usize,
}

/// Between a session and the task that writes its socket.
#[derive(Debug, Default)]
pub struct Line {
    /// Told whenever there is something to write, or the connection has ended.
    pub wake: Notify,
    /// The last event that the socket has taken.
    pub written: watch::Sender<Seq>,
}

#[derive(Debug)]
struct Kept {
    seq: Seq,
    at: Time,
    text: Arc<str>,
}

#[derive(Debug)]
enum Waiting {
    Event(Arc<str>),
    Answer(Arc<str>),
}

/// A command's answer, for a client that repeats it.
#[derive(Debug)]
enum Answered {
    Pending,
    With { text: Arc<str>, at: Time },
}

/// What to do with a command that has come.
#[derive(Debug, PartialEq, Eq)]
pub enum Admitted {
    /// Carry it out.
    New,
    /// It was answered, and is answered again the same way, or will be.
    Repeated,
    /// Too many wait for an answer.
    Full,
}

/// How the outbox stands after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    Well,
    /// The events that waited are gone: send snapshots.
    Fallen,
    /// Again and again: close the socket.
    Hopeless,
}

impl Session {
    /// `lag_events` may wait for a slow client; past them they are dropped and it gets snapshots instead.
    pub fn new(me: Me, masked: bool, seq: Seq, now: Time, lag_events: usize) -> Self {
        Self {
            viewer: Viewer { user: me.user.clone(), masked, topics: Vec::new() },
            me,
            last: seq,
            ring: VecDeque::new(),
            ring_after: seq,
            outbox: VecDeque::new(),
            events_waiting: 0,
            answers_waiting: 0,
            falls: VecDeque::new(),
            commands: BTreeMap::new(),
            connection: 0,
            attached: None,
            ended: false,
            detached: now,
            lag_events,
        }
    }

    pub fn role(&self) -> UserRole {
        self.me.role
    }

    pub fn last(&self) -> Seq {
        self.last
    }

    // -- the socket --------------------------------------------------------------------------------------------------

    /// Attaches a connection and gives its number; an older connection finds itself replaced.
    pub fn attach(&mut self, line: Arc<Line>) -> u64 {
        if let Some(older) = self.attached.replace(line) {
            older.wake.notify_one();
        }
        self.outbox.clear();
        (self.events_waiting, self.answers_waiting) = (0, 0);
        (self.connection, self.ended) = (self.connection + 1, false);
        self.connection
    }

    /// The connection's socket is gone. `false` where a newer one has taken over.
    pub fn detach(&mut self, connection: u64, now: Time) -> bool {
        if !self.is_attached_to(connection) {
            return false;
        }
        self.attached = None;
        self.outbox.clear();
        (self.events_waiting, self.answers_waiting) = (0, 0);
        self.detached = now;
        true
    }

    pub fn is_attached_to(&self, connection: u64) -> bool {
        self.connection == connection && self.attached.is_some()
    }

    /// Ends the connection from here: its task finds that it has no session any more, and closes the socket.
    pub fn hang_up(&mut self) {
        if let Some(line) = &self.attached {
            self.ended = true;
            line.wake.notify_one();
        }
    }

    /// Whether the connection was ended from here.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// The line of the live socket.
    pub fn line(&self) -> Option<&Line> {
        self.attached.as_deref()
    }

    /// Since when nobody is attached.
    pub fn unattended_since(&self) -> Option<Time> {
        self.attached.is_none().then_some(self.detached)
    }

    pub fn is_expired(&self, now: Time) -> bool {
        self.unattended_since().is_some_and(|since| now.since(since) > limits::CTI_RING_TIME)
    }

    /// The next texts to write, in order.
    pub fn take(&mut self) -> Vec<Arc<str>> {
        (self.events_waiting, self.answers_waiting) = (0, 0);
        let texts = self.outbox.drain(..).map(|waiting| match waiting {
            Waiting::Event(text) | Waiting::Answer(text) => text,
        });
        texts.collect()
    }

    fn wake(&self) {
        if let Some(line) = &self.attached {
            line.wake.notify_one();
        }
    }

    // -- events ------------------------------------------------------------------------------------------------------

    /// Keeps an event, and hands it to the socket. `frame` writes it with the `prev` it is given.
    pub fn push_event(&mut self, seq: Seq, now: Time, frame: impl FnOnce(Seq) -> String) -> Pace {
        let text: Arc<str> = frame(self.last).into();
        self.last = seq;
        self.ring.push_back(Kept { seq, at: now, text: Arc::clone(&text) });
        self.trim(now);
        if self.attached.is_none() {
            return Pace::Well;
        }
        if self.events_waiting >= self.lag_events {
            return self.fall(now);
        }
        self.events_waiting += 1;
        self.outbox.push_back(Waiting::Event(text));
        self.wake();
        Pace::Well
    }

    fn trim(&mut self, now: Time) {
        let too_old = |kept: &Kept| now.since(kept.at) > limits::CTI_RING_TIME;
        while self.ring.len() > limits::CTI_RING_EVENTS || self.ring.front().is_some_and(too_old) {
            if let Some(oldest) = self.ring.pop_front() {
                self.ring_after = oldest.seq;
            }
        }
    }

    fn fall(&mut self, now: Time) -> Pace {
        self.falls.push_back(now);
        while self.falls.front().is_some_and(|fall| now.since(*fall) > limits::CTI_RING_TIME) {
            self.falls.pop_front();
        }
        if self.falls.len() > limits::CTI_FALLS as usize { Pace::Hopeless } else { Pace::Fallen }
    }

    /// Drops the events that wait and starts the chain of `prev` at `seq`; snapshots follow.
    pub fn resync(&mut self, seq: Seq) {
        self.outbox.retain(|waiting| matches!(waiting, Waiting::Answer(_)));
        self.events_waiting = 0;
        self.ring.clear();
        (self.last, self.ring_after) = (seq, seq);
        self.push_snapshot(&ServerFrame::Resync { seq });
    }

    /// Whether everything after `seen` is still kept.
    pub fn can_resume(&self, seen: Seq) -> bool {
        seen == self.last || seen == self.ring_after || self.ring.iter().any(|kept| kept.seq == seen)
    }

    /// Puts every kept event after `seen` out again.
    pub fn replay(&mut self, seen: Seq) {
        let missed = self.ring.iter().filter(|kept| kept.seq > seen);
        for kept in missed {
            self.outbox.push_back(Waiting::Event(Arc::clone(&kept.text)));
        }
        self.wake();
    }

    // -- answers -----------------------------------------------------------------------------------------------------

    /// Hands an answer to the socket. `false` where too many wait: the client sends without reading.
    pub fn push_answer(&mut self, frame: &ServerFrame) -> bool {
        self.push_text(frame.text().into())
    }

    fn push_text(&mut self, text: Arc<str>) -> bool {
        if self.attached.is_none() {
            return true;
        }
        if self.answers_waiting >= limits::CTI_ANSWERS {
            return false;
        }
        self.answers_waiting += 1;
        self.outbox.push_back(Waiting::Answer(text));
        self.wake();
        true
    }

    /// Snapshots that the server sends of itself: at most one a topic, and they do not count against the client.
    pub fn push_snapshot(&mut self, frame: &ServerFrame) {
        if self.attached.is_some() {
            self.outbox.push_back(Waiting::Answer(frame.text().into()));
            self.wake();
        }
    }

    // -- commands ----------------------------------------------------------------------------------------------------

    /// Whether a command is new, by its id.
    pub fn admit(&mut self, id: &str, now: Time) -> Admitted {
        self.commands.retain(|_, answered| match answered {
            Answered::Pending => true,
            Answered::With { at, .. } => now.since(*at) <= limits::CTI_ANSWERED_TIME,
        });
        match self.commands.get(id) {
            Some(Answered::With { text, .. }) => {
                let text = Arc::clone(text);
                self.push_text(text);
                return Admitted::Repeated;
            }
            Some(Answered::Pending) => return Admitted::Repeated,
            None => {}
        }
        let pending = self.commands.values().filter(|answered| matches!(answered, Answered::Pending)).count();
        if pending >= limits::CTI_COMMANDS {
            return Admitted::Full;
        }
        while self.commands.len() >= limits::CTI_ANSWERED {
            let oldest = self.commands.iter().filter_map(|(id, answered)| match answered {
                Answered::With { at, .. } => Some((*at, id.clone())),
                Answered::Pending => None,
            });
            // More are remembered than may be pending, so one is answered.
            let Some((_, oldest)) = oldest.min() else { return Admitted::Full };
            self.commands.remove(&oldest);
        }
        self.commands.insert(id.to_owned(), Answered::Pending);
        Admitted::New
    }

    /// A command has its answer: kept for repetition, and sent where a socket is there.
    pub fn answer(&mut self, id: &str, frame: &ServerFrame, now: Time) -> bool {
        let text: Arc<str> = frame.text().into();
        self.commands.insert(id.to_owned(), Answered::With { text: Arc::clone(&text), at: now });
        self.push_text(text)
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    const NOW: Time = Time::from_secs(1_000);
    const LAG_EVENTS: usize = 512;

    fn session() -> (Session, u64) {
        let me = Me {
            user: "li".into(),
            display: String::new(),
            role: UserRole::Agent,
            language: None,
            account: None,
            reasons: vec![],
        };
        let mut session = Session::new(me, true, Seq(10), NOW, LAG_EVENTS);
        let connection = session.attach(Arc::default());
        (session, connection)
    }

    fn push(session: &mut Session, seq: u64, now: Time) -> Pace {
        session.push_event(Seq(seq), now, |prev| format!("{seq} after {prev}"))
    }

    fn texts(session: &mut Session) -> Vec<String> {
        session.take().iter().map(|text| text.to_string()).collect()
    }

    #[test]
    fn of_many_answered_commands_the_oldest_is_forgotten_and_would_be_done_again() {
        let (mut session, _) = session();
        let at = |n: usize| NOW + Duration::from_millis(n as u64);
        for n in 0..=limits::CTI_ANSWERED {
            let id = format!("c{n}");
            assert!(matches!(session.admit(&id, at(n)), Admitted::New), "{n}");
            session.answer(&id, &ServerFrame::Ok { id: id.clone(), seq: Seq(1), call: None }, at(n));
            session.take();
        }
        let now = at(limits::CTI_ANSWERED);
        assert!(matches!(session.admit("c1", now), Admitted::Repeated));
        assert!(matches!(session.admit("c0", now), Admitted::New));
    }

    #[test]
    fn each_event_names_the_one_before_it() {
        let (mut session, _) = session();
        push(&mut session, 12, NOW);
        push(&mut session, 15, NOW);
        assert_eq!(texts(&mut session), ["12 after 10", "15 after 12"]);
    }

    #[test]
    fn a_client_that_comes_back_gets_exactly_what_it_missed() {
        let (mut session, connection) = session();
        push(&mut session, 12, NOW);
        texts(&mut session);
        assert!(session.detach(connection, NOW));
        push(&mut session, 15, NOW);
        push(&mut session, 19, NOW);
        assert!(session.can_resume(Seq(12)));
        assert!(!session.can_resume(Seq(13)), "a place that was never sent is not this session's");
        session.attach(Arc::default());
        session.replay(Seq(12));
        assert_eq!(texts(&mut session), ["15 after 12", "19 after 15"]);
    }

    #[test]
    fn what_is_too_old_or_too_much_to_keep_cannot_be_resumed() {
        let (mut session, connection) = session();
        session.detach(connection, NOW);
        for seq in 11..=11 + limits::CTI_RING_EVENTS as u64 {
            push(&mut session, seq, NOW);
        }
        assert!(!session.can_resume(Seq(10)));
        assert!(session.can_resume(Seq(11)));
        let later = NOW + limits::CTI_RING_TIME + Duration::from_secs(1);
        push(&mut session, 9_000, later);
        assert!(!session.can_resume(Seq(12)));
        assert!(session.is_expired(later));
    }

    #[test]
    fn a_client_that_reads_too_slowly_falls_and_at_last_is_hopeless() {
        let (mut session, _) = session();
        let mut seq = 10;
        for fall in 0..=limits::CTI_FALLS {
            for _ in 0..LAG_EVENTS {
                seq += 1;
                assert_eq!(push(&mut session, seq, NOW), Pace::Well);
            }
            seq += 1;
            let expected = if fall < limits::CTI_FALLS { Pace::Fallen } else { Pace::Hopeless };
            assert_eq!(push(&mut session, seq, NOW), expected);
            session.resync(Seq(seq));
            assert_eq!(texts(&mut session), [format!(r#"{{"t":"resync","seq":{seq}}}"#)]);
        }
    }

    #[test]
    fn a_repeated_command_is_answered_again_and_not_carried_out_again() {
        let (mut session, _) = session();
        assert_eq!(session.admit("c1", NOW), Admitted::New);
        assert_eq!(session.admit("c1", NOW), Admitted::Repeated);
        assert!(texts(&mut session).is_empty());
        session.answer("c1", &ServerFrame::Ok { id: "c1".into(), seq: Seq(11), call: None }, NOW);
        assert_eq!(session.admit("c1", NOW), Admitted::Repeated);
        let answers = texts(&mut session);
        assert_eq!(answers.len(), 2);
        assert_eq!(answers[0], answers[1]);
        let later = NOW + limits::CTI_ANSWERED_TIME + Duration::from_secs(1);
        assert_eq!(session.admit("c1", later), Admitted::New);
    }

    #[test]
    fn commands_and_answers_that_wait_are_bounded() {
        let (mut session, _) = session();
        for command in 0..limits::CTI_COMMANDS {
            assert_eq!(session.admit(&format!("c{command}"), NOW), Admitted::New);
        }
        assert_eq!(session.admit("more", NOW), Admitted::Full);
        for answer in 0..limits::CTI_ANSWERS {
            assert!(session.push_answer(&ServerFrame::Pong { c: answer as f64, s: 0 }));
        }
        assert!(!session.push_answer(&ServerFrame::Pong { c: 0.0, s: 0 }));
    }

    #[test]
    fn a_newer_connection_takes_over() {
        let (mut session, first) = session();
        let second = session.attach(Arc::default());
        assert!(!session.is_attached_to(first));
        assert!(!session.detach(first, NOW));
        assert!(session.is_attached_to(second));
    }
}
