//! Shapes of keys.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a key is issued with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewKey {
    /// For people, up to 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it may do: one or more of `read`, `write`, `audit` and `admin`. None implies another.
    #[schema(example = json!(["read", "write"]))]
    pub roles: Vec<String>,
    /// The only agent on whose behalf it may write; without it, any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// When it ends by itself; without it, never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
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
    /// When it ends by itself; null is never.
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
    /// When it was revoked; null if it was not.
    #[schema(format = DateTime)]
    pub revoked_at: Option<String>,
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
