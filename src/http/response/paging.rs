//! Writes a page of a listing: its rows, total, cursor and links.

use axum::response::Response;

use crate::http::dto;
use crate::http::problem::Problem;
use crate::http::request::conditional::Conditional;
use crate::http::request::page_query::PageQuery;
use crate::http::request::params::{CURSOR, OFFSET};
use crate::http::response::body;
use crate::http::response::json::Json;
use crate::http::response::{links, validator};
use crate::http::state::App;
use crate::projection::Snapshot;
use crate::query::{Cursor, Page, PageStart, Paged, Sight};

/// The size of a typical row. A buffer with this capacity for each row seldom grows.
pub(crate) const ROW_BYTES: usize = 1024;

impl PageQuery {
    /// Answers with a page of a listing, or with 304 if the client has that page already. `find`
    /// reads the page, and `name` is the member of the answer that holds the rows.
    pub(crate) async fn list<F: Paged, R, E>(
        &self,
        (app, sight, conditional): (&App, Sight<'_>, &Conditional),
        (name, filter): (&str, &F),
        find: impl FnOnce(&Snapshot, Sight<'_>, &F, PageStart, usize) -> Result<Page<R>, E>,
        write_row: impl FnMut(&mut Json, &R) -> Result<(), Problem>,
    ) -> Result<Response, Problem>
    where
        Problem: From<E>,
    {
        app.wait_for(self.min_position).await?;
        if let Some(not_modified) = validator::not_modified(conditional, app, sight) {
            return Ok(not_modified);
        }
        let start = self.start(sight.tenant, filter)?;
        let rows_max = self.rows_max();
        let page = app.read(|snapshot| Ok(find(snapshot, sight, filter, start, rows_max)?))?;
        self.answer((app, sight, conditional), name, &page, write_row)
    }

    /// The page as an answer, with its validator and with links to other pages.
    fn answer<R>(
        &self,
        (app, sight, conditional): (&App, Sight<'_>, &Conditional),
        name: &str,
        page: &Page<R>,
        write_row: impl FnMut(&mut Json, &R) -> Result<(), Problem>,
    ) -> Result<Response, Problem> {
        let as_of = app.as_of(page.as_of);
        let next = page.next.map(Cursor::to_text);
        let rows = self.render(name, page, (&as_of, next.as_deref()), write_row)?;
        let mut response = body::json(rows);
        validator::add(&mut response, conditional.uri(), app, sight, &as_of);
        let limit = u64::from(self.limit());
        let before = self.offset().and_then(|offset| offset.checked_sub(limit));
        let before = before.map(|before| before.to_string());
        let mut pages = vec![("first", None)];
        pages.extend(
            before
                .as_deref()
                .map(|at| ("prev", Some((OFFSET.name, at)))),
        );
        pages.extend(next.as_deref().map(|at| ("next", Some((CURSOR.name, at)))));
        let starts = [OFFSET.name, CURSOR.name];
        links::add(&mut response, conditional.uri(), &starts, &pages);
        Ok(response)
    }

    /// The page as JSON: its rows in a member with this name, and the members of every page.
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
        out.value(&self.limit());
        out.raw(",\"offset\":");
        out.number_or_null(self.offset());
        out.raw(",\"next_cursor\":");
        out.text_or_null(next);
        out.raw(",\"as_of\":");
        out.value(as_of);
        out.raw("}");
        Ok(out.into_bytes())
    }
}
