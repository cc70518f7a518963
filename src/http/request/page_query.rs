//! The part of a query that says which page of a listing, or which state of it, a request asks for.

use crate::domain::limits::PAGE_ROWS_DEFAULT;
use crate::domain::{Position, TenantId};
use crate::http::problem::Problem;
use crate::http::request::extract::{QueryParams, Values};
use crate::http::request::params::{CURSOR, MIN_POSITION, OFFSET, Param, ROWS_LIMIT};
use crate::query::{Cursor, PageStart, Paged};

/// The query of a read of one thing.
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

/// Which page of a listing.
#[derive(Debug)]
pub(crate) struct PageQuery {
    limit: u16,
    offset: u64,
    /// Not checked yet: whether it is a cursor depends on the filter.
    cursor: Option<String>,
    pub(crate) min_position: Option<Position>,
}

impl PageQuery {
    pub(crate) fn read(values: &mut Values) -> Self {
        let limit = values.integer(&ROWS_LIMIT).map(u16::try_from);
        let offset = values.integer(&OFFSET).unwrap_or(0);
        // Generated clients send every default.
        if values.has(&CURSOR) && offset != 0 {
            values.error(&CURSOR, "must not be combined with another offset than 0");
        }
        Self {
            limit: limit.and_then(Result::ok).unwrap_or(PAGE_ROWS_DEFAULT),
            offset,
            cursor: values.text(&CURSOR),
            min_position: values.position(&MIN_POSITION),
        }
    }

    pub(crate) fn rows_max(&self) -> usize {
        usize::from(self.limit)
    }

    /// Where the page starts, if its cursor is of this listing.
    pub(crate) fn start(
        &self,
        tenant: &TenantId,
        filter: &impl Paged,
    ) -> Result<PageStart, Problem> {
        Ok(match &self.cursor {
            None => PageStart::Offset(self.offset),
            Some(text) => Cursor::parse(text, tenant, filter)?.into(),
        })
    }

    /// Most rows of the page.
    pub(crate) fn limit(&self) -> u16 {
        self.limit
    }

    /// How many rows come before the page; `None` if it starts at a cursor.
    pub(crate) fn offset(&self) -> Option<u64> {
        self.cursor.is_none().then_some(self.offset)
    }
}
