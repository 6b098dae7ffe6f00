//! How long will a caller wait? The abandonment-aware queue estimator QL_m (Whitt 1999) with its exact quantiles.
//!
//! A caller who finds m others ahead while n agents are busy waits V = Σ_{k=0..m} Exp(nμ + kθ): each of those ahead
//! leaves by an agent (rate nμ) or by patience running out (rate θ each). V equals −ln(X)/θ with X ~ Beta(nμ/θ, m+1),
//! hence P(V ≤ t) = 1 − I_{exp(−θt)}(nμ/θ, m+1), I being the regularised incomplete beta function.

use core::time::Duration;

use serde::{Deserialize, Serialize};

/// A wait as a distribution. Say "between P50 and P90", rounded: [`WaitEstimate::spoken`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitEstimate {
    pub mean: Duration,
    pub p50: Duration,
    pub p80: Duration,
    pub p90: Duration,
}

/// What an estimate is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WaitModel {
    /// Calls ahead, served before this one.
    pub ahead: u32,
    /// Agents working for this call, fractions of shared ones included. Above zero.
    pub agents: f64,
    pub handle_time: Duration,
    /// Mean patience of callers.
    pub patience: Duration,
}

impl WaitModel {
    /// `None` where nobody works for the call: then no honest figure exists.
    pub fn estimate(&self) -> Option<WaitEstimate> {
        let chance = self.distribution()?;
        Some(WaitEstimate {
            mean: seconds(chance.mean()),
            p50: seconds(chance.quantile(0.5)),
            p80: seconds(chance.quantile(0.8)),
            p90: seconds(chance.quantile(0.9)),
        })
    }

    /// P(wait ≤ t).
    pub fn within(&self, t: Duration) -> Option<f64> {
        Some(self.distribution()?.within(t.as_secs_f64()))
    }

    fn distribution(&self) -> Option<OfferedWait> {
        let agents = self.agents.is_finite().then_some(self.agents).filter(|n| *n > 1e-6)?.min(1e6);
        let handle_time = self.handle_time.as_secs_f64().clamp(1.0, 86_400.0);
        let patience = self.patience.as_secs_f64().clamp(1.0, 86_400.0);
        Some(OfferedWait { rate: agents / handle_time, theta: 1.0 / patience, ahead: self.ahead.min(100_000) })
    }
}

impl WaitEstimate {
    /// The range to be spoken, rounded up: to 10 s below a minute, to 30 s below five, to whole minutes above.
    pub fn spoken(&self) -> (Duration, Duration) {
        (round_for_speech(self.p50), round_for_speech(self.p90))
    }
}

fn round_for_speech(span: Duration) -> Duration {
    let seconds = span.as_secs() + u64::from(span.subsec_nanos() > 0);
    let grain = match seconds {
        0..=60 => 10,
        61..=300 => 30,
        _ => 60,
    };
    Duration::from_secs(seconds.div_ceil(grain).max(1) * grain)
}

fn seconds(s: f64) -> Duration {
    Duration::from_micros((s.clamp(0.0, 1e9) * 1e6).round() as u64)
}

/// V: rates in 1/s.
struct OfferedWait {
    /// nμ
    rate: f64,
    theta: f64,
    ahead: u32,
}

impl OfferedWait {
    fn mean(&self) -> f64 {
        (0..=self.ahead).map(|k| 1.0 / (self.rate + f64::from(k) * self.theta)).sum()
    }

    fn within(&self, t: f64) -> f64 {
        let above = -(-self.theta * t.max(0.0)).exp_m1();
        1.0 - incomplete_beta(1.0 - above, above, self.rate / self.theta, f64::from(self.ahead) + 1.0)
    }

    /// The t with P(V ≤ t) = p, by bisection: 60 halvings of a bracket found by doubling.
    fn quantile(&self, p: f64) -> f64 {
        let (mut low, mut high) = (0.0, self.mean().max(1e-3));
        for _ in 0..64 {
            if self.within(high) >= p {
                break;
            }
            low = high;
            high *= 2.0;
        }
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if self.within(middle) < p {
                low = middle;
            } else {
                high = middle;
            }
        }
        0.5 * (low + high)
    }
}

/// I_x(a, b) by the continued fraction DLMF 8.17.22, evaluated by Lentz' method. `y` is 1 − x, handed in apart so
/// that an x near 1 loses no digits.
fn incomplete_beta(x: f64, y: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if y <= 0.0 {
        return 1.0;
    }
    // x = 1 − y is exact to an ulp of 1; ln x from the smaller of the two.
    let ln_x = if y < 0.5 { (-y).ln_1p() } else { x.ln() };
    let ln_y = if y < 0.5 { y.ln() } else { (-x).ln_1p() };
    let front = (a * ln_x + b * ln_y + ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b)).exp();
    // The fraction converges fast left of the mean; right of it the mirror image does.
    if x < (a + 1.0) / (a + b + 2.0) {
        front * beta_fraction(x, a, b) / a
    } else {
        1.0 - front * beta_fraction(y, b, a) / b
    }
    .clamp(0.0, 1.0)
}

