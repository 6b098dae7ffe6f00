//! The machine that simulated phones and trunks share: a user agent (RFC 3261) as a value, with its calls.
//!
//! The owner feeds it datagrams and time, and drains what to send, what to report, and what it must decide itself
//! ([`Outcome`]). A call is in one of four phases:
//!
//! | phase | a call placed | a call taken |
//! |---|---|---|
//! | Early | INVITE sent, no final answer | rings, by its [`AnswerPlan`] |
//! | Answering | – | 2xx sent, no ACK yet |
//! | Up | 2xx received and acknowledged | ACK received |
//! | Closing | BYE sent | BYE sent |

mod placed;
mod taken;
mod within;

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

pub use taken::{AnswerPlan, Step};

use super::dialog::{Dialog, Identity, answer};
use super::digest::{Challenge, Login};
use super::exchange::{Datagram, Exchanges, Expired, IncomingKey, Turn};
use super::report::{CallKey, EndedBy, Ending, MediaPath, PhoneReport};
use super::rsip_wire::{Draft, Method, Received, SipUri};
use super::session::{Direction, Session};
use crate::codec::Codec;
use crate::ids::SecretSource;
use crate::limits;
use crate::time::Time;

/// Who the endpoint is and how it behaves.
#[derive(Clone, Debug)]
pub struct EndpointSettings {
    pub identity: Identity,
    /// Where every request goes that has no dialog yet: the switch.
    pub peer: SocketAddr,
    pub media: MediaPorts,
    /// In order of preference.
    pub codecs: Vec<Codec>,
    pub login: Option<Login>,
    /// Calls at once; the next one in is refused with `full_status`.
    pub max_calls: usize,
    pub full_status: u16,
    /// How OPTIONS is answered; `None` is silence.
    pub options_status: Option<u16>,
    /// Follow REFER by placing a call, as desk phones do; carriers refuse it with 405.
    pub takes_refer: bool,
}

/// What a driver needs of a phone or a trunk: one datagram or one moment in, then drain.
pub trait UserAgent: Send {
    /// Takes a datagram.
    fn handle(&mut self, now: Time, from: SocketAddr, bytes: &[u8]);
    /// Does what is due.
    fn handle_timeout(&mut self, now: Time);
    /// When something is due next.
    fn poll_timeout(&self) -> Option<Time>;
    /// The next datagram to send.
    fn poll_send(&mut self) -> Option<Datagram>;
    /// The next thing that happened. Drivers read these before they send, so that a port is open before it is named.
    fn poll_report(&mut self) -> Option<PhoneReport>;
    /// The calls: answer, hang up, hold, press.
    fn endpoint(&mut self) -> &mut Endpoint;
}

/// The RTP ports of an endpoint: even ones from `first`, one a call, taken in turn so that a late packet of a
/// finished call meets no new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaPorts {
    pub ip: IpAddr,
    pub first: u16,
    pub count: u16,
}

/// A call to place.
#[derive(Clone, Debug)]
pub struct Order {
    /// Request-URI and To.
    pub to: SipUri,
    /// Request-URI, where it differs from To: a contact that the switch registered.
    pub request_uri: Option<SipUri>,
    /// From as text without tag, where it is not our own address of record.
    pub from: Option<String>,
    pub headers: Vec<(String, String)>,
    /// Send INVITE without a description, and answer the far side's offer in the ACK.
    pub late_offer: bool,
}

impl Order {
    pub fn to(to: SipUri) -> Self {
        Self { to, request_uri: None, from: None, headers: Vec::new(), late_offer: false }
    }
}

/// What only the owner can decide.
#[derive(Debug)]
pub enum Outcome {
    /// A call came in: give it a plan by [`Endpoint::follow`], or turn it away by [`Endpoint::challenge`].
    Invited(CallKey, Box<Received>),
    /// A request outside any dialog that the endpoint does not answer itself.
    Asked(IncomingKey, Box<Received>),
    /// The final answer to a request of [`Endpoint::send_outside`]; `None` where none came.
    Outside(Method, Option<Box<Received>>),
}

/// Why a call cannot be placed or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PhoneError {
    #[error("the phone has as many calls as it can hold")]
    Full,
    #[error("the phone has no such call")]
    NoSuchCall,
    #[error("the call is not in a state that allows this")]
    WrongState,
}

/// See the module.
pub struct Endpoint {
    settings: EndpointSettings,
    secrets: SecretSource,
    exchanges: Exchanges<Sent>,
    calls: BTreeMap<CallKey, Call>,
    next_call: u32,
    next_port: u16,
    reports: VecDeque<PhoneReport>,
    outcomes: VecDeque<Outcome>,
}

