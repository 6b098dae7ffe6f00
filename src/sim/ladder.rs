//! The ladder of a run: who sent what to whom, what became of it, and what the centre made of it, for a telephone
//! engineer to read.
//!
//! ```text
//! t+00:02.140  alpha           ── INVITE sip:95539 (1 INVITE) ──▶  switch
//! t+00:02.141                     · call.accepted
//! t+00:02.150  alpha           ◀── 200 OK (1 INVITE) PCMA ──       switch       ✗ lost
//! ```

use core::fmt::Write;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::ids::CallId;
use crate::limits;
use crate::sip::{Message, Name};
use crate::time::Time;

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Arrives,
    Doubled,
    Lost,
    /// Nobody is at that address.
    Nobody,
}

/// What a run leaves to be read. Keeps the last [`limits::SIM_RUNGS`].
#[derive(Debug, Default)]
pub struct Ladder {
    rungs: VecDeque<Rung>,
    /// Call-IDs by the call they belong to.
    call_ids: BTreeMap<String, CallId>,
}

#[derive(Debug)]
struct Rung {
    at: Time,
    what: What,
}

#[derive(Debug)]
enum What {
    Message {
        party: String,
        to_switch: bool,
        text: String,
        call_id: String,
        fate: Fate,
    },
    /// `loud`: of interest for every call, as a fault is.
    Note {
        call: Option<CallId>,
        loud: bool,
        text: String,
    },
}

impl Ladder {
    /// A message was sent.
    pub fn message(&mut self, at: Time, party: &str, to_switch: bool, bytes: &[u8], fate: Fate) {
        let Ok(message) = Message::parse(bytes.to_vec().into()) else { return };
        let call_id = message.call_id().unwrap_or_default().to_owned();
        let what = What::Message { party: party.to_owned(), to_switch, text: told(&message), call_id, fate };
        self.add(at, what);
    }

    /// Something else that helps to understand.
    pub fn note(&mut self, at: Time, call: Option<CallId>, text: impl Into<String>) {
        self.add(at, What::Note { call, loud: false, text: text.into() });
    }

    /// What matters to every call: a fault, something that does not hold.
    pub fn headline(&mut self, at: Time, text: impl Into<String>) {
        self.add(at, What::Note { call: None, loud: true, text: text.into() });
    }

    /// The switch says that this message belongs to that call.
    pub fn belongs(&mut self, call: CallId, bytes: &[u8]) {
        let Ok(message) = Message::parse(bytes.to_vec().into()) else { return };
        if let Ok(call_id) = message.call_id() {
            self.call_ids.insert(call_id.to_owned(), call);
        }
    }

    /// The ladder of these calls, or the end of everything where none is named. Times are since `start`.
    pub fn print(&self, start: Time, calls: &BTreeSet<CallId>) -> String {
        let of_calls = |rung: &&Rung| match &rung.what {
            What::Message { call_id, .. } => self.call_ids.get(call_id).is_some_and(|call| calls.contains(call)),
            What::Note { call, loud, .. } => *loud || call.is_some_and(|call| calls.contains(&call)),
        };
        let mut lines: Vec<String> = Vec::new();
        if calls.is_empty() {
            lines.extend(self.rungs.iter().rev().take(LAST).rev().map(|rung| rung.line(start)));
        } else {
            let chosen: Vec<&Rung> = self.rungs.iter().filter(of_calls).collect();
            let skipped = chosen.len().saturating_sub(MOST);
            if skipped > 0 {
                lines.push(format!("… {skipped} earlier lines"));
            }
            lines.extend(chosen.into_iter().skip(skipped).map(|rung| rung.line(start)));
        }
        lines.join("\n")
    }

    fn add(&mut self, at: Time, what: What) {
        if self.rungs.len() >= limits::SIM_RUNGS {
            self.rungs.pop_front();
        }
        self.rungs.push_back(Rung { at, what });
    }
}

