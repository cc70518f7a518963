//! `hook`: emits what one call of a runtime's hook means.
//!
//! A hook must not disturb the agent that calls it. So the command always exits with 0, takes at most a
//! second, and prints only what the runtime expects. It writes the events to a spool first and sends the
//! spool then: if the process is killed or the ledger is away, the next call sends them.

mod input;
mod send;
mod spool;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use std::{env, io, panic, process, thread};

use anyhow::{Context as _, ensure};
use clap::Args;
use clap::builder::PossibleValuesParser;
use sha2::{Digest as _, Sha256};
use strum::VariantNames as _;
use tokio::time::{Instant, timeout_at};

use crate::app::clock::SystemClock;
use crate::cli::client::Api;
use crate::cli::server::ServerArgs;
use crate::cli::target::absolute;
use crate::cli::{CommandResult, Usage, output};
use crate::domain::limits::{HOOK_BUDGET_MS, HOOK_TTL_SECONDS, TTL_SECONDS_MAX};
use crate::domain::{AgentId, Clock as _, ProjectId};
use crate::hooks::{self, Call, Options, Run, Runs, Runtime};
use spool::{Locked, Spool};

const AFTER_HELP: &str = "\
Examples:
  Print the settings that make Claude Code call this command:
    session-ledger hook claude-code --print-settings
  What Claude Code does then:
    echo '{\"hook_event_name\":\"SessionStart\",\"session_id\":\"s-1\",
      \"source\":\"startup\"}' | session-ledger hook claude-code
  Sessions of a project, by an agent with a name of its own:
    session-ledger hook codex --agent codex-alice --project billing

The events go to a spool first. If the ledger does not answer in time, the next
call sends them, in their order. Prompts, answers and paths are not sent.

Exit code 0, whatever happens: another one could stop the agent. What went
wrong is on stderr.";

/// Emit what one call of an agent runtime's hook means. Reads the hook's JSON on stdin.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Hook {
    /// Runtime that calls the hook
    #[arg(value_name = "RUNTIME", value_parser = PossibleValuesParser::new(Runtime::VARIANTS))]
    runtime: String,

    /// Print the settings to paste into those of the runtime, with the other options of this command,
    /// and send nothing
    #[arg(long)]
    print_settings: bool,

    #[command(flatten)]
    sessions: SessionArgs,

    #[command(flatten)]
    spool: SpoolArgs,

    #[command(flatten)]
    ledger: ServerArgs,
}

/// How the sessions look.
#[derive(Debug, Args)]
#[command(next_help_heading = "The sessions")]
struct SessionArgs {
    /// Agent of the sessions; by default the name of the runtime. A subagent is an agent of its own, named
    /// by its type
    #[arg(long, value_name = "ID", value_parser = agent)]
    agent: Option<AgentId>,

    /// Project of the sessions
    #[arg(long, value_name = "ID", value_parser = project)]
    project: Option<ProjectId>,

    /// Seconds from the last start, prompt or end of a turn until the session expires
    #[arg(long, value_name = "SECONDS", default_value_t = HOOK_TTL_SECONDS)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=TTL_SECONDS_MAX))]
    ttl: u64,
}

/// Where events wait for the ledger.
#[derive(Debug, Args)]
#[command(next_help_heading = "The spool")]
struct SpoolArgs {
    /// Directory for events that are not sent yet; by default `session-ledger/hooks` below
    /// `$XDG_STATE_HOME` or `~/.local/state`
    #[arg(long, env = "SESSION_LEDGER_HOOK_SPOOL", value_name = "DIR")]
    spool: Option<PathBuf>,

    // Hidden because they exist for their variables.
    #[arg(long, env = "XDG_STATE_HOME", hide = true)]
    state_home: Option<PathBuf>,

    #[arg(long, env = "HOME", hide = true)]
    home: Option<PathBuf>,
}

/// Most plans for the events of one call: the ledger may have ended the run, or may not have it. Each plan needs
/// a request.
const PLANS_MAX: usize = 8;

/// When the process ends if a file or a pipe blocks it, in milliseconds after its start.
const BLOCKED_MS: u64 = HOOK_BUDGET_MS + 80;

/// How long the process then waits until it has said so, in milliseconds.
const NOTE_MS: u64 = 10;

