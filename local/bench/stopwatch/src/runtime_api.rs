//! A mock of the Lambda Runtime API. It returns the events of a run, and records the times of
//! requests and responses.

use std::{
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{Run, http::Connection};

const PREFIX: &str = "/2018-06-01/runtime";

/// The timeout of one event. It is long enough for valgrind.
const EVENT_MAX: Duration = Duration::from_mins(1);

/// The listening mock.
pub(crate) struct RuntimeApi {
    pub(crate) address: String,
    listener: TcpListener,
}

/// The events, and when to return them.
pub(crate) struct Schedule {
    events: Vec<String>,
    count: usize,
    pause: Duration,
    keep: bool,
}

/// The recorded times.
#[derive(Default)]
pub(crate) struct Invoked {
    /// The CPU time at each request for an event. The last request receives no event.
    pub(crate) requested: Vec<Duration>,
    /// The time from sending each event to its response.
    pub(crate) latencies: Vec<Duration>,
    pub(crate) first_response: Moment,
    pub(crate) first_response_cpu: Duration,
    /// The responses, if requested.
    pub(crate) responses: Vec<String>,
    event_sent: Moment,
}

/// A moment, or `None` before it is recorded.
#[derive(Clone, Copy, Default)]
pub(crate) struct Moment(Option<Instant>);

impl Moment {
    fn now() -> Self {
        Self(Some(Instant::now()))
    }

    pub(crate) fn duration_since(self, earlier: Instant) -> Duration {
        self.0.map(|moment| moment - earlier).unwrap_or_default()
    }
}

impl RuntimeApi {
    pub(crate) fn bind(events: Vec<String>, run: &Run) -> Result<(Self, Schedule)> {
        let listener = TcpListener::bind("127.0.0.1:0").context("Runtime API")?;
        let address = listener.local_addr()?.to_string();
        let schedule = Schedule {
            events,
            count: 1 + run.warm_up + run.measured,
            pause: Duration::from_millis(run.pause_ms),
            keep: run.keep,
        };
        Ok((Self { address, listener }, schedule))
    }

    /// Returns the events to the function, until it requests one more than there are.
    pub(crate) fn serve(
        &self,
        schedule: Schedule,
        cpu: impl Fn() -> Duration + Copy + Send + Sync + 'static,
        mut is_alive: impl FnMut() -> bool,
    ) -> Result<Invoked> {
        let (ended, end) = mpsc::channel();
        let shared = Arc::new((schedule, Mutex::new(Invoked::default())));
        let listener = self.listener.try_clone()?;
        let connections = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, ended) = (Arc::clone(&connections), ended.clone());
                thread::spawn(move || {
                    let (schedule, invoked) = &*shared;
                    if let Err(error) = serve_requests(stream, schedule, invoked, cpu, &ended) {
                        let _ = ended.send(Err(error));
                    }
                });
            }
        });
        let (mut done, mut deadline) = (0, Instant::now() + EVENT_MAX);
        loop {
            match end.recv_timeout(Duration::from_millis(100)) {
                Ok(Ok(())) => return Ok(std::mem::take(&mut lock(&shared.1))),
                Ok(Err(error)) => return Err(error),
                Err(_) => {
                    let now = lock(&shared.1).latencies.len();
                    if now > done {
                        (done, deadline) = (now, Instant::now() + EVENT_MAX);
                    }
                    ensure!(is_alive(), "the function exited after {done} events");
                    ensure!(
                        Instant::now() < deadline,
                        "the function timed out after {done} events"
                    );
                }
            }
        }
    }
}

fn lock(invoked: &Mutex<Invoked>) -> MutexGuard<'_, Invoked> {
    invoked.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve_requests(
    stream: TcpStream,
    schedule: &Schedule,
    invoked: &Mutex<Invoked>,
    cpu: impl Fn() -> Duration,
    ended: &mpsc::Sender<Result<()>>,
) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut connection = Connection::new(stream);
    while let Some(request) = connection.next_request()? {
        let received = Instant::now();
        let path = request.path.strip_prefix(PREFIX).unwrap_or_default();
        match (request.method.as_str(), path) {
            ("GET", "/invocation/next") => {
                let index = {
                    let mut invoked = lock(invoked);
                    invoked.requested.push(cpu());
                    invoked.requested.len() - 1
                };
                if index == schedule.count {
                    let _ = ended.send(Ok(()));
                    // In Lambda, too, this request has no response until the function is stopped.
                    thread::park();
                }
                if index > 0 {
                    thread::sleep(schedule.pause);
                }
                let (headers, event) = schedule.event(index)?;
                lock(invoked).event_sent = Moment::now();
                connection.respond("200 OK", &headers, &event)?;
            }
            ("POST", path) if path.ends_with("/response") => {
                {
                    let mut invoked = lock(invoked);
                    if invoked.latencies.is_empty() {
                        invoked.first_response = Moment(Some(received));
                        invoked.first_response_cpu = cpu();
                    }
                    let latency = invoked.event_sent.0.map(|moment| received - moment);
                    invoked.latencies.push(latency.unwrap_or_default());
                    if schedule.keep {
                        let response = String::from_utf8(request.body).context("response")?;
                        invoked.responses.push(response);
                    }
                }
                connection.respond("202 Accepted", "", r#"{"status":"OK"}"#)?;
            }
            (_, path) => {
                let body = String::from_utf8_lossy(&request.body).into_owned();
                bail!("the function requested {path}: {body}");
            }
        }
    }
    Ok(())
}

impl Schedule {
    /// Returns the headers and the body of an event, with the current time.
    fn event(&self, index: usize) -> Result<(String, String)> {
        let event = self.events.get(index % self.events.len().max(1));
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        let headers = format!(
            "lambda-runtime-aws-request-id: 8476a536-e9f4-11e8-9739-{index:012x}\r\n\
             lambda-runtime-deadline-ms: {}\r\n\
             lambda-runtime-invoked-function-arn: \
             arn:aws:lambda:eu-west-1:123456789012:function:sales_order_place_after\r\n\
             lambda-runtime-trace-id: \
             Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1\r\n",
            now + 30_000
        );
        let event = event.context("no events")?;
        Ok((headers, event.replace("{now}", &now.to_string())))
    }
}
