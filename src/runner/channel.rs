//! [`Channel`]: lines to and from a wrapper, over a socket pair that is neither its input nor its output.
//!
//! Owned by a warm process; what the lines mean is in `language`. Bounded: a longer line is an error.

use std::{io, os::fd::OwnedFd, process::Stdio};

use memchr::memchr;
use tokio::{io::Interest, net::UnixStream};

/// How much is read at once.
const READ_BYTES: usize = 64 * 1024;

/// Our end of the socket pair.
pub(crate) struct Channel {
    stream: UnixStream,
    /// What is still to be written, from `written` on.
    out: Vec<u8>,
    written: usize,
    /// What came and was not looked at yet, from `taken` on.
    input: Vec<u8>,
    taken: usize,
    max_line_bytes: usize,
}

impl Channel {
    /// A channel, and the end that becomes the standard input of the wrapper (which moves it away first).
    pub(crate) fn open(max_line_bytes: usize) -> io::Result<(Self, Stdio)> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let channel = Self {
            stream: UnixStream::from_std(ours)?,
            out: Vec::new(),
            written: 0,
            input: Vec::new(),
            taken: 0,
            max_line_bytes,
        };
        Ok((channel, Stdio::from(OwnedFd::from(theirs))))
    }

    /// Has `line` (with its newline) written as [`Channel::progress`] is polled; what fits goes at once.
    pub(crate) fn send(&mut self, line: Vec<u8>) -> io::Result<()> {
        self.out = line;
        self.written = 0;
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        while self.written < self.out.len() {
            match self.stream.try_write(&self.out[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.out = Vec::new();
        self.written = 0;
        Ok(())
    }

    /// Writes what is left and reads what is there, until something was read. Cancel safe.
    ///
    /// # Errors
    /// The other end is gone (`UnexpectedEof`), or a line is too long (`FileTooLarge`).
    pub(crate) async fn progress(&mut self) -> io::Result<()> {
        loop {
            let interest = if self.out.is_empty() {
                Interest::READABLE
            } else {
                Interest::READABLE | Interest::WRITABLE
            };
            let ready = self.stream.ready(interest).await?;
            if ready.is_writable() {
                self.write()?;
            }
            if ready.is_readable() && self.read()? {
                return Ok(());
            }
        }
    }

    fn read(&mut self) -> io::Result<bool> {
        if self.taken > 0 {
            self.input.drain(..self.taken);
            self.taken = 0;
        }
        if self.input.len() > self.max_line_bytes {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let start = self.input.len();
        self.input.reserve(READ_BYTES);
        match self.stream.try_read_buf(&mut self.input) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(self.input.len() > start),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether everything that came was taken.
    pub(crate) fn is_silent(&self) -> bool {
        self.input.len() == self.taken
    }

    /// The next whole line, without its newline.
    pub(crate) fn line(&mut self) -> Option<Vec<u8>> {
        let rest = &self.input[self.taken..];
        let end = memchr(b'\n', rest)?;
        let line = rest[..end].to_vec();
        self.taken += end + 1;
        Some(line)
    }
}