/// Whether the arguments of this process begin with the command `hook`.
pub(super) fn is_called() -> bool {
    env::args_os().nth(1).is_some_and(|word| word == "hook")
}

/// Runs the command, and returns the exit code that no runtime minds, whatever happens: runtimes stop an
/// agent if its hook exits with 2, even if the cause is a mistake in their settings.
pub(super) fn whatever_happens(run: impl FnOnce() -> ExitCode) -> ExitCode {
    // A panic has said on stderr what went wrong.
    drop(panic::catch_unwind(panic::AssertUnwindSafe(run)));
    ExitCode::SUCCESS
}

/// Ends the process in time, even if a file blocks it, such as a key file that is a pipe, or a home that
/// the network does not reach. What is in the spool stays there.
#[expect(
    clippy::disallowed_methods,
    clippy::exit,
    reason = "the thread waits for nothing but the time, and ends with the process"
)]
pub(super) fn end_in_time() {
    let end = || {
        thread::sleep(Duration::from_millis(BLOCKED_MS));
        // Writing may block as well.
        let said = thread::Builder::new().spawn(|| {
            output::note(format_args!(
                "this call took too long: a file may not answer; the next call sends the events in the spool"
            ));
        });
        drop(said);
        thread::sleep(Duration::from_millis(NOTE_MS));
        process::exit(0);
    };
    if let Err(error) = thread::Builder::new().spawn(end) {
        output::note(format_args!("this call may take too long: {error}"));
    }
}

