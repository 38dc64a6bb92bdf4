//! Checks rules files, and tries them on events, for `make rules`.

use std::io::Write;

use anyhow::{Context as _, Result};
use channels::{NAMES, for_each_channel};
use clap::{Args, builder::PossibleValuesParser};
use shared::rules::explain;

/// Checks a rules file. With an event, shows which rules match and why, and what the shop gets.
#[derive(Args)]
pub(crate) struct RulesCommand {
    /// The channel of the rules.
    #[arg(value_parser = PossibleValuesParser::new(NAMES), hide_possible_values = true)]
    channel: String,

    /// The rules file.
    file: String,

    /// The event: a body as a shop sends it, or the request of API Gateway with the body.
    event: Option<String>,

    /// Try the rules that are not enabled, too.
    #[arg(long)]
    all: bool,
}

impl RulesCommand {
    /// Returns whether the rules and the event are valid.
    pub(crate) fn run(&self, out: &mut impl Write) -> Result<bool> {
        let all = self.all.then(|| "--all".to_owned());
        let arguments = [Some(self.file.clone()), self.event.clone(), all];
        let arguments: Vec<String> = arguments.into_iter().flatten().collect();
        let (_, command) = NAMES
            .iter()
            .zip(for_each_channel!(explain::command))
            .find(|(name, _)| **name == self.channel)
            .context("there is no such channel")?;
        match command(&arguments) {
            Ok(explanation) => {
                write!(out, "{explanation}")?;
                Ok(true)
            }
            Err(problems) => {
                eprintln!("{problems}");
                Ok(false)
            }
        }
    }
}
