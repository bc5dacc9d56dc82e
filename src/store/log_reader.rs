//! Walks the records of a file in large reads, with bounded memory.

use std::io;

use super::dir::{ReadAt, read_full};
use super::txnlog::{Frame, HEADER_LEN, Head, PREFIX_LEN, Stop, record_len};

/// Bytes read at a time.
const CHUNK: usize = 256 * 1024;

/// One step of a walk.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// A record: where it begins, and its entry.
    Entry {
        /// Offset in the file.
        offset: u64,
        /// The entry.
        entry: &'a [u8],
    },
    /// There are no more.
    Stop {
        /// Where the next one would begin.
        offset: u64,
        /// Why there is none.
        why: Stop,
    },
}

/// Reads one log file from its first record on.
pub struct LogReader<R> {
    file: R,
    buf: Vec<u8>,
    /// Of `buf`: what has been read and not yet passed on.
    from: usize,
    to: usize,
    /// Offset in the file of `buf[from]`.
    offset: u64,
    length_max: usize,
}

impl<R: ReadAt> LogReader<R> {
    /// Looks at the header; a file without one has no records.
    ///
    /// # Errors
    /// What the device says. The inner `Err` is what the file begins with instead of a header.
    pub fn new(file: R, length_max: usize) -> io::Result<Result<Self, Head>> {
        let mut reader = Self {
            file,
            buf: vec![0; CHUNK],
            from: 0,
            to: 0,
            offset: 0,
            length_max,
        };
        reader.fill(HEADER_LEN)?;
        match Head::of(reader.unread()) {
            Head::Whole => {
                reader.consume(HEADER_LEN);
                Ok(Ok(reader))
            }
            other => Ok(Err(other)),
        }
    }

    /// The next record. After a stop, the same stop again.
    ///
    /// # Errors
    /// What the device says.
    pub fn step(&mut self) -> io::Result<Step<'_>> {
        let (offset, len) = loop {
            let offset = self.offset;
            let stop = match Frame::of(self.unread(), self.length_max) {
                Frame::Entry { len } => break (offset, len),
                Frame::More { need } => {
                    if self.fill(need)? {
                        continue;
                    }
                    match self.unread() {
                        [] => Stop::End,
                        _ => Stop::Cut,
                    }
                }
                Frame::Padding => Stop::Padding,
                Frame::Bad(bad) => Stop::Bad(bad),
            };
            return Ok(Step::Stop { offset, why: stop });
        };
        let at = self.from.saturating_add(PREFIX_LEN);
        self.consume(record_len(len));
        let entry = self
            .buf
            .get(at..at.saturating_add(len))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(Step::Entry { offset, entry })
    }

    /// The file, for a look at what follows a stop.
    pub fn file(&self) -> &R {
        &self.file
    }

    fn unread(&self) -> &[u8] {
        self.buf.get(self.from..self.to).unwrap_or_default()
    }

    fn consume(&mut self, n: usize) {
        self.from = self.from.saturating_add(n).min(self.to);
        self.offset = self.offset.saturating_add(n as u64);
    }

    /// Has at least `need` unread bytes if the file does. The buffer grows with what is there, by
    /// doubling, never to an announced length at once.
    fn fill(&mut self, need: usize) -> io::Result<bool> {
        self.buf.copy_within(self.from..self.to, 0);
        self.to = self.to.saturating_sub(self.from);
        self.from = 0;
        while self.to < need {
            if self.to == self.buf.len() {
                self.buf.resize(self.buf.len().saturating_mul(2), 0);
            }
            let next = self.offset.saturating_add(self.to as u64);
            let room = self.buf.get_mut(self.to..).unwrap_or_default();
            let n = read_full(&self.file, room, next)?;
            if n == 0 {
                return Ok(false);
            }
            self.to = self.to.saturating_add(n);
        }
        Ok(true)
    }
}

impl ReadAt for Box<dyn ReadAt> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        (**self).read_at(buf, offset)
    }
    fn len(&self) -> io::Result<u64> {
        (**self).len()
    }
    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        (**self).next_data(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::super::txnlog::{HEADER, LENGTH_MAX_DEFAULT, LogScanner, encode_record};
    use super::*;

    #[test]
    fn agrees_with_the_scanner_across_chunks() {
        let mut bytes = HEADER.to_vec();
        for n in [1, 40, CHUNK - 100, CHUNK, CHUNK + 1, 3 * CHUNK, 5] {
            encode_record(&vec![n as u8; n], &mut bytes);
        }
        bytes.extend_from_slice(&[0, 0, 0]);
        let mut scanner = LogScanner::new(&bytes, LENGTH_MAX_DEFAULT).unwrap();
        let mut reader = LogReader::new(bytes.clone(), LENGTH_MAX_DEFAULT)
            .unwrap()
            .unwrap();
        for (offset, entry) in scanner.by_ref() {
            assert_eq!(reader.step().unwrap(), Step::Entry { offset, entry });
        }
        let (offset, why) = scanner.stop().unwrap();
        assert_eq!(why, Stop::Cut);
        assert_eq!(reader.step().unwrap(), Step::Stop { offset, why });
        assert_eq!(reader.step().unwrap(), Step::Stop { offset, why });
    }

    #[test]
    fn a_forged_length_reads_no_further_than_the_file() {
        let mut bytes = HEADER.to_vec();
        bytes.extend_from_slice(&[0, 0, 0, 0, 1, 1, 1, 1, 0x00, 0x1f, 0xff, 0xfe, 9, 9]);
        let mut reader = LogReader::new(bytes, LENGTH_MAX_DEFAULT).unwrap().unwrap();
        let stop = Step::Stop {
            offset: 16,
            why: Stop::Cut,
        };
        assert_eq!(reader.step().unwrap(), stop);
        assert_eq!(reader.buf.len(), CHUNK);
    }
}
