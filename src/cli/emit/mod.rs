//! `emit`: sends events and prints their verdicts.

mod build;
mod read;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{fmt, io};

use clap::Args;
use serde::Deserialize;

use crate::app::terminal;
use crate::cli::client::{self, Api, ApiError, EVENT_BATCH, Emitting, ONE_EVENT};
use crate::cli::target::Target;
use crate::cli::{CommandResult, Usage, output, table};
use crate::domain::limits::CLI_RETRY_MS;
use crate::http::dto::{Appended, BatchResult, Problem};
use build::EventArgs;
use read::Batches;

const AFTER_HELP: &str = "\
Examples:
  One event from options:
    session-ledger emit session.created s-1 \\
      --agent triage-1 --ttl 3600 --scope mail.read
    session-ledger emit session.refreshed s-1 \\
      --phase running --metadata '{\"step\":2}'
    session-ledger emit session.handed_off s-1 \\
      --to-agent billing-1 --child s-2
    session-ledger emit session.terminated s-2 --outcome completed
  CloudEvents from a file or a pipe: one, an array, or one per line:
    session-ledger emit --file event.json
    my-runtime | session-ledger emit --file -

The ledger recognizes a copy of an event by its source and id. To send an event
again after a failure, repeat its --source and --id: a copy changes nothing.

Exit code 1 if an event was rejected or not accepted.";

/// How long to wait before a retry of those events of a batch that the log did not store.
const BATCH_PAUSE: Duration = Duration::from_millis(CLI_RETRY_MS.1);

const HEADER: [&str; 5] = ["POSITION", "VERDICT", "REASON", "FIRST", "DETAIL"];

/// Send lifecycle events and print the ledger's verdicts.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Emit {
    #[command(flatten)]
    event: EventArgs,

    /// Read CloudEvents (JSON) from this file instead, `-` for stdin
    #[arg(long, value_name = "FILE", conflicts_with_all = ["event_type", "subject"])]
    file: Option<PathBuf>,

    /// Do not wait for verdicts: the ledger answers as soon as the log has stored the events
    #[arg(long, help_heading = "Output")]
    no_wait: bool,

    /// Let the ledger accept events with unknown members in their data. These members have no
    /// effect; the answer names them
    #[arg(long)]
    lenient: bool,

    /// The API's JSON instead of a table; one answer per line
    #[arg(long, help_heading = "Output")]
    json: bool,

    #[command(flatten)]
    target: Target,
}

/// Sends events and prints the answers. Remembers whether all events were accepted.
struct Report {
    json: bool,
    how: Emitting,
    printed: usize,
    all_taken: bool,
}

impl Emit {
    pub(super) async fn run(self) -> CommandResult {
        let mut report = Report {
            json: self.json,
            how: Emitting {
                wait: !self.no_wait,
                strict: !self.lenient,
            },
            printed: 0,
            all_taken: true,
        };
        if let Some(file) = self.file {
            let mut batches = Batches::open(&file)?;
            return self
                .target
                .with_api(async |api| report.send_all(api, &mut batches).await)
                .await;
        }
        let event = self.event.build()?;
        self.target
            .with_api(async |api| {
                report.send_one(api, event).await?;
                Ok(report.exit_code())
            })
            .await
    }
}

impl Report {
    async fn send_all(&mut self, api: &Api, batches: &mut Batches) -> CommandResult {
        let mut sent = 0;
        while let Some(batch) = batches.next().await? {
            if let [event] = &batch[..] {
                self.send_one(api, event.clone()).await?;
            } else {
                self.send_batch(api, &batch, sent).await?;
            }
            sent += batch.len();
        }
        if sent == 0 {
            return Err(Usage("there is no event in the input".to_owned()).into());
        }
        let events = if sent == 1 { "event" } else { "events" };
        output::note(format_args!("{sent} {events} sent"));
        Ok(self.exit_code())
    }

    async fn send_one(&mut self, api: &Api, event: String) -> anyhow::Result<()> {
        let named = Named::read(&event);
        match api.post_events(ONE_EVENT, event, self.how).await {
            Ok(answer) => {
                self.raw(&answer)?;
                Ok(self.taken(&client::read(&answer)?)?)
            }
            // The event is on the log, and its verdict is not `applied`.
            Err(ApiError::Problem(problem)) if problem.position.is_some() => {
                self.raw(&serde_json::to_string(&*problem)?)?;
                Ok(self.rejected(&problem)?)
            }
            Err(error) => Err(error.with_advice(|| {
                format!(
                    "the event is not confirmed: it may or may not be on the log. Send it again with \
                     {named}: a copy changes nothing"
                )
            })),
        }
    }

