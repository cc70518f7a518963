//! The query parameters that select a page of a listing, or the state that an answer must include.

use crate::domain::{Position, TenantId};
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::request::as_of::AsOf;
use crate::http::request::extract::{QueryParams, Values};
use crate::http::request::param::AnyParam;
use crate::http::request::params::{AS_OF, CURSOR, MIN_POSITION, OFFSET, ROWS_LIMIT};
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

/// The query of a route that reads one session or agent, in the present or a past state.
#[derive(Debug)]
pub(crate) struct StateQuery {
    pub(crate) as_of: Option<AsOf>,
    pub(crate) min_position: Option<Position>,
}

impl QueryParams for StateQuery {
    const PARAMS: &'static [&'static dyn AnyParam] = &[&AS_OF, &MIN_POSITION];

    fn read(values: &mut Values) -> Result<Self, Problem> {
        Ok(Self {
            as_of: values.parsed(&AS_OF, AsOf::parse),
            min_position: values.position(&MIN_POSITION),
        })
    }
}

/// The parameters that select a page of a listing.
#[derive(Debug)]
pub(crate) struct PageQuery {
    limit: u16,
    offset: u64,
    /// Not checked yet: whether it is a cursor depends on the filter.
    cursor: Option<String>,
    as_of: Option<AsOf>,
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
            as_of: values.parsed(&AS_OF, AsOf::parse),
            min_position: values.position(&MIN_POSITION),
        }
    }

    pub(crate) fn rows_max(&self) -> usize {
        usize::from(self.limit)
    }

    /// Returns where the page starts, and the past state that it shows, if any. A cursor of a past state keeps
    /// that state. A problem if the cursor belongs to another listing.
    pub(crate) fn start(
        &self,
        tenant: &TenantId,
        filter: &impl Paged,
    ) -> Result<(PageStart, Option<AsOf>), Problem> {
        let Some(text) = &self.cursor else {
            return Ok((PageStart::Offset(self.offset), self.as_of));
        };
        let cursor = Cursor::parse(text, tenant, filter)?;
        let position = cursor.position();
        let fits = match (self.as_of, position) {
            (None, _) | (Some(AsOf::Now | AsOf::Time(_)), Some(_)) => true,
            (Some(AsOf::Position(asked)), position) => position == Some(asked),
            (Some(AsOf::Now | AsOf::Time(_)), None) => false,
        };
        if !fits {
            let detail =
                "the cursor keeps another state; leave as_of out, or start without a cursor";
            return Err(Problem::new(Code::CursorMismatch)
                .with_detail(detail)
                .with_error(AS_OF.name, "is not the state that the cursor keeps"));
        }
        Ok((cursor.into(), position.map(AsOf::Position)))
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
