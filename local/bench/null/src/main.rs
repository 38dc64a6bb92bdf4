//! A function that responds without any work. It shows the cost of Lambda's protocol alone, for
//! comparison with the other results of the benchmark. Nothing else belongs here.

use std::{
    env,
    io::{self, Read as _, Write as _},
    net::TcpStream,
};

const RESPONSE: &str = concat!(
    r#"{"statusCode":200,"headers":{"content-type":"application/json"},"#,
    r#""body":"{\"op\":\"success\"}","isBase64Encoded":false}"#
);

fn main() -> io::Result<()> {
    let api = env::var("AWS_LAMBDA_RUNTIME_API").map_err(io::Error::other)?;
    let mut runtime = TcpStream::connect(&api)?;
    runtime.set_nodelay(true)?;
    let next = format!("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nhost: {api}\r\n\r\n");
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let head = exchange(&mut runtime, &mut chunk, &next)?;
        let id = header(&head, "lambda-runtime-aws-request-id: ");
        let length = RESPONSE.len();
        exchange(
            &mut runtime,
            &mut chunk,
            &format!(
                "POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\n\
                 host: {api}\r\n\
                 content-length: {length}\r\n\r\n{RESPONSE}"
            ),
        )?;
    }
}

/// Sends a request, reads the whole response, and returns its head.
fn exchange(stream: &mut TcpStream, chunk: &mut [u8], request: &str) -> io::Result<String> {
    stream.write_all(request.as_bytes())?;
    let mut response = Vec::new();
    loop {
        let read = stream.read(chunk)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        response.extend_from_slice(chunk.get(..read).unwrap_or_default());
        if let Some(end) = response.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let body = response.split_off(end + 4).len();
            let head = String::from_utf8_lossy(&response).into_owned();
            let length = header(&head, "content-length: ").parse().unwrap_or(0);
            // Reads the rest of the body, and drops it.
            let mut rest = usize::saturating_sub(length, body);
            while rest > 0 {
                rest = rest.saturating_sub(stream.read(chunk)?.max(1));
            }
            return Ok(head);
        }
    }
}

/// Returns the value of a header. `name` includes the colon and the space after it.
fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let mut lines = head.split("\r\n");
    lines
        .find_map(|line| line.strip_prefix(name))
        .unwrap_or_default()
}
