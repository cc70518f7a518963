//! Hashes and counts the bytes of a file while they are written or read.

use std::io::{self, Write};

use sha2::{Digest as _, Sha256};

/// Hashes and counts what passes, in either direction.
pub(crate) struct Hashing<T> {
    inner: T,
    hasher: Sha256,
    len_bytes: u64,
}

impl<T> Hashing<T> {
    pub(crate) fn new(inner: T) -> Self {
        Self {
            inner,
            hasher: Sha256::new(),
            len_bytes: 0,
        }
    }

    /// What it wraps.
    pub(crate) fn get_ref(&self) -> &T {
        &self.inner
    }

    /// Returns what it wraps, the hash and the number of bytes.
    pub(crate) fn finish(self) -> (T, [u8; 32], u64) {
        (self.inner, self.hasher.finalize().into(), self.len_bytes)
    }

    /// The hash and the number of bytes so far.
    pub(crate) fn so_far(&self) -> ([u8; 32], u64) {
        (self.hasher.clone().finalize().into(), self.len_bytes)
    }

    fn pass(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.len_bytes += bytes.len() as u64;
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.pass(bytes.get(..written).unwrap_or(bytes));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: io::Read> io::Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.pass(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}
