//! How many connect requests are let in (Apache: `BlueThrottle`).
//!
//! A bucket of tokens that refills with time, and before it, if wanted, the random drop of BLUE: while
//! the bucket stays empty the chance of being dropped grows step by step, while it is full enough it
//! falls again. Its clients are turned away before the bucket is asked, so that the rest can be served.

use crate::config::ConnectionThrottle;

/// What a connect request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectKind {
    /// A session of the whole ensemble.
    Global,
    /// A session of this server only.
    Local,
    /// A session it has already.
    Renewed,
}

/// See the module. All sums are in 64 bits and saturate; Apache's overflow in 32.
#[derive(Debug)]
pub struct BlueThrottle {
    settings: ConnectionThrottle,
    max: i64,
    fill_count: i64,
    tokens: i64,
    filled_ms: i64,
    frozen_ms: i64,
    drop_chance: f64,
    seed: u64,
}

impl BlueThrottle {
    /// A full bucket at `now` (monotonic ms); `None` when no tokens are configured, which is "off".
    /// `seed` starts the random drops.
    pub fn new(settings: &ConnectionThrottle, now: i64, seed: u64) -> Option<Self> {
        if settings.tokens == 0 {
            return None;
        }
        // What is configured counts global sessions.
        let scale = match settings.weight_enabled {
            true => i64::from(settings.global_session_weight),
            false => 1,
        };
        let max = i64::from(settings.tokens) * scale;
        Some(Self {
            settings: settings.clone(),
            max,
            fill_count: i64::from(settings.fill_count) * scale,
            tokens: max,
            filled_ms: now,
            frozen_ms: now,
            drop_chance: 0.0,
            seed: seed | 1,
        })
    }

    /// May a connect request of this kind be served at `now` (monotonic ms)? Takes its tokens if so.
    pub fn admit(&mut self, kind: ConnectKind, now: i64) -> bool {
        self.refill(now);
        if self.settings.freeze_time_ms != -1 && !self.survives(now) {
            return false;
        }
        let need = self.weight(kind);
        let enough = self.tokens >= need;
        if enough {
            self.tokens -= need;
        }
        enough
    }

    /// Tokens missing from a full bucket.
    pub fn deficit(&self) -> i64 {
        self.max - self.tokens
    }

    /// The share of connect requests that the random drop turns away, 0 to 1.
    pub fn drop_chance(&self) -> f64 {
        self.drop_chance
    }

    fn weight(&self, kind: ConnectKind) -> i64 {
        let s = &self.settings;
        i64::from(match kind {
            _ if !s.weight_enabled => 1,
            ConnectKind::Global => s.global_session_weight,
            ConnectKind::Local => s.local_session_weight,
            ConnectKind::Renewed => s.renew_session_weight,
        })
    }

    /// Only what is older than one period counts, and then all of it.
    fn refill(&mut self, now: i64) {
        let period = i64::from(self.settings.fill_time_ms).max(1);
        let passed = now.saturating_sub(self.filled_ms);
        if passed > i64::from(self.settings.fill_time_ms) {
            let fill = passed.saturating_mul(self.fill_count) / period;
            self.tokens = self.tokens.saturating_add(fill).min(self.max);
            self.filled_ms = now;
        }
    }

    /// The random drop.
    fn survives(&mut self, now: i64) -> bool {
        let s = &self.settings;
        if now.saturating_sub(self.frozen_ms) > i64::from(s.freeze_time_ms) {
            let missing = self.max - self.tokens;
            let low = (self.max as f64 * s.decrease_ratio).round() as i64;
            if missing == self.max && self.drop_chance < 1.0 {
                self.drop_chance = (self.drop_chance + s.drop_increase).min(1.0);
            } else if missing <= low && self.drop_chance > 0.0 {
                self.drop_chance = (self.drop_chance - s.drop_decrease).max(0.0);
            }
            self.frozen_ms = now;
        }
        self.random() >= self.drop_chance
    }

