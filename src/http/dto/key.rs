//! Shapes of keys.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::words::{KeyChangeKind, Role};

/// The grant of a new key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewKey {
    /// A name for people, up to 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the key may do: one or more of `read`, `write`, `audit` and `admin`. No role includes another.
    pub roles: Vec<String>,
    /// The agent to which the key is bound, for reads and writes; without it, the key is not bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// When the key expires; without it, never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

/// What is known of a key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the names are the API's")]
pub struct Key {
    /// The id of the key, which is not secret.
    #[schema(example = "0123456789abcdef")]
    pub key_id: String,
    /// A name for people.
    pub name: Option<String>,
    /// What the key may do.
    #[schema(value_type = Vec<Role>, example = json!(["read", "write"]))]
    pub roles: Vec<String>,
    /// The agent to which the key is bound: it reads and runs only this agent and its sessions. Null if
    /// the key is not bound.
    pub agent_id: Option<String>,
    /// When the key was issued.
    #[schema(format = DateTime)]
    pub issued_at: String,
    /// Who issued the key: the id of a key, `issuer|subject` of a token, or `operator` for
    /// `session-ledger keys` without a server. Null for a key of an older version, which did not record it.
    #[schema(example = "fedcba9876543210")]
    pub issued_by: Option<String>,
    /// When the key expires; null is never.
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
    /// When the key was revoked; null if it was not.
    #[schema(format = DateTime)]
    pub revoked_at: Option<String>,
    /// Who revoked the key, in the form of `issued_by`. Null if it was not revoked, or by an older version.
    pub revoked_by: Option<String>,
}

/// A new key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IssuedKey {
    /// The key with its secret. No other answer shows it.
    #[schema(example = "slk_0123456789abcdef_...")]
    pub key: String,
    /// What is known of the key.
    #[serde(flatten)]
    pub entry: Key,
}

impl std::fmt::Debug for IssuedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IssuedKey({}, ..)", self.entry.key_id)
    }
}

/// A page of keys, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyList {
    /// The keys of this page.
    pub keys: Vec<Key>,
    /// The number of keys of the tenant, revoked ones included.
    pub total: u64,
    /// The limit of this page.
    pub limit: u64,
    /// The offset of this page.
    pub offset: u64,
}

/// A change of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyChange {
    /// What happened.
    #[schema(value_type = KeyChangeKind, example = "issued")]
    pub change: String,
    /// The id of the key.
    #[schema(example = "0123456789abcdef")]
    pub key_id: String,
    /// When the log stored the change.
    #[schema(format = DateTime)]
    pub recorded_at: String,
    /// Who did it: the id of a key, `issuer|subject` of a token, or `operator` for `session-ledger keys`
    /// without a server. Null for a change by an older version, which did not record it.
    #[schema(example = "fedcba9876543210")]
    pub by: Option<String>,
    /// The name of the key. Only for an issue.
    pub name: Option<String>,
    /// What the key may do. Only for an issue.
    #[schema(value_type = Option<Vec<Role>>)]
    pub roles: Option<Vec<String>>,
    /// The agent to which the key is bound. Only for an issue.
    pub agent_id: Option<String>,
    /// When the key expires. Only for an issue.
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
}

/// A page of changes of keys, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyHistory {
    /// The changes of this page.
    pub changes: Vec<KeyChange>,
    /// The limit of this page.
    pub limit: u64,
    /// Give it as `after` to read the next page; null on the last page.
    pub next_after: Option<u64>,
}
