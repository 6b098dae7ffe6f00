//! What a load run measured: counts, percentiles, media facts; for people and as JSON.

use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::voice::LegCount;
use crate::limits;
use crate::sim::caller::CallerStory;
use crate::time::Time;

/// A fact from a party of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    CallPlaced,
    /// A caller's call is over.
    CallEnded(CallerStory),
    /// A leg's media is over. `answered`: there was a conversation to hear.
    Leg {
        side: LegSide,
        answered: bool,
        count: LegCount,
    },
    /// An agent's phone rang, was answered after that time, heard its caller after that time.
    AgentRang,
    AgentAnswered {
        ring: Duration,
    },
    AgentHeardCaller {
        after: Duration,
    },
    Registered {
        after: Duration,
    },
    RegistrationFailed {
        status: u16,
    },
    /// An agent's desk could not be opened, or broke.
    DeskClosed {
        why: String,
    },
    /// rsip could not read what the switch sent.
    Unreadable {
        what: String,
    },
}

/// Whose leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LegSide {
    Caller,
    Agent,
}

/// See the module. All times are in milliseconds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LoadReport {
    pub calls_placed: u64,
    pub calls_answered: u64,
    /// Calls whose caller heard an agent.
    pub calls_served: u64,
    /// Callers who ran out of patience.
    pub calls_given_up: u64,
    /// Calls that ended before an answer, by final status.
    pub calls_refused: BTreeMap<u16, u64>,
    /// INVITE to the first 180, 183 or 200.
    pub post_dial_delay_ms: Figure,
    /// INVITE to 200.
    pub answer_ms: Figure,
    /// 200 to the first 120 ms of an agent's tone.
    pub served_ms: Figure,
    pub agent_calls: u64,
    pub agent_ring_ms: Figure,
    /// The agent's answer to the first 120 ms of the caller's tone.
    pub agent_heard_ms: Figure,
    pub registrations: u64,
    pub registrations_failed: BTreeMap<u16, u64>,
    pub registration_ms: Figure,
    pub media: BTreeMap<LegSide, MediaFigures>,
    /// Why agents' desks closed before the end, with how often; at most 32 reasons are kept.
    pub desks_closed: BTreeMap<String, u64>,
    /// Messages that rsip could not read, with how often each came; at most 32 kinds are kept.
    pub unreadable: BTreeMap<String, u64>,
}

/// The media of all legs of one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MediaFigures {
    pub legs: u64,
    pub packets_sent: u64,
    pub packets_received: u64,
    pub packets_lost: u64,
    /// Answered legs that received nothing at all.
    pub silent_legs: u64,
}

/// One measured figure with its percentiles (nearest rank).
#[derive(Clone, Debug, Default)]
pub struct Figure {
    samples: Vec<u32>,
    unkept: u64,
}

impl Figure {
    pub fn add(&mut self, span: Duration) {
        match self.samples.len() < limits::LOAD_SAMPLES {
            true => self.samples.push(u32::try_from(span.as_millis()).unwrap_or(u32::MAX)),
            false => self.unkept += 1,
        }
    }

    pub fn count(&self) -> u64 {
        self.samples.len() as u64 + self.unkept
    }

    /// The value that `percent` of the samples do not exceed, in milliseconds; `None` where there are none.
    pub fn percentile(&self, percent: u32) -> Option<u32> {
        let mut sorted = self.samples.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent as usize).div_ceil(100).max(1);
        sorted.get(rank - 1).copied()
    }

    fn summary(&self) -> Summary {
        let [p50, p95, p99, max] = [50, 95, 99, 100].map(|percent| self.percentile(percent));
        Summary { count: self.count(), p50, p95, p99, max }
    }
}

#[derive(Serialize)]
struct Summary {
    count: u64,
    p50: Option<u32>,
    p95: Option<u32>,
    p99: Option<u32>,
    max: Option<u32>,
}

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.summary().serialize(serializer)
    }
}

/// Kinds of troubles that a report keeps.
const KINDS: usize = 32;

fn count(kinds: &mut BTreeMap<String, u64>, what: String) {
    if kinds.len() < KINDS || kinds.contains_key(&what) {
        *kinds.entry(what).or_default() += 1;
    }
}

impl LoadReport {
    /// Folds one fact in.
    pub fn note(&mut self, note: Note) {
        match note {
            Note::CallPlaced => self.calls_placed += 1,
            Note::CallEnded(story) => self.on_story(&story),
            Note::Leg { side, answered, count } => self.on_leg(side, answered, &count),
            Note::AgentRang => self.agent_calls += 1,
            Note::AgentAnswered { ring } => self.agent_ring_ms.add(ring),
            Note::AgentHeardCaller { after } => self.agent_heard_ms.add(after),
            Note::Registered { after } => {
                self.registrations += 1;
                self.registration_ms.add(after);
            }
            Note::RegistrationFailed { status } => *self.registrations_failed.entry(status).or_default() += 1,
            Note::DeskClosed { why } => count(&mut self.desks_closed, why),
            Note::Unreadable { what } => count(&mut self.unreadable, what),
        }
    }

    /// The report as one line of JSON.
    pub fn json(&self) -> String {
        // Plain structs and maps with text and number keys: nothing in them can fail to serialise.
        serde_json::to_string(self).unwrap_or_default()
    }

