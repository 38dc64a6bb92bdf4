//! As much of HTTP/1.1 as a stand-in needs: requests in, answers out, on one kept connection.

use std::io::{Read, Write};

use anyhow::{Context as _, Result, bail, ensure};

/// The largest request in bytes: an answer of Lambda's can have 6 MB.
const REQUEST_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A request, with the header that tells what SQS shall do.
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) target: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// A connection on which requests come.
pub(crate) struct Connection<S> {
    stream: S,
    buffer: Vec<u8>,
    part: Vec<u8>,
}

enum Length {
    Known(usize),
    Chunked,
}

impl<S: Read + Write> Connection<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            part: vec![0; 64 * 1024],
        }
    }

    /// The next request, whole. `None` when the other side has hung up.
    pub(crate) fn request(&mut self) -> Result<Option<Request>> {
        loop {
            if let Some((mut request, head, length)) = head(&self.buffer)? {
                self.buffer.drain(..head);
                request.body = match length {
                    Length::Known(length) => {
                        while self.buffer.len() < length {
                            ensure!(self.more()?, "a request was cut off");
                        }
                        self.buffer.drain(..length).collect()
                    }
                    Length::Chunked => self.chunks()?,
                };
                return Ok(Some(request));
            }
            if !self.more()? {
                return Ok(None);
            }
        }
    }

    fn chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            match httparse::parse_chunk_size(&self.buffer) {
                Ok(httparse::Status::Complete((head, length))) => {
                    let length = usize::try_from(length)?;
                    let end = head + length + 2;
                    while self.buffer.len() < end {
                        ensure!(self.more()?, "a request was cut off");
                    }
                    let chunk = self.buffer.get(head..head + length).unwrap_or_default();
                    body.extend_from_slice(chunk);
                    self.buffer.drain(..end);
                    if length == 0 {
                        return Ok(body);
                    }
                }
                Ok(httparse::Status::Partial) => ensure!(self.more()?, "a request was cut off"),
                Err(_) => bail!("a chunk cannot be read"),
            }
        }
    }

    /// Reads what has come. False when nothing will come any more.
    fn more(&mut self) -> Result<bool> {
        ensure!(
            self.buffer.len() < REQUEST_BYTES_MAX,
            "a request is too large"
        );
        let read = self.stream.read(&mut self.part).unwrap_or_default(); // a reset is a way to hang up
        self.buffer.extend(self.part.iter().take(read));
        Ok(read > 0)
    }

    /// Answers, in one write.
    pub(crate) fn answer(&mut self, status: &str, headers: &str, body: &str) -> Result<()> {
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n{body}"
        );
        self.stream.write_all(answer.as_bytes()).context("answer")?;
        self.stream.flush().context("answer")
    }
}

/// The head of a request, its length, and that of the body.
fn head(buffer: &[u8]) -> Result<Option<(Request, usize, Length)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = parsed.parse(buffer).context("request")? else {
        return Ok(None);
    };
    let mut length = Length::Known(0);
    let mut target = None;
    for header in parsed.headers.iter() {
        let value = std::str::from_utf8(header.value).context("header")?;
        match header.name.to_ascii_lowercase().as_str() {
            "content-length" => length = Length::Known(value.trim().parse().context("length")?),
            "transfer-encoding" => length = Length::Chunked,
            "x-amz-target" => target = Some(value.to_owned()),
            _ => {}
        }
    }
    let request = Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        path: parsed.path.unwrap_or_default().to_owned(),
        target,
        body: Vec::new(),
    };
    Ok(Some((request, head, length)))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// A stream that brings its bytes in parts of this size.
    struct Parts(Vec<u8>, usize);

    impl Read for Parts {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let size = self.1.min(self.0.len());
            into[..size].copy_from_slice(&self.0[..size]);
            self.0.drain(..size);
            Ok(size)
        }
    }

    impl Write for Parts {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn requests_are_read_however_they_come() {
        let bytes = concat!(
            "POST /a HTTP/1.1\r\nContent-Length: 5\r\nX-Amz-Target: AmazonSQS.SendMessage\r\n\r\nhello",
            "GET /b HTTP/1.1\r\n\r\n",
            "POST /c HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
        );
        for size in [1, 2, 7, 1000] {
            let mut connection = Connection::new(Parts(bytes.into(), size));
            let mut seen = Vec::new();
            while let Some(request) = connection.request().unwrap() {
                seen.push((request.method, request.path, request.target, request.body));
            }
            let post = || "POST".to_owned();
            let target = Some("AmazonSQS.SendMessage".to_owned());
            let expected = [
                (post(), "/a".to_owned(), target, b"hello".to_vec()),
                ("GET".to_owned(), "/b".to_owned(), None, Vec::new()),
                (post(), "/c".to_owned(), None, b"hello".to_vec()),
            ];
            assert_eq!(seen, expected, "in parts of {size}");
        }
    }

    #[test]
    fn half_a_request_is_none() {
        for bytes in [
            "POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\nhalf",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhe",
            "no HTTP at all\r\n\r\n",
        ] {
            let mut connection = Connection::new(Parts(bytes.into(), 1000));
            assert!(connection.request().is_err(), "{bytes}");
        }
    }
}
