//! Ladders: every SIP message of a call, masked and bounded, to be drawn as a telephone engineer reads them.
//!
//! A fold over `Effect::Trace` and events. The events tell who is at the other end: the call's own leg is the caller, and
//! each dialog after it belongs to the leg that was added for it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use bytes::Bytes;
use memchr::memmem;
use serde::Serialize;

use super::draw;
use super::mask::masked;
use crate::event::{Event, Fact, Role};
use crate::ids::CallId;
use crate::limits::observe::{
    LADDER_BYTES, LADDER_MESSAGE_BYTES, LADDER_MESSAGES, LADDER_OPENING, LADDER_PARTIES, LADDERS_ENDED,
};
use crate::number;
use crate::time::Time;

/// The ladders of running calls, and of ended ones up to a cap.
#[derive(Debug)]
pub struct Ladders {
    calls: BTreeMap<CallId, Ladder>,
    /// In the order in which they ended.
    ended: VecDeque<CallId>,
    bytes: usize,
    caps: Caps,
}

#[derive(Clone, Copy, Debug)]
struct Caps {
    bytes: usize,
    ended: usize,
}

/// One call's messages.
#[derive(Clone, Debug)]
pub struct Ladder {
    pub call: CallId,
    opening: Vec<Rung>,
    recent: VecDeque<Rung>,
    /// Messages between the opening and the recent ones that are not kept.
    dropped: u64,
    parties: Vec<Party>,
    ended: bool,
    bytes: usize,
}

/// One message of a call: what `Effect::Trace` says, with its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    pub call: CallId,
    /// The `now` of the step that it happened in.
    pub at: Time,
    pub direction: Direction,
    /// The far end.
    pub peer: SocketAddr,
    /// The message; what is secret in it is masked here once more.
    pub bytes: Bytes,
}

/// Which way a message went, seen from the switch. Of two at one time the received one came first: the other answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Received,
    Sent,
}

/// One message as it is kept.
#[derive(Clone, Debug)]
pub(super) struct Rung {
    pub at: Time,
    pub direction: Direction,
    pub peer: SocketAddr,
    /// Which of the parties; `None` for one too many.
    pub party: Option<usize>,
    /// The same bytes went the same way before.
    pub repeated: bool,
    pub bytes: Bytes,
    /// Bytes beyond what is kept of one message.
    pub cut: usize,
}

/// Whoever has a dialog with us in this call.
#[derive(Clone, Debug)]
pub(super) struct Party {
    pub name: String,
    /// The caller stands left of the switch, everybody else right of it.
    pub is_caller: bool,
    /// The Call-ID of its dialog, once seen.
    sip_call_id: Option<Box<[u8]>>,
}

impl Default for Ladders {
    fn default() -> Self {
        Self::new()
    }
}

impl Ladders {
    pub fn new() -> Self {
        Self::with_caps(Caps { bytes: LADDER_BYTES, ended: LADDERS_ENDED })
    }

    fn with_caps(caps: Caps) -> Self {
        Self { calls: BTreeMap::new(), ended: VecDeque::new(), bytes: 0, caps }
    }

    /// The ladder of a call, where it is kept.
    pub fn get(&self, call: CallId) -> Option<&Ladder> {
        self.calls.get(&call)
    }

    /// Adds one message.
    pub fn add(&mut self, trace: Trace) {
        let ladder = self.calls.entry(trace.call).or_insert_with(|| Ladder::new(trace.call));
        let before = ladder.bytes;
        ladder.add(trace);
        self.bytes = self.bytes - before + ladder.bytes;
        self.keep_within_caps();
    }

    /// Learns who is who, and when a call has ended.
    pub fn fold(&mut self, event: &Event) {
        let Some(call) = event.call else { return };
        match &event.fact {
            Fact::CallAccepted { sip_call_id, .. } => {
                let ladder = self.calls.entry(call).or_insert_with(|| Ladder::new(call));
                ladder.name_caller(sip_call_id.as_bytes());
            }
            Fact::LegAdded { role, to, agent, .. } => {
                let name = match (role, agent) {
                    (_, Some(agent)) => format!("agent {agent}"),
                    (Role::Caller, None) => "caller".to_owned(),
                    (_, None) => match (&to.account, &to.trunk) {
                        (Some(account), _) => format!("phone {account}"),
                        (None, Some(trunk)) => format!("trunk {trunk}"),
                        (None, None) => number::mask(&to.number),
                    },
                };
                if let Some(ladder) = self.calls.get_mut(&call) {
                    ladder.add_party(Party { name, is_caller: false, sip_call_id: None });
                }
            }
            Fact::CallEnded { .. } => {
                if let Some(ladder) = self.calls.get_mut(&call)
                    && !core::mem::replace(&mut ladder.ended, true)
                {
                    self.ended.push_back(call);
                    self.keep_within_caps();
                }
            }
            _ => {}
        }
    }

    fn keep_within_caps(&mut self) {
        while self.ended.len() > self.caps.ended || self.bytes > self.caps.bytes {
            // The longest ended; else the oldest running, whose id is the smallest.
            let next = self.ended.pop_front().or_else(|| self.calls.first_key_value().map(|(call, _)| *call));
            let Some(ladder) = next.and_then(|call| self.calls.remove(&call)) else { return };
            self.bytes -= ladder.bytes;
        }
    }
}

