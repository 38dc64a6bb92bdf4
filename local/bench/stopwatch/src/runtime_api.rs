//! A Lambda Runtime API that returns the events of a run, and records when each of them was
//! requested and answered.

use std::{
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{Run, http::Connection};

const PREFIX: &str = "/2018-06-01/runtime";

/// No event takes longer, not even under valgrind.
const EVENT_MAX: Duration = Duration::from_mins(1);

pub(crate) struct RuntimeApi {
    pub(crate) address: String,
    listener: TcpListener,
}

/// Which events are handed out, and how.
pub(crate) struct Plan {
    events: Vec<String>,
    count: usize,
    pause: Duration,
    keep: bool,
}

/// What was noted.
#[derive(Default)]
pub(crate) struct Invoked {
    /// The processor time when each event was asked for, and at the end.
    pub(crate) asked: Vec<Duration>,
    /// From handing an event out to its answer.
    pub(crate) answered: Vec<Duration>,
    pub(crate) first_answer: Moment,
    pub(crate) first_answer_cpu: Duration,
    /// The answers, if they are wanted.
    pub(crate) answers: Vec<String>,
    handed_out: Moment,
}

/// A moment, or none yet.
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
    pub(crate) fn bind(events: Vec<String>, run: &Run) -> Result<(Self, Plan)> {
        let listener = TcpListener::bind("127.0.0.1:0").context("Runtime API")?;
        let address = listener.local_addr()?.to_string();
        let plan = Plan {
            events,
            count: 1 + run.warm_up + run.measured,
            pause: Duration::from_millis(run.pause_ms),
            keep: run.keep,
        };
        Ok((Self { address, listener }, plan))
    }

    /// Hands out the events, until the last one is answered and another one is asked for.
    pub(crate) fn serve(
        &self,
        plan: Plan,
        cpu: impl Fn() -> Duration + Copy + Send + Sync + 'static,
        mut is_alive: impl FnMut() -> bool,
    ) -> Result<Invoked> {
        let (ended, end) = mpsc::channel();
        let shared = Arc::new((plan, Mutex::new(Invoked::default())));
        let listener = self.listener.try_clone()?;
        let connections = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, ended) = (Arc::clone(&connections), ended.clone());
                thread::spawn(move || {
                    let (plan, invoked) = &*shared;
                    if let Err(reason) = answer_all(stream, plan, invoked, cpu, &ended) {
                        let _ = ended.send(Err(reason));
                    }
                });
            }
        });
        let (mut seen, mut patience) = (0, Instant::now() + EVENT_MAX);
        loop {
            match end.recv_timeout(Duration::from_millis(100)) {
                Ok(Ok(())) => return Ok(std::mem::take(&mut lock(&shared.1))),
                Ok(Err(reason)) => return Err(reason),
                Err(_) => {
                    let now = lock(&shared.1).answered.len();
                    if now > seen {
                        (seen, patience) = (now, Instant::now() + EVENT_MAX);
                    }
                    ensure!(is_alive(), "it ended by itself after {seen} events");
                    ensure!(Instant::now() < patience, "it hangs after {seen} events");
                }
            }
        }
    }
}

fn lock(invoked: &Mutex<Invoked>) -> MutexGuard<'_, Invoked> {
    invoked.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer_all(
    stream: TcpStream,
    plan: &Plan,
    invoked: &Mutex<Invoked>,
    cpu: impl Fn() -> Duration,
    ended: &mpsc::Sender<Result<()>>,
) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut connection = Connection::new(stream);
    while let Some(request) = connection.request()? {
        let came = Instant::now();
        let path = request.path.strip_prefix(PREFIX).unwrap_or_default();
        match (request.method.as_str(), path) {
            ("GET", "/invocation/next") => {
                let index = {
                    let mut invoked = lock(invoked);
                    invoked.asked.push(cpu());
                    invoked.asked.len() - 1
                };
                if index == plan.count {
                    let _ = ended.send(Ok(()));
                    // It waits, as it would in Lambda, until it is ended.
                    thread::park();
                }
                if index > 0 {
                    thread::sleep(plan.pause);
                }
                let (headers, event) = plan.event(index)?;
                lock(invoked).handed_out = Moment::now();
                connection.answer("200 OK", &headers, &event)?;
            }
            ("POST", path) if path.ends_with("/response") => {
                {
                    let mut invoked = lock(invoked);
                    if invoked.answered.is_empty() {
                        invoked.first_answer = Moment(Some(came));
                        invoked.first_answer_cpu = cpu();
                    }
                    let took = invoked.handed_out.0.map(|moment| came - moment);
                    invoked.answered.push(took.unwrap_or_default());
                    if plan.keep {
                        let answer = String::from_utf8(request.body).context("answer")?;
                        invoked.answers.push(answer);
                    }
                }
                connection.answer("202 Accepted", "", r#"{"status":"OK"}"#)?;
            }
            (_, path) => {
                let said = String::from_utf8_lossy(&request.body).into_owned();
                bail!("it asked for {path}: {said}");
            }
        }
    }
    Ok(())
}

impl Plan {
    /// The headers and the text of an event that comes in just now.
    fn event(&self, index: usize) -> Result<(String, String)> {
        let event = self.events.get(index % self.events.len().max(1));
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        let headers = format!(
            "lambda-runtime-aws-request-id: 8476a536-e9f4-11e8-9739-{index:012x}\r\n\
             lambda-runtime-deadline-ms: {}\r\n\
             lambda-runtime-invoked-function-arn: arn:aws:lambda:eu-west-1:123456789012:function:sales_order_place_after\r\n\
             lambda-runtime-trace-id: Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1\r\n",
            now + 30_000
        );
        let event = event.context("no events")?;
        Ok((headers, event.replace("{now}", &now.to_string())))
    }
}
