//! Znode path rules (Apache: `PathUtils`).

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Zero length.
    #[error("Path length must be > 0")]
    Empty,
    /// Does not begin with a slash.
    #[error("Path must start with / character")]
    NotAbsolute,
    /// Ends in a slash and is not the root.
    #[error("Path must not end with / character")]
    TrailingSlash,
    /// Two slashes in a row.
    #[error("empty node name specified")]
    EmptyName,
    /// A component is `.` or `..`.
    #[error("relative paths not allowed")]
    Relative,
    /// A character that no created path may hold.
    #[error("invalid character")]
    Character,
}

/// Full validation, for paths that create or change something.
///
/// # Errors
/// The first rule broken, in Apache's order of reading.
pub fn validate(path: &str) -> Result<(), PathError> {
    let Some(first) = path.chars().next() else {
        return Err(PathError::Empty);
    };
    if first != '/' {
        return Err(PathError::NotAbsolute);
    }
    if path == "/" {
        return Ok(());
    }
    if path.ends_with('/') {
        return Err(PathError::TrailingSlash);
    }
    for name in path.get(1..).unwrap_or_default().split('/') {
        match name {
            "" => return Err(PathError::EmptyName),
            "." | ".." => return Err(PathError::Relative),
            n if n.chars().any(forbidden) => return Err(PathError::Character),
            _ => {}
        }
    }
    Ok(())
}

/// Characters outside every created path: controls, surrogates (so everything beyond the basic
/// plane), the private use area and the specials.
fn forbidden(c: char) -> bool {
    matches!(u32::from(c), 0..=0x1f | 0x7f..=0x9f | 0xd800..=0xf8ff | 0xfff0..)
}

/// The light check of `delete` and of a parent: a slash somewhere and no NUL.
pub fn has_slash_and_no_nul(path: &str) -> bool {
    path.contains('/') && !path.contains('\0')
}

/// Everything before the last slash; `""` for a child of the root (the stored root path).
pub fn parent(path: &str) -> &str {
    path.rfind('/')
        .and_then(|at| path.get(..at))
        .unwrap_or_default()
}

/// Everything behind the last slash.
pub fn name(path: &str) -> &str {
    path.rfind('/')
        .and_then(|at| path.get(at + 1..))
        .unwrap_or(path)
}

/// The tree's key of a path: the root is stored under the empty path.
pub fn stored(path: &str) -> &str {
    if path == "/" { "" } else { path }
}

/// The path as clients name it: the inverse of [`stored`].
pub fn shown(path: &str) -> &str {
    if path.is_empty() { "/" } else { path }
}

/// `path`, its parent, and so on up to the root (given as `""`).
pub fn ancestors_from(path: &str) -> impl Iterator<Item = &str> {
    let mut next = Some(stored(path));
    std::iter::from_fn(move || {
        let this = next?;
        next = this.rfind('/').and_then(|at| this.get(..at));
        Some(this)
    })
}

/// The suffix of a sequential node: the parent's stored cversion, ten places wide; the sign counts
/// in the width as in Java's `%010d`.
pub fn sequence_suffix(cversion: i32) -> String {
    format!("{cversion:010}")
}

/// First component of a path without its slash, the "namespace" of quota metrics; `None` for the root.
pub fn top_name(path: &str) -> Option<&str> {
    path.strip_prefix('/')?
        .split('/')
        .next()
        .filter(|n| !n.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validation_follows_apache() {
        for good in ["/", "/a", "/a/b c", "/...", "/..a", "/\u{2028}", "/a.b"] {
            assert_eq!(validate(good), Ok(()), "{good:?}");
        }
        for (bad, why) in [
            ("", PathError::Empty),
            ("a", PathError::NotAbsolute),
            ("/a/", PathError::TrailingSlash),
            ("/a//b", PathError::EmptyName),
            ("/a/../b", PathError::Relative),
            ("/.", PathError::Relative),
            ("/a\u{1}", PathError::Character),
            ("/\u{7f}", PathError::Character),
            ("/\u{e000}", PathError::Character),
            ("/\u{fffd}", PathError::Character),
            ("/\u{1f600}", PathError::Character),
        ] {
            assert_eq!(validate(bad), Err(why), "{bad:?}");
        }
    }

    #[test]
    fn sequence_numbers_wrap_like_java() {
        assert_eq!(sequence_suffix(3), "0000000003");
        assert_eq!(sequence_suffix(i32::MIN), "-2147483648");
        assert_eq!(sequence_suffix(-1), "-000000001");
    }

    #[test]
    fn ancestors_end_at_the_root() {
        assert_eq!(
            ancestors_from("/a/b").collect::<Vec<_>>(),
            ["/a/b", "/a", ""]
        );
        assert_eq!(ancestors_from("/").collect::<Vec<_>>(), [""]);
        assert_eq!((parent("/a"), name("/a")), ("", "a"));
    }
}
