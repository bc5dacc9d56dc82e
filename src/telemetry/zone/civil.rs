//! Days since 1970 and the Gregorian calendar.

const DAY_MS: i64 = 86_400_000;
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// A date and time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// Gregorian year.
    pub year: i64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
    /// 0 to 999.
    pub millis: u16,
    /// 0 is Sunday.
    pub weekday: u8,
}

impl Civil {
    /// The fields of a time in ms since 1970, already shifted into its zone.
    #[must_use]
    pub fn from_epoch_ms(ms: i64) -> Self {
        let days = ms.div_euclid(DAY_MS);
        let in_day = ms.rem_euclid(DAY_MS);
        let (year, month, day) = date_of(days);
        // All of these are in the range of their field by the remainder above.
        Self {
            year,
            month,
            day,
            hour: (in_day / 3_600_000) as u8,
            minute: (in_day / 60_000 % 60) as u8,
            second: (in_day / 1_000 % 60) as u8,
            millis: (in_day % 1_000) as u16,
            weekday: weekday_of(days),
        }
    }

    /// `Sun` to `Sat`.
    #[must_use]
    pub fn weekday_name(&self) -> &'static str {
        WEEKDAYS
            .get(usize::from(self.weekday))
            .copied()
            .unwrap_or("Sun")
    }

    /// `Jan` to `Dec`.
    #[must_use]
    pub fn month_name(&self) -> &'static str {
        let index = usize::from(self.month).saturating_sub(1);
        MONTHS.get(index).copied().unwrap_or("Jan")
    }
}

/// Day of the week, 0 for Sunday. 1970 began on a Thursday.
pub(super) fn weekday_of(days: i64) -> u8 {
    days.saturating_add(4).rem_euclid(7) as u8
}

/// Days since 1970 to year, month, day: counted in eras of 400 years that begin in March, so that
/// the leap day is the last of its year.
fn date_of(days: i64) -> (i64, u8, u8) {
    let shifted = days.saturating_add(719_468);
    let era = shifted.div_euclid(146_097);
    let in_era = shifted.rem_euclid(146_097);
    let year_of_era = (in_era - in_era / 1_460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * in_year + 2) / 153;
    let day = in_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u8, day as u8)
}

/// Year, month, day to days since 1970. The year is that of a date this module made.
pub(super) fn days_of(year: i64, month: u8, day: u8) -> i64 {
    let month = i64::from(month);
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let march_month = if month > 2 { month - 3 } else { month + 9 };
    let in_year = (153 * march_month + 2) / 5 + i64::from(day) - 1;
    let in_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + in_year;
    era * 146_097 + in_era - 719_468
}

pub(super) fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_days_are_inverse() {
        let mut expect = (1600, 1u8, 1u8);
        for days in days_of(1600, 1, 1)..days_of(2101, 1, 1) {
            assert_eq!(date_of(days), expect);
            assert_eq!(days_of(expect.0, expect.1, expect.2), days);
            let length = match expect.1 {
                2 if is_leap(expect.0) => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            expect = match expect {
                (y, 12, 31) => (y + 1, 1, 1),
                (y, m, d) if d == length => (y, m + 1, 1),
                (y, m, d) => (y, m, d + 1),
            };
        }
    }

    #[test]
    fn extreme_times_do_not_panic() {
        for ms in [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX] {
            let civil = Civil::from_epoch_ms(ms);
            assert!((1..=12).contains(&civil.month));
        }
        assert_eq!(Civil::from_epoch_ms(0).weekday_name(), "Thu");
    }
}
