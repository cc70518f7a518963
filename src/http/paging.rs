//! Paging, the same for every listing: which page a request asks for, and the answer around its rows.

use axum::response::Response;

use super::app::App;
use super::asked::Asked;
use super::body;
use super::dto;
use super::extract::Values;
use super::json::Json;
use super::params::{CURSOR, MIN_POSITION, OFFSET, ROWS_LIMIT};
use super::problem::Problem;
use crate::domain::limits::PAGE_ROWS_DEFAULT;
use crate::domain::{Position, TenantId};
use crate::query::Sight;
use crate::query::{Cursor, Page, Paged, Start};

/// Bytes of a usual row: a buffer of this size per row seldom has to grow.
pub(super) const ROW_BYTES: usize = 1024;

/// Which page of a listing.
#[derive(Debug)]
pub(super) struct PageQuery {
    limit: u16,
    start: StartQuery,
    pub(super) min_position: Option<Position>,
}

#[derive(Debug)]
enum StartQuery {
    Offset(u64),
    Cursor(String),
}

impl PageQuery {
    pub(super) fn read(values: &mut Values) -> Self {
        let limit = values.integer(&ROWS_LIMIT).map(u16::try_from);
        let offset = values.integer(&OFFSET).unwrap_or(0);
        // Generated clients send every default.
        if values.has(&CURSOR) && offset != 0 {
            values.error(&CURSOR, "must not be combined with another offset than 0");
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

    pub(super) fn rows_max(&self) -> usize {
        usize::from(self.limit)
    }

    /// Where the page starts, if its cursor is of this listing.
    pub(super) fn start(&self, tenant: &TenantId, filter: &impl Paged) -> Result<Start, Problem> {
        Ok(match &self.start {
            StartQuery::Offset(offset) => Start::Offset(*offset),
            StartQuery::Cursor(text) => Start::Cursor(Cursor::parse(text, tenant, filter)?),
        })
    }

    /// The page as an answer, which names itself and other pages.
    pub(super) fn answer<R>(
        &self,
        (app, sight, asked): (&App, Sight<'_>, &Asked),
        name: &str,
        page: &Page<R>,
        write_row: impl FnMut(&mut Json, &R) -> Result<(), Problem>,
    ) -> Result<Response, Problem> {
        let as_of = app.as_of(page.as_of);
        let next = page.next.map(Cursor::to_text);
        let rows = self.render(name, page, (&as_of, next.as_deref()), write_row)?;
        let mut response = body::json(rows);
        asked.name(&mut response, app, (sight, &as_of));
        let limit = u64::from(self.limit);
        let before = match self.start {
            StartQuery::Offset(offset) if limit <= offset => Some((offset - limit).to_string()),
            StartQuery::Offset(_) | StartQuery::Cursor(_) => None,
        };
        let mut pages = vec![("first", None)];
        pages.extend(
            before
                .as_deref()
                .map(|at| ("prev", Some((OFFSET.name, at)))),
        );
        pages.extend(next.as_deref().map(|at| ("next", Some((CURSOR.name, at)))));
        asked.link(&mut response, &[OFFSET.name, CURSOR.name], &pages);
        Ok(response)
    }

    /// The page as JSON: its rows under this name, and what every page has.
    fn render<R>(
        &self,
        name: &str,
        page: &Page<R>,
        (as_of, next): (&dto::AsOf, Option<&str>),
        mut write_row: impl FnMut(&mut Json, &R) -> Result<(), Problem>,
    ) -> Result<Vec<u8>, Problem> {
        let mut out = Json::with_capacity(ROW_BYTES * (page.rows.len() + 1));
        out.raw("{");
        out.text(name);
        out.raw(":[");
        for (index, row) in page.rows.iter().enumerate() {
            if 0 < index {
                out.raw(",");
            }
            write_row(&mut out, row)?;
        }
        out.raw("],\"total\":");
        out.value(&page.total);
        out.raw(",\"limit\":");
        out.value(&self.limit);
        out.raw(",\"offset\":");
        out.number_or_null(match self.start {
            StartQuery::Offset(offset) => Some(offset),
            StartQuery::Cursor(_) => None,
        });
        out.raw(",\"next_cursor\":");
        out.text_or_null(next);
        out.raw(",\"as_of\":");
        out.value(as_of);
        out.raw("}");
        Ok(out.into_bytes())
    }
}
