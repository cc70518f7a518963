//! Shapes of keys.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a key is issued with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewKey {
    /// For people, up to 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it may do: one or more of `read`, `write`, `audit` and `admin`. None implies another.
    pub roles: Vec<String>,
    /// The only agent on whose behalf it may write; without it, any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// When it ends by itself; without it, never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

/// A key, but not the key itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the names are the API's")]
pub struct Key {
    /// Names it. No secret.
    #[schema(example = "0123456789abcdef")]
    pub key_id: String,
    /// For people.
    pub name: Option<String>,
    /// What it may do.
    #[schema(example = json!(["read", "write"]))]
    pub roles: Vec<String>,
    /// The only agent on whose behalf it may write.
    pub agent_id: Option<String>,
    /// When it was issued.
    #[schema(format = DateTime)]
    pub issued_at: String,
    /// Who issued it: the id of a key, `issuer|subject` of a token, or `operator` for `session-ledger
    /// keys` without a server. Null if it was issued before that was kept.
    #[schema(example = "fedcba9876543210")]
    pub issued_by: Option<String>,
    /// When it ends by itself; null is never.
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
    /// When it was revoked; null if it was not.
    #[schema(format = DateTime)]
    pub revoked_at: Option<String>,
    /// Who revoked it, in the same words; null if it was not, or before that was kept.
    pub revoked_by: Option<String>,
}

/// A key that was issued.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IssuedKey {
    /// The key. Shown this once, and nowhere again.
    #[schema(example = "slk_0123456789abcdef_...")]
    pub key: String,
    /// What is known of it from now on.
    #[serde(flatten)]
    pub entry: Key,
}

impl std::fmt::Debug for IssuedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IssuedKey({}, ..)", self.entry.key_id)
    }
}

/// A page of keys, those issued last first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyList {
    /// The page.
    pub keys: Vec<Key>,
    /// How many keys the tenant has, revoked ones among them.
    pub total: u64,
    /// The limit that was used.
    pub limit: u64,
    /// The offset that was used.
    pub offset: u64,
}

/// A change of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyChange {
    /// What happened: `issued` or `revoked`.
    #[schema(example = "issued")]
    pub change: String,
    /// The key.
    #[schema(example = "0123456789abcdef")]
    pub key_id: String,
    /// When the log took it.
    #[schema(format = DateTime)]
    pub recorded_at: String,
    /// Who did it: the id of a key, `issuer|subject` of a token, or `operator` for `session-ledger keys`
    /// without a server. Null if it happened before that was kept.
    #[schema(example = "fedcba9876543210")]
    pub by: Option<String>,
    /// Of an issue: the key's name.
    pub name: Option<String>,
    /// Of an issue: what the key may do.
    pub roles: Option<Vec<String>>,
    /// Of an issue: the only agent on whose behalf the key may write.
    pub agent_id: Option<String>,
    /// Of an issue: when the key ends by itself.
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
}

/// A page of changes of keys, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyHistory {
    /// The page.
    pub changes: Vec<KeyChange>,
    /// The limit that was used.
    pub limit: u64,
    /// Give it as `after` to go on; null on the last page.
    pub next_after: Option<u64>,
}
