//! The query parameters that select a page of a listing, or the state that an answer must include.

use crate::domain::limits::PAGE_ROWS_DEFAULT;
use crate::domain::{Position, TenantId};
use crate::http::problem::Problem;
use crate::http::request::extract::{QueryParams, Values};
use crate::http::request::params::{CURSOR, MIN_POSITION, OFFSET, Param, ROWS_LIMIT};
use crate::query::{Cursor, Paged, Start};

/// The query of a route that reads one session, agent or event.
#[derive(Debug)]
pub(crate) struct GetQuery {
    pub(crate) min_position: Option<Position>,
}

impl QueryParams for GetQuery {
    const PARAMS: &'static [Param] = &[MIN_POSITION];

    fn read(values: &mut Values) -> Result<Self, Problem> {
        let min_position = values.position(&MIN_POSITION);
        Ok(Self { min_position })
    }
}

/// The parameters that select a page of a listing.
#[derive(Debug)]
pub(crate) struct PageQuery {
    limit: u16,
    start: StartQuery,
    pub(crate) min_position: Option<Position>,
}

#[derive(Debug)]
enum StartQuery {
    Offset(u64),
    Cursor(String),
}

impl PageQuery {
    pub(crate) fn read(values: &mut Values) -> Self {
        let limit = values.integer(&ROWS_LIMIT).map(u16::try_from);
        let offset = values.integer(&OFFSET).unwrap_or(0);
        // Generated clients send the default offset, 0, with a cursor.
        if values.has(&CURSOR) && offset != 0 {
            values.error(&CURSOR, "must not be combined with an offset other than 0");
        }
        let start = match values.text(&CURSOR) {
            Some(cursor) => StartQuery::Cursor(cursor),
            None => StartQuery::Offset(offset),
        };
        Self {
            limit: limit.and_then(Result::ok).unwrap_or(PAGE_ROWS_DEFAULT),
            start,
            min_position: values.position(&MIN_POSITION),
        }
    }

    pub(crate) fn rows_max(&self) -> usize {
        usize::from(self.limit)
    }

    /// Returns where the page starts. A problem if the cursor belongs to another listing.
    pub(crate) fn start(&self, tenant: &TenantId, filter: &impl Paged) -> Result<Start, Problem> {
        Ok(match &self.start {
            StartQuery::Offset(offset) => Start::Offset(*offset),
            StartQuery::Cursor(text) => Start::Cursor(Cursor::parse(text, tenant, filter)?),
        })
    }

    /// The most rows of the page.
    pub(crate) fn limit(&self) -> u16 {
        self.limit
    }

    /// The number of rows before the page; `None` if the page starts at a cursor.
    pub(crate) fn offset(&self) -> Option<u64> {
        match self.start {
            StartQuery::Offset(offset) => Some(offset),
            StartQuery::Cursor(_) => None,
        }
    }
}
