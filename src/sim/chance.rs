//! Chance as behaviours need it, drawn from the seeded stream: spans, and things that happen now and then.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::IdSource;

/// A span drawn evenly between two ends, to the millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    pub least: Duration,
    pub most: Duration,
}

impl Spread {
    pub const fn millis(least: u64, most: u64) -> Self {
        Self { least: Duration::from_millis(least), most: Duration::from_millis(most) }
    }

    pub const fn secs(least: u64, most: u64) -> Self {
        Self { least: Duration::from_secs(least), most: Duration::from_secs(most) }
    }

    /// Always that span.
    pub const fn fixed(span: Duration) -> Self {
        Self { least: span, most: span }
    }

    pub fn draw(&self, dice: &mut IdSource) -> Duration {
        let width = self.most.saturating_sub(self.least).as_millis();
        let width = u32::try_from(width).unwrap_or(u32::MAX - 1);
        self.least + Duration::from_millis(u64::from(dice.below(width + 1)))
    }
}

/// True `permille` times in a thousand.
pub fn happens(dice: &mut IdSource, permille: u32) -> bool {
    dice.below(1_000) < permille
}

/// One of them; `None` where there is none.
pub fn pick<'a, T>(dice: &mut IdSource, from: &'a [T]) -> Option<&'a T> {
    let count = u32::try_from(from.len()).unwrap_or(u32::MAX);
    from.get(usize::try_from(dice.below(count)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_reach_both_ends_and_never_leave_them() {
        let (mut dice, spread) = (IdSource::from_seed(1), Spread::millis(10, 13));
        let mut seen: Vec<u128> = (0..200).map(|_| spread.draw(&mut dice).as_millis()).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, [10, 11, 12, 13]);
        assert_eq!(Spread::fixed(Duration::from_secs(3)).draw(&mut dice), Duration::from_secs(3));
    }

    #[test]
    fn rare_things_are_rare_and_nothing_is_picked_from_nothing() {
        let mut dice = IdSource::from_seed(2);
        let often = (0..10_000).filter(|_| happens(&mut dice, 100)).count();
        assert!((850..1_150).contains(&often), "{often}");
        assert!(!happens(&mut dice, 0) && happens(&mut dice, 1_000));
        assert_eq!(pick::<u8>(&mut dice, &[]), None);
    }
}
