//! The hub: joins the desktop's picture with the sessions that look at it.
//!
//! [`Hub::publish`] runs on the bus's thread: it folds the event and puts a frame into the outbox of each session that
//! sees any of it. It takes a lock that nobody holds for longer than a snapshot takes, and never waits for a socket.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use core::time::Duration;

use serde_json::value::RawValue;
use tokio::sync::watch;

use super::frame::{Ev, Resume, ServerFrame, Snap};
use super::session::{Admitted, Line, Pace, Session};
use crate::event::{Event, Seq};
use crate::http::desk::entity::Me;
use crate::http::desk::{Delta, Desk, Form, Image, QueuePlan, Topic, Viewer};
use crate::http::wire::Moment;
use crate::ids::{Epoch, IdSource, QueueName, SessionId, UserName};
use crate::limits::http as limits;
use crate::runtime::bus::Observer;
use crate::time::Time;

/// Sessions and the picture.
pub struct Hub {
    state: Mutex<State>,
    /// How far the picture is.
    folded: watch::Sender<Seq>,
    epoch: Epoch,
}

struct State {
    desk: Desk,
    sessions: BTreeMap<SessionId, Session>,
    ids: IdSource,
    /// Sockets of each user.
    links: BTreeMap<UserName, usize>,
    bounds: Bounds,
}

/// How much the hub keeps, as the plan's limits say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Sessions at once, those that wait for their client to come back included.
    pub sessions: usize,
    /// Events that may wait for a slow client.
    pub lag_events: usize,
}

/// A session's live socket: what the socket's task holds.
#[derive(Debug)]
pub struct Attached {
    pub session: SessionId,
    pub connection: u64,
    pub line: Arc<Line>,
    pub resumed: bool,
    /// Where the session stands: `prev` of the next event.
    pub seq: Seq,
    /// It is the user's first socket.
    pub link_up: bool,
}

/// Why a session could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSession {
    #[error("the server has too many sessions: try again in a minute")]
    Full,
    #[error("you have {0} open sessions: close one", limits::CTI_SESSIONS_PER_USER)]
    TooManyOfYours,
}

/// What to write next.
#[derive(Debug)]
pub enum Next {
    Write {
        texts: Vec<Arc<str>>,
        /// The last event among them and before.
        upto: Seq,
    },
    /// A newer connection has the session, or it was ended.
    Ended,
}

impl Hub {
    /// `seed` names sessions; it comes from the operating system, for a session's name is half of what resumes it.
    pub fn new(desk: Desk, epoch: Epoch, seed: u64, bounds: Bounds) -> Arc<Self> {
        let (folded, _) = watch::channel(desk.seq());
        let (sessions, links, ids) = (BTreeMap::new(), BTreeMap::new(), IdSource::from_seed(seed));
        let state = State { desk, sessions, ids, links, bounds };
        Arc::new(Self { state: Mutex::new(state), folded, epoch })
    }

    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Reads the picture. The bus waits meanwhile: take what is needed and go.
    pub fn look<T>(&self, read: impl FnOnce(&Desk) -> T) -> T {
        read(&self.lock().desk)
    }

    /// The plan that the next `plan.applied` is about.
    pub fn take_plan(&self, queues: BTreeMap<QueueName, QueuePlan>) {
        self.lock().desk.take_plan(queues);
    }

    /// Folds an event and hands it to the sessions.
    pub fn publish(&self, event: &Event) {
        let mut state = self.lock();
        let Some(delta) = state.desk.apply(event) else { return };
        let prints = Prints::of(&delta);
        let State { desk, sessions, .. } = &mut *state;
        for session in sessions.values_mut() {
            deliver(desk, session, &delta, &prints);
        }
        drop(state);
        self.folded.send_replace(delta.seq);
    }

