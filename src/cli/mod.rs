//! The command line: one file per command, and shared parts.
//!
//! The result of a command goes to stdout, everything else to stderr. Exit codes: 0 is success, 1
//! is a failure, and 2 is wrong usage.

mod access;
mod agents;
mod backup;
mod change;
mod client;
mod client_tls;
mod completions;
mod demo;
mod doctor;
mod duration;
mod emit;
mod events;
mod export;
mod follow;
mod hook;
mod keys;
mod lineage;
mod list;
mod list_follow;
mod moment;
mod nats;
mod nats_tls;
mod nats_url;
mod output;
mod pages;
mod patience;
mod progress;
mod rebuild;
mod remote_export;
mod remote_log;
mod restore;
mod rules;
mod schema;
mod secret_args;
mod secret_file;
mod serve;
mod serve_tls;
mod serve_traces;
mod server;
mod sessions;
mod show;
mod streams;
mod table;
mod target;
mod tokens;
mod typed;
mod ui;
mod verify;
mod verify_export;

use std::env;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Arg, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::app::config::ConfigError;
use crate::app::terminal;
use crate::domain::WithCauses;
use crate::domain::limits::RUNTIME_EVENT_INTERVAL;

/// The result of a command. A negative result, such as a failed check, is an exit code and no
/// error.
type CommandResult = anyhow::Result<ExitCode>;

const AFTER_HELP: &str = "\
Start here:
  A ledger with a simulated fleet, to look at:
    session-ledger demo
  A ledger of your own, on this machine, and a key to call it with:
    session-ledger keys issue --data-dir ./ledger --tenant acme \
      --role admin --role read --role write
    session-ledger serve --data-dir ./ledger
    export SESSION_LEDGER_KEY=slk_...
    session-ledger list
  Every command has examples:
    session-ledger COMMAND --help

Exit codes: 0 done, 1 failed, 2 wrong usage.";

/// An event-sourced ledger of agent sessions: lifecycle events in, exact listings out.
#[derive(Debug, Parser)]
#[command(name = "session-ledger", version, max_term_width = 100)]
#[command(after_help = AFTER_HELP, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<serve::Serve>),
    Demo(demo::Demo),
    Ui(ui::Ui),
    Emit(Box<emit::Emit>),
    Hook(Box<hook::Hook>),
    List(list::List),
    Show(show::Show),
    Sessions(sessions::Sessions),
    Agents(agents::Agents),
    Events(events::Events),
    Keys(Box<keys::Keys>),
    Rebuild(rebuild::Rebuild),
    Verify(verify::Verify),
    Backup(Box<backup::Backup>),
    Restore(restore::Restore),
    Export(export::Export),
    VerifyExport(verify_export::VerifyExport),
    Rules(rules::Rules),
    Streams(streams::Streams),
    Doctor(doctor::Doctor),
    Schema(schema::Schema),
    Completions(completions::Completions),
}

/// Wrong usage that clap does not detect.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

/// Runs the command that the arguments name.
pub fn run() -> ExitCode {
    if hook::is_called() {
        hook::end_in_time();
        return hook::whatever_happens(run_command);
    }
    run_command()
}

fn run_command() -> ExitCode {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(error) => {
            let text = error.render().to_string();
            if terminal::lines(&text) == text {
                // A closed pipe is not an error here.
                drop(error.print());
            } else {
                // The error repeats an argument with control characters, which `note` escapes.
                output::note(format_args!("{}", text.trim_end()));
            }
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    install_tls();
    let outcome = runtime().context("cannot start").and_then(|runtime| {
        let outcome = runtime.block_on(dispatch(cli.command));
        // Do not wait for other tasks: the command has waited for those that must end.
        runtime.shutdown_background();
        outcome
    });
    outcome.unwrap_or_else(|error| fail(&error))
}

/// The threads of all tasks.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .event_interval(RUNTIME_EVENT_INTERVAL)
        .build()
}

/// Installs the TLS provider: the libraries are built without a default. Later calls change
/// nothing.
fn install_tls() {
    drop(rustls::crypto::ring::default_provider().install_default());
}

/// Reads the arguments and the environment.
fn parse() -> Result<Cli, clap::Error> {
    let mut command = without_empty_variables(Cli::command());
    let mut matches = command.try_get_matches_from_mut(env::args_os())?;
    secret_args::refuse(&matches).map_err(|error| error.with_cmd(&command))?;
    Cli::from_arg_matches_mut(&mut matches)
}

/// Ignores empty variables: a compose file or a systemd unit has no other way to omit one.
#[expect(
    clippy::disallowed_methods,
    reason = "clap does not return the value of a variable, only its name"
)]
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let without_empty = |arg: Arg| {
        let variable = arg.get_env().and_then(env::var_os);
        if variable.is_some_and(|value| value.is_empty()) {
            arg.env(None::<&str>)
        } else {
            arg
        }
    };
    command
        .mut_args(without_empty)
        .mut_subcommands(without_empty_variables)
}

async fn dispatch(command: Command) -> CommandResult {
    match command {
        Command::Serve(serve) => serve.run().await,
        Command::Demo(demo) => demo.run().await,
        Command::Ui(ui) => ui.run().await,
        Command::Emit(emit) => emit.run().await,
        Command::Hook(hook) => hook.run().await,
        Command::List(list) => list.run().await,
        Command::Show(show) => show.run().await,
        Command::Sessions(sessions) => sessions.run().await,
        Command::Agents(agents) => agents.run().await,
        Command::Events(events) => events.run().await,
        Command::Keys(keys) => keys.run().await,
        Command::Rebuild(rebuild) => rebuild.run().await,
        Command::Verify(verify) => verify.run().await,
        Command::Backup(backup) => backup.run().await,
        Command::Restore(restore) => restore.run().await,
        Command::Export(export) => export.run().await,
        Command::VerifyExport(verify) => verify.run().await,
        Command::Rules(rules) => rules.run().await,
        Command::Streams(streams) => streams.run().await,
        // Boxed because its future is large.
        Command::Doctor(doctor) => Box::pin(doctor.run()).await,
        Command::Schema(schema) => schema.run(),
        Command::Completions(completions) => completions.run(),
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    if output::is_closed_pipe(error) {
        // The reader, such as `head`, has read enough.
        return ExitCode::SUCCESS;
    }
    output::note(format_args!("error: {}", WithCauses(&**error)));
    if error.is::<Usage>() || error.is::<ConfigError>() {
        ExitCode::from(2)
    } else {
        ExitCode::FAILURE
    }
}

/// Parses an address to listen on: `127.0.0.1:8787`, `[::1]:8787` or `localhost:8787`.
fn address(text: &str) -> Result<SocketAddr, String> {
    let wrong = || format!("{text:?} is not an address; write HOST:PORT, such as 127.0.0.1:8787");
    let found: Vec<SocketAddr> = text.to_socket_addrs().map_err(|_error| wrong())?.collect();
    // `localhost` may be an IPv4 and an IPv6 address. Every client tries IPv4.
    let ipv4 = found.iter().find(|addr| addr.is_ipv4());
    ipv4.or(found.first()).copied().ok_or_else(wrong)
}
