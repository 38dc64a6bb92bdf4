use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener},
    thread,
    time::Instant,
};

use aws_sdk_sqs::config::Credentials;

use super::*;
use crate::{aws::http::Connections, deliver::message::CONTENT_TYPE};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 21\r\n\r\n{\"MessageId\":\"1-2-3\"}";
const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
const THROTTLED: &str = "HTTP/1.1 400 Bad Request\r\nx-amzn-errortype: ThrottlingException\r\ncontent-length: 2\r\n\r\n{}";
const DENIED: &str =
    "HTTP/1.1 403 Forbidden\r\nx-amzn-errortype: AccessDenied\r\ncontent-length: 2\r\n\r\n{}";
const GARBAGE: &str = "220 smtp.example ESMTP\r\n";

/// How the fake SQS responds to an attempt.
#[derive(Clone, Copy)]
enum Behavior {
    Answer(&'static str),
    Close,
    Nothing,
}
use Behavior::{Answer, Close, Nothing};

/// Sends a message to a fake SQS. It handles one attempt for each element of `script`, and then
/// accepts no connection. Returns the result and the number of received attempts.
async fn send(script: &'static [Behavior], budget: Duration) -> (Result<(), AwsError>, usize) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let listener = (!script.is_empty()).then_some(listener);
    let server = thread::spawn(move || {
        let Some(listener) = listener else {
            return (0, Vec::new());
        };
        let mut open = Vec::new();
        let mut received = 0;
        for behavior in script {
            listener.set_nonblocking(true).unwrap();
            let give_up = Instant::now() + Duration::from_secs(10);
            let mut connection = loop {
                match listener.accept() {
                    Ok((connection, _)) => break connection,
                    Err(_) if Instant::now() > give_up => return (received, open),
                    Err(_) => thread::sleep(Duration::from_millis(1)),
                }
            };
            connection.set_nonblocking(false).unwrap();
            let _ = connection.read(&mut vec![0; 64 * 1024]);
            received += 1;
            match behavior {
                Answer(answer) => {
                    connection.write_all(answer.as_bytes()).unwrap();
                    let _ = connection.shutdown(Shutdown::Write);
                }
                Close => drop(connection.shutdown(Shutdown::Both)),
                Nothing => {}
            }
            open.push(connection);
        }
        // The connections stay open until the result is known. The listener is closed.
        (received, open)
    });
    let settings = QueueSettings {
        url: format!("http://{address}/1/erp.fifo"),
        endpoint: format!("http://{address}"),
        budget,
    };
    let credentials = Credentials::new("a", "b", None, None, "test");
    let aws = Aws {
        region: "eu-west-1".into(),
        credentials,
        connections: Connections::new().unwrap(),
    };
    let queue = Queue::new(settings, &aws);
    let message = Message {
        body: "{}".into(),
        compressed: false,
        group: "order/1".into(),
        deduplication: "1".into(),
        content_type: CONTENT_TYPE,
        issues: None,
    };
    let deadline = Deadline::new(budget + crate::deadline::ANSWER_MARGIN, 0, u64::MAX);
    let result = queue
        .send(
            queue.url(),
            "x",
            message,
            RequestAttributes::default(),
            deadline,
        )
        .await;
    (result, server.join().unwrap().0)
}

#[tokio::test]
async fn the_error_accounts_for_all_attempts() {
    use AwsError::{Interrupted, Refused, TimedOut, Unreachable};
    let cases: [(&[Behavior], Result<(), AwsError>, usize); 12] = [
        (&[Answer(OK)], Ok(()), 1),
        (&[], Err(Unreachable), 0),
        (&[Answer(DENIED)], Err(Refused), 1),
        (&[Answer(THROTTLED), Answer(OK)], Ok(()), 2),
        (&[Answer(THROTTLED), Answer(THROTTLED)], Err(Refused), 2),
        (&[Answer(BUSY), Answer(OK)], Ok(()), 2),
        (&[Close, Answer(OK)], Ok(()), 2),
        (&[Nothing, Answer(OK)], Ok(()), 2),
        // The first attempt may have arrived, however the second one ended.
        (&[Close], Err(Interrupted), 1),
        (&[Answer(GARBAGE), Answer(DENIED)], Err(Interrupted), 2),
        (&[Answer(BUSY), Answer(THROTTLED)], Err(Interrupted), 2),
        (&[Nothing, Nothing], Err(TimedOut), 2),
    ];
    for (index, (script, result, received)) in cases.into_iter().enumerate() {
        let budget = Duration::from_secs(2);
        assert_eq!(
            send(script, budget).await,
            (result, received),
            "case {index}"
        );
    }
}
