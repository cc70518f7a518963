//! What listings share: the options of a page, and printing one page or all pages.

use std::process::ExitCode;

use clap::Args;
use serde::de::DeserializeOwned;

use crate::cli::client::{Api, Query, read};
use crate::cli::moment::AS_OF;
use crate::cli::{CommandResult, output};
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

    /// Skip this number of rows
    #[arg(long, value_name = "N", conflicts_with = "cursor")]
    offset: Option<u64>,

    /// Continue where an earlier page ended
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,

    /// Print every page and not only one
    #[arg(long)]
    all: bool,

    /// Wait until the ledger has folded this position, for example that of an event just sent
    #[arg(long, value_name = "POSITION")]
    min_position: Option<u64>,
}

impl PageArgs {
    /// The parameters of a stream of the first rows.
    pub(super) fn window(&self) -> Vec<(&'static str, String)> {
        let mut query = vec![("window", self.limit.to_string())];
        query.extend(self.min_position.map(|at| ("min_position", at.to_string())));
        query
    }
}

/// A page of a listing in an answer of the API.
pub(super) trait Listed: DeserializeOwned {
    /// A row of the listing.
    type Row;
    /// The name of the rows, in the plural.
    const NAME: &'static str;

    /// Moves the rows out of the page.
    fn rows(&mut self) -> Vec<Self::Row>;

    /// The total of the listing, and the state of the ledger that the page shows.
    fn total(&self) -> (u64, &AsOf);

    /// The cursor of the next page.
    fn next_cursor(&self) -> Option<&str>;
}

/// The pages of a listing.
pub(super) struct Pages {
    path: &'static [&'static str],
    query: Vec<(&'static str, String)>,
    start: Option<(&'static str, String)>,
    all: bool,
    is_past: bool,
}

impl Pages {
    /// Makes the request for a listing at a path, with these filters.
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
        let is_past = query.iter().any(|(name, _)| *name == AS_OF);
        let min_position = page.min_position.map(|at| ("min_position", at.to_string()));
        query.extend(min_position);
        let cursor = page.cursor.map(|cursor| ("cursor", cursor));
        let offset = page.offset.map(|offset| ("offset", offset.to_string()));
        Self {
            path,
            query,
            start: cursor.or(offset),
            all: page.all,
            is_past,
        }
    }

    /// Prints a page, or all pages: the API's JSON, or a table that `table` makes of the rows.
    pub(super) async fn print<L: Listed>(
        mut self,
        api: &Api,
        json: bool,
        table: impl Fn(&[L::Row]) -> String,
    ) -> CommandResult {
        let mut rows = Vec::new();
        let mut last: L;
        loop {
            let answer = match api.get(self.path, &self.query()).await {
                Ok(answer) => answer,
                Err(error) => {
                    if !rows.is_empty() {
                        // Print the pages before the error.
                        output::data(&table(&rows))?;
                    }
                    return Err(match &self.start {
                        Some((name, value)) => error.with_advice(|| {
                            format!("to continue where it stopped: --{name} {value}")
                        }),
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
            footer(rows.len(), &last, self.is_past);
        }
        Ok(ExitCode::SUCCESS)
    }

    fn query(&self) -> Query<'_> {
        let given = self.query.iter().chain(&self.start);
        given.map(|(name, value)| (*name, value.as_str())).collect()
    }
}

fn footer<L: Listed>(shown: usize, last: &L, is_past: bool) {
    let (total, as_of) = last.total();
    output::note(format_args!(
        "{shown} of {total} {}, as of position {}",
        L::NAME,
        as_of.position
    ));
    if !as_of.caught_up && !is_past {
        output::note(format_args!("more events are on the log and being folded"));
    }
    if let Some(cursor) = last.next_cursor() {
        output::note(format_args!("more: --cursor {cursor}, or --all"));
    }
}
