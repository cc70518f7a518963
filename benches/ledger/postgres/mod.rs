//! The comparator: PostgreSQL with equal events, rows and queries.

mod apply;
mod cluster;
mod depth;
mod read;
mod schema;
pub(crate) mod versions;

pub(crate) use apply::Applied;
pub(crate) use cluster::Cluster;
pub(crate) use depth::deep_pages;
pub(crate) use read::{Counts, PageQueries, page_load, totals};
