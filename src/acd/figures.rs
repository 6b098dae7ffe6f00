//! The figures of a queue, by the definitions of the house.
//!
//! Every offered call has exactly one exit: answered, abandoned, moved, failed; else it waits. The identity
//! `offered = answered + abandoned + moved + failed + waiting` is asserted, in production too. A wait runs from
//! entering this queue to leaving it. Counts run from start; intervals are differences, made by whoever reports.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::settings::QueueSettings;

/// Counts and sums of one queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    pub offered: u64,
    pub answered: u64,
    /// The caller hung up.
    pub abandoned: u64,
    /// The system or a supervisor took it elsewhere.
    pub moved: u64,
    pub failed: u64,
    /// Waiting now, ringing ones included.
    pub waiting: u64,
    /// Turned away at the door: never offered.
    pub refused: u64,
    /// Answered within the target T.
    pub answered_in_target: u64,
    /// Abandoned within T; and within the short-abandon threshold s.
    pub abandoned_in_target: u64,
    pub abandoned_short: u64,
    /// Sums over answered, and over abandoned calls.
    pub answered_wait: Duration,
    pub abandoned_wait: Duration,
    pub longest_wait: Duration,
    /// Handle time: talk with hold, and wrap-up.
    pub talk: Duration,
    pub wrap_up: Duration,
    pub wrapped: u64,
    /// Offers that no agent took.
    pub offers_failed: u64,
    /// Answered calls that had been given an estimate; whose wait came out within its P50, its P90.
    pub estimated: u64,
    pub within_p50: u64,
    pub within_p90: u64,
}

impl Figures {
    /// Does every offered call have its one exit?
    pub fn identity_holds(&self) -> bool {
        self.offered == self.answered + self.abandoned + self.moved + self.failed + self.waiting
    }

    /// ans(w≤T) / (ans + ab − ab(w≤s) + moved·f), the house's definition. `None` where nothing counts yet.
    pub fn service_level(&self, moved_counts: bool) -> Option<f64> {
        let moved = if moved_counts { self.moved } else { 0 };
        ratio(self.answered_in_target, self.answered + self.abandoned - self.abandoned_short + moved)
    }

    /// ans(w≤T) / ans.
    pub fn service_level_of_answered(&self) -> Option<f64> {
        ratio(self.answered_in_target, self.answered)
    }

    /// (ans(w≤T) + ab(w≤T)) / (ans + ab).
    pub fn service_level_with_abandons(&self) -> Option<f64> {
        ratio(self.answered_in_target + self.abandoned_in_target, self.answered + self.abandoned)
    }

    /// ans(w≤T) / offered.
    pub fn service_level_of_offered(&self) -> Option<f64> {
        ratio(self.answered_in_target, self.offered)
    }

    /// Average speed of answer: Σw over answered / answered.
    pub fn average_speed_of_answer(&self) -> Option<Duration> {
        mean(self.answered_wait, self.answered)
    }

    /// Σw over abandoned / abandoned.
    pub fn average_speed_to_abandon(&self) -> Option<Duration> {
        mean(self.abandoned_wait, self.abandoned)
    }

    /// ab(w>s) / (offered − ab(w≤s)).
    pub fn abandon_rate(&self) -> Option<f64> {
        ratio(self.abandoned - self.abandoned_short, self.offered - self.abandoned_short)
    }

    /// (talk + hold + wrap-up) / handled.
    pub fn average_handle_time(&self) -> Option<Duration> {
        mean(self.talk + self.wrap_up, self.answered)
    }

    pub(super) fn enters(&mut self) {
        self.offered += 1;
        self.waiting += 1;
    }

    pub(super) fn answers(&mut self, wait: Duration, rules: &QueueSettings) {
        self.leaves(wait);
        self.answered += 1;
        self.answered_in_target += u64::from(wait <= rules.target);
        self.answered_wait += wait;
    }

    pub(super) fn abandons(&mut self, wait: Duration, rules: &QueueSettings) {
        self.leaves(wait);
        self.abandoned += 1;
        self.abandoned_in_target += u64::from(wait <= rules.target);
        self.abandoned_short += u64::from(wait <= rules.short_abandon);
        self.abandoned_wait += wait;
    }

    pub(super) fn moves(&mut self, wait: Duration) {
        self.leaves(wait);
        self.moved += 1;
    }