    /// Waits until the picture shows everything up to `seq`, so that a client can read what it wrote. Gives up after
    /// [`FOLD_PATIENCE`]: an order that is done is done.
    pub async fn wait_for(&self, seq: Seq) {
        let mut folded = self.folded.subscribe();
        // The sender lives as long as `self`.
        let _ = tokio::time::timeout(FOLD_PATIENCE, folded.wait_for(|at| *at >= seq)).await;
    }

    /// Waits until the live sockets of `users` have taken everything up to `seq` that is theirs to see. Gives up after
    /// [`HEAD_START`]: a slow socket keeps nobody.
    pub async fn head_start(&self, users: &[UserName], seq: Seq) {
        let taken = async {
            self.wait_for(seq).await;
            for mut written in self.lines_of(users, seq) {
                // An error means that the socket is gone.
                let _ = written.wait_for(|at| *at >= seq).await;
            }
        };
        let _ = tokio::time::timeout(HEAD_START, taken).await;
    }

    /// What the sockets of `users` have taken, of those that have been handed `seq` or later.
    fn lines_of(&self, users: &[UserName], seq: Seq) -> Vec<watch::Receiver<Seq>> {
        let state = self.lock();
        let theirs =
            state.sessions.values().filter(|session| users.contains(&session.me.user) && session.last() >= seq);
        theirs.filter_map(|session| Some(session.line()?.written.subscribe())).collect()
    }

    // -- sockets -----------------------------------------------------------------------------------------------------

    /// Opens a session for a socket, or takes up the one the client left.
    pub fn attach(&self, me: &Me, masked: bool, resume: Option<Resume>, now: Time) -> Result<Attached, NoSession> {
        let mut state = self.lock();
        state.sessions.retain(|_, session| !session.is_expired(now));
        let line = Arc::new(Line::default());
        let resumable = resume.filter(|resume| {
            resume.epoch == self.epoch
                && state.sessions.get(&resume.session).is_some_and(|session| {
                    // The same person with the same eyes.
                    session.me.user == me.user && session.role() == me.role && session.can_resume(resume.seq)
                })
        });
        let id = match resumable {
            Some(resume) => resume.session,
            None => state.open(me, masked, now)?,
        };
        let Some(session) = state.sessions.get_mut(&id) else { return Err(NoSession::Full) };
        let replaced = session.unattended_since().is_none() && resumable.is_some();
        let connection = session.attach(Arc::clone(&line));
        let seq = resumable.map_or(session.last(), |resume| resume.seq);
        if let Some(resume) = resumable {
            session.replay(resume.seq);
        }
        let links = state.links.entry(me.user.clone()).or_default();
        *links += usize::from(!replaced);
        let link_up = *links == 1 && !replaced;
        Ok(Attached { session: id, connection, line, resumed: resumable.is_some(), seq, link_up })
    }

    /// The socket is gone; `true` where it was the user's last.
    pub fn detach(&self, attached: &Attached, now: Time) -> bool {
        let mut state = self.lock();
        let Some(session) = state.sessions.get_mut(&attached.session) else { return false };
        if !session.detach(attached.connection, now) {
            return false;
        }
        let user = session.me.user.clone();
        let Some(links) = state.links.get_mut(&user) else { return false };
        *links = links.saturating_sub(1);
        let last = *links == 0;
        if last {
            state.links.remove(&user);
        }
        last
    }

    /// What the socket writes next.
    pub fn next(&self, attached: &Attached) -> Next {
        let mut state = self.lock();
        match state.sessions.get_mut(&attached.session) {
            Some(session) if session.is_ended() => Next::Ended,
            Some(session) if session.is_attached_to(attached.connection) => {
                Next::Write { texts: session.take(), upto: session.last() }
            }
            _ => Next::Ended,
        }
    }

    // -- frames ------------------------------------------------------------------------------------------------------

