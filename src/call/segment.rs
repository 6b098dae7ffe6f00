//! Segments of a recording: who takes part, who is held, what is masked, and from when to when.

use serde::{Deserialize, Serialize};

use crate::event::Role;
use crate::ids::LegId;
use crate::time::Time;

/// Something that holds for a part of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    pub kind: SegmentKind,
    /// Who takes part, or who is held; `None` where all are masked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leg: Option<LegId>,
    /// Milliseconds from the recording's beginning.
    pub from_ms: u64,
    /// `None` while it goes on.
    pub to_ms: Option<u64>,
}

/// What holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SegmentKind {
    /// An agent takes part.
    Agent,
    /// Somebody takes part who is no agent of a queue.
    Callee,
    /// The leg is held.
    Hold,
    /// Silence stands where the caller said or pressed something secret.
    Masked,
}

impl SegmentKind {
    /// The kind of a party's segment; callers take part in all of their recording.
    pub const fn of_role(role: Role) -> Option<Self> {
        match role {
            Role::Agent => Some(Self::Agent),
            Role::Callee => Some(Self::Callee),
            Role::Caller => None,
        }
    }
}

/// The segments of one recording, in the order they began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Segments(Vec<Segment>);

impl Segments {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> core::slice::Iter<'_, Segment> {
        self.0.iter()
    }

    /// Nothing begins twice: what goes on goes on.
    pub(super) fn begin(&mut self, kind: SegmentKind, leg: Option<LegId>, from_ms: u64) {
        let goes_on = |segment: &Segment| segment.kind == kind && segment.leg == leg && segment.to_ms.is_none();
        if !self.0.iter().any(goes_on) {
            self.0.push(Segment { kind, leg, from_ms, to_ms: None });
        }
    }

    /// Ends those that go on and that `which` chooses.
    pub(super) fn end(&mut self, to_ms: u64, which: impl Fn(&Segment) -> bool) {
        for segment in self.0.iter_mut().filter(|segment| segment.to_ms.is_none() && which(segment)) {
            segment.to_ms = Some(to_ms);
        }
    }

    /// The recording is so long: nothing in it begins or ends later.
    pub(super) fn close(&mut self, length_ms: u64) {
        for segment in &mut self.0 {
            segment.from_ms = segment.from_ms.min(length_ms);
            segment.to_ms = Some(segment.to_ms.map_or(length_ms, |to| to.min(length_ms)));
        }
    }

    /// Removes the oldest that is over; the latest stays while there are others.
    pub(super) fn leave_one_out(&mut self) {
        let latest = self.0.len().saturating_sub(1).max(1);
        let oldest = (0..latest.min(self.0.len())).min_by_key(|at| self.0[*at].to_ms.is_none());
        if let Some(at) = oldest {
            self.0.remove(at);
        }
    }
}

/// Milliseconds of the recording that began at `started`.
pub(super) fn offset(started: Time, at: Time) -> u64 {
    u64::try_from(at.since(started).as_millis()).unwrap_or(u64::MAX)
}