    pub(super) fn fails(&mut self, wait: Duration) {
        self.leaves(wait);
        self.failed += 1;
    }

    fn leaves(&mut self, wait: Duration) {
        self.waiting = self.waiting.saturating_sub(1);
        self.longest_wait = self.longest_wait.max(wait);
    }

    pub(super) fn estimate_came_true(&mut self, wait: Duration, p50: Duration, p90: Duration) {
        self.estimated += 1;
        self.within_p50 += u64::from(wait <= p50);
        self.within_p90 += u64::from(wait <= p90);
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn mean(sum: Duration, count: u64) -> Option<Duration> {
    let micros = u64::try_from(sum.as_micros()).unwrap_or(u64::MAX);
    micros.checked_div(count).map(Duration::from_micros)
}

/// A mean that starts at an assumption and follows the latest cases, for handle time and patience.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rolling {
    sum: Duration,
    count: u32,
}

impl Rolling {
    /// The assumption weighs as much as this many cases.
    const PRIOR: u32 = 10;
    /// From here on both halves are kept: the past fades.
    const WINDOW: u32 = 200;

    pub(super) fn assumed(mean: Duration) -> Self {
        Self { sum: mean * Self::PRIOR, count: Self::PRIOR }
    }

    /// A case that came to its end after `span`.
    pub(super) fn ended(&mut self, span: Duration) {
        self.count += 1;
        self.endured(span);
    }

    /// A case that was cut off after `span` (an answered caller's patience): the censored maximum likelihood of an
    /// exponential adds the time and not the count.
    pub(super) fn endured(&mut self, span: Duration) {
        self.sum += span;
        if self.count > Self::WINDOW || self.sum > Duration::from_secs(86_400) * Self::WINDOW {
            self.sum /= 2;
            self.count = (self.count / 2).max(1);
        }
    }

    pub(super) fn mean(self) -> Duration {
        self.sum / self.count.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    /// Ten offered: waits 5, 15, 30 and 60 s answered; 3 and 40 s abandoned; two moved at 60 s; one failed; one waits.
    fn a_morning() -> Figures {
        let rules = QueueSettings::named("sales");
        let mut f = Figures::default();
        (0..10).for_each(|_| f.enters());
        [5, 15, 30, 60].into_iter().for_each(|s| f.answers(secs(s), &rules));
        [3, 40].into_iter().for_each(|s| f.abandons(secs(s), &rules));
        [60, 60].into_iter().for_each(|s| f.moves(secs(s)));
        f.fails(secs(1));
        f
    }

    #[test]
    fn each_ratio_follows_its_definition() {
        let f = a_morning();
        assert!(f.identity_holds());
        assert_eq!(f.waiting, 1);
        assert_eq!(f.service_level(false), Some(2.0 / 5.0));
        assert_eq!(f.service_level(true), Some(2.0 / 7.0));
        assert_eq!(f.service_level_of_answered(), Some(0.5));
        assert_eq!(f.service_level_with_abandons(), Some(0.5));
        assert_eq!(f.service_level_of_offered(), Some(0.2));
        assert_eq!(f.abandon_rate(), Some(1.0 / 9.0));
        assert_eq!(f.average_speed_of_answer(), Some(Duration::from_millis(27_500)));
        assert_eq!(f.average_speed_to_abandon(), Some(Duration::from_millis(21_500)));
        assert_eq!(f.longest_wait, secs(60));
        assert_eq!(Figures::default().service_level(false), None);
    }

    #[test]
    fn a_lost_exit_breaks_the_identity() {
        let mut f = a_morning();
        f.waiting -= 1;
        assert!(!f.identity_holds());
    }

    #[test]
    fn handle_time_moves_from_the_assumption_to_the_truth() {
        let mut handle_time = Rolling::assumed(secs(180));
        assert_eq!(handle_time.mean(), secs(180));
        (0..1_000).for_each(|_| handle_time.ended(secs(60)));
        assert!(handle_time.mean() < secs(62));
    }

    #[test]
    fn answered_callers_prove_patience() {
        let mut patience = Rolling::assumed(secs(100));
        for _ in 0..300 {
            patience.endured(secs(30));
            patience.endured(secs(30));
            patience.ended(secs(30));
        }
        let mean = patience.mean();
        assert!(secs(80) < mean && mean < secs(100), "three spans of 30 s for one who left is 90 s: {mean:?}");
    }
}
