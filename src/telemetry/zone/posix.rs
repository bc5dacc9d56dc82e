//! POSIX `TZ` rules, e.g. `CET-1CEST,M3.5.0,M10.5.0/3`: the form that also ends TZif files.

use super::LocalType;
use super::civil::{Civil, days_of, is_leap, weekday_of};

const DAY_S: i64 = 86_400;

/// Standard time, and daylight saving time if there is any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PosixRule {
    standard: LocalType,
    daylight: Option<Daylight>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Daylight {
    local: LocalType,
    start: Change,
    end: Change,
}

/// When in a year the clocks change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    day: Day,
    /// Seconds after local midnight; may be negative or above a day.
    time_s: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Day {
    /// 1 to 365; 29 February is never counted.
    Julian(u16),
    /// 0 to 365; 29 February is counted.
    Ordinal(u16),
    /// Month 1 to 12, week 1 to 5 (5 is the last), weekday 0 to 6.
    Weekday { month: u8, week: u8, weekday: u8 },
}

impl PosixRule {
    /// Parses a whole rule; `None` if anything is amiss.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (name, rest) = name(text)?;
        let (offset, rest) = time(rest)?;
        let standard = LocalType {
            offset_s: offset.checked_neg()?,
            name: name.to_owned(),
        };
        if rest.is_empty() {
            return Some(Self {
                standard,
                daylight: None,
            });
        }
        let (name, rest) = self::name(rest)?;
        let (offset_s, rest) = if rest.is_empty() || rest.starts_with(',') {
            (standard.offset_s.checked_add(3_600)?, rest)
        } else {
            let (offset, rest) = time(rest)?;
            (offset.checked_neg()?, rest)
        };
        // Without rules of its own, POSIX leaves them open; the common default is that of the USA.
        let rules = if rest.is_empty() {
            ",M3.2.0,M11.1.0"
        } else {
            rest
        };
        let (start, rest) = change(rules.strip_prefix(',')?)?;
        let (end, rest) = change(rest.strip_prefix(',')?)?;
        let local = LocalType {
            offset_s,
            name: name.to_owned(),
        };
        rest.is_empty().then_some(Self {
            standard,
            daylight: Some(Daylight { local, start, end }),
        })
    }

    pub(super) fn standard(&self) -> &LocalType {
        &self.standard
    }

    pub(super) fn at(&self, epoch_s: i64) -> &LocalType {
        let Some(daylight) = &self.daylight else {
            return &self.standard;
        };
        let shifted = epoch_s.saturating_add(i64::from(self.standard.offset_s));
        let year = Civil::from_epoch_ms(shifted.saturating_mul(1_000)).year;
        let start = daylight.start.at(year, self.standard.offset_s);
        let end = daylight.end.at(year, daylight.local.offset_s);
        let is_daylight = if start <= end {
            (start..end).contains(&epoch_s)
        } else {
            !(end..start).contains(&epoch_s)
        };
        if is_daylight {
            &daylight.local
        } else {
            &self.standard
        }
    }
}

impl Change {
    /// The second since 1970 of this change in `year`, with the offset that held before it.
    fn at(self, year: i64, offset_s: i32) -> i64 {
        let new_year = days_of(year, 1, 1);
        let days = match self.day {
            Day::Julian(day) => {
                let leap = is_leap(year) && day >= 60;
                new_year + i64::from(day) - 1 + i64::from(leap)
            }
            Day::Ordinal(day) => new_year + i64::from(day),
            Day::Weekday {
                month,
                week,
                weekday,
            } => {
                let first = days_of(year, month, 1);
                let ahead = (7 + weekday - weekday_of(first)) % 7;
                let day = first + i64::from(ahead) + 7 * (i64::from(week) - 1);
                let next_month = if month == 12 {
                    days_of(year + 1, 1, 1)
                } else {
                    days_of(year, month + 1, 1)
                };
                if day >= next_month { day - 7 } else { day }
            }
        };
        days.saturating_mul(DAY_S)
            .saturating_add(i64::from(self.time_s) - i64::from(offset_s))
    }
}

