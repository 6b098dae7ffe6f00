//! The ladder's raw material: every message of a call, with what is secret taken out.

use std::net::SocketAddr;

use bytes::Bytes;

use crate::ids::CallId;
use crate::limits::switch::SESSIONS_TRACED;
use crate::sip::Message;
use crate::sip::event::SessionId;
use crate::sip::flow::{Source, Transmit};
use crate::sip::mask::masked;

use super::{Effect, Switch};

impl Switch {
    /// A message came in: to the user agent, and onto the ladder of the call it belongs to.
    pub(super) fn on_sip(&mut self, source: Source, message: Message) {
        let bytes = message.bytes().clone();
        let session = self.endpoint.handle_message(self.now, source, message);
        // A new call's session has no call before its event is handled.
        self.run_until_quiet();
        if let Some(call) = session.and_then(|session| self.call_of(session)) {
            self.trace(call, false, source.remote, &bytes);
        }
    }

    pub(super) fn trace_sent(&mut self, transmit: &Transmit) {
        if let Some(call) = transmit.session.and_then(|session| self.call_of(session)) {
            self.trace(call, true, transmit.destination.remote(), &transmit.bytes);
        }
    }

    /// The call of a session, also for a while after the leg has ended: the 200 to a BYE belongs on the ladder.
    fn call_of(&self, session: SessionId) -> Option<CallId> {
        self.sessions.get(&session).map(|(call, _)| *call).or_else(|| self.traced.get(&session).copied())
    }

    fn trace(&mut self, call: CallId, sent: bool, peer: SocketAddr, bytes: &Bytes) {
        let secure = self.calls.get(&call).is_some_and(|call| call.secure);
        let bytes = masked(bytes, secure);
        self.effects.push_back(Effect::Trace { call, sent, peer, bytes });
    }

    /// Remembers whose a session was; the oldest gives way.
    pub(super) fn remember_session(&mut self, session: SessionId, call: CallId) {
        self.traced.insert(session, call);
        if self.traced.len() > SESSIONS_TRACED {
            self.traced.pop_first();
        }
    }
}
