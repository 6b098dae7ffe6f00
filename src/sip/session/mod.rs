//! Sessions: one INVITE usage each, from the first INVITE to the end of its dialog (RFC 3261 §13–15).
//!
//! ```text
//!  they call:  Incoming ── 2xx ──▶ Usage ── BYE ──▶ over        we call:  Outgoing ── 2xx ──▶ Usage ── BYE ──▶ over
//!                  └─ refusal, CANCEL ──▶ over                                └─ refusals ──▶ over
//! ```
//! `Outgoing` outlives the answer: its transactions still take in what other forks say. When the switch lets go of a
//! session, it stays until the wire is quiet: a 2xx that crosses our CANCEL is acknowledged and ended.

mod incoming;
mod outgoing;
mod referral;
mod usage;

use std::collections::{BTreeMap, VecDeque};

use super::carrier::{Carrier, NotSent, RequestId};
use super::dialog::DialogId;
use super::endpoint::Refused;
use super::event::{EndReason, Ending, SessionId, UaEvent};
use super::flow::FlowId;
use super::header::Name;
use super::transaction::{TransactionId, What};
use super::{Message, header};
use crate::sdp::SessionDescription;
use crate::time::Time;

pub use incoming::{Incoming, is_behind_nat};
pub use outgoing::{Outgoing, best_first};
pub use usage::Usage;

/// One session. The parts that exist say what state it is in.
pub struct Session {
    pub id: SessionId,
    /// The switch still wants to know. It lets go by `reject` and `end`, and is let go of by a last event.
    pub heard: bool,
    pub incoming: Option<Incoming>,
    pub outgoing: Option<Outgoing>,
    pub usage: Option<Usage>,
    /// Call-ID and our tag, where we called.
    pub call_out: Option<(String, String)>,
}

/// What a session works with: the way out, and the indexes that lead back to it.
pub struct Context<'a> {
    pub now: Time,
    pub carrier: &'a mut Carrier,
    pub events: &'a mut VecDeque<UaEvent>,
    /// Which session a request within a dialog belongs to.
    pub dialogs: &'a mut BTreeMap<DialogId, SessionId>,
}

impl Session {
    pub fn new(id: SessionId) -> Self {
        Self { id, heard: true, incoming: None, outgoing: None, usage: None, call_out: None }
    }

    /// Nothing is left to do, on the wire or for the switch.
    pub fn is_over(&self) -> bool {
        self.incoming.is_none() && self.outgoing.is_none() && self.usage.is_none()
    }

    pub fn poll_timeout(&self) -> Option<Time> {
        let incoming = self.incoming.as_ref().and_then(Incoming::poll_timeout);
        let usage = self.usage.as_ref().and_then(Usage::poll_timeout);
        [incoming, usage].into_iter().flatten().min()
    }

    pub fn handle_timeout(&mut self, context: &mut Context<'_>) {
        if let Some(incoming) = &mut self.incoming {
            incoming.handle_timeout(context);
        }
        if let Some(usage) = &mut self.usage {
            let ended = usage.handle_timeout(context);
            self.settle(context, ended);
        }
    }

    /// Something came of a request of ours.
    pub fn handle_outcome(&mut self, context: &mut Context<'_>, request: RequestId, what: What) {
        if self.outgoing.as_ref().is_some_and(|outgoing| outgoing.has(request)) {
            return self.handle_invite_outcome(context, request, what);
        }
        if let Some(usage) = &mut self.usage {
            let ended = usage.handle_outcome(context, request, what, self.heard);
            self.settle(context, ended);
        }
    }

    /// A request came within a dialog of ours. ACK has no transaction.
    pub fn handle_request(&mut self, context: &mut Context<'_>, transaction: Option<TransactionId>, request: &Message) {
        if let Some(usage) = &mut self.usage
            && usage.dialog.id == DialogId::of_request(request).unwrap_or_else(|| usage.dialog.id.clone())
        {
            let ended = usage.handle_request(context, transaction, request, self.heard);
            return self.settle(context, ended);
        }
        let Some(transaction) = transaction else { return };
        self.handle_early_request(context, transaction, request);
    }

    /// The usage ended by what just happened: tell, where somebody listens.
    fn settle(&mut self, context: &mut Context<'_>, ended: Option<(Ending, Option<EndReason>)>) {
        if let Some((how, reason)) = ended
            && self.heard
        {
            self.heard = false;
            context.events.push_back(UaEvent::Ended { session: self.id, how, reason });
        }
        if self.usage.as_ref().is_some_and(Usage::is_over)
            && let Some(usage) = self.usage.take()
        {
            context.dialogs.remove(&usage.dialog.id);
        }
    }

    /// The switch answers.
    pub fn answer(&mut self, context: &mut Context<'_>, answer: &SessionDescription) -> Result<(), Refused> {
        let incoming = self.incoming.take().ok_or(Refused::WrongState)?;
        match incoming.answer(context, self.id, answer) {
            Ok(usage) => {
                self.usage = Some(usage);
                Ok(())
            }
            Err((incoming, why)) => {
                self.incoming = Some(*incoming);
                Err(why)
            }
        }
    }

    /// A connection is gone: what went back over it goes where its Contact says from now on.
    pub fn forget_flow(&mut self, flow: FlowId) {
        let incoming = self.incoming.as_mut().map(|incoming| &mut incoming.dialog);
        let usage = self.usage.as_mut().map(|usage| &mut usage.dialog);
        for dialog in incoming.into_iter().chain(usage) {
            dialog.destination.take_if(|destination| destination.connection() == Some(flow));
        }
    }

    /// The switch hangs up, whatever the state.
    pub fn end(&mut self, context: &mut Context<'_>, reason: Option<&str>) {
        self.heard = false;
        if let Some(incoming) = self.incoming.take() {
            incoming.reject(context, 480, "", &reason_header(reason));
        }
        if let Some(outgoing) = &mut self.outgoing {
            outgoing.cancel(context, reason);
        }
        if let Some(usage) = &mut self.usage {
            usage.end(context, reason);
            self.settle(context, None);
        }
    }
}

fn reason_header(reason: Option<&str>) -> Vec<(&'static str, String)> {
    reason.map(|reason| (Name::Reason.as_str(), reason.to_owned())).into_iter().collect()
}

/// Why, as the Reason header says; of several, the telephone network's word, which comes from where it happened.
pub fn end_reason(message: &Message) -> Option<EndReason> {
    let read = |reason: header::Reason<'_>| EndReason {
        protocol: reason.protocol.to_owned(),
        cause: reason.cause(),
        text: reason.params.text("text").unwrap_or_default().into_owned(),
    };
    let reasons = || message.reasons().flatten().map(read);
    reasons().find(|reason| reason.q850().is_some()).or_else(|| reasons().next())
}

/// A session description in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Described {
    Nothing,
    Description(SessionDescription),
    /// There is one, and it cannot be read.
    Unreadable,
}

impl Described {
    pub fn of(message: &Message) -> Self {
        match super::body::session_description(message) {
            None => Described::Nothing,
            Some(body) => SessionDescription::parse(body).map_or(Described::Unreadable, Described::Description),
        }
    }

    pub fn description(self) -> Option<SessionDescription> {
        match self {
            Described::Description(description) => Some(description),
            Described::Nothing | Described::Unreadable => None,
        }
    }
}

impl From<NotSent> for Refused {
    fn from(why: NotSent) -> Self {
        match why {
            NotSent::Full => Self::Full,
            NotSent::BadValue => Self::BadValue,
        }
    }
}
