//! Numbers as Java prints them.

use std::fmt;

/// Prints like `Double.toString`: `0.0`, `0.417`, `1.795356704719E9`, `NaN`, `Infinity`.
///
/// The digits are the fewest that read back as the same double, as in JDK 19 and later; older ones
/// print one digit too many for a few values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JavaDouble(pub f64);

impl fmt::Display for JavaDouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0;
        if value.is_nan() {
            return f.write_str("NaN");
        }
        if value.is_infinite() {
            return f.write_str(if value > 0.0 { "Infinity" } else { "-Infinity" });
        }
        let size = value.abs();
        if value == 0.0 || (1e-3..1e7).contains(&size) {
            // `{:?}` always has a fraction, and no exponent in this range.
            return write!(f, "{value:?}");
        }
        let scientific = format!("{value:e}");
        let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        let fraction = if digits.contains('.') { "" } else { ".0" };
        write!(f, "{digits}{fraction}E{exponent}")
    }
}

/// `sum / count`, rounded half up to 4 decimals; 0 without values. Apache:
/// `AvgMinMaxCounter.getAvg` and `ServerStats.getAvgLatency`.
#[must_use]
pub fn average(sum: u64, count: u64) -> f64 {
    if count == 0 {
        return 0.0;
    }
    round4(sum as f64 / count as f64)
}

/// Rounds a number half up (away from zero) to 4 decimals, looking at all digits of the double as
/// Java's `BigDecimal.setScale(4, HALF_UP)` does.
#[must_use]
pub fn round4(value: f64) -> f64 {
    if !value.is_finite() {
        return value;
    }
    // Rust rounds ties to even; a tie is a double with five decimals, the last one a 5.
    let five = format!("{value:.5}");
    let is_tie = five.ends_with('5') && five.parse() == Ok(value);
    let text = if is_tie {
        let up = if value < 0.0 { -1e-5 } else { 1e-5 };
        format!("{:.4}", value + up)
    } else {
        format!("{value:.4}")
    };
    text.parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_like_java() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.417, "0.417"),
            (-1.0, "-1.0"),
            (0.001, "0.001"),
            (0.000_999, "9.99E-4"),
            (9_999_999.0, "9999999.0"),
            (10_000_000.0, "1.0E7"),
            (1_795_356_704.719, "1.795356704719E9"),
            (268_435_456.0, "2.68435456E8"),
            (52_428_800.0, "5.24288E7"),
            (-1.5e300, "-1.5E300"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
            (f64::MIN_POSITIVE, "2.2250738585072014E-308"),
        ] {
            assert_eq!(JavaDouble(value).to_string(), text);
        }
    }

    #[test]
    fn averages_have_four_decimals() {
        // From a server under load: sum, count and what it printed.
        for (sum, count, text) in [
            (0, 0, "0.0"),
            (21, 880, "0.0239"),
            (5, 430, "0.0116"),
            (6, 430, "0.014"),
            (42_782, 228, "187.6404"),
            (104, 6, "17.3333"),
            (63, 4, "15.75"),
            (1, 32, "0.0313"),
        ] {
            assert_eq!(
                JavaDouble(average(sum, count)).to_string(),
                text,
                "{sum}/{count}"
            );
        }
    }

    #[test]
    fn ties_go_up() {
        assert_eq!(round4(0.03125), 0.0313);
        assert_eq!(round4(-0.03125), -0.0313);
        assert_eq!(round4(2.00005), 2.0001);
        assert!(round4(f64::NAN).is_nan());
    }
}
