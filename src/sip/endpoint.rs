//! The user agent of the house as one value: transactions, sessions, registrar and trunk clients behind one door.
//!
//! ```text
//!  handle_message · handle_flow_closed · handle_unreachable · handle_resolved · handle_timeout      the world tells us
//!  poll_transmit · poll_event · poll_resolve · poll_timeout                                          we tell the world
//!  invite · provisional · answer · reject · end · reoffer · accept_offer · accept_refer …            the switch orders
//! ```
//! After each input: drain the three polls, then sleep until `poll_timeout`.

use core::time::Duration;

use super::Message;
use super::event::{SessionId, UaEvent};
use super::flow::{Destination, FlowId, Listener, Source, Transmit, Transport};
use super::invite::Invite;
use super::transaction::timer::Timers;
use crate::ids::{AccountName, SecretSource};
use crate::sdp::SessionDescription;
use crate::time::Time;
use std::net::SocketAddr;

/// What the user agent is told once, and again after a reload.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Realm of our challenges, and the domain of our addresses of record.
    pub domain: String,
    /// The sockets we have. Without one for a target's transport and address family the target is unreachable.
    pub listeners: Vec<Listener>,
    /// The value of User-Agent and Server.
    pub product: String,
    pub timers: Timers,
    /// Bounds and default of a registration's life.
    pub expires: Expires,
}

/// Seconds that a contact may live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expires {
    /// Less is refused with 423.
    pub min: u32,
    /// More is shortened.
    pub max: u32,
    /// Where the phone names none.
    pub default: u32,
}

impl Default for Expires {
    fn default() -> Self {
        Self { min: 60, max: 3_600, default: 600 }
    }
}

/// Why an order to the user agent was not carried out. Nothing has been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("no such session: it has ended")]
    NoSession,
    #[error("the session is not in a state for this")]
    WrongState,
    #[error("an offer is under way: wait for its answer")]
    OfferPending,
    #[error("no further session, transaction or target is possible: limit reached")]
    Full,
    #[error("no hops left: the call has been passed on too often")]
    TooManyHops,
    #[error("a value holds a line end or is no URI")]
    BadValue,
}

/// What came of asking a caller for its credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// The digest is right: the call is this account's.
    By(AccountName),
    /// A 401 with a challenge went out and the session is over; the caller will come again as a new session.
    Challenged,
    /// The digest is wrong, or the account unknown. Reject with 403, and count it.
    Wrong,
}

/// A host name to look up (RFC 3263). Answer with `Endpoint::handle_resolved`, with nothing where it leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolve {
    pub id: ResolveId,
    pub host: String,
    /// Given: no SRV look-up, only addresses (§4.2).
    pub port: Option<u16>,
    /// Given: no NAPTR look-up (§4.1).
    pub transport: Option<Transport>,
    /// A sips URI: only secured transports.
    pub secure: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResolveId(pub u64);

/// One place where a name leads, in the order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    pub transport: Transport,
    pub address: SocketAddr,
}

/// The user agent.
pub struct Endpoint {
    settings: Settings,
    secrets: SecretSource,
}

impl Endpoint {
    pub fn new(settings: Settings, secrets: SecretSource) -> Self {
        Self { settings, secrets }
    }

    /// New listeners or names after a reload. Running sessions keep what they told their peers.
    pub fn set_settings(&mut self, settings: Settings) {
        self.settings = settings;
    }

    // -- the world tells us ------------------------------------------------------------------------------------------

    /// A message came in; faulty ones too, they are answered or dropped as `Message::verdict` says.
    /// Answers the session it belongs to, where it belongs to one: for the call's ladder.
    pub fn handle_message(&mut self, now: Time, source: Source, message: Message) -> Option<SessionId> {
        let _ = (now, source, message, &mut self.secrets);
        None
    }

    /// A connection ended, by whomever.
    pub fn handle_flow_closed(&mut self, now: Time, flow: FlowId) {
        let _ = (now, flow);
    }

    /// A connection could not be made, or a datagram not be sent (ICMP port unreachable included).
    pub fn handle_unreachable(&mut self, now: Time, destination: Destination) {
        let _ = (now, destination);
    }

    /// The resolver's answer to [`Resolve`], most wanted first, empty where there is none.
    pub fn handle_resolved(&mut self, now: Time, id: ResolveId, hops: Vec<Hop>) {
        let _ = (now, id, hops);
    }

    pub fn handle_timeout(&mut self, now: Time) {
        let _ = now;
    }

