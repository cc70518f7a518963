//! Keys on the log: CloudEvents `key.issued` and `key.revoked`, one subject each and tenant.
//!
//! ```text
//! subject  ledger.admin.v1.<tenant>.key.issued
//! body     {"specversion":"1.0","id":"issued-<key id>","source":"urn:session-ledger:keys",
//!           "type":"key.issued","subject":"<key id>","time":"..","tenantid":"<tenant>",
//!           "actor":"<who did it>",
//!           "data":{"name":"..","roles":["read"],"agent_id":"..","expires_at":".."}}
//! private  {"key_sha256":"<64 hexadecimal digits>"}
//! ```
//!
//! A member of the data of `key.issued` that this build does not know makes the record unreadable: it
//! may narrow what the key can do. A revocation counts by its subjects alone, so that nothing that a
//! later build adds can keep a key alive.
//!
//! `actor` stands beside the data, not in it: builds from before it was written ignore it there, so
//! they read new records, and we read theirs, which have none. It changes nothing about what a key can
//! do, so an actor that cannot be read is none.

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

/// What a key is issued with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Whose data the key opens.
    pub tenant: TenantId,
    /// For people.
    pub name: Option<Box<str>>,
    /// What it may do.
    pub roles: Roles,
    /// The only agent on whose behalf it may write; `None` is any.
    pub agent: Option<AgentId>,
    /// When it ends by itself; `None` is never.
    pub expires_at: Option<Timestamp>,
}

/// Why a key cannot be issued like this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// A key that may do nothing is a mistake.
    #[error("a key needs at least one role")]
    NoRole,
    /// Too long, empty or with characters that would break a line.
    #[error(
        "a key's name must have 1 to {KEY_NAME_CHARS_MAX} characters and no control characters"
    )]
    Name,
    /// Who issues keys can issue one for any agent.
    #[error("a key for one agent cannot have the role admin, which would let it issue others")]
    BoundAdmin,
    /// It would never be valid.
    #[error("a key must expire in the future")]
    Expired,
}

impl Grant {
    /// Refuses what makes no sense at `now`.
    pub fn check(&self, now: Timestamp) -> Result<(), GrantError> {
        if self.roles.iter().next().is_none() {
            return Err(GrantError::NoRole);
        }
        if self.name.as_deref().is_some_and(|name| !is_name(name)) {
            return Err(GrantError::Name);
        }
        if self.agent.is_some() && self.roles.has(Role::Admin) {
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

/// What happened to a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum KeyEvent {
    Issued {
        id: KeyId,
        hash: TokenHash,
        grant: Grant,
        /// Not known of keys that an older build issued.
        by: Option<Author>,
    },
    Revoked {
        id: KeyId,
        tenant: TenantId,
        by: Option<Author>,
    },
}

/// Why a record says nothing about keys. Never holds a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unreadable(&'static str);

impl KeyEvent {
    /// The record that says so.
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
            .ok_or(Unreadable("its subject is not one of keys"))?;
        let tenant = TenantId::parse(tenant).map_err(|_error| Unreadable("it has no tenant"))?;
        let body: Envelope = serde_json::from_slice(&record.payload)
            .map_err(|_withheld| Unreadable("its body is not one of keys"))?;
        let id = KeyId::parse(&body.subject).ok_or(Unreadable("it names no key"))?;
        let by = body.actor.as_str().and_then(Author::parse);
        match kind {
            REVOKED => Ok(Self::Revoked { id, tenant, by }),
            ISSUED if body.r#type != ISSUED || body.tenantid != tenant.as_str() => Err(Unreadable(
                "its type or tenant is not that of its NATS subject",
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
            _ => Err(Unreadable("its subject is not one of keys")),
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

/// What is read of a body. `data` comes later, because a revocation's does not count.
#[derive(Deserialize)]
struct Envelope {
    subject: String,
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    tenantid: String,
    /// Of any type, so that nothing in it can keep a key alive.
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
    let roles: Option<Roles> = data.roles.iter().map(|word| Role::parse(word)).collect();
    let agent = data.agent_id.map(|id| AgentId::parse(&id)).transpose();
    let expires_at = data
        .expires_at
        .map(|time| Timestamp::parse(&time).ok_or(()));
    Ok(Grant {
        tenant,
        name: data.name.map(String::into_boxed_str),
        roles: roles.ok_or(Unreadable("this build does not know one of its roles"))?,
        agent: agent.map_err(|_error| Unreadable("its agent's id is none"))?,
        expires_at: expires_at
            .transpose()
            .map_err(|()| Unreadable("its expiry is no time"))?,
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
    let unreadable = Unreadable("its private part holds no hash");
    let private: Private = serde_json::from_slice(private).map_err(|_withheld| unreadable)?;
    let mut hash = [0; 32];
    hex::decode_to_slice(private.key_sha256, &mut hash).map_err(|_withheld| unreadable)?;
    Ok(TokenHash::new(hash))
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