fn beta_fraction(x: f64, a: f64, b: f64) -> f64 {
    const TINY: f64 = 1e-300;
    const TERMS: u32 = 20_000;
    let off_zero = |v: f64| if v.abs() < TINY { TINY } else { v };
    let mut c = 1.0;
    let mut d = 1.0 / off_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut value = d;
    for m in 1..=TERMS {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / off_zero(1.0 + even * d);
        c = off_zero(1.0 + even / c);
        value *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / off_zero(1.0 + odd * d);
        c = off_zero(1.0 + odd / c);
        let change = d * c;
        value *= change;
        if (change - 1.0).abs() < 1e-14 {
            break;
        }
    }
    value
}

/// ln Γ(z) for z > 0: recurrence up to 10, then Stirling's series (DLMF 5.11.1); error below 1e-13 relative.
fn ln_gamma(z: f64) -> f64 {
    let (mut z, mut shift) = (z, 0.0);
    while z < 10.0 {
        shift -= z.ln();
        z += 1.0;
    }
    let w = 1.0 / (z * z);
    let series = (1.0 / 12.0 - w * (1.0 / 360.0 - w * (1.0 / 1_260.0 - w * (1.0 / 1_680.0 - w / 1_188.0)))) / z;
    shift + (z - 0.5) * z.ln() - z + 0.5 * (2.0 * core::f64::consts::PI).ln() + series
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};

    use super::*;

    fn model(ahead: u32) -> WaitModel {
        let three_minutes = Duration::from_secs(180);
        WaitModel { ahead, agents: 20.0, handle_time: three_minutes, patience: three_minutes }
    }

    /// n = 20, AHT 180 s, patience 180 s.
    #[test]
    fn the_published_vectors_hold() {
        let vectors = [
            (0, [9.00, 6.24, 14.48, 20.72]),
            (3, [33.58, 30.82, 46.30, 56.11]),
            (10, [80.50, 78.01, 100.02, 113.02]),
            (30, [171.26, 169.15, 197.30, 213.27]),
        ];
        for (ahead, wanted) in vectors {
            let got = model(ahead).estimate().unwrap();
            let got = [got.mean, got.p50, got.p80, got.p90].map(|span| span.as_secs_f64());
            for (got, wanted) in got.iter().zip(wanted) {
                assert!((got - wanted).abs() < 0.006, "{ahead} ahead: {got:.4} for {wanted}");
            }
        }
    }

    #[test]
    fn gamma_and_beta_agree_with_known_values() {
        assert!((ln_gamma(1.0)).abs() < 1e-13);
        assert!((ln_gamma(0.5) - core::f64::consts::PI.sqrt().ln()).abs() < 1e-13);
        assert!((ln_gamma(101.0) - 363.739_375_555_563_5).abs() < 1e-10);
        // I_x(a, 1) = x^a and I_x(1, b) = 1 − (1−x)^b.
        assert!((incomplete_beta(0.3, 0.7, 2.5, 1.0) - 0.3f64.powf(2.5)).abs() < 1e-13);
        assert!((incomplete_beta(0.9, 0.1, 1.0, 7.0) - (1.0 - 0.1f64.powi(7))).abs() < 1e-13);
    }

    #[test]
    fn nobody_working_gives_no_figure() {
        assert_eq!(WaitModel { agents: 0.0, ..model(3) }.estimate(), None);
        assert_eq!(WaitModel { agents: f64::NAN, ..model(3) }.estimate(), None);
    }

    #[test]
    fn spoken_figures_are_round() {
        let secs = Duration::from_secs;
        assert_eq!(model(3).estimate().unwrap().spoken(), (secs(40), secs(60)));
        assert_eq!(model(30).estimate().unwrap().spoken(), (secs(180), secs(240)));
        assert_eq!(round_for_speech(Duration::ZERO), secs(10));
        assert_eq!(round_for_speech(secs(301)), secs(360));
    }

    proptest! {
        /// Over the whole range the ACD can ask for, however lopsided: ordered, finite, and monotone in the calls ahead.
        #[test]
        fn quantiles_are_sound_everywhere(
            ahead in 0u32..5_000, agents in 0.01f64..5_000.0, handle in 1u64..7_200, patience in 1u64..86_400,
        ) {
            let model = WaitModel {
                ahead, agents, handle_time: Duration::from_secs(handle), patience: Duration::from_secs(patience),
            };
            let e = model.estimate().unwrap();
            prop_assert!(e.p50 <= e.p80 && e.p80 <= e.p90, "{e:?}");
            // Median and mean of a sum of exponentials lie within one standard deviation of each other.
            let rate = agents / handle as f64;
            let variance: f64 =
                (0..=ahead).map(|k| (rate + f64::from(k) / patience as f64).powi(-2)).sum();
            let apart = (e.mean.as_secs_f64() - e.p50.as_secs_f64()).abs();
            prop_assert!(apart <= variance.sqrt() * 1.001 + 1e-5, "{e:?}");
            let p = model.within(e.p90).unwrap();
            prop_assert!((p - 0.9).abs() < 1e-3 || e.p90 < Duration::from_millis(10), "P(V ≤ p90) = {p}");
            let more = WaitModel { ahead: ahead + 1, ..model }.estimate().unwrap();
            prop_assert!(more.p90 + Duration::from_millis(1) >= e.p90);
        }
    }
}