/// What a request was for, and how often it has been sent again with credentials.
#[derive(Clone, Debug)]
struct Sent {
    purpose: Purpose,
    attempts: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Invite(CallKey),
    Reinvite(CallKey),
    Cancel(CallKey),
    Bye(CallKey),
    /// BYE of a fork that lost.
    ForkBye,
    Info,
    Notify,
    Refer(CallKey),
    /// Belongs to the owner: REGISTER.
    Outside(Method),
}

struct Call {
    side: Side,
    phase: Phase,
    dialog: Dialog,
    /// Our description as last agreed or offered.
    ours: Option<Session>,
    theirs: Option<Session>,
    /// The direction our user wants: both ways, or hold.
    wanted: Direction,
    /// A re-INVITE of ours without final answer.
    pending: Option<Change>,
    /// Hang up as soon as the signalling allows.
    hang_up: bool,
    /// Acknowledgements of 2xx by CSeq and To tag, to repeat when the 2xx is.
    acks: BTreeMap<(u32, Option<String>), Datagram>,
    steps: Vec<(Time, Step)>,
    /// The call whose REFER this one follows: it is told how this one goes.
    referred_from: Option<CallKey>,
}

enum Side {
    Placed {
        /// What CANCEL must repeat, and where it goes; changes when the INVITE is sent again with credentials.
        invite: Box<Draft>,
        to: SocketAddr,
        provisional: bool,
        late_offer: bool,
    },
    Taken {
        key: IncomingKey,
        invite: Box<Received>,
        /// The To tags of our 2xx answers that still stand.
        tags: Vec<String>,
        /// Our 2xx carried an offer; the ACK brings its answer.
        offered_late: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Early,
    Answering,
    Up,
    Closing,
}

/// What a re-INVITE asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    wanted: Direction,
    local: SocketAddr,
}

impl Endpoint {
    pub fn new(settings: EndpointSettings, seed: u64) -> Self {
        Self {
            next_port: settings.media.first,
            settings,
            secrets: SecretSource::from_seed(seed),
            exchanges: Exchanges::default(),
            calls: BTreeMap::new(),
            next_call: 1,
            reports: VecDeque::new(),
            outcomes: VecDeque::new(),
        }
    }

    pub fn settings(&self) -> &EndpointSettings {
        &self.settings
    }

    pub fn settings_mut(&mut self) -> &mut EndpointSettings {
        &mut self.settings
    }

    pub fn secrets(&mut self) -> &mut SecretSource {
        &mut self.secrets
    }

    /// Calls that are not over, oldest first.
    pub fn calls(&self) -> impl Iterator<Item = CallKey> {
        self.calls.iter().filter(|(_, call)| call.phase != Phase::Closing).map(|(key, _)| *key)
    }

    /// No call is left, not even one whose BYE waits for its answer.
    pub fn is_idle(&self) -> bool {
        self.calls.is_empty()
    }

    /// The call's media as last agreed.
    pub fn media(&self, call: CallKey) -> Option<MediaPath> {
        self.calls.get(&call).and_then(Call::path)
    }

