//! HTTP/1.1 on one kept connection: writes requests, reads responses with a known length. It is
//! independent of Lambda and SQS.

use std::io::{self, Read, Write};

pub(crate) trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

/// A connection, with the last response that was read from it.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    chunk: Vec<u8>,
    response: Vec<u8>,
}

impl Connection {
    pub(crate) fn new(stream: Box<dyn Stream>) -> Self {
        Self {
            stream,
            chunk: vec![0; 64 * 1024],
            response: Vec::new(),
        }
    }

    /// Sends a request, and returns the head and the body of the response.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> io::Result<(&[u8], &[u8])> {
        self.stream.write_all(request)?;
        self.stream.flush()?;
        self.response.clear();
        loop {
            let read = self.stream.read(&mut self.chunk)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.response.extend(self.chunk.iter().take(read));
            let end = self
                .response
                .windows(4)
                .position(|bytes| bytes == b"\r\n\r\n");
            if let Some(head) = end.map(|end| end + 4) {
                let length = header(
                    self.response.get(..head).unwrap_or_default(),
                    "content-length: ",
                );
                if self.response.len() >= head + length.parse::<usize>().unwrap_or_default() {
                    return Ok(self.response.split_at(head));
                }
            }
        }
    }
}

/// Returns the value of a header. `name` includes the colon and the space after it.
pub(crate) fn header<'a>(head: &'a [u8], name: &str) -> &'a str {
    let head = std::str::from_utf8(head).unwrap_or_default();
    head.split("\r\n")
        .find_map(|line| line.strip_prefix(name))
        .unwrap_or_default()
}
