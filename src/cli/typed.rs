//! Which options that name a ledger are on the command line itself.
//!
//! They take precedence over variables: a container's environment has the settings of NATS, and a shell's
//! often has the address of a server and a key.

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, FromArgMatches};

use crate::cli::Usage;

/// The error if the options name different ledgers.
const BOTH: &str = "--url and --key-file name a server, --data-dir and --nats-url name its logs: give \
                    options of only one kind";

/// Which options are on the command line itself and not only in variables. It must be the first of a
/// command's arguments: reading the others removes their values.
#[derive(Debug)]
pub(super) struct Typed {
    /// `--url` or `--key-file`.
    pub(super) server: bool,
    /// `--nats-url`.
    pub(super) nats: bool,
    /// `--data-dir` or `--nats-url`.
    pub(super) log: bool,
}

impl Typed {
    /// Fails if there are options for a server and options for its logs.
    pub(super) fn refuse_both(&self) -> Result<(), Usage> {
        if self.server && self.log {
            return Err(Usage(BOTH.to_owned()));
        }
        Ok(())
    }
}

impl FromArgMatches for Typed {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let typed = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
        let nats = typed("nats_url");
        Ok(Self {
            server: typed("url") || typed("key_file"),
            nats,
            log: nats || typed("data_dir"),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Typed {
    fn augment_args(command: clap::Command) -> clap::Command {
        command
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        command
    }
}