    // -- we tell the world -------------------------------------------------------------------------------------------

    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        None
    }

    pub fn poll_event(&mut self) -> Option<UaEvent> {
        None
    }

    pub fn poll_resolve(&mut self) -> Option<Resolve> {
        None
    }

    pub fn poll_timeout(&self) -> Option<Time> {
        None
    }

    // -- the switch orders: calls in ---------------------------------------------------------------------------------

    /// Asks who is calling by digest. Before any other answer to an `Invited` session.
    pub fn authorize(&mut self, now: Time, session: SessionId) -> Result<Authorization, Refused> {
        let _ = (now, session);
        Err(Refused::NoSession)
    }

    /// 180, 181, 182 or 183, with a description for early media. It is repeated each minute, so that no proxy gives up.
    pub fn provisional(
        &mut self,
        now: Time,
        session: SessionId,
        status: u16,
        early: Option<&SessionDescription>,
    ) -> Result<(), Refused> {
        let _ = (now, session, status, early);
        Err(Refused::NoSession)
    }

    /// 200 with our answer, or with our offer where the INVITE had none. Repeated until the ACK.
    pub fn answer(&mut self, now: Time, session: SessionId, answer: &SessionDescription) -> Result<(), Refused> {
        let _ = (now, session, answer);
        Err(Refused::NoSession)
    }

    /// A final refusal, 300–699. An empty `reason` means the usual phrase. `headers` may be Retry-After, Contact, Reason …
    pub fn reject(
        &mut self,
        now: Time,
        session: SessionId,
        status: u16,
        reason: &str,
        headers: &[(&str, String)],
    ) -> Result<(), Refused> {
        let _ = (now, session, status, reason, headers);
        Err(Refused::NoSession)
    }

    // -- the switch orders: calls out --------------------------------------------------------------------------------

    /// Calls. The session's events follow.
    pub fn invite(&mut self, now: Time, invite: Invite) -> Result<SessionId, Refused> {
        let _ = (now, invite);
        Err(Refused::Full)
    }

    // -- the switch orders: any call ---------------------------------------------------------------------------------

    /// Ends the session whatever its state: 480 to an INVITE without a final response, CANCEL to ours, BYE after an answer;
    /// a 2xx that crosses our CANCEL is acknowledged and ended. `reason` becomes a Reason header (`SIP;cause=200;text="Call completed elsewhere"`).
    /// Nothing more is heard of it. Unknown sessions are passed over: they have ended already.
    pub fn end(&mut self, now: Time, session: SessionId, reason: Option<&str>) {
        let _ = (now, session, reason);
    }

    /// Offers other media by re-INVITE. 491 is retried after the RFC's back-off.
    pub fn reoffer(&mut self, now: Time, session: SessionId, offer: &SessionDescription) -> Result<(), Refused> {
        let _ = (now, session, offer);
        Err(Refused::NoSession)
    }

    /// Accepts a `Reoffered` with our answer, or with our offer where there was none.
    pub fn accept_offer(&mut self, now: Time, session: SessionId, answer: &SessionDescription) -> Result<(), Refused> {
        let _ = (now, session, answer);
        Err(Refused::NoSession)
    }

    /// Refuses a `Reoffered`, usually with 488; the media in force go on.
    pub fn refuse_offer(&mut self, now: Time, session: SessionId, status: u16) -> Result<(), Refused> {
        let _ = (now, session, status);
        Err(Refused::NoSession)
    }

    /// 202 to a `Referred`, and the first NOTIFY.
    pub fn accept_refer(&mut self, now: Time, session: SessionId) -> Result<(), Refused> {
        let _ = (now, session);
        Err(Refused::NoSession)
    }

    /// A final refusal of a `Referred`: 603, 404 …
    pub fn refuse_refer(&mut self, now: Time, session: SessionId, status: u16) -> Result<(), Refused> {
        let _ = (now, session, status);
        Err(Refused::NoSession)
    }

    /// NOTIFY with how the call we were asked for goes (`SIP/2.0 180 Ringing`); a final status ends the subscription.
    pub fn notify_refer(&mut self, now: Time, session: SessionId, status: u16, reason: &str) -> Result<(), Refused> {
        let _ = (now, session, status, reason);
        Err(Refused::NoSession)
    }

    /// Sends a key by INFO (`application/dtmf-relay`), for a far side without RFC 4733.
    pub fn send_digit(
        &mut self,
        now: Time,
        session: SessionId,
        digit: char,
        duration: Duration,
    ) -> Result<(), Refused> {
        let _ = (now, session, digit, duration);
        Err(Refused::NoSession)
    }

    // -- proof -------------------------------------------------------------------------------------------------------

    /// Whether nothing lives: no session, no transaction. At rest it must be true.
    pub fn is_idle(&self) -> bool {
        true
    }
}
