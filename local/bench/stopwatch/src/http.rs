//! An HTTP/1.1 server on one kept connection: reads requests, writes responses. It is independent
//! of Lambda and SQS.

use std::io::{Read, Write};

use anyhow::{Context as _, Result, bail, ensure};

/// The maximum size of a request, in bytes. The response of a function can have 6 MB.
const REQUEST_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A request.
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// The header `x-amz-target`, which names the operation of SQS.
    pub(crate) target: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// A connection to one client.
pub(crate) struct Connection<S> {
    stream: S,
    buffer: Vec<u8>,
    chunk: Vec<u8>,
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
            chunk: vec![0; 64 * 1024],
        }
    }

    /// Reads the next request. Returns `None` if the client has closed the connection.
    pub(crate) fn next_request(&mut self) -> Result<Option<Request>> {
        loop {
            if let Some((mut request, head, length)) = parse_head(&self.buffer)? {
                self.buffer.drain(..head);
                request.body = match length {
                    Length::Known(length) => {
                        while self.buffer.len() < length {
                            ensure!(self.read_more()?, "a request is incomplete");
                        }
                        self.buffer.drain(..length).collect()
                    }
                    Length::Chunked => self.read_chunks()?,
                };
                return Ok(Some(request));
            }
            if !self.read_more()? {
                return Ok(None);
            }
        }
    }

    fn read_chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            match httparse::parse_chunk_size(&self.buffer) {
                Ok(httparse::Status::Complete((head, length))) => {
                    let length = usize::try_from(length)?;
                    let end = head + length + 2;
                    while self.buffer.len() < end {
                        ensure!(self.read_more()?, "a request is incomplete");
                    }
                    let chunk = self.buffer.get(head..head + length).unwrap_or_default();
                    body.extend_from_slice(chunk);
                    self.buffer.drain(..end);
                    if length == 0 {
                        return Ok(body);
                    }
                }
                Ok(httparse::Status::Partial) => {
                    ensure!(self.read_more()?, "a request is incomplete");
                }
                Err(_) => bail!("a chunk is invalid"),
            }
        }
    }

    /// Reads the next bytes into the buffer. Returns false at the end of the stream.
    fn read_more(&mut self) -> Result<bool> {
        ensure!(
            self.buffer.len() < REQUEST_BYTES_MAX,
            "a request is too large"
        );
        // A reset connection is an end of the stream, too.
        let read = self.stream.read(&mut self.chunk).unwrap_or_default();
        self.buffer.extend(self.chunk.iter().take(read));
        Ok(read > 0)
    }

    /// Writes a response. `headers` are additional ones, each with its line end.
    pub(crate) fn respond(&mut self, status: &str, headers: &str, body: &str) -> Result<()> {
        let length = body.len();
        let response = format!(
            "HTTP/1.1 {status}\r\n\
             content-type: application/json\r\n\
             {headers}content-length: {length}\r\n\r\n{body}"
        );
        self.stream
            .write_all(response.as_bytes())
            .context("response")?;
        self.stream.flush().context("response")
    }
}

/// Parses the head of a request. Returns the request without its body, the length of the head, and
/// that of the body. Returns `None` if the head is incomplete.
fn parse_head(buffer: &[u8]) -> Result<Option<(Request, usize, Length)>> {
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

    /// A stream that returns at most this many bytes per read.
    struct ShortReads(Vec<u8>, usize);

    impl Read for ShortReads {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let size = self.1.min(self.0.len());
            buffer[..size].copy_from_slice(&self.0[..size]);
            self.0.drain(..size);
            Ok(size)
        }
    }

    impl Write for ShortReads {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn reads_requests_in_chunks_of_any_size() {
        let bytes = concat!(
            "POST /a HTTP/1.1\r\nContent-Length: 5\r\n",
            "X-Amz-Target: AmazonSQS.SendMessage\r\n\r\nhello",
            "GET /b HTTP/1.1\r\n\r\n",
            "POST /c HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
            "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
        );
        for size in [1, 2, 7, 1000] {
            let mut connection = Connection::new(ShortReads(bytes.into(), size));
            let mut requests = Vec::new();
            while let Some(request) = connection.next_request().unwrap() {
                requests.push((request.method, request.path, request.target, request.body));
            }
            let post = || "POST".to_owned();
            let target = Some("AmazonSQS.SendMessage".to_owned());
            let expected = [
                (post(), "/a".to_owned(), target, b"hello".to_vec()),
                ("GET".to_owned(), "/b".to_owned(), None, Vec::new()),
                (post(), "/c".to_owned(), None, b"hello".to_vec()),
            ];
            assert_eq!(requests, expected, "chunks of {size} bytes");
        }
    }

    #[test]
    fn rejects_an_incomplete_request() {
        for bytes in [
            "POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\nhalf",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhe",
            "no HTTP at all\r\n\r\n",
        ] {
            let mut connection = Connection::new(ShortReads(bytes.into(), 1000));
            assert!(connection.next_request().is_err(), "{bytes}");
        }
    }
}
