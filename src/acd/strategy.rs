//! How one of several able agents is chosen (D2): ten strategies, each a pure function from facts to a rank.
//!
//! A strategy never looks at the house: it gets [`Facts`] about one candidate and a seeded stream, and answers a rank;
//! the lowest rank is offered the call. That is why a decision can be explained and evaluated again.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::IdSource;
use crate::limits;
use crate::time::Time;

/// Which able agent rings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Ready for the longest time.
    #[default]
    LongestIdle,
    /// The next one after the last, in the queue's order.
    RoundRobin,
    /// Fewest calls answered.
    FewestCalls,
    /// Least time talked.
    LeastTalk,
    /// Each with the same chance.
    Random,
    /// All at once; the first to answer wins.
    RingAll,
    /// The first in the queue's order who is free.
    TopDown,
    /// The first, then one more every few seconds while the others ring on.
    RingProgressively,
    /// Each with a chance in proportion to the agent's weight.
    WeightedRandom,
    /// The lowest occupancy of late.
    LeastOccupied,
}

/// What a strategy may know about one candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    pub idle_since: Time,
    /// Place in the queue's order, from 0.
    pub position: u32,
    /// Calls answered, talk time: since the counters were last levelled with the colleagues'.
    pub calls: u32,
    pub talk: Duration,
    /// Millionths of working time that were not idle.
    pub occupancy_ppm: u32,
    /// 1–10, for *weighted random*.
    pub weight: u8,
}

/// What a strategy may know about the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The position that was offered a call last.
    pub last: Option<u32>,
    /// How many positions there are.
    pub positions: u32,
}

impl Strategy {
    pub const ALL: [Strategy; 10] = [
        Strategy::LongestIdle,
        Strategy::RoundRobin,
        Strategy::FewestCalls,
        Strategy::LeastTalk,
        Strategy::Random,
        Strategy::RingAll,
        Strategy::TopDown,
        Strategy::RingProgressively,
        Strategy::WeightedRandom,
        Strategy::LeastOccupied,
    ];

    /// How many agents ring at once, to begin with.
    pub fn width(self) -> usize {
        if self == Strategy::RingAll { limits::ACD_RINGING } else { 1 }
    }

    /// The rank of one candidate: lowest first. Equal ranks fall to the agent's place in the roster.
    pub fn rank(self, facts: &Facts, turn: Turn, stream: &mut IdSource) -> u64 {
        match self {
            Strategy::LongestIdle | Strategy::RingAll => facts.idle_since.as_micros(),
            Strategy::RoundRobin => u64::from(turn.distance(facts.position)),
            Strategy::FewestCalls => u64::from(facts.calls),
            Strategy::LeastTalk => u64::try_from(facts.talk.as_micros()).unwrap_or(u64::MAX),
            Strategy::Random => u64::from(stream.below(u32::MAX)),
            Strategy::TopDown | Strategy::RingProgressively => u64::from(facts.position),
            Strategy::WeightedRandom => lowest_of(facts.weight, stream),
            Strategy::LeastOccupied => u64::from(facts.occupancy_ppm),
        }
    }
}

impl Turn {
    /// How many steps after the last one a position comes: 0 for the next, the most for the last one itself.
    fn distance(self, position: u32) -> u32 {
        let positions = self.positions.max(1);
        let next = self.last.map_or(0, |last| last.wrapping_add(1) % positions);
        (position % positions + positions - next) % positions
    }
}

/// The lowest of `weight` equal draws: the chance of holding the lowest of all is weight over the sum of weights,
/// in whole numbers only, so that every machine decides alike.
fn lowest_of(weight: u8, stream: &mut IdSource) -> u64 {
    (0..weight.clamp(1, 10)).map(|_| u64::from(stream.below(u32::MAX))).min().unwrap_or(u64::MAX)
}
