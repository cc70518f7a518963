//! Totals of rejected and parked events by code.

use std::collections::BTreeMap;

use crate::projection::RejectionCode;

/// Maps the word of each code to its total. Omits totals of zero.
pub(crate) fn by_word(by_code: &[(RejectionCode, u64)]) -> BTreeMap<String, u64> {
    let totals = by_code.iter().filter(|(_, total)| *total != 0);
    totals
        .map(|(code, total)| (code.as_str().to_owned(), *total))
        .collect()
}
