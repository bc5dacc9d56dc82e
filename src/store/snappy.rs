//! The snappy-java stream container (Apache: `SnapStream` with `SnappyOutputStream`), which is not
//! the standard snappy framing.
//!
//! ```text
//! 82 "SNAPPY" 00  version=1  compatible=1     then blocks: length:4  raw snappy block
//! ```
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)
)]

use std::io::{self, Read, Write};

/// First eight bytes.
pub const MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
const HEADER: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
/// Uncompressed bytes of a block, as snappy-java writes them.
const BLOCK: usize = 32 * 1024;
/// Longest block accepted, uncompressed bytes; snappy-java's block size can be configured.
const BLOCK_MAX: usize = 8 * 1024 * 1024;

fn broken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("snappy: {why}"))
}

/// Decompresses a container.
pub struct SnappyReader<R> {
    from: R,
    started: bool,
    packed: Vec<u8>,
    block: Vec<u8>,
    at: usize,
}

impl<R: Read> SnappyReader<R> {
    /// Reads from `from`; the header is checked at the first read.
    pub fn new(from: R) -> Self {
        Self {
            from,
            started: false,
            packed: Vec::new(),
            block: Vec::new(),
            at: 0,
        }
    }

    fn start(&mut self) -> io::Result<()> {
        let mut header = [0; HEADER.len()];
        self.from.read_exact(&mut header)?;
        if !header.starts_with(&MAGIC) {
            return Err(broken("no header"));
        }
        self.started = true;
        Ok(())
    }

    /// Reads the next block; false at the end of the stream.
    fn next_block(&mut self) -> io::Result<bool> {
        let mut length = [0; 4];
        match self.from.read(&mut length)? {
            0 => return Ok(false),
            n => self
                .from
                .read_exact(length.get_mut(n..).unwrap_or_default())?,
        }
        let packed_len = usize::try_from(i32::from_be_bytes(length))
            .ok()
            .filter(|n| *n <= snap::raw::max_compress_len(BLOCK_MAX))
            .ok_or_else(|| broken("unreasonable block length"))?;
        self.packed.clear();
        let got = (&mut self.from)
            .take(packed_len as u64)
            .read_to_end(&mut self.packed)?;
        if got != packed_len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let len = snap::raw::decompress_len(&self.packed).map_err(io::Error::other)?;
        if len > BLOCK_MAX {
            return Err(broken("unreasonable block"));
        }
        self.block.resize(len, 0);
        let n = snap::raw::Decoder::new()
            .decompress(&self.packed, &mut self.block)
            .map_err(|e| broken(&e.to_string()))?;
        self.block.truncate(n);
        self.at = 0;
        Ok(true)
    }
}

impl<R: Read> Read for SnappyReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if !self.started {
            self.start()?;
        }
        while self.at >= self.block.len() {
            if !self.next_block()? {
                return Ok(0);
            }
        }
        let mut rest = self.block.get(self.at..).unwrap_or_default();
        let n = rest.read(buf)?;
        self.at = self.at.saturating_add(n);
        Ok(n)
    }
}

/// Compresses into a container.
pub struct SnappyWriter<W: Write> {
    to: W,
    started: bool,
    block: Vec<u8>,
    packed: Vec<u8>,
    encoder: snap::raw::Encoder,
}

impl<W: Write> SnappyWriter<W> {
    /// Writes to `to`; nothing before the first byte or the end.
    pub fn new(to: W) -> Self {
        Self {
            to,
            started: false,
            block: Vec::with_capacity(BLOCK),
            packed: vec![0; snap::raw::max_compress_len(BLOCK)],
            encoder: snap::raw::Encoder::new(),
        }
    }

    fn write_block(&mut self) -> io::Result<()> {
        if !self.started {
            self.to.write_all(&HEADER)?;
            self.started = true;
        }
        if self.block.is_empty() {
            return Ok(());
        }
        let n = self
            .encoder
            .compress(&self.block, &mut self.packed)
            .map_err(io::Error::other)?;
        let packed = self.packed.get(..n).unwrap_or_default();
        let length = u32::try_from(n).map_err(io::Error::other)?;
        self.to.write_all(&length.to_be_bytes())?;
        self.to.write_all(packed)?;
        self.block.clear();
        Ok(())
    }

    /// Writes what is left and gives the writer back.
    ///
    /// # Errors
    /// What `to` says.
    pub fn finish(mut self) -> io::Result<W> {
        self.write_block()?;
        Ok(self.to)
    }
}

impl<W: Write> Write for SnappyWriter<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = buf.len().min(BLOCK.saturating_sub(self.block.len()));
        self.block
            .extend_from_slice(buf.get(..n).unwrap_or_default());
        if self.block.len() >= BLOCK {
            self.write_block()?;
        }
        Ok(n)
    }

    /// Passes on nothing: a block is cut only when full, so that the bytes do not depend on flushes.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pack(bytes: &[u8]) -> Vec<u8> {
        let mut w = SnappyWriter::new(Vec::new());
        w.write_all(bytes).unwrap();
        w.finish().unwrap()
    }

    #[test]
    fn an_empty_stream_is_its_header() {
        assert_eq!(pack(b""), HEADER);
        assert_eq!(
            std::io::copy(&mut SnappyReader::new(&HEADER[..]), &mut std::io::sink()).unwrap(),
            0
        );
    }

    #[test]
    fn lengths_are_checked() {
        let mut forged = HEADER.to_vec();
        forged.extend_from_slice(&[0x7f, 0xff, 0xff, 0xff, 1]);
        assert!(SnappyReader::new(&forged[..]).read(&mut [0; 9]).is_err());
        let mut cut = pack(&[1; 1000]);
        cut.pop();
        let e = SnappyReader::new(&cut[..]).read(&mut [0; 9]).unwrap_err();
        assert_eq!(e.kind(), io::ErrorKind::UnexpectedEof);
    }

    proptest! {
        #[test]
        fn round_trip(seed in prop::collection::vec(any::<u8>(), 0..500), repeat in 1usize..300) {
            let bytes = seed.repeat(repeat);
            let mut back = Vec::new();
            SnappyReader::new(&pack(&bytes)[..]).read_to_end(&mut back).unwrap();
            prop_assert_eq!(back, bytes);
        }

        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut all = HEADER.to_vec();
            all.extend_from_slice(&bytes);
            let mut out = Vec::new();
            let _ = SnappyReader::new(&all[..]).read_to_end(&mut out);
            prop_assert!(out.len() <= BLOCK_MAX);
        }
    }
}
