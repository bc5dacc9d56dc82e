//! Decoding: total, without copies, and never allocating from an unchecked length.

use std::borrow::Cow;

use nom::Parser as _;
use nom::bytes::complete::take;
use nom::error::ErrorKind;
use nom::number::complete::{be_i32, be_i64, be_u8};

use crate::base::limits::MAX_BUFFER_DEFAULT;
use crate::base::text::java_utf8;

/// Why bytes are not the record they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end inside the record.
    #[error("the record runs out of bytes")]
    Short,
    /// A string or buffer announces a length outside the limits (Apache's own words).
    #[error("Unreasonable length = {0}")]
    Length(i32),
    /// A value that must be there is null.
    #[error("a value is null where none may be")]
    Null,
    /// A value outside the set its field allows.
    #[error("unknown value {0}")]
    Value(i32),
}

/// Bytes still to be decoded, and the longest string or buffer they may hold.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    rest: &'a [u8],
    length_max: usize,
}

type Raw<'a, T> = Result<(&'a [u8], T), nom::Err<(&'a [u8], ErrorKind)>>;

impl<'a> Input<'a> {
    /// Decodes `bytes` under the default limit (`jute.maxbuffer` plus the equal extra size).
    pub fn new(bytes: &'a [u8]) -> Self {
        Self::with_limit(bytes, 2 * MAX_BUFFER_DEFAULT)
    }

    /// Decodes what this server wrote, or has checked before: only the end of `bytes` is a limit.
    pub fn trusted(bytes: &'a [u8]) -> Self {
        Self::with_limit(bytes, usize::MAX)
    }

    /// Decodes `bytes`; strings and buffers may be up to `length_max` bytes long.
    pub fn with_limit(bytes: &'a [u8], length_max: usize) -> Self {
        Self {
            rest: bytes,
            length_max,
        }
    }

    /// What has not been decoded.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn advance<T>(&mut self, parsed: Raw<'a, T>) -> Result<T, DecodeError> {
        let (rest, value) = parsed.map_err(|_| DecodeError::Short)?;
        self.rest = rest;
        Ok(value)
    }

    /// One byte; any non-zero value is true.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        let parsed = be_u8.parse(self.rest);
        self.advance(parsed).map(|b| b != 0)
    }

    /// Four bytes.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn int(&mut self) -> Result<i32, DecodeError> {
        let parsed = be_i32.parse(self.rest);
        self.advance(parsed)
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn long(&mut self) -> Result<i64, DecodeError> {
        let parsed = be_i64.parse(self.rest);
        self.advance(parsed)
    }

    /// `n` bytes as they are.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn raw(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        let parsed = take(n).parse(self.rest);
        self.advance(parsed)
    }

    /// A buffer; `None` is null.
    ///
    /// # Errors
    /// [`DecodeError::Length`] outside the limits, [`DecodeError::Short`].
    pub fn buffer(&mut self) -> Result<Option<&'a [u8]>, DecodeError> {
        let announced = self.int()?;
        if announced == -1 {
            return Ok(None);
        }
        match usize::try_from(announced) {
            Ok(n) if n <= self.length_max => self.raw(n).map(Some),
            _ => Err(DecodeError::Length(announced)),
        }
    }

    /// A string, decoded as Java would (malformed sequences become U+FFFD); `None` is null.
    ///
    /// # Errors
    /// As [`Input::buffer`].
    pub fn string(&mut self) -> Result<Option<Cow<'a, str>>, DecodeError> {
        Ok(self.buffer()?.map(java_utf8))
    }

    /// A vector; `None` is null, any other negative count is empty (Apache: `BinaryInputArchive`).
    /// Space grows with what was decoded, never with the announced count.
    ///
    /// # Errors
    /// What `element` returns.
    pub fn vector<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        let count = self.int()?;
        if count == -1 {
            return Ok(None);
        }
        let mut items = Vec::new();
        for _ in 0..count.max(0) {
            if self.rest.is_empty() {
                return Err(DecodeError::Short);
            }
            items.push(element(self)?);
        }
        Ok(Some(items))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_empty_differ() {
        assert_eq!(Input::new(&[0xff; 4]).buffer(), Ok(None));
        assert_eq!(Input::new(&[0; 4]).buffer(), Ok(Some(&[][..])));
    }

    #[test]
    fn lengths_are_checked_before_use() {
        let mut huge = Input::new(&[0x7f, 0xff, 0xff, 0xff, 0]);
        assert_eq!(huge.buffer(), Err(DecodeError::Length(i32::MAX)));
        assert_eq!(
            Input::new(&[0xff, 0xff, 0xff, 0xfe]).buffer(),
            Err(DecodeError::Length(-2))
        );
        assert_eq!(
            Input::new(&[0, 0, 0, 2, 1]).buffer(),
            Err(DecodeError::Short)
        );
    }

    #[test]
    fn a_forged_count_ends_at_the_last_byte() {
        let mut v = Input::new(&[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1]);
        assert_eq!(v.vector(Input::int), Err(DecodeError::Short));
        assert_eq!(
            Input::new(&[0x80, 0, 0, 0]).vector(Input::int),
            Ok(Some(vec![]))
        );
    }
}