    /// Sends a batch. Retries those of its events that the log did not store.
    async fn send_batch(
        &mut self,
        api: &Api,
        batch: &[String],
        before: usize,
    ) -> anyhow::Result<()> {
        let started = Instant::now();
        let mut left: Vec<&str> = batch.iter().map(String::as_str).collect();
        loop {
            let body = format!("[{}]", left.join(","));
            let answer = api.post_events(EVENT_BATCH, body, self.how).await;
            let answer = answer.map_err(|error| {
                let (first, last) = (before + 1, before + batch.len());
                let of = Named::read(left.first().copied().unwrap_or_default());
                let error = error.with_advice(|| {
                    format!(
                        "some of them may be on the log. Send all events again from event {first} on, \
                         which has {of}: copies change nothing"
                    )
                });
                error.context(format!("events {first} to {last} are not confirmed"))
            })?;
            self.raw(&answer)?;
            let result: BatchResult = client::read(&answer)?;
            let last_try = api.patience().retries <= started.elapsed();
            let mut again = Vec::new();
            for (item, event) in result.results.into_iter().zip(left) {
                match item.appended {
                    Some(appended) => self.taken(&appended)?,
                    None if item.status == 503 && !last_try => again.push(event),
                    None => self.unknown(&item.error.unwrap_or_default(), event)?,
                }
            }
            if again.is_empty() {
                return Ok(());
            }
            left = again;
            tokio::time::sleep(BATCH_PAUSE).await;
        }
    }

    /// Prints the row of an event that may or may not be on the log.
    fn unknown(&mut self, error: &str, event: &str) -> io::Result<()> {
        let advice = format!("send it again with {}", Named::read(event));
        self.row(["-", "unknown", error, "-", &advice])
    }

    fn taken(&mut self, appended: &Appended) -> io::Result<()> {
        let first = appended.first_position.map(|first| first.to_string());
        let mut detail = appended.detail.as_deref().unwrap_or_default();
        match appended.verdict.as_str() {
            "pending" => detail = "on the log; its verdict comes later",
            "parked" => detail = "on the log; it waits for its session to open",
            _ => {}
        }
        let ignored = format!("no effect: {}", appended.ignored.join(", "));
        if detail.is_empty() && !appended.ignored.is_empty() {
            detail = &ignored;
        }
        self.row([
            &appended.position.to_string(),
            &appended.verdict,
            table::or_dash(appended.reason.as_deref()),
            table::or_dash(first.as_deref()),
            detail,
        ])
    }

    fn rejected(&mut self, problem: &Problem) -> io::Result<()> {
        let position = problem.position.unwrap_or_default().to_string();
        let verdict = problem.verdict.as_deref().unwrap_or("rejected");
        self.row([&position, verdict, &problem.code, "-", &problem.detail])
    }

    /// Prints a row at once: the input may be a pipe that never ends.
    fn row(&mut self, row: [&str; 5]) -> io::Result<()> {
        self.all_taken &= !matches!(row[1], "rejected" | "unknown");
        if self.json {
            return Ok(());
        }
        if self.printed == 0 {
            output::line(columns(HEADER))?;
        }
        self.printed += 1;
        let shown = row.map(terminal::one_line);
        output::line(columns([
            &shown[0], &shown[1], &shown[2], &shown[3], &shown[4],
        ]))
    }

    fn raw(&self, answer: &str) -> io::Result<()> {
        if self.json {
            output::json(answer)?;
        }
        Ok(())
    }

    fn exit_code(&self) -> ExitCode {
        if self.all_taken {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

/// Formats a line of the table. The widths fit the longest verdict and most reasons.
fn columns([position, verdict, reason, first, detail]: [&str; 5]) -> String {
    let line = format!("{position:<8}  {verdict:<9}  {reason:<16}  {first:<8}  {detail}");
    line.trim_end().to_owned()
}

/// The source and id of an event, by which the ledger recognizes copies.
#[derive(Default, Deserialize)]
struct Named {
    source: Option<String>,
    id: Option<String>,
}

impl Named {
    fn read(event: &str) -> Self {
        serde_json::from_str(event).unwrap_or_default()
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [source, id] = [&self.source, &self.id].map(|text| text.as_deref().unwrap_or("?"));
        write!(
            f,
            "--source {} --id {}",
            terminal::one_line(source),
            terminal::one_line(id)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::client::tests::{SILENT, Server};

    #[tokio::test]
    async fn the_error_of_an_unconfirmed_event_has_its_id() {
        let server = Server::start(&[SILENT; 20]).await;
        let mut report = Report {
            json: false,
            how: Emitting {
                wait: true,
                strict: true,
            },
            printed: 0,
            all_taken: true,
        };
        let event = r#"{"id":"e-1","source":"urn:x"}"#.to_owned();
        let failed = report.send_one(&server.api(), event.clone()).await;
        let message = failed.unwrap_err().to_string();
        assert!(message.contains("--source urn:x --id e-1"), "{message}");
        let server = Server::start(&[SILENT; 20]).await;
        let batch = [event, r#"{"id":"e-2"}"#.to_owned()];
        let failed = report.send_batch(&server.api(), &batch, 7).await;
        let message = format!("{:#}", failed.unwrap_err());
        assert!(message.contains("events 8 to 9"), "{message}");
        assert!(message.contains("--source urn:x --id e-1"), "{message}");
    }
}
