//! The targets of the figures. The report marks a figure that misses its target.
//!
//! A ratio is the ledger's figure divided by the other. Rates are for two cores and a million sessions.

use crate::report::Must;

/// Events per second.
pub(crate) const FOLD_RATE: Must = Must::AtLeast(40_000.0);
pub(crate) const FOLD_TO_POSTGRES: Must = Must::AtLeast(5.0);
/// Ratio to the rate with fewer sessions.
pub(crate) const FOLD_BY_SIZE: Must = Must::AtLeast(0.6);
/// Requests per second.
pub(crate) const PAGE_RATE: Must = Must::AtLeast(20_000.0);
/// Where PostgreSQL counts rows for each page.
pub(crate) const PAGE_TO_POSTGRES: Must = Must::AtLeast(100.0);
/// A page may take 1.3 times as long as with fewer sessions.
pub(crate) const PAGE_BY_SIZE: Must = Must::AtLeast(1.0 / 1.3);
/// A total over a range of time may take twice as long as a page.
pub(crate) const COUNT_TO_PAGE: Must = Must::AtLeast(0.5);
pub(crate) const DEEP_TO_FIRST: Must = Must::AtMost(1.5);
/// In milliseconds.
pub(crate) const VISIBLE_P95_MS: Must = Must::AtMost(10.0);
/// In milliseconds.
pub(crate) const VISIBLE_P99_MS: Must = Must::AtMost(50.0);
/// Events per second, if the log does not sync each message separately.
pub(crate) const APPEND_RATE: Must = Must::AtLeast(30_000.0);
/// Events per second, if the log syncs each message separately.
pub(crate) const APPEND_SYNCED_RATE: Must = Must::AtLeast(10_000.0);
/// In milliseconds.
pub(crate) const PAGE_OVERLOADED_P99_MS: Must = Must::AtMost(50.0);
/// Resident memory, in MiB.
pub(crate) const MEMORY_OVERLOADED_MIB: Must = Must::AtMost(600.0);
/// Acknowledged events.
pub(crate) const LOST: Must = Must::AtMost(0.0);
/// Resident memory, in MiB: 400 MB.
pub(crate) const MEMORY_MIB: Must = Must::AtMost(381.0);
/// In milliseconds.
pub(crate) const FIRST_PAGE_MS: Must = Must::AtMost(1_000.0);
/// In milliseconds.
pub(crate) const CAUGHT_UP_MS: Must = Must::AtMost(5_000.0);
/// A count at a past position may take twice as long as a page now.
pub(crate) const THEN_COUNT: Must = Must::AtMost(2.0);
/// In microseconds.
pub(crate) const THEN_PAGE_US: Must = Must::AtMost(5_000.0);
/// In microseconds.
pub(crate) const THEN_OFFSET_US: Must = Must::AtMost(300.0);
/// In microseconds.
pub(crate) const THEN_ONE_US: Must = Must::AtMost(1_000.0);
/// In microseconds.
pub(crate) const THEN_TIME_US: Must = Must::AtMost(10.0);
/// A page of a part of a listing may take 1.5 times as long as a page of all.
pub(crate) const PART_TO_ALL: Must = Must::AtMost(1.5);
/// A frame may come twice as late as an answer with a listing.
pub(crate) const FRAME_TO_LISTING: Must = Must::AtMost(2.0);
/// Resident memory with a thousand followers, in MiB.
pub(crate) const MEMORY_FOLLOWED_MIB: Must = Must::AtMost(600.0);
/// Followers that hold something else than the listing, or have other events than the history.
pub(crate) const WRONG: Must = Must::AtMost(0.0);
