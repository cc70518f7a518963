//! The query parameters that select a page of a listing, or the state that an answer must include.

use crate::domain::{Position, TenantId};
use crate::http::problem::Problem;
use crate::http::request::extract::{QueryParams, Values};
use crate::http::request::param::AnyParam;
use crate::http::request::params::{CURSOR, MIN_POSITION, OFFSET, ROWS_LIMIT};
use crate::query::{Cursor, PageStart, Paged};

/// The query of a route that reads one session, agent or event.
#[derive(Debug)]
pub(crate) struct GetQuery {
    pub(crate) min_position: Option<Position>,
}

impl QueryParams for GetQuery {
    const PARAMS: &'static [&'static dyn AnyParam] = &[&MIN_POSITION];

    fn read(values: &mut Values) -> Result<Self, Problem> {
        let min_position = values.position(&MIN_POSITION);
        Ok(Self { min_position })
    }
}

/// The parameters that select a page of a listing.
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
        let (limit, offset) = (values.limit(&ROWS_LIMIT), values.number(&OFFSET));
        // Generated clients send the default offset, 0, with a cursor.
        if values.has(&CURSOR) && offset != 0 {
            values.error(&CURSOR, "must not be combined with an offset other than 0");
        }
        Self {
            limit,
            offset,
            cursor: values.text(&CURSOR),
            min_position: values.position(&MIN_POSITION),
        }
    }

    pub(crate) fn rows_max(&self) -> usize {
        usize::from(self.limit)
    }

    /// Returns where the page starts. A problem if the cursor belongs to another listing.
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

    /// The most rows of the page.
    pub(crate) fn limit(&self) -> u16 {
        self.limit
    }

    /// The number of rows before the page; `None` if the page starts at a cursor.
    pub(crate) fn offset(&self) -> Option<u64> {
        self.cursor.is_none().then_some(self.offset)
    }
}
