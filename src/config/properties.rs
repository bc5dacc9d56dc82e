//! Java `.properties` text (class java.util.Properties), with line numbers.

use super::error::ConfigError;

/// One key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Key, escapes resolved, not trimmed.
    pub key: String,
    /// Value, escapes resolved; blanks before it are gone, blanks after it are kept.
    pub value: String,
    /// Line the entry starts on, counted from 1.
    pub line: usize,
}

/// The entries of a file in its order; of a repeated key only the last stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    entries: Vec<Entry>,
}

impl Properties {
    /// Parses the bytes of a file. As in Java, each byte is one ISO-8859-1 character; others are
    /// written `\uXXXX`.
    ///
    /// # Errors
    /// A `\u` escape without four hex digits.
    pub fn parse_bytes(bytes: &[u8]) -> Result<Properties, ConfigError> {
        let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
        Properties::parse_text(&text)
    }

    /// Parses text.
    ///
    /// # Errors
    /// A `\u` escape without four hex digits.
    pub fn parse_text(text: &str) -> Result<Properties, ConfigError> {
        let mut lines = LogicalLines {
            chars: text.chars().peekable(),
            line: 1,
        };
        let mut found: Vec<Entry> = Vec::new();
        while let Some((line, chars)) = lines.next_line() {
            let (key, value) = split(&chars);
            let at = |e: ConfigError| e.at_key(&key.iter().collect::<String>(), line);
            let value = unescape(value).map_err(at)?;
            let key = unescape(key).map_err(at)?;
            found.push(Entry { key, value, line });
        }
        Ok(Properties {
            entries: last_of_each(found),
        })
    }

    /// Entries in file order.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// The entry of a key.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

fn last_of_each(found: Vec<Entry>) -> Vec<Entry> {
    let mut seen = std::collections::BTreeSet::new();
    let mut kept: Vec<Entry> = found
        .into_iter()
        .rev()
        .filter(|entry| seen.insert(entry.key.clone()))
        .collect();
    kept.reverse();
    kept
}

/// Joins continued lines and drops comments and blank lines.
struct LogicalLines<'a> {
    chars: std::iter::Peekable<std::str::Chars<'a>>,
    line: usize,
}