impl Ladder {
    fn new(call: CallId) -> Self {
        Self {
            call,
            opening: Vec::new(),
            recent: VecDeque::new(),
            dropped: 0,
            parties: Vec::new(),
            ended: false,
            bytes: 0,
        }
    }

    /// Lines of text, one a message: `t+02.140  caller ── 200 OK (PCMA) ──▶ switch`.
    pub fn render(&self) -> String {
        draw::text(self)
    }

    /// The same as plain data, each message with its text.
    pub fn to_json(&self) -> serde_json::Value {
        draw::json(self)
    }

    /// Every kept message in order: when, which way, with whom, and its bytes with what is secret taken out.
    pub fn messages(&self) -> impl Iterator<Item = (Time, Direction, SocketAddr, Bytes)> {
        self.rungs().into_iter().map(|rung| (rung.at, rung.direction, rung.peer, rung.bytes.clone()))
    }

    /// In order of time, what came before what was sent.
    pub(super) fn rungs(&self) -> Vec<&Rung> {
        let mut rungs: Vec<&Rung> = self.opening.iter().chain(&self.recent).collect();
        rungs.sort_by_key(|rung| (rung.at, rung.direction));
        rungs
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(super) fn opening(&self) -> usize {
        self.opening.len()
    }

    pub(super) fn party(&self, rung: &Rung) -> Option<&Party> {
        rung.party.and_then(|index| self.parties.get(index))
    }

    fn add(&mut self, trace: Trace) {
        let Trace { at, direction, peer, bytes, .. } = trace;
        let party = self.party_of(direction, &bytes);
        let bytes = masked(&bytes);
        let cut = bytes.len().saturating_sub(LADDER_MESSAGE_BYTES);
        // A copy where it is cut: a slice would keep the whole.
        let bytes = match cut {
            0 => bytes,
            _ => Bytes::copy_from_slice(bytes.get(..LADDER_MESSAGE_BYTES).unwrap_or_default()),
        };
        let same = |rung: &Rung| rung.direction == direction && rung.bytes == bytes;
        let repeated = self.opening.iter().chain(&self.recent).any(same);
        self.bytes += bytes.len();
        let rung = Rung { at, direction, peer, party, repeated, bytes, cut };
        if self.opening.len() < LADDER_OPENING {
            self.opening.push(rung);
            return;
        }
        self.recent.push_back(rung);
        if self.recent.len() > LADDER_MESSAGES - LADDER_OPENING
            && let Some(oldest) = self.recent.pop_front()
        {
            self.bytes -= oldest.bytes.len();
            self.dropped += 1;
        }
    }

    /// Whose dialog this is. A Call-ID not seen before is that of the leg added last without one, where we sent it; where it
    /// came to us it is the caller's.
    fn party_of(&mut self, direction: Direction, bytes: &[u8]) -> Option<usize> {
        let id = call_id(bytes)?;
        if let Some(known) = self.parties.iter().position(|party| party.sip_call_id.as_deref() == Some(id)) {
            return Some(known);
        }
        match direction {
            Direction::Sent => {
                let next = self.parties.iter().position(|party| party.sip_call_id.is_none())?;
                self.parties.get_mut(next)?.sip_call_id = Some(id.into());
                Some(next)
            }
            Direction::Received if self.parties.is_empty() => {
                self.name_caller(id);
                Some(0)
            }
            Direction::Received => None,
        }
    }

    fn name_caller(&mut self, id: &[u8]) {
        if !self.parties.iter().any(|party| party.sip_call_id.as_deref() == Some(id)) {
            self.add_party(Party { name: "caller".to_owned(), is_caller: true, sip_call_id: Some(id.into()) });
        }
    }

    fn add_party(&mut self, mut party: Party) {
        if self.parties.len() >= LADDER_PARTIES {
            return;
        }
        let taken: BTreeSet<&str> = self.parties.iter().map(|party| party.name.as_str()).collect();
        if taken.contains(party.name.as_str()) {
            // The same agent, offered the call again.
            let name = party.name.clone();
            party.name = (2..=LADDER_PARTIES + 1)
                .map(|n| format!("{name} ({n})"))
                .find(|name| !taken.contains(name.as_str()))
                .unwrap_or(name);
        }
        self.parties.push(party);
    }
}

/// The value of Call-ID, long or compact.
fn call_id(bytes: &[u8]) -> Option<&[u8]> {
    let head = bytes.get(..memmem::find(bytes, b"\r\n\r\n").unwrap_or(bytes.len()))?;
    head.split(|b| *b == b'\n').skip(1).find_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        let name = line.get(..colon)?.trim_ascii();
        let found = name.eq_ignore_ascii_case(b"call-id") || name.eq_ignore_ascii_case(b"i");
        found.then(|| line.get(colon + 1..).unwrap_or_default().trim_ascii())
    })
}

#[cfg(test)]
#[path = "ladder_tests.rs"]
mod tests;
