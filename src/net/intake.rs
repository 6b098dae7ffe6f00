//! What every socket does with what it has read: count it, refuse it, drop it, or hand it to the sink.

use std::time::Instant;

use bytes::Bytes;

use super::counters::Counters;
use super::refuse::refusal;
use super::sources::{Conduct, Sources};
use super::{NetEvent, Sink};
use crate::sip::flow::Source;
use crate::sip::framing::{Datagram, datagram_within};
use crate::sip::{Message, Verdict};

/// The way in. One for all sockets.
pub(super) struct Intake {
    pub sink: Sink,
    pub counters: Counters,
    pub sources: Sources,
    /// Bytes of one message.
    pub message_bytes: usize,
}

impl Intake {
    pub fn tell(&self, event: NetEvent) {
        (self.sink)(event);
    }

    /// A datagram. Answers what is to be sent back at once.
    pub fn take_datagram(&self, source: Source, bytes: Bytes) -> Option<Bytes> {
        match datagram_within(self.message_bytes, bytes) {
            Datagram::Message(message) => self.take(source, message),
            Datagram::KeepAlive => {
                self.counters.keep_alives.add();
                None
            }
            Datagram::Unreadable => {
                self.take_unreadable(source);
                None
            }
        }
    }

    /// A message. Answers what is to be sent back at once.
    pub fn take(&self, source: Source, message: Message) -> Option<Bytes> {
        let verdict = message.verdict();
        let conduct = match verdict {
            Verdict::Accept => Conduct::Proper,
            Verdict::Refuse { .. } | Verdict::Drop => Conduct::Improper,
        };
        if !self.sources.admit(Instant::now(), source.remote.ip(), conduct) {
            self.counters.rate_limited.add();
            return None;
        }
        match verdict {
            Verdict::Accept => {
                self.counters.messages.add();
                self.tell(NetEvent::Message { source, message });
                None
            }
            Verdict::Drop => {
                self.counters.faulty.add();
                tracing::debug!(peer = %source.remote, "a faulty message that gets no answer: {}", faults_of(&message));
                None
            }
            Verdict::Refuse { status, .. } => {
                self.counters.refused.add();
                tracing::debug!(peer = %source.remote, status, "refused: {}", faults_of(&message));
                refusal(&message, source)
            }
        }
    }

    /// Bytes that are no SIP.
    pub fn take_unreadable(&self, source: Source) {
        self.counters.unreadable.add();
        if self.sources.admit(Instant::now(), source.remote.ip(), Conduct::Improper) {
            tracing::debug!(peer = %source.remote, transport = %source.transport, "bytes that are no SIP");
        }
    }
}

fn faults_of(message: &Message) -> String {
    message.faults().iter().map(|fault| format!("{fault:?}")).collect::<Vec<_>>().join(", ")
}
