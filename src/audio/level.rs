//! How loud: root mean square in dBov (0 is the loudest square wave, −127 stands for silence, as in RFC 6464).

/// The level of silence, and the lowest we tell apart.
pub const SILENCE_DBOV: f64 = -127.0;

/// Root mean square of `samples` in dBov; [`SILENCE_DBOV`] for none or for digital silence.
pub fn level_dbov(samples: &[i16]) -> f64 {
    if samples.is_empty() {
        return SILENCE_DBOV;
    }
    let energy: i64 = samples.iter().map(|&s| i64::from(s) * i64::from(s)).sum();
    let rms = (energy as f64 / samples.len() as f64).sqrt();
    if rms == 0.0 { SILENCE_DBOV } else { (20.0 * (rms / 32_768.0).log10()).max(SILENCE_DBOV) }
}

/// Peak amplitude of white noise whose level is `dbov`: uniform noise of peak `p` has an RMS of `p / √3`.
pub fn noise_peak(dbov: f64) -> i16 {
    // `as` saturates at the top of the scale.
    (32_768.0 * 10_f64.powf(dbov.clamp(SILENCE_DBOV, 0.0) / 20.0) * 3_f64.sqrt()) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_those_of_the_scale() {
        assert_eq!(level_dbov(&[]), SILENCE_DBOV);
        assert_eq!(level_dbov(&[0; 160]), SILENCE_DBOV);
        assert!(level_dbov(&[i16::MIN; 160]).abs() < 0.001);
        assert!((level_dbov(&[3_277; 160]) + 20.0).abs() < 0.01);
    }

    #[test]
    fn noise_of_a_level_has_that_level() {
        let peak = f64::from(noise_peak(-40.0));
        let ramp: Vec<i16> = (0..1_000).map(|i| (peak * (f64::from(i) / 500.0 - 1.0)) as i16).collect();
        assert!((level_dbov(&ramp) + 40.0).abs() < 0.2, "{}", level_dbov(&ramp));
        assert_eq!(noise_peak(-127.0), 0);
    }
}
