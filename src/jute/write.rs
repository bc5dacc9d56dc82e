//! Encoding.

/// Bytes being written; a thin layer over the vector they go to.
pub trait Output {
    /// Appends bytes as they are.
    fn raw(&mut self, bytes: &[u8]);

    /// One byte, 0 or 1.
    fn bool(&mut self, value: bool) {
        self.raw(&[u8::from(value)]);
    }

    /// Four bytes.
    fn int(&mut self, value: i32) {
        self.raw(&value.to_be_bytes());
    }

    /// Eight bytes.
    fn long(&mut self, value: i64) {
        self.raw(&value.to_be_bytes());
    }

    /// A buffer; `None` is null.
    ///
    /// # Panics
    /// When it is 2 GiB or more; everything stored came in under `jute.maxbuffer`.
    fn buffer(&mut self, value: Option<&[u8]>) {
        match value {
            None => self.int(-1),
            Some(bytes) => {
                self.count(bytes.len());
                self.raw(bytes);
            }
        }
    }

    /// A string; `None` is null.
    ///
    /// # Panics
    /// As [`Output::buffer`].
    fn string(&mut self, value: Option<&str>) {
        self.buffer(value.map(str::as_bytes));
    }

    /// A length or a count.
    ///
    /// # Panics
    /// When it does not fit 31 bits.
    fn count(&mut self, n: usize) {
        self.int(i32::try_from(n).expect("a length below 2 GiB"));
    }
}

impl Output for Vec<u8> {
    fn raw(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl Output for bytes::BytesMut {
    fn raw(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_reads_read() {
        let mut out = Vec::new();
        out.string(Some("ä"));
        out.buffer(None);
        out.bool(true);
        assert_eq!(out, [0, 0, 0, 2, 0xc3, 0xa4, 0xff, 0xff, 0xff, 0xff, 1]);
    }
}