    fn on_story(&mut self, story: &CallerStory) {
        let Some(dialled) = story.dialled else { return };
        let since_dialled = |at: Option<Time>| at.map(|at| at.since(dialled));
        let first_sign = story.progress.into_iter().chain(story.answered).min();
        since_dialled(first_sign).into_iter().for_each(|span| self.post_dial_delay_ms.add(span));
        since_dialled(story.answered).into_iter().for_each(|span| self.answer_ms.add(span));
        self.calls_given_up += u64::from(story.gave_up);
        match (story.answered, story.ending) {
            (Some(answered), _) => {
                self.calls_answered += 1;
                if let Some(person) = story.person {
                    self.calls_served += 1;
                    self.served_ms.add(person.since(answered));
                }
            }
            (None, Some(ending)) => *self.calls_refused.entry(ending.status).or_default() += 1,
            (None, None) => {}
        }
    }

    fn on_leg(&mut self, side: LegSide, answered: bool, count: &LegCount) {
        let figures = self.media.entry(side).or_default();
        figures.legs += 1;
        figures.packets_sent += count.packets_sent;
        figures.packets_received += count.packets_received;
        figures.packets_lost += count.packets_lost;
        figures.silent_legs += u64::from(answered && count.packets_received == 0);
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { calls_placed, calls_answered, calls_served, calls_given_up, .. } = self;
        writeln!(
            f,
            "calls          {calls_placed} placed, {calls_answered} answered, {calls_served} served by an agent"
        )?;
        writeln!(f, "               {calls_given_up} callers gave up")?;
        for (status, count) in &self.calls_refused {
            writeln!(f, "               {count} ended with {status} before an answer")?;
        }
        if self.registrations + self.registrations_failed.values().sum::<u64>() > 0 {
            writeln!(
                f,
                "registrations  {} done, {:?} failed by status",
                self.registrations, self.registrations_failed
            )?;
        }
        writeln!(f, "{:<32}{:>8}{:>9}{:>9}{:>9}{:>9}", "milliseconds", "count", "p50", "p95", "p99", "max")?;
        for (name, figure) in [
            ("dialled to ringing", &self.post_dial_delay_ms),
            ("dialled to answered", &self.answer_ms),
            ("answered to agent heard", &self.served_ms),
            ("agent: rang to answered", &self.agent_ring_ms),
            ("agent: answered to caller heard", &self.agent_heard_ms),
            ("registration", &self.registration_ms),
        ] {
            let Summary { count, p50, p95, p99, max } = figure.summary();
            let text = |value: Option<u32>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
            writeln!(f, "{name:<32}{count:>8}{:>9}{:>9}{:>9}{:>9}", text(p50), text(p95), text(p99), text(max))?;
        }
        for (side, media) in &self.media {
            let MediaFigures { legs, packets_sent, packets_received, packets_lost, silent_legs } = media;
            let side = match side {
                LegSide::Caller => "caller legs",
                LegSide::Agent => "agent legs",
            };
            writeln!(
                f,
                "{side:<15}{legs}: {packets_sent} packets sent, {packets_received} received, {packets_lost} lost, \
                 {silent_legs} legs silent"
            )?;
        }
        for (why, count) in &self.desks_closed {
            writeln!(f, "desk closed    {count} × {why}")?;
        }
        for (what, count) in &self.unreadable {
            writeln!(f, "unreadable     {count} × {what}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::report::{EndedBy, Ending};

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let mut figure = Figure::default();
        assert_eq!(figure.percentile(50), None);
        (1..=200).rev().for_each(|ms| figure.add(Duration::from_millis(ms)));
        let [p50, p99, max] = [50, 99, 100].map(|percent| figure.percentile(percent));
        assert_eq!((p50, p99, max), (Some(100), Some(198), Some(200)));
    }

    #[test]
    fn a_figure_that_is_full_goes_on_counting() {
        let mut figure = Figure::default();
        (0..=limits::LOAD_SAMPLES).for_each(|_| figure.add(Duration::ZERO));
        assert_eq!(figure.count(), limits::LOAD_SAMPLES as u64 + 1);
        assert_eq!(figure.samples.len(), limits::LOAD_SAMPLES);
    }

    #[test]
    fn a_run_is_summed_up_for_people_and_for_machines() {
        let mut report = LoadReport::default();
        let at = |ms| Some(Time::from_millis(ms));
        let refused = Ending { status: 486, by: EndedBy::Them };
        let served = CallerStory {
            dialled: at(0),
            progress: at(30),
            answered: at(50),
            person: at(1_050),
            ..CallerStory::default()
        };
        let busy = CallerStory { dialled: at(0), ending: Some(refused), ..CallerStory::default() };
        let count = LegCount { packets_sent: 10, ..LegCount::default() };
        for note in [
            Note::CallPlaced,
            Note::CallPlaced,
            Note::CallEnded(served),
            Note::CallEnded(busy),
            Note::Leg { side: LegSide::Caller, answered: true, count },
            Note::RegistrationFailed { status: 403 },
            Note::DeskClosed { why: "signing in as li failed".into() },
        ] {
            report.note(note);
        }
        let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(json["calls_placed"], 2);
        assert_eq!(json["calls_served"], 1);
        assert_eq!(json["calls_refused"]["486"], 1);
        assert_eq!(json["post_dial_delay_ms"]["p50"], 30);
        assert_eq!(json["served_ms"]["max"], 1_000);
        assert_eq!(json["media"]["caller"]["silent_legs"], 1);
        let text = report.to_string();
        assert!(text.contains("2 placed, 1 answered, 1 served"), "{text}");
        assert!(text.contains("1 ended with 486"), "{text}");
        assert!(text.contains("1 × signing in as li failed"), "{text}");
    }
}
