//! Text as Java decodes it.

use std::borrow::Cow;

/// Decodes UTF-8 the way Java's `new String(bytes, UTF_8)` does: each malformed sequence becomes
/// one U+FFFD, and an encoded surrogate (three bytes) becomes one U+FFFD too.
pub fn java_utf8(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(s) => Cow::Borrowed(s),
        Err(_) => Cow::Owned(replace_malformed(bytes)),
    }
}

fn replace_malformed(mut bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    while !bytes.is_empty() {
        match std::str::from_utf8(bytes) {
            Ok(rest) => {
                out.push_str(rest);
                break;
            }
            Err(e) => {
                let (good, bad) = bytes.split_at(e.valid_up_to());
                out.push_str(std::str::from_utf8(good).unwrap_or_default());
                out.push('\u{fffd}');
                bytes = bad.get(malformed_len(bad)..).unwrap_or_default();
            }
        }
    }
    out
}

/// How many bytes one replacement character stands for at the start of `bad`.
fn malformed_len(bad: &[u8]) -> usize {
    if let [0xed, 0xa0..=0xbf, 0x80..=0xbf, ..] = bad {
        return 3;
    }
    match std::str::from_utf8(bad) {
        Err(e) => e.error_len().unwrap_or(bad.len()).max(1),
        Ok(_) => bad.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_text_is_borrowed() {
        assert!(matches!(java_utf8("/ä".as_bytes()), Cow::Borrowed("/ä")));
    }

    #[test]
    fn a_surrogate_is_one_replacement() {
        assert_eq!(java_utf8(&[b'a', 0xed, 0xa0, 0xbd, b'b']), "a\u{fffd}b");
    }

    #[test]
    fn a_broken_tail_is_one_replacement() {
        assert_eq!(java_utf8(&[b'a', 0xe2, 0x82]), "a\u{fffd}");
        assert_eq!(java_utf8(&[0xff, b'a']), "\u{fffd}a");
    }
}
