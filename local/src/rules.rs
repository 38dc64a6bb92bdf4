//! Checks rules files, and tries them on events, for `make rules`.

use std::{
    env,
    io::{self, IsTerminal as _, Write},
    path::Path,
};

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

    /// The name of the shop that the event is from. By default, it is from the shop without a name.
    #[arg(long)]
    shop: Option<String>,
}

impl RulesCommand {
    /// Returns whether the rules and the event are valid.
    pub(crate) fn run(&self, out: &mut impl Write) -> Result<bool> {
        let option = |is_set: bool, name: &str| is_set.then(|| name.to_owned());
        let color = io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none();
        let hooks = Path::new(env!("CARGO_MANIFEST_DIR")).join("../commerce/webhooks.xml");
        let has_hooks = hooks.exists();
        let arguments = [
            Some(self.file.clone()),
            self.event.clone(),
            option(self.all, "--all"),
            option(self.shop.is_some(), "--shop"),
            self.shop.clone(),
            option(color, "--color"),
            option(has_hooks, "--hooks"),
            option(has_hooks, &hooks.to_string_lossy()),
        ];
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
