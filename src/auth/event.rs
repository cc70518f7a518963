//! The stored form of keys: CloudEvents `key.issued` and `key.revoked`. Each tenant has one NATS
//! subject per type.
//!
//! ```text
//! subject  ledger.admin.v1.<tenant>.key.issued
//! body     {"specversion":"1.0","id":"issued-<key id>","source":"urn:session-ledger:keys",
//!           "type":"key.issued","subject":"<key id>","time":"..","tenantid":"<tenant>",
//!           "actor":"<author>",
//!           "data":{"name":"..","roles":["read"],"agent_id":"..","expires_at":".."}}
//! private  {"key_sha256":"<64 hexadecimal digits>"}
//! ```
//!
//! An unknown member in the data of `key.issued` makes the record unreadable, because it may
//! restrict what the key can do. A revocation needs only its NATS subject and its `subject`, so
//! that nothing a later build adds can keep a key alive.
//!
//! `actor` is outside `data`, where builds that do not know it ignore it. Records of those builds
//! have no `actor`. It does not change what a key can do, so an unreadable actor counts as absent.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::auth::{Author, KeyId, Role, Roles};
use crate::domain::limits::KEY_NAME_CHARS_MAX;
use crate::domain::{AgentId, TenantId, Timestamp, TokenHash};
use crate::log::{NewRecord, Record};

const SOURCE: &str = "urn:session-ledger:keys";
const SUBJECT_PREFIX: &str = "ledger.admin.v1.";
const ISSUED: &str = "key.issued";
const REVOKED: &str = "key.revoked";
const NOT_A_KEY_SUBJECT: &str = "its NATS subject is not that of a key event";

/// What an issued key may do, where and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The tenant that the key gives access to.
    pub tenant: TenantId,
    /// A name for people to recognize the key by.
    pub name: Option<Box<str>>,
    /// What the key may do.
    pub roles: Roles,
    /// The only agent that the key may write for; `None` is any.
    pub agent: Option<AgentId>,
    /// When the key expires; `None` is never.
    pub expires_at: Option<Timestamp>,
}

/// Why a grant is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// The key would be useless.
    #[error("a key needs at least one role")]
    NoRole,
    /// The name is too long, empty, or has control characters.
    #[error(
        "a key's name must have 1 to {KEY_NAME_CHARS_MAX} characters and no control characters"
    )]
    Name,
    /// An admin key could issue a key for any agent, and an operator sees all of them.
    #[error("a key for one agent cannot have the role admin or operator, which reach other agents")]
    BoundAdmin,
    /// The key would never be valid.
    #[error("a key must expire in the future")]
    Expired,
}

impl Grant {
    /// Checks that a key with this grant can be issued at `now`.
    pub fn check(&self, now: Timestamp) -> Result<(), GrantError> {
        if self.roles.iter().next().is_none() {
            return Err(GrantError::NoRole);
        }
        if self.name.as_deref().is_some_and(|name| !is_name(name)) {
            return Err(GrantError::Name);
        }
        if self.agent.is_some() && self.roles.has_any(&[Role::Admin, Role::Operator]) {
            return Err(GrantError::BoundAdmin);
        }
        match self.expires_at {
            Some(expires_at) if expires_at <= now => Err(GrantError::Expired),
            Some(_) | None => Ok(()),
        }
    }
}

fn is_name(name: &str) -> bool {
    let chars = name.chars().count();
    (1..=KEY_NAME_CHARS_MAX).contains(&chars) && !name.contains(char::is_control)
}

/// A change of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum KeyEvent {
    Issued {
        id: KeyId,
        hash: TokenHash,
        grant: Grant,
        /// `None` if the server required no credentials, or if the record has no readable actor.
        by: Option<Author>,
    },
    Revoked {
        id: KeyId,
        tenant: TenantId,
        by: Option<Author>,
    },
}

/// Why a record is not a readable key event. Never contains a part of the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unreadable(&'static str);

impl KeyEvent {
    /// The record that stores this event.
    pub(super) fn to_record(&self, time: Timestamp) -> NewRecord {
        let (id, tenant, kind, by) = match self {
            Self::Issued { id, grant, by, .. } => (id, &grant.tenant, ISSUED, by),
            Self::Revoked { id, tenant, by } => (id, tenant, REVOKED, by),
        };
        let word = kind.trim_start_matches("key.");
        let (data, private) = match self {
            Self::Issued { grant, hash, .. } => (Some(data(grant)), private(hash)),
            Self::Revoked { .. } => (None, Bytes::new()),
        };
        let body = Written {
            specversion: "1.0",
            id: format!("{word}-{id}"),
            source: SOURCE,
            r#type: kind,
            subject: id.to_string(),
            time,
            tenantid: tenant.as_str(),
            actor: by.as_ref().map(ToString::to_string),
            data: data.unwrap_or_default(),
        };
        let body = serde_json::to_vec(&body).expect("texts are JSON");
        NewRecord {
            subject: format!("{SUBJECT_PREFIX}{tenant}.{kind}").into(),
            private,
            body: body.into(),
        }
    }

