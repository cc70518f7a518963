//! The `source` attributes of events that the ledger itself writes.

/// Commands that clients give to the API.
pub const API: &str = "urn:session-ledger:api";
/// Expiries that the ledger states by itself.
pub const EXPIRY: &str = "urn:session-ledger:expiry";
/// Sessions that the ledger ends because their agent was revoked.
pub const REVOCATION: &str = "urn:session-ledger:revocation";
/// Changes of the rules.
pub const RULES: &str = "urn:session-ledger:rules";
/// The command line, when it emits as a runtime does. Anybody may use it.
pub const COMMAND_LINE: &str = "urn:session-ledger:cli";

/// What the ledger's own sources begin with.
pub(super) const PREFIX: &str = "urn:session-ledger:";

/// Whether runtimes may not use a source, because it would name the ledger as the writer.
pub(super) fn is_reserved(source: &str) -> bool {
    source.starts_with(PREFIX) && source != COMMAND_LINE
}
