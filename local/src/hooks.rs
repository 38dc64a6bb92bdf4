//! Writes the fields that the contract and the rules need into `commerce/webhooks.xml`, for
//! `make hooks`.

use std::{fs, io::Write, path::PathBuf};

use anyhow::{Context as _, Result, anyhow};
use channels::{NAMES, for_each_channel};
use clap::Args;
use shared::schema::{HOOKS_FILE, HookUpdate, update_hook};

/// Updates the fields of the hooks in commerce/webhooks.xml: those of the contract, and those that
/// the rules use. Reports what changes on standard error.
#[derive(Args)]
pub(crate) struct HooksCommand {
    /// Only report what would change, and fail if anything would.
    #[arg(long)]
    check: bool,

    /// The directory of the repository.
    #[arg(long, default_value = ".")]
    root: PathBuf,
}

impl HooksCommand {
    /// Returns whether the file has the current fields.
    pub(crate) fn run(&self, out: &mut impl Write) -> Result<bool> {
        let path = self.root.join(HOOKS_FILE);
        let old = fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
        let mut xml = old.clone();
        for (name, update) in NAMES.iter().zip(for_each_channel!(update_hook)) {
            let update = update(&self.root, &xml).map_err(|why| anyhow!(why))?;
            if let Some(update) = update {
                report(out, name, &update)?;
                xml = update.xml;
            }
        }
        if xml == old {
            return Ok(true);
        }
        if self.check {
            writeln!(out, "{HOOKS_FILE} is out of date. Run `make hooks`.")?;
            return Ok(false);
        }
        fs::write(&path, xml).with_context(|| format!("{}", path.display()))?;
        writeln!(
            out,
            "{HOOKS_FILE} is updated. Run `make apply`, or copy the file to the shop."
        )?;
        Ok(true)
    }
}

fn report(out: &mut impl Write, channel: &str, update: &HookUpdate) -> Result<()> {
    if update.added.is_empty() && update.removed.is_empty() && update.notes.is_empty() {
        return Ok(());
    }
    writeln!(out, "Hook of {channel}:")?;
    for field in &update.added {
        let reason = field.rule.as_ref().map_or_else(
            || "for the contract".to_owned(),
            |rule| format!("for the rule {rule}"),
        );
        writeln!(out, "  + {}  {reason}", field.name)?;
    }
    for name in &update.removed {
        writeln!(out, "  - {name}  which no rule uses")?;
    }
    for note in &update.notes {
        writeln!(out, "  ! {note}")?;
    }
    Ok(())
}