impl Hook {
    pub(super) async fn run(self) -> CommandResult {
        let ends = Instant::now() + Duration::from_millis(HOOK_BUDGET_MS);
        let runtime = Runtime::parse(&self.runtime);
        let runtime = runtime.ok_or_else(|| Usage("there is no such runtime".to_owned()))?;
        if self.print_settings {
            let settings = hooks::settings(runtime, &self.command(runtime));
            let text = serde_json::to_string_pretty(&settings)?;
            output::raw(&format!("{text}\n"))?;
            return Ok(ExitCode::SUCCESS);
        }
        let (mut taken, ledger) = timeout_at(ends, self.take(runtime)).await.context(
            "this call took too long before its events were in the spool; they are lost",
        )??;
        // The command ends before these timeouts do.
        let at_most = Duration::from_millis(2 * HOOK_BUDGET_MS);
        let api = ledger.hurried_api(at_most)?;
        match timeout_at(ends, taken.send(&api)).await {
            Ok(sent) => sent?,
            Err(_elapsed) => output::note(format_args!(
                "the ledger did not answer in time, or another call is sending; the next call sends the events \
                 in the spool"
            )),
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Reads the call, answers the runtime, and writes the events to the spool.
    async fn take(self, runtime: Runtime) -> anyhow::Result<(Taken, ServerArgs)> {
        let now = SystemClock.now();
        let read = input::read().await;
        let call = read.and_then(|input| Ok(Call::read(runtime, &input, now)?));
        // The runtime gets its answer first: nothing that follows can change it.
        // A runtime that does not wait has closed the pipe. Its events count all the more.
        if let Err(error) = answer(call.as_ref().map_or(runtime.answer(), Call::answer)) {
            output::note(format_args!(
                "the runtime does not read the answer: {error}"
            ));
        }
        let mut taken = Taken {
            call: call?,
            options: Options {
                agent: self.sessions.agent,
                project: self.sessions.project,
                ttl_seconds: self.sessions.ttl,
            },
            spool: Spool::open(&self.spool.directory(&self.ledger)?)?,
            run: None,
            opens: false,
        };
        if let Err(error) = taken.record().await {
            // Sending makes room.
            output::note(format_args!("the events of this call are lost: {error:#}"));
        }
        Ok((taken, self.ledger))
    }

    /// The command for the settings of the runtime, with the options that differ from their defaults.
    fn command(&self, runtime: Runtime) -> String {
        let mut words = vec![
            "session-ledger hook".to_owned(),
            runtime.as_str().to_owned(),
        ];
        let mut option = |name: &str, value: Option<String>| {
            words.extend(value.map(|value| format!("{name} {}", quoted(&value))));
        };
        let SessionArgs {
            agent,
            project,
            ttl,
        } = &self.sessions;
        option("--agent", agent.as_ref().map(AgentId::to_string));
        option("--project", project.as_ref().map(ProjectId::to_string));
        option("--ttl", (*ttl != HOOK_TTL_SECONDS).then(|| ttl.to_string()));
        let spool = self.spool.spool.as_deref();
        option("--spool", spool.map(absolute));
        for (name, value) in self.ledger.given() {
            option(name, Some(value));
        }
        words.join(" ")
    }
}

/// A call of a hook, and where its events go.
struct Taken {
    call: Call,
    options: Options,
    spool: Spool,
    /// The run that its events open, extend or end.
    run: Option<Run>,
    /// Whether they open or end it.
    opens: bool,
}

impl Taken {
    /// Writes the events of the call to the spool, and remembers what they did to the run of its session.
    ///
    /// The runs are saved before and after. If the events are lost, or the process is killed in between, the next
    /// call opens the run once more.
    async fn record(&mut self) -> anyhow::Result<()> {
        let (call, options) = (&self.call, &self.options);
        let locked = self.spool.lock().await?;
        let mut runs = locked.runs();
        let plan = hooks::plan(call, runs.known(call), options)?;
        self.run = plan.run;
        self.opens = runs.prepare(call, &plan, options);
        if self.opens {
            save(&locked, &runs);
        }
        let events: Vec<&str> = plan.events.iter().map(|event| &*event.json).collect();
        ensure!(
            locked.append(&events)?,
            "the spool is full; see why the ledger does not answer"
        );
        if runs.remember(call, &plan, options) {
            save(&locked, &runs);
        }
        Ok(())
    }

    /// Sends the spool. If the verdicts show that the run of the call is over, or that the ledger does not
    /// have it, the events of the call are planned and sent again.
    async fn send(&mut self, api: &Api) -> anyhow::Result<()> {
        send::send(&self.spool, api).await?;
        for _ in 1..PLANS_MAX {
            let runs = self.spool.lock().await?.runs();
            if !runs.refute(&self.call, self.run, self.opens) {
                break;
            }
            self.record().await?;
            send::send(&self.spool, api).await?;
        }
        Ok(())
    }
}

/// Saves the runs. If that fails, the events count all the more: the verdicts on them mend the runs.
fn save(locked: &Locked<'_>, runs: &Runs) {
    if let Err(error) = locked.save(runs) {
        output::note(format_args!("the file of runs cannot be written: {error}"));
    }
}

/// Prints what the runtime expects of a hook.
fn answer(text: &str) -> io::Result<()> {
    match text {
        "" => Ok(()),
        text => output::raw(&format!("{text}\n")),
    }
}

impl SpoolArgs {
    /// The directory for the events of one ledger and key. Another ledger or tenant must not get them, so
    /// it has another directory. Its name is a part of a hash, which does not lead back to the key.
    fn directory(&self, ledger: &ServerArgs) -> Result<PathBuf, Usage> {
        let default = || {
            let home = self.home.as_ref();
            let state = self.state_home.clone();
            let state = state.or_else(|| home.map(|home| home.join(".local/state")));
            state.map(|state| state.join("session-ledger").join("hooks"))
        };
        let base = self.spool.clone().or_else(default);
        let base =
            base.ok_or_else(|| Usage("give the directory of the spool, --spool".to_owned()))?;
        let name = hex::encode(Sha256::digest(ledger.secret_name()));
        Ok(base.join(name.get(..16).unwrap_or(&name)))
    }
}

/// A word of a shell.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._:/@+-,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn agent(text: &str) -> Result<AgentId, String> {
    AgentId::parse(text).map_err(|error| error.to_string())
}

fn project(text: &str) -> Result<ProjectId, String> {
    ProjectId::parse(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::panic, reason = "this is what the test is about")]
    fn a_panic_does_not_stop_the_agent() {
        let code = whatever_happens(|| panic!("a mistake"));
        assert_eq!(code, ExitCode::SUCCESS);
        assert_eq!(whatever_happens(|| ExitCode::from(2)), ExitCode::SUCCESS);
    }

    #[test]
    fn a_word_of_a_shell_is_quoted_if_it_must_be() {
        assert_eq!(quoted("http://127.0.0.1:8787"), "http://127.0.0.1:8787");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quoted(""), "''");
    }
}
