//! A dialect as a value: its calls, its credential scheme, its error style and its CORS rules.

use crate::dialects::sdk::calls::Calls;
use crate::dialects::sdk::cors::Cors;
use crate::http::layers::authenticate::CredentialScheme;
use crate::http::problem::style::ErrorStyle;

/// Everything that makes a dialect.
pub(crate) struct Definition {
    /// Calls that need a credential, grouped by the scheme in which clients send it. Paths are
    /// those that the clients use, without the dialect's mount.
    pub(crate) known: Vec<(Calls, CredentialScheme)>,
    /// Calls that need no credential. Their answers hold no data of a tenant.
    pub(crate) open: Calls,
    /// The status and body of its failures.
    pub(crate) style: ErrorStyle,
    /// What pages of other sites may send; `None` if they may not call the dialect.
    pub(crate) cors: Option<Cors>,
}
