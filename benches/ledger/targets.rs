//! What the figures must come to. A figure that does not is marked, and nothing else happens.

use crate::report::Must;

/// Most of the time of catching up should be the log's.
pub(crate) const FOLD_TO_BARE_LOG: Must = Must::AtLeast(0.25);
pub(crate) const FOLD_TO_POSTGRES: Must = Must::AtLeast(1.0);
/// Pages are exact and filtered; bytes that lie in memory are not.
pub(crate) const PAGE_TO_BYTES: Must = Must::AtLeast(0.25);
/// Where PostgreSQL counts as it reads.
pub(crate) const PAGE_TO_POSTGRES: Must = Must::AtLeast(10.0);
/// Where triggers keep its counts.
pub(crate) const PAGE_TO_COUNTED: Must = Must::AtLeast(1.0);
/// A page costs about the same at any size of the ledger.
pub(crate) const PAGE_BY_SIZE: Must = Must::AtLeast(0.5);
/// And at any depth.
pub(crate) const DEEP_TO_FIRST: Must = Must::AtMost(2.0);
pub(crate) const DEEP_TO_POSTGRES: Must = Must::AtMost(0.1);
/// In milliseconds.
pub(crate) const VISIBLE_P99_MS: Must = Must::AtMost(100.0);
/// In milliseconds.
pub(crate) const FIRST_PAGE_MS: Must = Must::AtMost(1_000.0);