    /// Adds topics and answers each with its snapshot.
    pub fn subscribe(&self, attached: &Attached, id: &str, topics: &[String]) {
        self.with(attached, |desk, session| {
            for text in topics {
                let refused = match text.parse::<Topic>() {
                    Err(unknown) => Some(ServerFrame::refusal(id, "topic.unknown", format!("{unknown}."))),
                    Ok(topic) => subscribe_one(desk, session, id, topic),
                };
                if let Some(refusal) = refused
                    && !session.push_answer(&refusal)
                {
                    return false;
                }
            }
            true
        });
    }

    pub fn unsubscribe(&self, attached: &Attached, id: &str, topics: &[String]) {
        self.with(attached, |desk, session| {
            session.viewer.topics.retain(|topic| !topics.contains(&topic.to_string()));
            session.push_answer(&ServerFrame::Ok { id: id.to_owned(), seq: desk.seq(), call: None })
        });
    }

    /// The client has lost the thread: everything anew.
    pub fn resync(&self, attached: &Attached) {
        self.with(attached, |desk, session| {
            send_afresh(desk, session);
            true
        });
    }

    pub fn answer(&self, attached: &Attached, frame: &ServerFrame) {
        self.with(attached, |_, session| session.push_answer(frame));
    }

    /// An event of this session alone, such as `auth.expiring`.
    pub fn notify(&self, attached: &Attached, name: &str, now: Time) {
        self.with(attached, |desk, session| {
            let seq = desk.seq();
            let frame = |prev| {
                let (topic, name) = (Topic::Me.to_string(), name.to_owned());
                ServerFrame::Ev(Ev { seq, prev, topic, name, at: Moment(now), items: Vec::new() }).text()
            };
            session.push_event(seq, now, frame) != Pace::Hopeless
        });
    }

    pub fn admit(&self, attached: &Attached, id: &str, now: Time) -> Admitted {
        let mut admitted = Admitted::Repeated;
        self.with(attached, |_, session| {
            admitted = session.admit(id, now);
            true
        });
        admitted
    }

    /// Answers a command, to whichever socket the session has by now.
    pub fn answer_command(&self, session: SessionId, id: &str, frame: &ServerFrame, now: Time) {
        let mut state = self.lock();
        if let Some(found) = state.sessions.get_mut(&session)
            && !found.answer(id, frame, now)
        {
            state.end(session);
        }
    }

    /// Ends every session of a user: signed out, or with another role.
    pub fn end_sessions_of(&self, user: &UserName) {
        let mut state = self.lock();
        let theirs = state.sessions.iter().filter(|(_, session)| session.me.user == *user).map(|(id, _)| *id);
        for id in theirs.collect::<Vec<_>>() {
            state.end(id);
        }
    }

