//! How values are read: strictly for keys of zoo.cfg's parser, leniently for system properties.
//!
//! Apache's parser keys fail the start on a bad number or boolean. System properties never do: a
//! boolean is true only for `true`, and a number that cannot be read is the default, without a word
//! (classes Boolean, Integer.getInteger). We keep the value and add one WARN.

use super::error::ConfigError;

/// A decimal `int` as `Integer.parseInt` takes it.
///
/// # Errors
/// `For input string: "<text>"`.
pub fn parse_int(text: &str) -> Result<i32, ConfigError> {
    text.parse().map_err(|_| ConfigError::not_a_number(text))
}

/// A decimal `long` as `Long.parseLong` takes it.
///
/// # Errors
/// `For input string: "<text>"`.
pub fn parse_long(text: &str) -> Result<i64, ConfigError> {
    text.parse().map_err(|_| ConfigError::not_a_number(text))
}

/// A boolean of a parser key: `true` or `false`, any case.
///
/// # Errors
/// `Invalid option <text> for <key>. Choose 'true' or 'false.'`
pub fn parse_bool(key: &str, text: &str) -> Result<bool, ConfigError> {
    if text.eq_ignore_ascii_case("true") {
        Ok(true)
    } else if text.eq_ignore_ascii_case("false") {
        Ok(false)
    } else {
        let cause = format!("Invalid option {text} for {key}. Choose 'true' or 'false.'");
        Err(ConfigError::direct(cause))
    }
}

/// `autopurge.purgeInterval` in ms: whole hours, or (3.10) a number with `ms`, `s`, `m`, `h` or `d`.
///
/// # Errors
/// `For input string: "<text>"`.
pub fn parse_purge_interval_ms(text: &str) -> Result<i64, ConfigError> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit_ms: i64 = match text.strip_prefix(digits).unwrap_or("") {
        "" | "h" => 3_600_000,
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "d" => 86_400_000,
        _ => return Err(ConfigError::not_a_number(text)),
    };
    let number: i32 = digits
        .trim_end()
        .parse()
        .map_err(|_| ConfigError::not_a_number(text))?;
    Ok(i64::from(number).saturating_mul(unit_ms))
}

/// An integer as `Integer.decode` takes it: decimal, `0x`, `#` or leading-0 octal, with a sign.
pub fn decode_integer(text: &str) -> Option<i64> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (digits, radix) = if let Some(hex) = rest
        .strip_prefix("0x")
        .or_else(|| rest.strip_prefix("0X"))
        .or_else(|| rest.strip_prefix('#'))
    {
        (hex, 16)
    } else if rest.len() > 1 && rest.starts_with('0') {
        (rest, 8)
    } else {
        (rest, 10)
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = i128::from_str_radix(digits, radix).ok()?;
    let value = if negative {
        magnitude.checked_neg()?
    } else {
        magnitude
    };
    i64::try_from(value).ok()
}

/// A boolean system property: true only for `true`, any case.
pub fn system_bool(text: &str) -> bool {
    text.eq_ignore_ascii_case("true")
}

/// A comma list: blanks trimmed, empty parts dropped.
pub fn comma_list(text: &str) -> Vec<String> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::to_string)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parser_values_are_strict() {
        assert_eq!(parse_int("+12").unwrap(), 12);
        assert_eq!(parse_int("-1").unwrap(), -1);
        for text in ["", "abc", "1 ", "0x10", "99999999999", "1.5", "+", "-"] {
            let error = parse_int(text).unwrap_err();
            assert_eq!(error.cause(), format!("For input string: \"{text}\""));
        }
        assert_eq!(parse_long("99999999999").unwrap(), 99_999_999_999);
        assert!(parse_bool("k", "TRUE").unwrap());
        assert!(!parse_bool("k", "False").unwrap());
        assert_eq!(
            parse_bool("standaloneEnabled", "yes").unwrap_err().cause(),
            "Invalid option yes for standaloneEnabled. Choose 'true' or 'false.'"
        );
    }

    #[test]
    fn property_values_are_decoded() {
        let cases = [
            ("10", Some(10)),
            ("-10", Some(-10)),
            ("+10", Some(10)),
            ("0x10", Some(16)),
            ("-0X10", Some(-16)),
            ("#ff", Some(255)),
            ("010", Some(8)),
            ("0", Some(0)),
            ("08", None),
            ("", None),
            ("-", None),
            ("0x", None),
            ("0x-1", None),
            ("--1", None),
            (" 1", None),
            ("1k", None),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
        ];
        for (text, expected) in cases {
            assert_eq!(decode_integer(text), expected, "{text:?}");
        }
        assert!(system_bool("True"));
        assert!(!system_bool("yes"));
        assert!(!system_bool(" true"));
    }

    #[test]
    fn purge_intervals() {
        let cases = [
            ("0", Some(0)),
            ("24", Some(86_400_000)),
            ("-1", Some(-3_600_000)),
            ("500ms", Some(500)),
            ("30s", Some(30_000)),
            ("5m", Some(300_000)),
            ("2h", Some(7_200_000)),
            ("1d", Some(86_400_000)),
            ("x", None),
            ("1w", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_purge_interval_ms(text).ok(), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,30}") {
            let _ = (parse_int(&text), parse_long(&text), parse_purge_interval_ms(&text));
            let _ = (decode_integer(&text), comma_list(&text), parse_bool("k", &text));
        }

        #[test]
        fn decode_reads_what_java_prints(number in any::<i64>()) {
            prop_assert_eq!(decode_integer(&number.to_string()), Some(number));
        }
    }
}
