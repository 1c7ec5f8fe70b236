//! Writes whole log lines to a descriptor, and counts the lines that it did not accept.

use std::io::{self, Write};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::status::dropped_lines::DroppedLines;

/// Writes lines to a descriptor without the lock of Rust's standard error. A write may block without limit.
pub(super) struct Lines<D> {
    descriptor: D,
    dropped: DroppedLines,
    /// Only a part of the last line was written.
    torn: bool,
}

impl<D: AsFd> Lines<D> {
    pub(super) fn new(descriptor: D, dropped: DroppedLines) -> Self {
        Self { descriptor, dropped, torn: false }
    }

    fn write_whole(&mut self, mut bytes: &[u8]) -> Result<(), Errno> {
        while !bytes.is_empty() {
            match rustix::io::write(&self.descriptor, bytes) {
                Ok(0) => return Err(Errno::IO),
                Ok(count) => {
                    bytes = &bytes[count..];
                    self.torn = !bytes.is_empty();
                }
                Err(Errno::INTR) => {}
                // Another process that shares the descriptor made it non-blocking; this thread may wait.
                Err(Errno::AGAIN) => {
                    poll(&mut [PollFd::new(&self.descriptor, PollFlags::OUT)], None)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Accepts one whole line at a time and never fails: it counts lines that cannot be written.
impl<D: AsFd> Write for Lines<D> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let torn = self.torn;
        let written = if torn { self.write_whole(b"\n") } else { Ok(()) };
        if written.and_then(|()| self.write_whole(line)).is_err() {
            self.dropped.add_unwritten();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_line_that_the_sink_refuses_is_counted_and_causes_no_error() {
        let dropped = DroppedLines::default();
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let mut lines = Lines::new(full, dropped.clone());
        lines.write_all(b"one\n").unwrap();
        lines.write_all(b"two\n").unwrap();
        assert_eq!(dropped.count(), 2);
    }

    #[test]
    fn after_a_cut_line_the_next_one_starts_on_a_new_line() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut lines = Lines::new(writer, DroppedLines::default());
        lines.write_all(b"ha").unwrap();
        lines.torn = true;
        lines.write_all(b"whole\n").unwrap();
        assert!(!lines.torn);
        drop(lines);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "ha\nwhole\n");
    }
}