/// Lines shown where no call is to blame, and at most of those that are.
const LAST: usize = 60;
const MOST: usize = 160;

impl Rung {
    fn line(&self, start: Time) -> String {
        let since = self.at.since(start);
        let (minutes, seconds, ms) = (since.as_secs() / 60, since.as_secs() % 60, since.subsec_millis());
        let mut line = format!("t+{minutes:02}:{seconds:02}.{ms:03}  ");
        // Writing to a String cannot fail.
        let _ = match &self.what {
            What::Message { party, to_switch: true, text, fate, .. } => {
                write!(line, "{party:<16} ── {text} ──▶ switch{}", fate.told())
            }
            What::Message { party, text, fate, .. } => write!(line, "{party:<16} ◀── {text} ── switch{}", fate.told()),
            What::Note { text, .. } => write!(line, "{:<16}    · {text}", ""),
        };
        line
    }
}

impl Fate {
    const fn told(self) -> &'static str {
        match self {
            Fate::Arrives => "",
            Fate::Doubled => "   ✗ doubled",
            Fate::Lost => "   ✗ lost",
            Fate::Nobody => "   ✗ nobody there",
        }
    }
}

/// `INVITE sip:95539@… (1 INVITE) [c9f3] PCMA`.
fn told(message: &Message) -> String {
    let mut text = match message.status() {
        Some(status) => format!("{status} {}", message.reason()),
        None => format!("{} {}", message.method_text(), message.uri_text()),
    };
    if let Some(cseq) = message.header(Name::CSeq) {
        let _ = write!(text, " ({})", String::from_utf8_lossy(cseq.value));
    }
    let call_id: String = message.call_id().unwrap_or_default().chars().take(6).collect();
    let _ = write!(text, " [{call_id}]");
    let body = String::from_utf8_lossy(message.body());
    for word in ["PCMA", "PCMU", "a=sendonly", "a=recvonly", "a=inactive"] {
        if body.contains(word) {
            let _ = write!(text, " {}", word.trim_start_matches("a="));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ladder_shows_one_call_with_times_directions_and_losses() {
        let mut ladder = Ladder::default();
        let start = Time::from_secs(1_000);
        let message = |line: &str, id: &str| {
            format!("{line}\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nCall-ID: {id}\r\nCSeq: 1 INVITE\r\n\r\n")
                .into_bytes()
        };
        let (invite, ok) =
            (message("INVITE sip:95539@centre.example SIP/2.0", "abcdefgh"), message("SIP/2.0 200 OK", "abcdefgh"));
        ladder.message(Time::from_millis(1_002_140), "alpha", true, &invite, Fate::Arrives);
        ladder.message(
            Time::from_millis(1_002_150),
            "alpha",
            true,
            &message("BYE sip:x SIP/2.0", "other"),
            Fate::Arrives,
        );
        ladder.message(Time::from_millis(1_062_200), "alpha", false, &ok, Fate::Lost);
        let call = CallId::from_u128(7);
        ladder.belongs(call, &invite);
        ladder.note(Time::from_millis(1_063_000), Some(call), "call.ended");
        let shown = ladder.print(start, &BTreeSet::from([call]));
        assert_eq!(
            shown,
            "t+00:02.140  alpha            ── INVITE sip:95539@centre.example (1 INVITE) [abcdef] ──▶ switch\n\
             t+01:02.200  alpha            ◀── 200 OK (1 INVITE) [abcdef] ── switch   ✗ lost\n\
             t+01:03.000                      · call.ended"
        );
    }

    #[test]
    fn of_a_long_run_the_last_lines_are_kept() {
        let mut ladder = Ladder::default();
        for n in 0..limits::SIM_RUNGS + 2 {
            ladder.note(Time::from_secs(n as u64), None, "tick");
        }
        assert_eq!(ladder.rungs.len(), limits::SIM_RUNGS);
        assert_eq!(ladder.rungs.front().map(|rung| rung.at), Some(Time::from_secs(2)));
    }
}
