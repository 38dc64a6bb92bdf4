//! The development tool. It signs and sends webhooks as a shop does, writes the sample requests in
//! `events/`, checks rules files, and adds keys to the text of a secret. It never runs in Lambda.

mod hooks;
mod keys;
mod rules;
mod samples;
mod send;
mod sign;

use std::{io, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Signs and sends webhooks, writes the sample requests, checks rules, and adds keys to a secret.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Hooks(hooks::HooksCommand),
    Keys(keys::KeysCommand),
    Rules(rules::RulesCommand),
    Send(Box<send::SendCommand>),
    Samples(samples::SamplesCommand),
}

impl Command {
    /// Returns whether the command succeeded, which is the exit code.
    fn run(&self) -> Result<bool> {
        let mut out = io::stdout().lock();
        match self {
            Self::Hooks(hooks) => hooks.run(&mut io::stderr().lock()),
            Self::Keys(keys) => keys.run(&mut out),
            Self::Rules(rules) => rules.run(&mut out),
            Self::Send(send) => send.run(&mut out),
            Self::Samples(samples) => samples.run(&mut out),
        }
    }
}

fn main() -> ExitCode {
    match Cli::parse().command.run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(reason) => {
            eprintln!("local: {reason:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn rejects_wrong_arguments() {
        let rejected = |arguments: &[&str]| {
            let arguments = ["local"].iter().chain(arguments);
            Cli::try_parse_from(arguments).is_err()
        };
        let send = ["send", "body.json", "--url", "http://127.0.0.1/"];
        assert!(!rejected(&send));
        assert!(rejected(&["send", "body.json"]), "no --url");
        for wrong in [
            ["--url", "ftp://127.0.0.1/"],
            ["--scheme", "md5"],
            ["--count", "0"],
            ["--concurrency", "0"],
            ["--timeout-ms", "0"],
            ["--header", "no colon"],
            ["--header", "a name: value"],
        ] {
            // Without this, the last --url would count.
            let without_url = &send[..2];
            let url = if wrong[0] == "--url" {
                &[][..]
            } else {
                &send[2..]
            };
            assert!(
                rejected(&[without_url, url, &wrong[..]].concat()),
                "{wrong:?}"
            );
        }
        for wrong in [
            &["keys"][..],
            &["keys", "--pem", "a", "--hmac", "b"],
            &["rules", "no_such_channel", "rules.json"],
            &["rules", "sales_order_place_after"],
        ] {
            assert!(rejected(wrong), "{wrong:?}");
        }
        let both = [&send[..], &["--secret", "a", "--secret-file", "b"]].concat();
        assert!(rejected(&both), "two secrets");
    }
}