impl LogicalLines<'_> {
    fn next_line(&mut self) -> Option<(usize, Vec<char>)> {
        let mut start = self.line;
        let mut joined = Vec::new();
        let mut bare_end = false;
        while self.chars.peek().is_some() {
            let fresh = joined.is_empty();
            if fresh {
                start = self.line;
            }
            let (escaped, crlf) = self.natural_line(&mut joined);
            if fresh && joined.first().is_some_and(|c| matches!(c, '#' | '!')) {
                joined.clear();
                bare_end = false;
                continue;
            }
            if escaped {
                joined.pop();
            } else if !joined.is_empty() {
                return Some((start, joined));
            }
            bare_end = escaped && !crlf;
        }
        // The text ends behind a backslash: that makes even an empty line an entry (but for \r\n, by the
        // way Java looks for the \n).
        (bare_end || !joined.is_empty()).then_some((start, joined))
    }

    /// Appends one line without its leading blanks and its end. Tells whether a backslash says that it
    /// goes on (it is still there), and whether it ended with `\r\n`.
    fn natural_line(&mut self, joined: &mut Vec<char>) -> (bool, bool) {
        while self.chars.next_if(|&c| is_blank(c)).is_some() {}
        let mut escaped = false;
        while let Some(c) = self.chars.next() {
            if c == '\n' || c == '\r' {
                let crlf = c == '\r' && self.chars.next_if_eq(&'\n').is_some();
                self.line = self.line.saturating_add(1);
                return (escaped, crlf);
            }
            escaped = c == '\\' && !escaped;
            joined.push(c);
        }
        (escaped, false)
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

/// Splits at the first bare `=`, `:` or blank; blanks around one `=` or `:` belong to neither side.
fn split(line: &[char]) -> (&[char], &[char]) {
    let mut escaped = false;
    let mut end = line.len();
    for (at, &c) in line.iter().enumerate() {
        if !escaped && (matches!(c, '=' | ':') || is_blank(c)) {
            end = at;
            break;
        }
        escaped = c == '\\' && !escaped;
    }
    let (key, mut rest) = line.split_at(end);
    rest = skip_blanks(rest);
    if let Some((&('=' | ':'), after)) = rest.split_first() {
        rest = skip_blanks(after);
    }
    (key, rest)
}

fn skip_blanks(text: &[char]) -> &[char] {
    let end = text
        .iter()
        .position(|&c| !is_blank(c))
        .unwrap_or(text.len());
    text.split_at(end).1
}

fn unescape(text: &[char]) -> Result<String, ConfigError> {
    // UTF-16 units, because two \u escapes may form one character.
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut buffer = [0u16; 2];
    let mut chars = text.iter().copied();
    while let Some(c) = chars.next() {
        let c = if c == '\\' {
            match chars.next() {
                Some('u') => {
                    let digits: String = chars.by_ref().take(4).collect();
                    units.push(hex_unit(&digits)?);
                    continue;
                }
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\u{c}',
                Some(other) => other,
                None => break,
            }
        } else {
            c
        };
        units.extend_from_slice(c.encode_utf16(&mut buffer));
    }
    Ok(String::from_utf16_lossy(&units))
}

fn hex_unit(digits: &str) -> Result<u16, ConfigError> {
    let malformed = || ConfigError::illegal("Malformed \\uxxxx encoding.");
    if digits.len() != 4 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(malformed());
    }
    u16::from_str_radix(digits, 16).map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(text: &str) -> Vec<(String, String, usize)> {
        let parsed = Properties::parse_text(text).unwrap();
        parsed
            .iter()
            .map(|e| (e.key.clone(), e.value.clone(), e.line))
            .collect()
    }

    fn one(text: &str) -> (String, String) {
        let mut all = pairs(text);
        assert_eq!(all.len(), 1, "{text:?} gives {all:?}");
        let (key, value, _) = all.remove(0);
        (key, value)
    }

    #[test]
    fn separators() {
        for text in [
            "k=v",
            "k:v",
            "k v",
            "k = v",
            "  k\t:  v",
            "k\u{c}v",
            "k\\\n=v",
        ] {
            assert_eq!(one(text), ("k".into(), "v".into()), "{text:?}");
        }
        assert_eq!(one("k==v"), ("k".into(), "=v".into()));
        assert_eq!(one("k = = v"), ("k".into(), "= v".into()));
        assert_eq!(one("k"), ("k".into(), String::new()));
        assert_eq!(one("k="), ("k".into(), String::new()));
        assert_eq!(one("=v"), (String::new(), "v".into()));
        assert_eq!(one("k=v \t"), ("k".into(), "v \t".into()));
        assert_eq!(one("a\\=b\\:c\\ d=v"), ("a=b:c d".into(), "v".into()));
    }

    #[test]
    fn comments_blank_lines_and_numbers() {
        let text = "# one=1\r\n! two=2\r\n\r\n  \t\n   # x\\\nthree=3\rfour=4\n";
        assert_eq!(
            pairs(text),
            [
                ("three".into(), "3".into(), 6),
                ("four".into(), "4".into(), 7)
            ],
            "a comment is never continued"
        );
        assert_eq!(
            one("k=v # no comment"),
            ("k".into(), "v # no comment".into())
        );
    }

    #[test]
    fn continuations() {
        assert_eq!(one("k=a\\\n   b"), ("k".into(), "ab".into()));
        assert_eq!(one("k=a\\\r\n\tb"), ("k".into(), "ab".into()));
        assert_eq!(one("k=a\\\n#b"), ("k".into(), "a#b".into()));
        assert_eq!(one("k=a\\"), ("k".into(), "a".into()));
        assert_eq!(one("k=a\\\n"), ("k".into(), "a".into()));
        assert_eq!(one("\\"), (String::new(), String::new()));
        assert_eq!(one("\n\\\n"), (String::new(), String::new()));
        assert_eq!(
            pairs("k=a\\\\\nb=c"),
            [("k".into(), "a\\".into(), 1), ("b".into(), "c".into(), 2)]
        );
        assert_eq!(
            pairs("k=a\\\n\nb=c"),
            [("k".into(), "a".into(), 1), ("b".into(), "c".into(), 3)],
            "a blank line ends a continued one"
        );
    }

    #[test]
    fn escapes() {
        assert_eq!(
            one(r"k=\t\n\r\f\q\\"),
            ("k".into(), "\t\n\r\u{c}q\\".into())
        );
        assert_eq!(one(r"k=C:\\data\dir"), ("k".into(), "C:\\datadir".into()));
        assert_eq!(one(r"k=\u00e9\uD83D\uDE00"), ("k".into(), "é😀".into()));
        assert_eq!(one(r"k=\uD83Dx"), ("k".into(), "\u{fffd}x".into()));
        for text in [r"k=\u12", r"k=\u12zz", r"\u+123=v"] {
            let error = Properties::parse_text(text).unwrap_err();
            assert_eq!(error.cause(), "Malformed \\uxxxx encoding.");
            assert_eq!(error.line(), Some(1));
        }
    }

    #[test]
    fn bytes_are_latin_1() {
        let parsed = Properties::parse_bytes(b"k=\xe9").unwrap();
        assert_eq!(parsed.get("k").unwrap().value, "é");
    }

    #[test]
    fn the_last_duplicate_wins() {
        assert_eq!(
            pairs("a=1\nb=2\na=3"),
            [("b".into(), "2".into(), 2), ("a".into(), "3".into(), 3)]
        );
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Properties::parse_bytes(&bytes);
        }

        #[test]
        fn no_text_panics(text in "[ab=:#! \\\\u09\t\r\n\u{c}]{0,80}") {
            if let Ok(parsed) = Properties::parse_text(&text) {
                let lines = text.split(['\n', '\r']).count();
                prop_assert!(parsed.iter().all(|e| e.line >= 1 && e.line <= lines));
            }
        }
    }
}