    /// Reads a record.
    pub(super) fn read(record: &Record) -> Result<Self, Unreadable> {
        let subject = record.subject.strip_prefix(SUBJECT_PREFIX);
        let (tenant, kind) = subject
            .and_then(|rest| rest.split_once('.'))
            .ok_or(Unreadable(NOT_A_KEY_SUBJECT))?;
        let tenant = TenantId::parse(tenant)
            .map_err(|_error| Unreadable("its NATS subject has no valid tenant"))?;
        let body: Envelope = serde_json::from_slice(&record.payload)
            .map_err(|_withheld| Unreadable("its body is not that of a key event"))?;
        let id = KeyId::parse(&body.subject)
            .ok_or(Unreadable("its `subject` is not the id of a key"))?;
        let by = body.actor.as_str().and_then(Author::parse);
        match kind {
            REVOKED => Ok(Self::Revoked { id, tenant, by }),
            ISSUED if body.r#type != ISSUED || body.tenantid != tenant.as_str() => Err(Unreadable(
                "its type or tenant differs from that of its NATS subject",
            )),
            ISSUED => {
                let data = serde_json::from_value(body.data)
                    .map_err(|_withheld| Unreadable("this build does not understand its data"))?;
                Ok(Self::Issued {
                    id,
                    hash: hash_of(&record.private)?,
                    grant: grant(tenant, data)?,
                    by,
                })
            }
            _ => Err(Unreadable(NOT_A_KEY_SUBJECT)),
        }
    }
}

#[derive(Serialize)]
struct Written<'a> {
    specversion: &'static str,
    id: String,
    source: &'static str,
    r#type: &'static str,
    subject: String,
    time: Timestamp,
    tenantid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    data: Data,
}

/// The members that are read from a body. `data` stays unparsed, because a revocation ignores its
/// `data`.
#[derive(Deserialize)]
struct Envelope {
    subject: String,
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    tenantid: String,
    /// Any JSON value, so that an unreadable actor cannot keep a key alive.
    #[serde(default)]
    actor: serde_json::Value,
    #[serde(default)]
    data: serde_json::Value,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    roles: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
}

fn data(grant: &Grant) -> Data {
    let roles = grant.roles.iter();
    Data {
        name: grant.name.as_deref().map(ToOwned::to_owned),
        roles: roles.map(|role| role.as_str().to_owned()).collect(),
        agent_id: grant.agent.as_ref().map(ToString::to_string),
        expires_at: grant.expires_at.map(|time| time.to_string()),
    }
}

fn grant(tenant: TenantId, data: Data) -> Result<Grant, Unreadable> {
    let roles: Option<Roles> = data.roles.iter().map(|word| word.parse().ok()).collect();
    let agent = data.agent_id.map(|id| AgentId::parse(&id)).transpose();
    let expires_at = data
        .expires_at
        .map(|time| Timestamp::parse(&time).ok_or(()));
    Ok(Grant {
        tenant,
        name: data.name.map(String::into_boxed_str),
        roles: roles.ok_or(Unreadable("this build does not know one of its roles"))?,
        agent: agent.map_err(|_error| Unreadable("its `agent_id` is not valid"))?,
        expires_at: expires_at
            .transpose()
            .map_err(|()| Unreadable("its `expires_at` is not a time"))?,
    })
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Private {
    key_sha256: String,
}

fn private(hash: &TokenHash) -> Bytes {
    let key_sha256 = hex::encode(hash.bytes());
    serde_json::to_vec(&Private { key_sha256 })
        .expect("a text is JSON")
        .into()
}

fn hash_of(private: &[u8]) -> Result<TokenHash, Unreadable> {
    let unreadable = Unreadable("its private part has no valid hash");
    let private: Private = serde_json::from_slice(private).map_err(|_withheld| unreadable)?;
    let mut hash = [0; 32];
    hex::decode_to_slice(private.key_sha256, &mut hash).map_err(|_withheld| unreadable)?;
    Ok(TokenHash::new(hash))
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
