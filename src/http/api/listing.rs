//! Answers with a page of a listing: its rows, total, cursor, validator and links.

use axum::http::Uri;
use axum::response::Response;

use crate::http::dto;
use crate::http::problem::Problem;
use crate::http::request::as_of::AsOf;
use crate::http::request::conditional::Conditional;
use crate::http::request::page_query::PageQuery;
use crate::http::request::params::{CURSOR, OFFSET};
use crate::http::response::json::Json;
use crate::http::response::{body, links, validator};
use crate::http::state::App;
use crate::projection::Snapshot;
use crate::query::{Cursor, Page, Sight};

/// The size of a typical row. A buffer with this capacity for each row seldom grows.
pub(super) const ROW_BYTES: usize = 1024;

/// A request for a page of a listing.
pub(super) struct Listing<'a> {
    pub(super) app: &'a App,
    /// The past state that the answer shows, if any.
    pub(super) as_of: Option<AsOf>,
    pub(super) sight: Sight<'a>,
    pub(super) request: &'a Conditional,
    pub(super) page: &'a PageQuery,
    /// The member of the answer that holds the rows.
    pub(super) rows_name: &'static str,
}

/// Answers with the page that `find` reads, or with 304 if the client has that page already.
pub(super) async fn answer<R: Send + 'static>(
    listing: Listing<'_>,
    find: impl FnOnce(&Snapshot) -> Result<Page<R>, Problem> + Send + 'static,
    write_row: impl FnMut(&mut Json, &R) -> Result<(), Problem>,
) -> Result<Response, Problem> {
    let Listing {
        app,
        as_of,
        sight,
        request,
        page: query,
        rows_name,
    } = listing;
    app.wait_for(query.min_position).await?;
    let past = app.past(as_of, sight).await?;
    if past.is_none()
        && let Some(not_modified) = validator::not_modified(request, app, sight)
    {
        return Ok(not_modified);
    }
    let page = app.read_at(past, find).await?;
    let as_of = app.as_of(page.as_of);
    let next = page.next.map(Cursor::to_text);
    let mut out = Json::with_capacity(ROW_BYTES * (page.rows.len() + 1));
    out.raw("{");
    out.text(rows_name);
    out.raw(":[");
    out.elements(&page.rows, write_row)?;
    out.raw("],\"total\":");
    out.value(&page.total);
    out.raw(",");
    write_place(&mut out, query, next.as_deref(), &as_of);
    let mut response = body::json(out.into_bytes());
    if past.is_none() {
        validator::add(&mut response, request.uri(), app, sight, &as_of);
    }
    let uri = match past {
        Some(past) => links::as_of(request.uri(), past.position),
        None => request.uri().clone(),
    };
    add_links(&mut response, &uri, query, next.as_deref());
    Ok(response)
}

/// Writes where the page stands in its listing, which ends the answer.
fn write_place(out: &mut Json, query: &PageQuery, next: Option<&str>, as_of: &dto::AsOf) {
    out.raw("\"limit\":");
    out.value(&query.limit());
    out.raw(",\"offset\":");
    out.number_or_null(query.offset());
    out.raw(",\"next_cursor\":");
    out.text_or_null(next);
    out.raw(",\"as_of\":");
    out.value(as_of);
    out.raw("}");
}

fn add_links(response: &mut Response, uri: &Uri, query: &PageQuery, next: Option<&str>) {
    let limit = u64::from(query.limit());
    let before = query.offset().and_then(|offset| offset.checked_sub(limit));
    let before = before.map(|before| before.to_string());
    let mut pages = vec![("first", None)];
    let before = before.as_deref();
    pages.extend(before.map(|at| ("prev", Some((OFFSET.name, at)))));
    pages.extend(next.map(|at| ("next", Some((CURSOR.name, at)))));
    let starts = [OFFSET.name, CURSOR.name];
    links::add(response, uri, &starts, &pages);
}
