//! The function as a process: how it is started, what it has used, and how it ends.

use std::{
    fs,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use nix::{
    sys::signal::{Signal, kill},
    time::{ClockId, clock_getcpuclockid},
    unistd::Pid,
};

use crate::Run;

/// The time that a process has to exit. Under valgrind it writes its results then.
const END_MAX: Duration = Duration::from_mins(1);

pub(crate) struct Subject {
    child: Child,
    pid: Pid,
    clock: ClockId,
    pub(crate) started: Instant,
}

impl Subject {
    /// Starts it with the environment variables of Lambda and of the run. Its log goes to standard
    /// error.
    pub(crate) fn start(run: &Run, runtime_api: &str, queue: &str) -> Result<Self> {
        let (program, arguments) = run.command.split_first().context("no command")?;
        let variables = run
            .environment
            .iter()
            .map(|(name, value)| (name, value.replace("{queue}", queue)));
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", runtime_api)
            .env("AWS_LAMBDA_FUNCTION_NAME", "sales_order_place_after")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "logs")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "stream")
            .env("AWS_EXECUTION_ENV", "AWS_Lambda_provided")
            .envs(variables)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        if let Some(folder) = &run.folder {
            command.current_dir(folder);
        }
        let started = Instant::now();
        let child = command.spawn().with_context(|| program.clone())?;
        let pid = Pid::from_raw(i32::try_from(child.id())?);
        let clock = clock_getcpuclockid(pid).context("processor time")?;
        Ok(Self {
            child,
            pid,
            clock,
            started,
        })
    }

    /// The clock of the processor time that all its threads have used, in nanoseconds.
    pub(crate) fn clock(&self) -> impl Fn() -> Duration + Copy + Send + Sync + 'static {
        let clock = self.clock;
        move || clock.now().map(Duration::from).unwrap_or_default()
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The most memory that it has had so far, in bytes.
    pub(crate) fn memory_peak(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).context("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        Ok(kilobytes.context("VmHWM")?.parse::<u64>()? * 1024)
    }

    /// Ends it as Lambda does: it asks, and after a while no longer.
    pub(crate) fn end(mut self) {
        let _ = kill(self.pid, Signal::SIGTERM);
        let patience = Instant::now() + END_MAX;
        while Instant::now() < patience {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
