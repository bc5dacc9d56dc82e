//! Wall-clock time as text, in the local time zone: log lines and Java's `Date.toString`.
//!
//! The zone comes from `TZ`, else from `/etc/localtime`, else it is UTC. TZif files (RFC 8536) and
//! POSIX rules are read here: a time zone library would be larger than this file.

mod civil;
mod posix;
mod tzif;

use std::sync::OnceLock;

pub use civil::Civil;
use posix::PosixRule;

/// A time zone: offsets of the past by table, of the future by rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// (second since 1970 from which it holds, what holds), ascending.
    transitions: Vec<(i64, LocalType)>,
    /// Before the first transition.
    first: LocalType,
    /// After the last transition.
    rule: Option<PosixRule>,
}

/// What holds in a stretch of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalType {
    /// Seconds to add to UTC.
    pub offset_s: i32,
    /// Abbreviation, e.g. `CET`.
    pub name: String,
}

static LOCAL: OnceLock<Zone> = OnceLock::new();

/// The zone of this process, found at first use.
pub fn local() -> &'static Zone {
    LOCAL.get_or_init(|| {
        let tz = std::env::var("TZ").ok();
        Zone::find(tz.as_deref(), |path| std::fs::read(path).ok())
    })
}

impl Zone {
    /// Coordinated universal time.
    #[must_use]
    pub fn utc() -> Self {
        let first = LocalType {
            offset_s: 0,
            name: "UTC".to_owned(),
        };
        Self {
            transitions: Vec::new(),
            first,
            rule: None,
        }
    }

    /// The zone that `TZ` names, with `read` to get at files. Anything not understood is UTC.
    #[must_use]
    pub fn find(tz: Option<&str>, read: impl Fn(&str) -> Option<Vec<u8>>) -> Self {
        let from_file = |path: &str| read(path).and_then(|bytes| tzif::parse(&bytes));
        let Some(tz) = tz else {
            return from_file("/etc/localtime").unwrap_or_else(Self::utc);
        };
        let name = tz.strip_prefix(':').unwrap_or(tz);
        if name.is_empty() || name == "UTC" {
            return Self::utc();
        }
        let path = if name.starts_with('/') {
            name.to_owned()
        } else {
            format!("/usr/share/zoneinfo/{name}")
        };
        let safe = !name.split('/').any(|part| part == "..");
        let file = if safe { from_file(&path) } else { None };
        file.or_else(|| PosixRule::parse(name).map(Self::of_rule))
            .unwrap_or_else(Self::utc)
    }

    fn of_rule(rule: PosixRule) -> Self {
        Self {
            transitions: Vec::new(),
            first: rule.standard().clone(),
            rule: Some(rule),
        }
    }

    /// What holds at a time, in seconds since 1970.
    #[must_use]
    pub fn at(&self, epoch_s: i64) -> &LocalType {
        let past = self
            .transitions
            .partition_point(|(from, _)| *from <= epoch_s);
        if past == self.transitions.len()
            && let Some(rule) = &self.rule
        {
            return rule.at(epoch_s);
        }
        let last = past.checked_sub(1).and_then(|i| self.transitions.get(i));
        last.map_or(&self.first, |(_, local)| local)
    }

    /// The fields of a wall-clock time, in ms since 1970, and the abbreviation that holds.
    #[must_use]
    pub fn civil(&self, epoch_ms: i64) -> (Civil, &str) {
        let local = self.at(epoch_ms.div_euclid(1_000));
        let shifted = epoch_ms.saturating_add(i64::from(local.offset_s).saturating_mul(1_000));
        (Civil::from_epoch_ms(shifted), &local.name)
    }

    /// `2026-11-22 14:14:01,848`: logback's `%d{ISO8601}`.
    #[must_use]
    pub fn iso8601(&self, epoch_ms: i64) -> String {
        let (c, _) = self.civil(epoch_ms);
        format!(
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02},{:03}",
            c.year, c.month, c.day, c.hour, c.minute, c.second, c.millis
        )
    }

    /// `Sun Nov 22 14:14:27 UTC 2026`: `java.util.Date.toString`.
    #[must_use]
    pub fn java_date(&self, epoch_ms: i64) -> String {
        let (c, name) = self.civil(epoch_ms);
        format!(
            "{} {} {:02} {:02}:{:02}:{:02} {name} {}",
            c.weekday_name(),
            c.month_name(),
            c.day,
            c.hour,
            c.minute,
            c.second,
            c.year
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22 14:14:01.848 UTC
    const MS: i64 = 1_795_356_841_848;

    #[test]
    fn utc_texts() {
        let utc = Zone::utc();
        assert_eq!(utc.iso8601(MS), "2026-11-22 14:14:01,848");
        assert_eq!(utc.java_date(MS), "Sun Nov 22 14:14:01 UTC 2026");
        assert_eq!(utc.iso8601(-1), "1969-12-31 23:59:59,999");
    }

    #[test]
    fn a_posix_rule_in_tz() {
        let zone = Zone::find(Some("CET-1CEST,M3.5.0,M10.5.0/3"), |_| None);
        assert_eq!(zone.java_date(MS), "Sun Nov 22 15:14:01 CET 2026");
        assert_eq!(
            zone.java_date(MS - 120 * 86_400_000),
            "Sat Jul 25 16:14:01 CEST 2026"
        );
    }

    #[test]
    fn what_is_not_understood_is_utc() {
        for tz in [
            "",
            ":",
            "../../etc/passwd",
            "Nowhere/City",
            "X",
            "\u{1F551}",
        ] {
            assert_eq!(
                Zone::find(Some(tz), |_| Some(vec![0; 100])),
                Zone::utc(),
                "{tz}"
            );
        }
        assert_eq!(Zone::find(None, |_| None), Zone::utc());
    }

    #[test]
    fn names_are_looked_up_in_the_zone_directory() {
        let seen = std::cell::RefCell::new(Vec::new());
        let look = |path: &str| {
            seen.borrow_mut().push(path.to_owned());
            None
        };
        let _ = Zone::find(Some(":Europe/Berlin"), look);
        let _ = Zone::find(Some("/tmp/zone"), look);
        let _ = Zone::find(None, look);
        assert_eq!(
            *seen.borrow(),
            [
                "/usr/share/zoneinfo/Europe/Berlin",
                "/tmp/zone",
                "/etc/localtime"
            ]
        );
    }
}
