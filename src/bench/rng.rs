//! Seeded random numbers and the distributions of keys.

/// SplitMix64.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The sequence of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, which is not 0.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.draw()) * u128::from(n)) >> 64) as u64
    }

    /// A number in `0.0..1.0`.
    pub fn unit(&mut self) -> f64 {
        (self.draw() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Which keys are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Distribution {
    /// Every key as often as any other.
    Uniform,
    /// A few keys very often (exponent 0.99, as YCSB has it).
    Zipf,
    /// One after the other.
    Sequential,
}

/// Draws keys below a bound.
#[derive(Clone, Debug)]
pub struct Keys {
    kind: Distribution,
    count: u64,
    at: u64,
    zeta: f64,
    eta: f64,
}

const THETA: f64 = 0.99;

impl Keys {
    /// Keys below `count` (at least one); a sequential draw starts at `first`.
    pub fn new(kind: Distribution, count: u64, first: u64) -> Self {
        let count = count.max(1);
        let zeta_of = |n: u64| (1..=n).map(|i| (i as f64).powf(-THETA)).sum::<f64>();
        let zipf = kind == Distribution::Zipf;
        let zeta = if zipf { zeta_of(count) } else { 1.0 };
        let eta = (1.0 - (2.0 / count as f64).powf(1.0 - THETA)) / (1.0 - zeta_of(2) / zeta);
        Self {
            kind,
            count,
            at: first,
            zeta,
            eta,
        }
    }

    /// The next key.
    pub fn draw(&mut self, rng: &mut Rng) -> u64 {
        match self.kind {
            Distribution::Uniform => rng.below(self.count),
            Distribution::Sequential => {
                self.at += 1;
                (self.at - 1) % self.count
            }
            Distribution::Zipf => self.zipf(rng),
        }
    }

    /// Gray et al., "Quickly generating billion-record synthetic databases".
    fn zipf(&self, rng: &mut Rng) -> u64 {
        let u = rng.unit();
        let uz = u * self.zeta;
        if uz < 1.0 {
            return 0;
        }
        if uz < 1.0 + 0.5_f64.powf(THETA) {
            return 1.min(self.count - 1);
        }
        let spread = (self.eta * u - self.eta + 1.0).powf(1.0 / (1.0 - THETA));
        ((self.count as f64 * spread) as u64).min(self.count - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_stay_in_bounds_and_zipf_has_favourites() {
        for kind in [
            Distribution::Uniform,
            Distribution::Zipf,
            Distribution::Sequential,
        ] {
            let mut rng = Rng::new(1);
            let mut keys = Keys::new(kind, 1000, 3);
            let drawn: Vec<_> = (0..20_000).map(|_| keys.draw(&mut rng)).collect();
            assert!(drawn.iter().all(|&k| k < 1000));
            let first = drawn.iter().filter(|&&k| k == 0).count();
            match kind {
                Distribution::Zipf => assert!(first > 1000, "{first}"),
                _ => assert!(first < 100, "{first}"),
            }
        }
        assert_eq!(
            Keys::new(Distribution::Zipf, 1, 0).draw(&mut Rng::new(2)),
            0
        );
    }
}
