//! What the user agent tells the switch: facts about sessions, bindings and trunks, with everything parsed.

use core::time::Duration;

use super::Message;
use super::flow::Source;
use super::registrar::Binding;
use crate::ids::{AccountName, TrunkName};
use crate::sdp::SessionDescription;

/// One INVITE usage: from an INVITE in either direction to the end of its dialog. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// A fact for the switch.
///
/// A session that begins with [`UaEvent::Invited`] or with `Endpoint::invite` ends for the switch in exactly one of three ways:
/// by its own `reject` or `end`, after which nothing more is heard of it; by `Failed` or `Cancelled` before an answer; by `Ended` after one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UaEvent {
    /// Somebody calls. 100 Trying has gone out; answer with `provisional`, `answer`, `reject`, or first `authorize`.
    Invited(Box<Invitation>),
    /// The caller gave up before an answer, by CANCEL or by BYE. The INVITE is answered 487.
    Cancelled { session: SessionId, reason: Option<EndReason> },
    /// The caller acknowledged our 2xx, to the first INVITE or to a later one. `answer` is there where that INVITE had no offer.
    Acked { session: SessionId, answer: Option<SessionDescription> },
    /// A provisional response to our INVITE: 180, 183 … `early` is a session description that it carried.
    Progress { session: SessionId, status: u16, early: Option<SessionDescription> },
    /// Our INVITE was answered; the ACK has gone out, the other contacts are being cancelled. `target` counts in the order of `Invite::targets`.
    /// `answer` is `None` where the 2xx carried none: then the early one holds, and without one the session should be ended.
    Answered { session: SessionId, target: usize, answer: Option<SessionDescription>, response: Message },
    /// Our INVITE failed everywhere.
    Failed { session: SessionId, failure: Failure },
    /// The far side wants other media: hold, resume, move. Answer with `accept_offer` or `refuse_offer`.
    /// Without an offer it wants ours.
    Reoffered { session: SessionId, offer: Option<SessionDescription> },
    /// Our `reoffer` was accepted.
    ReofferAnswered { session: SessionId, answer: SessionDescription },
    /// Our `reoffer` was refused; the media in force go on. 491 where the far side's own offer came first: offer again if still wanted.
    ReofferFailed { session: SessionId, status: u16, reason: String },
    /// The far side asks us to call somebody in its place (RFC 3515). Answer with `accept_refer` or `refuse_refer`.
    Referred { session: SessionId, referral: Referral },
    /// A key by INFO. `None` where the phone gave no duration.
    Digit { session: SessionId, digit: char, duration: Option<Duration> },
    /// The session is over.
    Ended { session: SessionId, how: Ending, reason: Option<EndReason> },
    /// A contact was registered, refreshed, or moved to another flow.
    /// The binding is what `import_bindings` takes after a restart.
    Bound { account: AccountName, binding: Binding },
    /// A contact is gone.
    Unbound { account: AccountName, contact: String, why: Unbound },
    /// Our registration at a trunk works (again), or no longer. Told on change only.
    TrunkRegistration { trunk: TrunkName, up: bool, reason: String },
    /// The trunk answers our OPTIONS (again), or no longer. Told on change only.
    TrunkHealth { trunk: TrunkName, up: bool, reason: String },
}

/// A call coming in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    pub session: SessionId,
    pub source: Source,
    /// The INVITE itself: Request-URI, From, P-Asserted-Identity and whatever else the switch reads.
    pub request: Message,
    /// The account whose binding lives on the flow that the INVITE came over.
    pub account: Option<AccountName>,
    /// The trunk whose line token stands in the Request-URI (second rule).
    pub line: Option<TrunkName>,
    /// `None` where the caller wants our offer in the 2xx.
    pub offer: Option<SessionDescription>,
    /// Hops that this call may still take (RFC 3261 §8.1.1.6). Give one less to `Invite::max_forwards`.
    pub max_forwards: u8,
}

/// Why no contact answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The best response by RFC 3261 §16.7; 408 where nobody answered in time, 503 where nothing could be reached.
    pub status: u16,
    pub reason: String,
    /// What Retry-After asked for, in seconds.
    pub retry_after: Option<u32>,
    /// The Contact URIs of a 3xx.
    pub redirects: Vec<String>,
    /// Reason header, where it came with one.
    pub cause: Option<EndReason>,
}

/// A Reason header (RFC 3326): `Q.850;cause=17;text="User busy"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndReason {
    /// `SIP`, `Q.850`.
    pub protocol: String,
    pub cause: Option<u32>,
    pub text: String,
}

impl EndReason {
    /// The cause of the telephone network, 0 to 127, where it is one.
    pub fn q850(&self) -> Option<u8> {
        let cause = self.cause.filter(|cause| *cause < 128 && self.protocol.eq_ignore_ascii_case("Q.850"));
        cause.and_then(|cause| u8::try_from(cause).ok())
    }
}

/// How an answered session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The far side said BYE.
    Bye,
    /// Our 2xx was never acknowledged (RFC 3261 §13.3.1.4).
    NoAck,
    /// A request of ours within the dialog found nobody: time-out, 408, or an unreachable transport.
    Timeout,
    /// The far side does not know the dialog any more: 481.
    Gone,
}

/// A REFER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referral {
    /// The Refer-To URI without its headers: `sip:2002@example.com`, `tel:+8610…`.
    pub to: String,
    /// The Replaces header within Refer-To, unescaped: an attended transfer.
    pub replaces: Option<String>,
    /// Referred-By as written.
    pub by: Option<String>,
}

/// Why a contact is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unbound {
    /// The phone unregistered.
    Removed,
    /// Its time ran out.
    Expired,
    /// The connection it was bound to closed.
    FlowClosed,
    /// The account was removed.
    AccountRemoved,
}
