//! How one of several able agents is chosen: ten strategies, each a pure function from facts to a rank.
//!
//! A strategy never looks at the house: it gets [`Facts`] about one candidate and a seeded stream, and answers a rank;
//! the lowest rank is offered the call. That is why a decision can be explained and evaluated again.

use core::time::Duration;

use crate::ids::IdSource;
use crate::limits;
pub use crate::strategy::Strategy;
use crate::time::Time;

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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    const NOBODY: Facts = Facts {
        idle_since: Time::from_secs(1_000),
        position: 0,
        calls: 0,
        talk: Duration::ZERO,
        occupancy_ppm: 0,
        weight: 1,
    };
    const FIRST: Turn = Turn { last: None, positions: 4 };

    fn rank(strategy: Strategy, facts: Facts) -> u64 {
        strategy.rank(&facts, FIRST, &mut IdSource::from_seed(1))
    }

    /// Does `strategy` put `first` before `second`?
    fn prefers(strategy: Strategy, first: Facts, second: Facts) -> bool {
        rank(strategy, first) < rank(strategy, second)
    }

    #[test]
    fn each_strategy_prefers_what_its_name_says() {
        let longer_idle = Facts { idle_since: Time::from_secs(999), ..NOBODY };
        let second = Facts { position: 1, ..NOBODY };
        let busier = Facts { calls: 1, talk: Duration::from_secs(1), occupancy_ppm: 1, ..NOBODY };
        assert!(prefers(Strategy::LongestIdle, longer_idle, NOBODY));
        assert!(prefers(Strategy::RingAll, longer_idle, NOBODY));
        assert!(prefers(Strategy::TopDown, NOBODY, second));
        assert!(prefers(Strategy::RingProgressively, NOBODY, second));
        assert!(prefers(Strategy::FewestCalls, NOBODY, busier));
        assert!(prefers(Strategy::LeastTalk, NOBODY, busier));
        assert!(prefers(Strategy::LeastOccupied, NOBODY, busier));
    }

    #[test]
    fn only_ring_all_rings_many_at_once() {
        for (_, strategy) in Strategy::ALL {
            assert_eq!(strategy.width() > 1, strategy == Strategy::RingAll, "{strategy:?}");
        }
        assert_eq!(Strategy::RingAll.width(), limits::ACD_RINGING);
    }

    #[test]
    fn round_robin_comes_to_everyone_in_turn() {
        let mut stream = IdSource::from_seed(1);
        let mut last = None;
        let mut order = Vec::new();
        for _ in 0..8 {
            let turn = Turn { last, positions: 4 };
            let next = (0..4).min_by_key(|position| {
                Strategy::RoundRobin.rank(&Facts { position: *position, ..NOBODY }, turn, &mut stream)
            });
            order.extend(next);
            last = next;
        }
        assert_eq!(order, [0, 1, 2, 3, 0, 1, 2, 3]);
    }

    /// Shares in 20,000 draws among weights 1, 3 and 6: a tenth, three tenths, six tenths.
    fn shares(strategy: Strategy) -> BTreeMap<u8, f64> {
        let mut stream = IdSource::from_seed(11);
        let mut wins = BTreeMap::new();
        for _ in 0..20_000 {
            let winner = [1u8, 3, 6]
                .into_iter()
                .min_by_key(|weight| strategy.rank(&Facts { weight: *weight, ..NOBODY }, FIRST, &mut stream));
            *wins.entry(winner.unwrap()).or_insert(0.0) += 1.0 / 20_000.0;
        }
        wins
    }

    #[test]
    fn chances_are_equal_or_in_proportion_to_the_weight() {
        for (weight, share) in shares(Strategy::WeightedRandom) {
            assert!((share - f64::from(weight) / 10.0).abs() < 0.015, "weight {weight}: {share}");
        }
        for (weight, share) in shares(Strategy::Random) {
            assert!((share - 1.0 / 3.0).abs() < 0.015, "weight {weight}: {share}");
        }
    }

    proptest! {
        /// The same facts and the same stream give the same rank: nothing hidden decides.
        #[test]
        fn a_strategy_is_a_function(
            which in 0usize..10, seed: u64, idle in 0u64..1_000_000, position in 0u32..100, calls: u32,
            talk in 0u64..1_000_000, occupancy_ppm in 0u32..1_000_000, weight in 0u8..20, last in 0u32..200,
        ) {
            let (_, strategy) = Strategy::ALL[which];
            let (idle_since, talk) = (Time::from_millis(idle), Duration::from_millis(talk));
            let facts = Facts { idle_since, position, calls, talk, occupancy_ppm, weight };
            let turn = Turn { last: Some(last), positions: 100 };
            let ask = || strategy.rank(&facts, turn, &mut IdSource::from_seed(seed));
            prop_assert_eq!(ask(), ask());
        }

        /// Of any set of positions round robin picks the nearest after the last one, and the last one only if alone.
        #[test]
        fn round_robin_never_repeats_while_another_is_free(free in 1u32..(1 << 12), last in 0u32..12) {
            let turn = Turn { last: Some(last), positions: 12 };
            let free: Vec<u32> = (0..12).filter(|position| free >> position & 1 == 1).collect();
            let mut stream = IdSource::from_seed(0);
            let next = free.iter().copied().min_by_key(|position| {
                Strategy::RoundRobin.rank(&Facts { position: *position, ..NOBODY }, turn, &mut stream)
            }).unwrap();
            prop_assert!(next != last || free.len() == 1);
            let after: Vec<u32> = (1..=12).map(|step| (last + step) % 12).collect();
            prop_assert_eq!(Some(next), after.into_iter().find(|position| free.contains(position)));
        }
    }
}