    /// Runs a step on the session of a live socket; ends it where the step says `false`.
    fn with(&self, attached: &Attached, step: impl FnOnce(&Desk, &mut Session) -> bool) {
        let mut state = self.lock();
        let State { desk, sessions, .. } = &mut *state;
        let Some(session) = sessions.get_mut(&attached.session) else { return };
        if session.is_attached_to(attached.connection) && !step(desk, session) {
            session.hang_up();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock leaves a picture that is at worst one event behind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The hub on the bus.
impl Observer for Arc<Hub> {
    fn handle(&mut self, event: &Arc<Event>) {
        self.publish(event);
    }
}

impl State {
    fn open(&mut self, me: &Me, masked: bool, now: Time) -> Result<SessionId, NoSession> {
        let theirs = || self.sessions.iter().filter(|(_, session)| session.me.user == me.user);
        if theirs().count() >= limits::CTI_SESSIONS_PER_USER {
            let unattended = theirs().filter_map(|(id, session)| Some((session.unattended_since()?, *id))).min();
            let (_, oldest) = unattended.ok_or(NoSession::TooManyOfYours)?;
            self.sessions.remove(&oldest);
        }
        if self.sessions.len() >= self.bounds.sessions {
            return Err(NoSession::Full);
        }
        let id = self.ids.next(now);
        self.sessions.insert(id, Session::new(me.clone(), masked, self.desk.seq(), now, self.bounds.lag_events));
        Ok(id)
    }

    fn end(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.hang_up();
        }
    }
}

fn subscribe_one(desk: &Desk, session: &mut Session, id: &str, topic: Topic) -> Option<ServerFrame> {
    if !topic.is_open_to(session.role()) {
        let msg = format!("Your role may not see {topic}.");
        return Some(ServerFrame::refusal(id, "role.forbidden", msg));
    }
    if !session.viewer.topics.contains(&topic) {
        if session.viewer.topics.len() >= limits::CTI_TOPICS {
            let msg = format!("At most {} topics at once.", limits::CTI_TOPICS);
            return Some(ServerFrame::refusal(id, "topic.too_many", msg));
        }
        session.viewer.topics.push(topic.clone());
    }
    let frame = snap(desk, &session.viewer, id, &topic);
    // Refusing the answer ends the session; the snapshot itself is its first answer.
    (!session.push_answer(&frame)).then_some(frame)
}

fn snap(desk: &Desk, viewer: &Viewer, id: &str, topic: &Topic) -> ServerFrame {
    let items = viewer.snapshot(desk, topic);
    ServerFrame::Snap(Snap { id: id.to_owned(), topic: topic.to_string(), seq: desk.seq(), items })
}

fn send_afresh(desk: &Desk, session: &mut Session) {
    session.resync(desk.seq());
    for topic in session.viewer.topics.clone() {
        let frame = snap(desk, &session.viewer, "", &topic);
        session.push_snapshot(&frame);
    }
}

fn deliver(desk: &Desk, session: &mut Session, delta: &Delta, prints: &Prints) {
    let Some((topic, picked)) = session.viewer.pick(&delta.images) else { return };
    let (topic, masked) = (topic.to_string(), session.viewer.masked);
    let items = picked.into_iter().filter_map(|(index, form)| prints.item(index, form, masked)).collect();
    let frame = |prev| {
        let (name, at) = (delta.name.to_owned(), Moment(delta.at));
        ServerFrame::Ev(Ev { seq: delta.seq, prev, topic, name, at, items }).text()
    };
    match session.push_event(delta.seq, delta.at, frame) {
        Pace::Well => {}
        Pace::Fallen => send_afresh(desk, session),
        Pace::Hopeless => {
            tracing::warn!(user = %session.me.user, "a CTI client reads too slowly and is dropped");
            session.hang_up();
        }
    }
}

/// An event's images as JSON: each form is written once, however many look.
struct Prints(VecDeque<Print>);

struct Print {
    clear: Box<RawValue>,
    masked: Box<RawValue>,
    gone: Box<RawValue>,
}

impl Prints {
    fn of(delta: &Delta) -> Self {
        Self(delta.images.iter().filter_map(print).collect())
    }

    fn item(&self, index: usize, form: Form, masked: bool) -> Option<Box<RawValue>> {
        let print = self.0.get(index)?;
        let text = match (form, masked) {
            (Form::Gone, _) => &print.gone,
            (Form::Whole, true) => &print.masked,
            (Form::Whole, false) => &print.clear,
        };
        Some(text.clone())
    }
}

/// Entities are plain values with text for keys, so this never fails, and indices stay aligned.
fn print(image: &Image) -> Option<Print> {
    let raw = |entity: &crate::http::desk::Entity| serde_json::value::to_raw_value(entity).ok();
    let entity = &image.entity;
    Some(Print { clear: raw(entity)?, masked: raw(&entity.masked())?, gone: raw(&entity.gone())? })
}

/// How long an answer waits for the picture to catch up with the switch.
const FOLD_PATIENCE: Duration = Duration::from_secs(1);
/// How long a phone's INVITE waits at most for the offer to be on its agent's desktop.
const HEAD_START: Duration = Duration::from_millis(50);
