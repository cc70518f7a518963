//! The comparator: PostgreSQL with equal events, rows and queries.

mod apply;
mod cluster;
mod depth;
mod families;
mod live;
mod read;
mod schema;
pub(crate) mod versions;

pub(crate) use apply::Applied;
pub(crate) use cluster::Cluster;
pub(crate) use depth::deep_pages;
pub(crate) use families::FamilyTable;
pub(crate) use live::{ListTable, Shown};
pub(crate) use read::{Counts, PageQueries, page_load, totals};
