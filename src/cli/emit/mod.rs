//! `emit`: sends events, and tells what became of them.

mod build;
mod read;

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
    session-ledger emit session.created s-1 --agent triage-1 --ttl 3600 --scope mail.read --tenant acme
    session-ledger emit session.refreshed s-1 --phase running --metadata '{\"step\":2}' --tenant acme
    session-ledger emit session.handed_off s-1 --to-agent billing-1 --child s-2 --tenant acme
    session-ledger emit session.terminated s-2 --outcome completed --tenant acme
  CloudEvents from a file or a pipe: one, an array, or one per line:
    session-ledger emit --file event.json --tenant acme
    my-runtime | session-ledger emit --file - --tenant acme

An event is told from its copies by source and id. To send one again after a failure, give the same
--source and --id: a copy changes nothing.

Exit code 1 if an event was rejected or refused.";

/// Send lifecycle events and print the ledger's verdicts.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Emit {
    #[command(flatten)]
    event: EventArgs,

    /// Read CloudEvents (JSON) from this file instead, `-` for stdin
    #[arg(long, value_name = "FILE", conflicts_with_all = ["event_type", "subject"])]
    file: Option<PathBuf>,

    #[command(flatten)]
    target: Target,

    /// Do not wait for verdicts: the answer comes as soon as the log keeps the events
    #[arg(long)]
    no_wait: bool,

    /// The API's JSON instead of a table; one answer per line
    #[arg(long)]
    json: bool,
}

/// How answers are printed, and whether all were good.
struct Report {
    json: bool,
    wait: bool,
    rows: Vec<[String; 5]>,
    all_taken: bool,
}

impl Emit {
    pub(super) async fn run(self) -> Outcome {
        let mut report = Report {
            json: self.json,
            wait: !self.no_wait,
            rows: Vec::new(),
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
                report.end()
            })
            .await
    }
}

impl Report {
    async fn send_all(&mut self, api: &Api, batches: &mut Batches) -> Outcome {
        let mut sent = 0;
        while let Some(batch) = batches.next()? {
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
        self.end()
    }

    async fn send_one(&mut self, api: &Api, event: String) -> anyhow::Result<()> {
        match api.post_events(ONE_EVENT, event, self.wait).await {
            Ok(answer) => {
                self.raw(&answer)?;
                self.taken(&client::read(&answer)?);
                Ok(())
            }
            // It is on the log, and its verdict is bad news.
            Err(ApiError::Problem(problem)) if problem.position.is_some() => {
                self.raw(&serde_json::to_string(&*problem)?)?;
                self.rejected(&problem);
                Ok(())
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
                Some(appended) => self.taken(&appended),
                None => self.row(["-", "unknown", &item.error.unwrap_or_default(), "-", ""]),
            }
        }
        Ok(())
    }

    fn taken(&mut self, appended: &Appended) {
        let position = appended.position.to_string();
        let first = appended.first_position.map(|first| first.to_string());
        let mut row = [
            &position,
            &appended.verdict,
            table::or_dash(appended.reason.as_deref()),
            table::or_dash(first.as_deref()),
            appended.detail.as_deref().unwrap_or_default(),
        ];
        if appended.verdict == "pending" {
            row[4] = "on the log; ask for its verdict later";
        }
        self.row(row);
    }

    fn rejected(&mut self, problem: &Problem) {
        let position = problem.position.unwrap_or_default().to_string();
        let verdict = problem.verdict.as_deref().unwrap_or("rejected");
        self.row([&position, verdict, &problem.code, "-", &problem.detail]);
    }

    fn row(&mut self, row: [&str; 5]) {
        self.all_taken &= !matches!(row[1], "rejected" | "unknown");
        self.rows.push(row.map(str::to_owned));
    }

    fn raw(&self, answer: &str) -> std::io::Result<()> {
        if self.json {
            output::line(answer.trim_end())?;
        }
        Ok(())
    }

    fn end(&mut self) -> Outcome {
        if !self.json {
            let mut rows = table::table(&["POSITION", "VERDICT", "REASON", "FIRST", "DETAIL"]);
            rows.add_rows(self.rows.drain(..));
            output::data(&table::text(&rows))?;
        }
        Ok(if self.all_taken {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}
