//! `emit`: sends events, and tells what became of them.

mod build;
mod read;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::cli::client::{self, Api, ApiError, EVENT_BATCH, ONE_EVENT};
use crate::cli::target::Target;
use crate::cli::{Outcome, Usage, output, table};
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

An event is told from its copies by source and id. To send one again after a
failure, give the same --source and --id: a copy changes nothing.

Exit code 1 if an event was rejected or refused.";

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

    /// Do not wait for verdicts: the answer comes as soon as the log keeps the events
    #[arg(long, help_heading = "Output")]
    no_wait: bool,

    /// The API's JSON instead of a table; one answer per line
    #[arg(long, help_heading = "Output")]
    json: bool,

    #[command(flatten)]
    target: Target,
}

/// How answers are printed, and whether all were good.
struct Report {
    json: bool,
    wait: bool,
    printed: usize,
    all_taken: bool,
}

impl Emit {
    pub(super) async fn run(self) -> Outcome {
        let mut report = Report {
            json: self.json,
            wait: !self.no_wait,
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
    async fn send_all(&mut self, api: &Api, batches: &mut Batches) -> Outcome {
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
        match api.post_events(ONE_EVENT, event, self.wait).await {
            Ok(answer) => {
                self.raw(&answer)?;
                Ok(self.taken(&client::read(&answer)?)?)
            }
            // It is on the log, and its verdict is bad news.
            Err(ApiError::Problem(problem)) if problem.position.is_some() => {
                self.raw(&serde_json::to_string(&*problem)?)?;
                Ok(self.rejected(&problem)?)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn send_batch(
        &mut self,
        api: &Api,
        batch: &[String],
        before: usize,
    ) -> anyhow::Result<()> {
        let body = format!("[{}]", batch.join(","));
        let answer = api.post_events(EVENT_BATCH, body, self.wait).await;
        let answer = answer.map_err(|error| {
            let (first, last) = (before + 1, before + batch.len());
            anyhow::Error::from(error).context(format!("events {first} to {last} were not taken"))
        })?;
        self.raw(&answer)?;
        let result: BatchResult = client::read(&answer)?;
        for item in result.results {
            match item.appended {
                Some(appended) => self.taken(&appended)?,
                None => self.row(["-", "unknown", &item.error.unwrap_or_default(), "-", ""])?,
            }
        }
        Ok(())
    }

    fn taken(&mut self, appended: &Appended) -> io::Result<()> {
        let first = appended.first_position.map(|first| first.to_string());
        let mut detail = appended.detail.as_deref().unwrap_or_default();
        match appended.verdict.as_str() {
            "pending" => detail = "on the log; its verdict comes later",
            "parked" => detail = "on the log; it waits for its session to open",
            _ => {}
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
        output::line(columns(row))
    }

    fn raw(&self, answer: &str) -> io::Result<()> {
        if self.json {
            output::line(answer.trim_end())?;
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

/// A line of the table. The widths are those of the longest verdict and of usual reasons.
fn columns([position, verdict, reason, first, detail]: [&str; 5]) -> String {
    let line = format!("{position:<8}  {verdict:<9}  {reason:<16}  {first:<8}  {detail}");
    line.trim_end().to_owned()
}
