//! The ladder's raw material: every message of a call, with what is secret taken out.

use std::net::SocketAddr;

use bytes::Bytes;
use memchr::memmem;

use crate::ids::CallId;
use crate::limits::switch::SESSIONS_TRACED;
use crate::sip::Message;
use crate::sip::event::SessionId;
use crate::sip::flow::{Source, Transmit};

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

/// The message without digest responses; while keys are secret also without bodies, which INFO carries keys in.
fn masked(bytes: &Bytes, secure: bool) -> Bytes {
    let head = memmem::find(bytes, b"\r\n\r\n").unwrap_or(bytes.len());
    let has_digest = memmem::find(&bytes[..head], b"uthorization:").is_some();
    if !(has_digest || secure && bytes.starts_with(b"INFO ")) {
        return bytes.clone();
    }
    let mut out = Vec::with_capacity(bytes.len());
    for line in bytes[..head].split_inclusive(|b| *b == b'\n') {
        match line.iter().position(|b| *b == b':') {
            Some(colon) if line[..colon].to_ascii_lowercase().ends_with(b"authorization") => {
                out.extend_from_slice(&line[..colon]);
                out.extend_from_slice(b": (masked)\r\n");
            }
            _ => out.extend_from_slice(line),
        }
    }
    if secure {
        out.extend_from_slice(b"\r\n\r\n(masked)");
    } else {
        out.extend_from_slice(&bytes[head..]);
    }
    Bytes::from(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_response_is_not_on_the_ladder() {
        let raw = Bytes::from_static(
            b"INVITE sip:1@x SIP/2.0\r\nProxy-Authorization: Digest response=\"s3cret\"\r\nTo: x\r\n\r\nbody",
        );
        let shown = masked(&raw, false);
        assert_eq!(shown, &b"INVITE sip:1@x SIP/2.0\r\nProxy-Authorization: (masked)\r\nTo: x\r\n\r\nbody"[..]);
    }

    #[test]
    fn a_key_by_info_is_not_on_the_ladder_while_keys_are_secret() {
        let raw = Bytes::from_static(b"INFO sip:1@x SIP/2.0\r\nTo: x\r\n\r\nSignal=5\r\n");
        assert!(memmem::find(&masked(&raw, true), b"Signal").is_none());
        assert_eq!(masked(&raw, false), raw);
    }
}
