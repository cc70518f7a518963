//! Pages: the page that a request wants, and the answer around its rows.

use axum::response::Response;

use crate::domain::limits::PAGE_ROWS_MAX;
use crate::http::problem::Problem;
use crate::http::request::extract::Values;
use crate::http::request::param::{Param, Range};
use crate::http::request::params::OFFSET;
use crate::http::response::body;
use crate::http::response::json::Json;
use crate::query::{Page, PageStart};

/// Bytes of a usual row.
const ROW_BYTES: usize = 2048;

pub(super) const LIMIT: Param<Range> = Param {
    name: "limit",
    about: "Most rows of the page.",
    component: None,
    shape: Range {
        min: 1,
        max: PAGE_ROWS_MAX as u64,
    },
};

/// The page of a listing that a request wants.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageQuery {
    limit: Option<u16>,
    offset: u64,
}

/// A page of a listing, with the limit set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    limit: u16,
    offset: u64,
}

impl PageQuery {
    pub(super) fn read(values: &mut Values) -> Self {
        let limit = values.optional_number(&LIMIT);
        Self {
            limit: limit.and_then(|limit| u16::try_from(limit).ok()),
            offset: values.number(&OFFSET),
        }
    }

    pub(super) fn or(self, limit_default: u16) -> Wanted {
        Wanted {
            limit: self.limit.unwrap_or(limit_default),
            offset: self.offset,
        }
    }
}

impl Wanted {
    pub(super) fn rows_max(self) -> usize {
        usize::from(self.limit)
    }

    pub(super) fn start(self) -> PageStart {
        PageStart::Offset(self.offset)
    }

    /// The answer: the rows under each of these names.
    pub(super) fn answer<R>(
        self,
        names: &[&str],
        page: &Page<R>,
        write_row: impl FnMut(&mut Json, &R) -> Result<(), Problem>,
    ) -> Result<Response, Problem> {
        let mut rows = Json::with_capacity(ROW_BYTES * page.rows.len());
        rows.elements(&page.rows, write_row)?;
        let rows = String::from_utf8(rows.into_bytes()).expect("JSON is written in UTF-8");
        let mut out = Json::with_capacity(names.len() * rows.len() + ROW_BYTES);
        out.raw("{");
        for name in names {
            out.text(name);
            out.raw(":[");
            out.raw(&rows);
            out.raw("],");
        }
        for (name, number, after) in [
            ("total", page.total, ","),
            ("limit", self.limit.into(), ","),
            ("offset", self.offset, "}"),
        ] {
            out.text(name);
            out.raw(":");
            out.value(&number);
            out.raw(after);
        }
        Ok(body::json(out.into_bytes()))
    }
}
