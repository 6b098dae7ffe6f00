//! Ladders: every SIP message of a call, masked and bounded, to be drawn as a telephone engineer reads them.
//!
//! A fold over `Effect::Trace` and events, which may come by different ways and thus in either order. The events tell who is
//! at the other end: the dialog that the call was accepted on is the caller's, and the dialogs we begin belong to the legs
//! that were added, each in its order.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use bytes::Bytes;
use memchr::memmem;
use serde::Serialize;

use super::draw;
use crate::event::{Event, Fact, Role};
use crate::ids::CallId;
use crate::limits::observe::{
    LADDER_BYTES, LADDER_DIALOGS, LADDER_MESSAGE_BYTES, LADDER_MESSAGES, LADDER_OPENING, LADDERS_ENDED,
};
use crate::number;
use crate::sip::mask::masked;
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
    dialogs: Vec<Dialog>,
    /// The Call-ID of the caller's dialog, once accepted.
    caller: Option<Box<[u8]>>,
    /// Names of the legs that were added, in their order.
    callees: Vec<String>,
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
    /// Which of the ladder's dialogs; `None` for one too many.
    dialog: Option<usize>,
    /// The same bytes went the same way before.
    pub repeated: bool,
    pub bytes: Bytes,
    /// Bytes beyond what is kept of one message.
    pub cut: usize,
}

/// Whoever has a dialog with us in this call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Party<'a> {
    /// Stands left of the switch; everybody else right of it.
    Caller,
    Callee(&'a str),
    /// Nobody told who that is.
    Unknown(SocketAddr),
}

#[derive(Clone, Debug)]
struct Dialog {
    sip_call_id: Box<[u8]>,
    /// Who said the first word.
    first: Direction,
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
                ladder.caller = Some(sip_call_id.as_bytes().into());
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
                self.calls.entry(call).or_insert_with(|| Ladder::new(call)).add_callee(name);
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
            dialogs: Vec::new(),
            caller: None,
            callees: Vec::new(),
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

    pub(super) fn party(&self, rung: &Rung) -> Party<'_> {
        let unknown = Party::Unknown(rung.peer);
        let Some((index, dialog)) = rung.dialog.and_then(|index| Some((index, self.dialogs.get(index)?))) else {
            return unknown;
        };
        if self.is_caller(index, dialog) {
            return Party::Caller;
        }
        if dialog.first == Direction::Received {
            return unknown;
        }
        let before = self.dialogs.iter().enumerate().take(index);
        let ours = before.filter(|(at, other)| other.first == Direction::Sent && !self.is_caller(*at, other)).count();
        self.callees.get(ours).map_or(unknown, |name| Party::Callee(name))
    }

    /// The dialog the call was accepted on; until that is told, the first if it came to us.
    fn is_caller(&self, index: usize, dialog: &Dialog) -> bool {
        match &self.caller {
            Some(caller) => *caller == dialog.sip_call_id,
            None => index == 0 && dialog.first == Direction::Received,
        }
    }

    fn add(&mut self, trace: Trace) {
        let Trace { at, direction, peer, bytes, .. } = trace;
        let dialog = self.dialog_of(direction, &bytes);
        let bytes = masked(&bytes, false);
        let cut = bytes.len().saturating_sub(LADDER_MESSAGE_BYTES);
        // A copy where it is cut: a slice would keep the whole.
        let bytes = match cut {
            0 => bytes,
            _ => Bytes::copy_from_slice(bytes.get(..LADDER_MESSAGE_BYTES).unwrap_or_default()),
        };
        let same = |rung: &Rung| rung.direction == direction && rung.bytes == bytes;
        let repeated = self.opening.iter().chain(&self.recent).any(same);
        self.bytes += bytes.len();
        let rung = Rung { at, direction, peer, dialog, repeated, bytes, cut };
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

    fn dialog_of(&mut self, first: Direction, bytes: &[u8]) -> Option<usize> {
        let id = call_id(bytes)?;
        let known = self.dialogs.iter().position(|dialog| *dialog.sip_call_id == *id);
        if known.is_some() || self.dialogs.len() >= LADDER_DIALOGS {
            return known;
        }
        // A response begins no dialog: the request it answers is told after it, within the same step.
        let first = if bytes.starts_with(b"SIP/2.0 ") { first.other() } else { first };
        self.dialogs.push(Dialog { sip_call_id: id.into(), first });
        Some(self.dialogs.len() - 1)
    }

    fn add_callee(&mut self, name: String) {
        if self.callees.len() >= LADDER_DIALOGS {
            return;
        }
        // The same agent may be offered the call again.
        let again = (2..=LADDER_DIALOGS + 1).map(|n| format!("{name} ({n})"));
        let name = core::iter::once(name.clone()).chain(again).find(|name| !self.callees.contains(name));
        self.callees.extend(name);
    }
}

impl Direction {
    const fn other(self) -> Self {
        match self {
            Direction::Received => Direction::Sent,
            Direction::Sent => Direction::Received,
        }
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
