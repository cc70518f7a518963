//! Ids of what a command makes: random, or the same again for a retry.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::domain::limits::IDEMPOTENCY_KEY_CHARS_MAX;
use crate::domain::{AgentId, EventId, SessionId};
use crate::ledger::command::By;

/// What a client sends again with a command that it sends again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

/// Why a text is no idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to {IDEMPOTENCY_KEY_CHARS_MAX} visible characters of ASCII")]
pub struct NotAKey;

impl IdempotencyKey {
    /// Checks a key.
    pub fn parse(text: &str) -> Result<Self, NotAKey> {
        let visible = text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() || byte == b' ');
        if visible && (1..=IDEMPOTENCY_KEY_CHARS_MAX).contains(&text.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAKey)
        }
    }
}

/// Ids for one command.
pub(super) struct Identity {
    /// Of the event that it writes.
    pub(super) event: EventId,
    /// Of what it opens or registers, if the caller gave no id.
    new: Uuid,
}

impl Identity {
    /// Ids for a command about a session or agent; the empty text if that has no id yet.
    ///
    /// A key counts for the credential that it came with: nobody is answered with what another
    /// one's command gave out.
    pub(super) fn of(command: &str, about: &str, by: &By<'_>) -> Self {
        let Some(IdempotencyKey(key)) = by.retry else {
            return Self {
                event: event_id(&Uuid::now_v7().to_string()),
                new: Uuid::now_v7(),
            };
        };
        let mut hasher = Sha256::new();
        let actor = by.actor.unwrap_or_default();
        for part in [by.tenant.as_str(), actor, command, about, key] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        let hash: [u8; 32] = hasher.finalize().into();
        let (for_event, for_new) = hash.split_at(16);
        let mut new = [0; 16];
        new.copy_from_slice(for_new);
        Self {
            event: event_id(&format!("{command}-{}", hex::encode(for_event))),
            new: Uuid::new_v8(new),
        }
    }

    pub(super) fn session(&self) -> SessionId {
        SessionId::parse(&self.new.to_string()).expect("a UUID is an id")
    }

    pub(super) fn agent(&self) -> AgentId {
        AgentId::parse(&self.new.to_string()).expect("a UUID is an id")
    }
}

fn event_id(text: &str) -> EventId {
    EventId::parse(text).expect("a word and hex digits are an id")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::TenantId;

    #[test]
    fn a_retry_has_the_same_ids_and_nothing_else_has() {
        let tenant = TenantId::parse("acme").unwrap();
        let key = IdempotencyKey::parse("k 1").unwrap();
        let by = |actor, retry| By {
            tenant: &tenant,
            actor,
            agent: None,
            retry,
        };
        let ids = |command, about, actor| {
            let of = Identity::of(command, about, &by(actor, Some(&key)));
            (of.event.to_string(), of.session().to_string())
        };
        let one = ids("create", "", Some("key-1"));
        assert_eq!(one, ids("create", "", Some("key-1")));
        for other in [
            ids("refresh", "", Some("key-1")),
            ids("create", "s", Some("key-1")),
            ids("create", "", Some("key-2")),
            ids("create", "", None),
        ] {
            assert_ne!((&one.0, &one.1), (&other.0, &other.1));
        }
        let random = || Identity::of("create", "", &by(None, None)).event;
        assert_ne!(random(), random());
    }

    #[test]
    fn a_key_is_visible_and_not_too_long() {
        assert!(IdempotencyKey::parse(&"k".repeat(255)).is_ok());
        for wrong in ["", "a\tb", "\u{e9}", &"k".repeat(256)] {
            assert_eq!(IdempotencyKey::parse(wrong), Err(NotAKey));
        }
    }
}