/// `CET` or `<+03>`.
fn name(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = if let Some(quoted) = text.strip_prefix('<') {
        quoted.split_once('>')?
    } else {
        let end = text
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(text.len());
        text.split_at_checked(end)?
    };
    let fits = (3..=10).contains(&name.len())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '+' || c == '-');
    fits.then_some((name, rest))
}

/// `[+-]hh[:mm[:ss]]` in seconds.
fn time(text: &str) -> Option<(i32, &str)> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut seconds = 0i32;
    for (scale, max) in [(3_600, 167), (60, 59), (1, 59)] {
        if scale < 3_600 {
            let Some(more) = rest.strip_prefix(':') else {
                break;
            };
            rest = more;
        }
        let (value, more) = number(rest, max)?;
        seconds = seconds.checked_add(i32::from(value).checked_mul(scale)?)?;
        rest = more;
    }
    Some((sign * seconds, rest))
}

/// `M3.5.0/2`, `J60` or `59`, with an optional time.
fn change(text: &str) -> Option<(Change, &str)> {
    let (day, rest) = if let Some(rest) = text.strip_prefix('M') {
        let (month, rest) = number(rest, 12)?;
        let (week, rest) = number(rest.strip_prefix('.')?, 5)?;
        let (weekday, rest) = number(rest.strip_prefix('.')?, 6)?;
        let [month, week, weekday] = [month, week, weekday].map(|n| n as u8);
        if month == 0 || week == 0 {
            return None;
        }
        (
            Day::Weekday {
                month,
                week,
                weekday,
            },
            rest,
        )
    } else if let Some(rest) = text.strip_prefix('J') {
        let (day, rest) = number(rest, 365)?;
        (Day::Julian(day.max(1)), rest)
    } else {
        let (day, rest) = number(text, 365)?;
        (Day::Ordinal(day), rest)
    };
    let (time_s, rest) = match rest.strip_prefix('/') {
        Some(rest) => time(rest)?,
        None => (7_200, rest),
    };
    Some((Change { day, time_s }, rest))
}

/// Up to three digits, at most `max`.
fn number(text: &str, max: u16) -> Option<(u16, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    let value: u16 = digits.parse().ok()?;
    (digits.len() <= 3 && value <= max).then_some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset(rule: &str, epoch_s: i64) -> (i32, String) {
        let rule = PosixRule::parse(rule).expect("a rule");
        let local = rule.at(epoch_s);
        (local.offset_s, local.name.clone())
    }

    #[test]
    fn the_hour_the_clocks_change() {
        let berlin = "CET-1CEST,M3.5.0,M10.5.0/3";
        // 2026-03-29 01:00 UTC and 2026-10-25 01:00 UTC.
        for (at, before, after) in [(1_774_746_000, 3_600, 7_200), (1_792_890_000, 7_200, 3_600)] {
            assert_eq!(offset(berlin, at - 1).0, before);
            assert_eq!(offset(berlin, at).0, after);
        }
    }

    #[test]
    fn south_of_the_equator() {
        let sydney = "AEST-10AEDT,M10.1.0,M4.1.0/3";
        assert_eq!(offset(sydney, 1_767_225_600), (39_600, "AEDT".to_owned()));
        assert_eq!(offset(sydney, 1_782_864_000), (36_000, "AEST".to_owned()));
    }

    #[test]
    fn odd_but_valid_forms() {
        assert_eq!(offset("UTC0", 0), (0, "UTC".to_owned()));
        assert_eq!(offset("<+0530>-5:30", 0), (19_800, "+0530".to_owned()));
        assert_eq!(
            offset("EST5EDT", 1_782_864_000),
            (-14_400, "EDT".to_owned())
        );
        assert_eq!(offset("XXX3YYY,J60/-2,364", 1_782_864_000).1, "YYY");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "A",
            "CET",
            "CET-",
            "CET-999",
            "CET-1CEST,M13.1.0,M1.1.0",
            "CET-1CEST,M0.1.0,J1",
            "CET-1CEST,M3.5.0",
            "CET-1CEST,M3.5.0,M10.5.0/3x",
            "<CET-1",
            "ÄÖÜ1",
        ] {
            assert_eq!(PosixRule::parse(text), None, "{text}");
        }
    }
}