    /// Takes a datagram.
    pub fn handle(&mut self, now: Time, from: SocketAddr, bytes: &[u8]) {
        // Keep-alives of RFC 5626 §4.4.1 and RFC 6223 are no messages.
        if bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return;
        }
        let message = match Received::parse(bytes) {
            Ok(message) => message,
            Err(error) => return self.report(PhoneReport::Unreadable(error)),
        };
        match self.exchanges.handle(now, from, &message) {
            Turn::Absorbed => {}
            Turn::Ack { key, first } => self.on_ack(now, &key, first, &message),
            Turn::Request(key) => self.on_request(now, from, key, message),
            Turn::Response { purpose, draft } => self.on_response(now, purpose, draft, message),
        }
    }

    /// Repeats, gives up, rings, answers: whatever is due.
    pub fn handle_timeout(&mut self, now: Time) {
        for expired in self.exchanges.handle_timeout(now) {
            match expired {
                Expired::NoAnswer(sent) => self.on_silence(now, sent.purpose),
                Expired::NoAck(key) => self.on_no_ack(now, &key),
            }
        }
        self.run_steps(now);
    }

    pub fn poll_timeout(&self) -> Option<Time> {
        let steps = self.calls.values().flat_map(|call| call.steps.iter().map(|(at, _)| *at)).min();
        [steps, self.exchanges.poll_timeout()].into_iter().flatten().min()
    }

    pub fn poll_send(&mut self) -> Option<Datagram> {
        self.exchanges.poll_send()
    }

    pub fn poll_report(&mut self) -> Option<PhoneReport> {
        self.reports.pop_front()
    }

    pub fn poll_outcome(&mut self) -> Option<Outcome> {
        self.outcomes.pop_front()
    }

    /// Adds to the reports; the oldest goes where nobody reads them.
    pub fn report(&mut self, report: PhoneReport) {
        if self.reports.len() >= limits::SIM_REPORTS {
            self.reports.pop_front();
        }
        self.reports.push_back(report);
    }

    /// Sends a request outside any dialog (REGISTER) and hands its answer back as [`Outcome::Outside`].
    pub fn send_outside(&mut self, now: Time, draft: Draft) {
        let method = draft.method().unwrap_or(Method::Options);
        self.send(now, self.settings.peer, draft, Purpose::Outside(method), 0);
    }

    /// Answers a request of [`Outcome::Asked`]; `shape` adds headers.
    pub fn answer_outside(
        &mut self,
        now: Time,
        key: &IncomingKey,
        request: &Received,
        status: u16,
        shape: impl FnOnce(Draft) -> Draft,
    ) {
        let tag = self.secrets.token();
        let draft = shape(answer(request, status, &tag, &self.settings.identity));
        self.exchanges.respond(now, key, status, Some(&tag), &draft);
    }

    /// Puts a fresh branch and, where we were challenged before, credentials on the draft, and sends it.
    fn send(&mut self, now: Time, to: SocketAddr, mut draft: Draft, purpose: Purpose, attempts: u8) -> Draft {
        let branch = self.new_via(&mut draft);
        self.authorize(&mut draft);
        let sent = Sent { purpose, attempts };
        if self.exchanges.request(now, to, &branch, draft.clone(), sent).is_err() {
            self.on_silence(now, purpose);
        }
        draft
    }

    fn new_via(&mut self, draft: &mut Draft) -> String {
        // RFC 3261 §8.1.1.7: the cookie, then what no other transaction has.
        let branch = format!("z9hG4bK{}", self.secrets.token());
        draft.set("Via", format!("SIP/2.0/UDP {};branch={branch};rport", self.settings.identity.local));
        branch
    }

    fn authorize(&mut self, draft: &mut Draft) {
        draft.remove("Authorization");
        draft.remove("Proxy-Authorization");
        let cnonce = self.secrets.token();
        let (Some(method), Some(uri)) = (draft.method(), draft.uri().map(SipUri::to_string)) else { return };
        if let Some((name, text)) = self.settings.login.as_mut().and_then(|login| login.answer(method, &uri, &cnonce)) {
            draft.set(name, text);
        }
    }

    fn on_response(&mut self, now: Time, sent: Sent, draft: Draft, message: Received) {
        let status = message.status().unwrap_or(500);
        if matches!(status, 401 | 407) && self.try_again(now, &sent, &draft, &message) {
            return;
        }
        match sent.purpose {
            Purpose::Invite(call) => self.on_invite_answer(now, call, status, &message),
            Purpose::Reinvite(call) => self.on_reinvite_answer(now, call, status, &message),
            Purpose::Cancel(call) => self.on_cancel_answer(now, call),
            Purpose::Bye(call) => drop(self.calls.remove(&call)),
            Purpose::Refer(call) => self.report(PhoneReport::Transfer { call, status }),
            Purpose::ForkBye | Purpose::Info | Purpose::Notify => {}
            Purpose::Outside(method) => self.outcomes.push_back(Outcome::Outside(method, Some(Box::new(message)))),
        }
    }

    /// Sends a challenged request once more with credentials (RFC 3261 §22.2): once, or while the nonce is stale.
    fn try_again(&mut self, now: Time, sent: &Sent, draft: &Draft, message: &Received) -> bool {
        let Some(challenge) = Challenge::of(message) else { return false };
        let Some(login) = &mut self.settings.login else { return false };
        if sent.attempts >= if challenge.stale { 3 } else { 1 } {
            return false;
        }
        login.challenged(challenge);
        let cseq = message.cseq.wrapping_add(1);
        let mut draft = draft.clone();
        draft.set("CSeq", format!("{cseq} {}", message.method));
        let to = match self.call_of(sent.purpose) {
            Some(call) if call.hang_up && call.phase == Phase::Early => return false,
            Some(call) => {
                call.dialog.local_cseq = call.dialog.local_cseq.max(cseq);
                call.dialog.next_hop()
            }
            None => self.settings.peer,
        };
        let draft = self.send(now, to, draft, sent.purpose, sent.attempts + 1);
        if let Purpose::Invite(call) = sent.purpose
            && let Some(Call { side: Side::Placed { invite, provisional, .. }, .. }) = self.calls.get_mut(&call)
        {
            (**invite, *provisional) = (draft, false);
        }
        true
    }

    fn call_of(&mut self, purpose: Purpose) -> Option<&mut Call> {
        match purpose {
            Purpose::Invite(call)
            | Purpose::Reinvite(call)
            | Purpose::Cancel(call)
            | Purpose::Bye(call)
            | Purpose::Refer(call) => self.calls.get_mut(&call),
            Purpose::ForkBye | Purpose::Info | Purpose::Notify | Purpose::Outside(_) => None,
        }
    }

    fn on_silence(&mut self, now: Time, purpose: Purpose) {
        let lost = |status| Ending { status, by: EndedBy::Silence };
        match purpose {
            Purpose::Invite(call) | Purpose::Cancel(call) => self.end(call, lost(408)),
            Purpose::Reinvite(call) => self.bye(now, call, lost(408)),
            Purpose::Bye(call) => drop(self.calls.remove(&call)),
            Purpose::Refer(call) => self.report(PhoneReport::Transfer { call, status: 408 }),
            Purpose::ForkBye | Purpose::Info | Purpose::Notify => {}
            Purpose::Outside(method) => self.outcomes.push_back(Outcome::Outside(method, None)),
        }
    }

    /// Reports the end of a call and forgets it.
    fn end(&mut self, call: CallKey, ending: Ending) {
        if let Some(gone) = self.calls.remove(&call)
            && gone.phase != Phase::Closing
        {
            if let Side::Taken { key, .. } = &gone.side {
                self.exchanges.settle(key);
            }
            self.report(PhoneReport::Ended { call, ending });
        }
    }

    /// Sends BYE, and reports the end at once; the call stays until the BYE is answered.
    fn bye(&mut self, now: Time, call: CallKey, ending: Ending) {
        let Some(closing) = self.calls.get_mut(&call).filter(|call| call.phase != Phase::Closing) else { return };
        closing.phase = Phase::Closing;
        closing.steps.clear();
        let (draft, to) = (closing.dialog.request(Method::Bye, &self.settings.identity), closing.dialog.next_hop());
        if let Side::Taken { key, .. } = &closing.side {
            self.exchanges.settle(key);
        }
        self.report(PhoneReport::Ended { call, ending });
        self.send(now, to, draft, Purpose::Bye(call), 0);
    }

    fn run_steps(&mut self, now: Time) {
        loop {
            let due = self.calls.iter_mut().find_map(|(key, call)| {
                let at = call.steps.iter().position(|(at, _)| *at <= now)?;
                Some((*key, call.steps.remove(at).1))
            });
            let Some((call, step)) = due else { return };
            self.take_step(now, call, step);
        }
    }

    fn new_call_key(&mut self) -> CallKey {
        let key = CallKey(self.next_call);
        self.next_call = self.next_call.wrapping_add(1).max(1);
        key
    }

    fn is_full(&self) -> bool {
        self.calls().count() >= self.settings.max_calls
    }

    /// The next RTP address that no call uses.
    fn take_port(&mut self, call: CallKey) -> SocketAddr {
        let MediaPorts { ip, first, count } = self.settings.media;
        let last = first.saturating_add(count.saturating_sub(1).saturating_mul(2));
        let mut local = SocketAddr::new(ip, self.next_port);
        for _ in 0..count {
            local.set_port(self.next_port);
            self.next_port = if self.next_port >= last { first } else { self.next_port + 2 };
            let used = |call: &Call| call.ours.as_ref().is_some_and(|ours| ours.address == local);
            if !self.calls.values().any(used) {
                break;
            }
        }
        self.report(PhoneReport::MediaOpened { call, local });
        local
    }

    fn new_session(&mut self, call: CallKey) -> Session {
        let local = self.take_port(call);
        Session::new(self.secrets.u32() >> 1, local, &self.settings.codecs)
    }
}

impl Call {
    fn new(side: Side, dialog: Dialog) -> Self {
        Self {
            side,
            phase: Phase::Early,
            dialog,
            ours: None,
            theirs: None,
            wanted: Direction::SendRecv,
            pending: None,
            hang_up: false,
            acks: BTreeMap::new(),
            steps: Vec::new(),
            referred_from: None,
        }
    }

    /// The media as the two descriptions agree; a phone on hold sends nothing, whatever was negotiated.
    fn path(&self) -> Option<MediaPath> {
        let (ours, theirs) = (self.ours.as_ref()?, self.theirs.as_ref()?);
        // The answer is the one that names a single format; where both do, they name the same.
        let answer = if ours.codecs.len() == 1 { ours } else { theirs };
        let mut path = ours.path(theirs, answer).ok()?;
        path.send &= self.wanted == Direction::SendRecv;
        Some(path)
    }

    fn do_at(&mut self, at: Time, step: Step) {
        self.steps.push((at, step));
    }

    fn stop_steps(&mut self) {
        self.steps.clear();
    }
}

/// How long a cancelled INVITE may stay without its 487 (RFC 3261 §9.1).
const CANCELLED_AT_MOST: Duration = super::exchange::GIVE_UP;
