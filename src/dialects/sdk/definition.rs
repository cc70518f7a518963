//! A dialect as a value: its calls, how its clients identify themselves, and how it words failures.

use crate::dialects::sdk::calls::Calls;
use crate::dialects::sdk::cors::Cors;
use crate::http::layers::authenticate::Signature;
use crate::http::problem::style::ErrorStyle;

/// What makes a dialect.
pub(crate) struct Definition {
    /// Calls of callers that are known, and where these say who they are; paths as its clients ask
    /// for them.
    pub(crate) known: Vec<(Calls, Signature)>,
    /// Calls that answer anybody: they say nothing of any tenant.
    pub(crate) open: Calls,
    /// How it words a failure.
    pub(crate) style: ErrorStyle,
    /// What pages of other sites may ask, if the vendor's servers let them.
    pub(crate) cors: Option<Cors>,
}