    /// xorshift64, as a number from 0 up to 1.
    fn random(&mut self) -> f64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(tokens: i32) -> ConnectionThrottle {
        ConnectionThrottle {
            tokens,
            fill_time_ms: 1,
            fill_count: 1,
            freeze_time_ms: -1,
            drop_increase: 0.02,
            drop_decrease: 0.002,
            decrease_ratio: 0.0,
            weight_enabled: false,
            global_session_weight: 3,
            local_session_weight: 1,
            renew_session_weight: 2,
        }
    }

    fn throttle(settings: &ConnectionThrottle) -> BlueThrottle {
        BlueThrottle::new(settings, 1000, 7).unwrap()
    }

    #[test]
    fn no_tokens_mean_no_throttle() {
        assert!(BlueThrottle::new(&settings(0), 1000, 7).is_none());
    }

    #[test]
    fn the_bucket_empties_and_refills() {
        let mut t = throttle(&ConnectionThrottle {
            fill_time_ms: 100,
            fill_count: 2,
            ..settings(3)
        });
        let at = |t: &mut BlueThrottle, now| t.admit(ConnectKind::Global, now);
        assert_eq!(
            [1000; 4].map(|now| at(&mut t, now)),
            [true, true, true, false]
        );
        assert_eq!(t.deficit(), 3);
        assert!(!at(&mut t, 1100), "one period must have gone by and more");
        assert!(at(&mut t, 1101), "then two tokens are back");
        assert_eq!(t.deficit(), 2);
        assert!(at(&mut t, 9000), "and never more than fit");
        assert_eq!(t.deficit(), 1);
    }

    #[test]
    fn kinds_weigh_differently() {
        let mut t = throttle(&ConnectionThrottle {
            weight_enabled: true,
            fill_count: 0,
            ..settings(2)
        });
        assert!(t.admit(ConnectKind::Global, 1000));
        assert_eq!(t.deficit(), 3, "of six");
        assert!(t.admit(ConnectKind::Renewed, 1000));
        assert!(!t.admit(ConnectKind::Global, 1000));
        assert!(t.admit(ConnectKind::Local, 1000));
        assert_eq!(t.deficit(), 6);
    }

    #[test]
    fn the_chance_of_a_drop_follows_the_load() {
        let mut t = throttle(&ConnectionThrottle {
            freeze_time_ms: 10,
            fill_time_ms: 1_000_000,
            drop_increase: 0.5,
            drop_decrease: 0.25,
            ..settings(1)
        });
        assert!(t.admit(ConnectKind::Global, 1001), "there is one");
        assert_eq!(t.drop_chance(), 0.0);
        t.admit(ConnectKind::Global, 1020);
        t.admit(ConnectKind::Global, 1025);
        assert_eq!(t.drop_chance(), 0.5, "one step a freeze time");
        t.admit(ConnectKind::Global, 1040);
        assert_eq!(t.drop_chance(), 1.0);
        assert!(!t.admit(ConnectKind::Global, 3_000_000), "all are dropped");
        assert_eq!(t.drop_chance(), 0.75, "but the bucket is full, so it falls");
    }

    #[test]
    fn drops_come_as_often_as_they_should() {
        let mut t = throttle(&ConnectionThrottle {
            freeze_time_ms: 10,
            ..settings(1)
        });
        t.drop_chance = 0.25;
        let survived = (0..10_000).filter(|_| t.survives(1000)).count();
        assert!((7200..7800).contains(&survived), "{survived}");
    }

    #[test]
    fn odd_settings_do_no_harm() {
        let mut t = throttle(&ConnectionThrottle {
            fill_time_ms: 0,
            fill_count: i32::MAX,
            ..settings(i32::MAX)
        });
        assert!(t.admit(ConnectKind::Global, i64::MAX));
        assert_eq!(t.deficit(), 1);
        let mut t = throttle(&settings(-5));
        assert!(!t.admit(ConnectKind::Global, 2000), "less than nothing");
    }
}
