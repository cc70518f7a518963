//! Where the events of an export are read from.

use futures_util::future::BoxFuture;

use super::line::Line;
use crate::domain::Position;
use crate::domain::causes::BoxError;
use crate::log::chain::TenantChain;

/// What a ledger has of the tenant up to a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The tenant.
    pub tenant: String,
    /// The position.
    pub until: Position,
    /// The chain over the tenant's events up to it.
    pub chain: TenantChain,
}

/// A ledger from which an export is made, or with which one is compared.
pub trait Source: Send + Sync {
    /// Asks what the ledger has up to a position. Fails if the log ends before it.
    fn end(&self, until: Position) -> BoxFuture<'_, Result<End, BoxError>>;

    /// Returns the lines of the next events after a position, at least one if there is one, and none behind
    /// `until`. The events have the verdicts that they had there.
    fn page(&self, after: Position, until: Position) -> BoxFuture<'_, Result<String, BoxError>>;
}

/// The position of the last line of a page; `None` if the page has no line.
pub(super) fn last_position(page: &str) -> Option<Position> {
    let line = page.lines().next_back()?;
    Line::read(line.as_bytes()).ok().map(|line| line.position())
}
