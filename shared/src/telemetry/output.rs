//! The standard output. The log line and the metrics of a request are one write.

use std::{
    cell::RefCell,
    io::{self, Write},
};

thread_local! {
    /// What was written since the output was held back.
    static HELD: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// The standard output. An error is ignored, because there is no other place to report it.
pub(crate) struct Output;

impl Output {
    /// Holds back what `work` writes, and then writes all of it at once: one system call in place
    /// of two.
    pub(crate) fn at_once(work: impl FnOnce()) {
        HELD.set(Some(Vec::with_capacity(2048)));
        work();
        let held = HELD.take().unwrap_or_default();
        let _ = io::stdout().write_all(&held);
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        HELD.with_borrow_mut(|held| match held {
            Some(held) => held.write(bytes),
            None => io::stdout().write(bytes),
        })
    }

    // The default one would write the end of a line after the next one if the output takes only a
    // part.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        HELD.with_borrow_mut(|held| match held {
            Some(held) => held.write_all(bytes),
            None => io::stdout().write_all(bytes),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_back_what_is_written_at_once() {
        let held = || HELD.with_borrow(Clone::clone);
        Output::at_once(|| {
            Output.write_all(b"one\n").unwrap();
            Output.write_all(b"two\n").unwrap();
            assert_eq!(held().as_deref(), Some(&b"one\ntwo\n"[..]));
        });
        assert_eq!(held(), None);
    }
}
