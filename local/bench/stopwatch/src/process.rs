//! The function as a process: starts it, reads its CPU time and memory, and stops it.

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

/// The time between SIGTERM and SIGKILL. Under valgrind the process writes its results then.
const SHUTDOWN_MAX: Duration = Duration::from_mins(1);

/// A running function.
pub(crate) struct Subject {
    child: Child,
    pid: Pid,
    clock: ClockId,
    pub(crate) started: Instant,
}

impl Subject {
    /// Starts the function with the environment of Lambda and of the run. Its standard output is
    /// discarded; its standard error is that of the stopwatch.
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
        let clock = clock_getcpuclockid(pid).context("CPU clock")?;
        Ok(Self {
            child,
            pid,
            clock,
            started,
        })
    }

    /// Returns a function that reads the CPU time of all threads.
    pub(crate) fn cpu_clock(&self) -> impl Fn() -> Duration + Copy + Send + Sync + 'static {
        let clock = self.clock;
        move || clock.now().map(Duration::from).unwrap_or_default()
    }

    /// Returns whether the process is running.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Returns the peak memory so far, in bytes.
    pub(crate) fn memory_peak(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).context("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        Ok(kilobytes.context("VmHWM")?.parse::<u64>()? * 1024)
    }

    /// Stops the process as Lambda does: with SIGTERM, and after a timeout with SIGKILL.
    pub(crate) fn stop(mut self) {
        let _ = kill(self.pid, Signal::SIGTERM);
        let deadline = Instant::now() + SHUTDOWN_MAX;
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
