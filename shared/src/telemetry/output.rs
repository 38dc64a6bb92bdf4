//! The standard output, and how log and metrics get there in one write.

use std::{
    cell::RefCell,
    io::{self, Write},
};

thread_local! {
    /// What is to be written, while it is kept back.
    static KEPT: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// The standard output. Without it there is nobody to tell, and an answer must not hang on that.
pub(crate) struct Output;

impl Output {
    /// Writes at once all that is written meanwhile: each time, whoever reads has to be woken.
    pub(crate) fn at_once(work: impl FnOnce()) {
        KEPT.set(Some(Vec::with_capacity(2048)));
        work();
        let kept = KEPT.take().unwrap_or_default();
        let _ = io::stdout().write_all(&kept);
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        KEPT.with_borrow_mut(|kept| match kept {
            Some(kept) => kept.write(bytes),
            None => io::stdout().write(bytes),
        })
    }

    // The provided one would leave the end of a line to the next one, should the output take it only in parts.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        KEPT.with_borrow_mut(|kept| match kept {
            Some(kept) => kept.write_all(bytes),
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
    fn what_is_to_be_written_at_once_is_kept_back_until_then() {
        let kept = || KEPT.with_borrow(Clone::clone);
        Output::at_once(|| {
            Output.write_all(b"one\n").unwrap();
            Output.write_all(b"two\n").unwrap();
            assert_eq!(kept().as_deref(), Some(&b"one\ntwo\n"[..]));
        });
        assert_eq!(kept(), None);
    }
}
