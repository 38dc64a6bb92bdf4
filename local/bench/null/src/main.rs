//! A function that answers without work, to measure the protocol of Lambda alone.

use std::{
    env,
    io::{self, Read as _, Write as _},
    net::TcpStream,
};

const ANSWER: &str = r#"{"statusCode":200,"headers":{"content-type":"application/json"},"body":"{\"op\":\"success\"}","isBase64Encoded":false}"#;

fn main() -> io::Result<()> {
    let api = env::var("AWS_LAMBDA_RUNTIME_API").map_err(io::Error::other)?;
    let mut runtime = TcpStream::connect(&api)?;
    runtime.set_nodelay(true)?;
    let next = format!("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nhost: {api}\r\n\r\n");
    let mut part = vec![0; 64 * 1024];
    loop {
        let head = exchange(&mut runtime, &mut part, &next)?;
        let id = header(&head, "lambda-runtime-aws-request-id: ");
        let length = ANSWER.len();
        exchange(
            &mut runtime,
            &mut part,
            &format!(
                "POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\nhost: {api}\r\ncontent-length: {length}\r\n\r\n{ANSWER}"
            ),
        )?;
    }
}

/// Sends a request, reads the whole answer, and returns its head.
fn exchange(stream: &mut TcpStream, part: &mut [u8], request: &str) -> io::Result<String> {
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    loop {
        let read = stream.read(part)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        answer.extend_from_slice(part.get(..read).unwrap_or_default());
        if let Some(end) = answer.windows(4).position(|end| end == b"\r\n\r\n") {
            let body = answer.split_off(end + 4).len();
            let head = String::from_utf8_lossy(&answer).into_owned();
            let length = header(&head, "content-length: ").parse().unwrap_or(0);
            // The rest comes in as many parts as it likes, and nobody looks at it.
            let mut rest = usize::saturating_sub(length, body);
            while rest > 0 {
                rest = rest.saturating_sub(stream.read(part)?.max(1));
            }
            return Ok(head);
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let mut lines = head.split("\r\n");
    lines
        .find_map(|line| line.strip_prefix(name))
        .unwrap_or_default()
}
