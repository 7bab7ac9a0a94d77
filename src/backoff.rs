//! Growing delays with jitter. Pure but for the jitter's chance.

use std::time::Duration;

/// Doubles from a first to a longest delay; each delay is shortened by up to a quarter, so that many do not beat in time.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// Starts at `first`.
    #[must_use]
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0 }
    }

    /// The delay after one more failure.
    pub fn fail(&mut self) -> Duration {
        let doubled = self.first.saturating_mul(2_u32.saturating_pow(self.failures.min(16)));
        self.failures = self.failures.saturating_add(1);
        jitter(doubled.min(self.longest))
    }

    /// How many failures there were since the last success.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Forgets the failures.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

fn jitter(delay: Duration) -> Duration {
    let mut chance = [0_u8; 1];
    // Without chance there is still a delay, only no jitter.
    let _ = getrandom::fill(&mut chance);
    delay.mul_f64(1.0 - f64::from(chance[0]) / 255.0 / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_their_bound_and_start_anew_after_a_reset() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let delays: Vec<_> = (0..6).map(|_| backoff.fail()).collect();
        for (delay, expected) in delays.iter().zip([100_u64, 200, 400, 800, 1000, 1000]) {
            let most = Duration::from_millis(expected);
            assert!(*delay <= most && *delay >= most.mul_f64(0.74), "{delay:?} for {expected}");
        }
        backoff.reset();
        assert!(backoff.fail() <= Duration::from_millis(100));
    }
}
