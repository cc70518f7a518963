//! The `source` attributes of the events that the ledger writes.

/// Commands that clients send to the API.
pub const API: &str = "urn:session-ledger:api";
/// Expiries of sessions.
pub const EXPIRY: &str = "urn:session-ledger:expiry";
/// Terminations of sessions whose agent was revoked.
pub const REVOCATION: &str = "urn:session-ledger:revocation";
/// Changes of the rules.
pub const RULES: &str = "urn:session-ledger:rules";
/// Records in the place of lost ones.
pub const BACKUP: &str = "urn:session-ledger:backup";
/// Events that the command line emits as a runtime. Runtimes may use this source.
pub const COMMAND_LINE: &str = "urn:session-ledger:cli";

/// The prefix of the ledger's own sources.
pub(super) const PREFIX: &str = "urn:session-ledger:";

/// Whether a source is reserved for the ledger. Runtimes may not use such a source.
pub(super) fn is_reserved(source: &str) -> bool {
    source.starts_with(PREFIX) && source != COMMAND_LINE
}
