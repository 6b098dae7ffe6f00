//! The ways of choosing an agent: what a queue's settings name and the ACD carries out.

use serde::{Deserialize, Serialize};

/// Which able agent rings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

impl Strategy {
    /// Each with the name it has in a file.
    pub const ALL: [(&'static str, Strategy); 10] = [
        ("longest_idle", Strategy::LongestIdle),
        ("round_robin", Strategy::RoundRobin),
        ("fewest_calls", Strategy::FewestCalls),
        ("least_talk", Strategy::LeastTalk),
        ("random", Strategy::Random),
        ("ring_all", Strategy::RingAll),
        ("top_down", Strategy::TopDown),
        ("ring_progressively", Strategy::RingProgressively),
        ("weighted_random", Strategy::WeightedRandom),
        ("least_occupied", Strategy::LeastOccupied),
    ];
}
