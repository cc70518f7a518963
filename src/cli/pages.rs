//! What listings share: which page to ask for, and printing one page or every one.

use std::process::ExitCode;

use clap::Args;
use serde::de::DeserializeOwned;

use crate::cli::client::{Api, Query, read};
use crate::cli::{Outcome, output};
use crate::domain::limits::PAGE_ROWS_MAX;
use crate::http::dto::AsOf;

/// Which page of a listing.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which page")]
pub(super) struct PageArgs {
    /// Rows of a page
    #[arg(long, value_name = "N", default_value_t = 50)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=i64::from(PAGE_ROWS_MAX)))]
    limit: u16,

    /// Skip so many rows
    #[arg(long, value_name = "N", conflicts_with = "cursor")]
    offset: Option<u64>,

    /// Go on where an earlier page ended
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,

    /// Every page, not just one
    #[arg(long)]
    all: bool,

    /// Wait until the ledger shows this position: what an append answered with
    #[arg(long, value_name = "POSITION")]
    min_position: Option<u64>,
}

/// A page as the API answers with it.
pub(super) trait Listed: DeserializeOwned {
    /// One of what it lists.
    type Row;
    /// What they are called.
    const NAME: &'static str;

    /// Takes the rows out.
    fn rows(&mut self) -> Vec<Self::Row>;

    /// The total of the listing, and which state of the ledger that is.
    fn total(&self) -> (u64, &AsOf);

    /// Where the next page starts.
    fn next_cursor(&self) -> Option<&str>;
}

/// A listing.
pub(super) struct Pages {
    path: &'static [&'static str],
    query: Vec<(&'static str, String)>,
    start: Option<(&'static str, String)>,
    all: bool,
}

impl Pages {
    /// The listing at a path, with these filters.
    pub(super) fn new(
        path: &'static [&'static str],
        filters: Vec<(&'static str, Option<String>)>,
        page: PageArgs,
    ) -> Self {
        let mut query: Vec<_> = filters
            .into_iter()
            .filter_map(|(name, value)| value.map(|value| (name, value)))
            .collect();
        query.push(("limit", page.limit.to_string()));
        let min_position = page.min_position.map(|at| ("min_position", at.to_string()));
        query.extend(min_position);
        let cursor = page.cursor.map(|cursor| ("cursor", cursor));
        let offset = page.offset.map(|offset| ("offset", offset.to_string()));
        Self {
            path,
            query,
            start: cursor.or(offset),
            all: page.all,
        }
    }

    /// Prints a page, or all of them: the API's JSON, or what `table` makes of the rows.
    pub(super) async fn print<L: Listed>(
        mut self,
        api: &Api,
        json: bool,
        table: impl Fn(&[L::Row]) -> String,
    ) -> Outcome {
        let mut rows = Vec::new();
        let mut last: L;
        loop {
            let answer = match api.get(self.path, &self.query()).await {
                Ok(answer) => answer,
                Err(error) => {
                    if !rows.is_empty() {
                        // What was read is not lost.
                        output::data(&table(&rows))?;
                    }
                    return Err(match &self.start {
                        Some((name, value)) => error
                            .with_advice(|| format!("to go on where it stopped: --{name} {value}")),
                        None => error.into(),
                    });
                }
            };
            last = read(&answer)?;
            if json {
                output::json(&answer)?;
            } else {
                rows.append(&mut last.rows());
            }
            match last.next_cursor() {
                Some(cursor) if self.all => self.start = Some(("cursor", cursor.to_owned())),
                Some(_) | None => break,
            }
        }
        if !json {
            output::data(&table(&rows))?;
            footer(rows.len(), &last);
        }
        Ok(ExitCode::SUCCESS)
    }

    fn query(&self) -> Query<'_> {
        let given = self.query.iter().chain(&self.start);
        given.map(|(name, value)| (*name, value.as_str())).collect()
    }
}

fn footer<L: Listed>(shown: usize, last: &L) {
    let (total, as_of) = last.total();
    output::note(format_args!(
        "{shown} of {total} {}, as of position {}",
        L::NAME,
        as_of.position
    ));
    if !as_of.caught_up {
        output::note(format_args!("more events are on the log and being folded"));
    }
    if let Some(cursor) = last.next_cursor() {
        output::note(format_args!("more: --cursor {cursor}, or --all"));
    }
}
