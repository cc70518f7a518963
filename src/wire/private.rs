//! The private part of a record: compact JSON, stored separately from the body.
//!
//! ```text
//! (empty)                                   the event of a runtime on NATS
//! {"existing":true}                         precondition: the session is open
//! {"agent_registered":true}                 precondition: the agent is known
//! {"agent":"agent-7"}                       precondition: the session belongs to this agent
//! {"refresh_token":"<64 hex digits>"}       precondition: SHA-256 of the presented refresh token
//! {"tokens":{"access":"..","refresh":".."}} SHA-256 of the issued tokens
//! {"emitted":true}                          a runtime sent the event through a ledger's API
//! {"written_by":"0123456789abcdef"}         the credential that sent the event to a ledger
//! ```
//!
//! The last two exist since the second version of the rules. A private part may have several
//! members, in this order. An unknown member is an error: it may be a precondition, and without
//! checking it the fold could apply an event that must be rejected.

use serde::{Deserialize, Serialize};

use crate::domain::limits::PRIVATE_BYTES_MAX;
use crate::domain::{AgentId, Private, Rules, TokenHash, TokenHashes};

const HASH_BYTES: usize = 32;

/// Encodes a private part. The default becomes no bytes.
pub fn encode(private: &Private) -> Vec<u8> {
    if *private == Private::default() {
        return Vec::new();
    }
    let stored = Stored {
        existing: private.existing,
        agent_registered: private.agent_registered,
        agent: private.agent.as_ref().map(|agent| agent.as_str().into()),
        refresh_token: private.refresh_token.map(Hex),
        tokens: private.tokens.map(|tokens| StoredTokens {
            access: Hex(tokens.access),
            refresh: Hex(tokens.refresh),
        }),
        emitted: private.emitted,
        written_by: private.written_by.clone(),
    };
    serde_json::to_vec(&stored).expect("booleans and texts are JSON")
}

/// Decodes a private part. `None` if [`encode`] would not write these bytes by these rules. The
/// error has no detail, because it must not repeat a hash.
pub fn decode(rules: Rules, bytes: &[u8]) -> Option<Private> {
    if bytes.is_empty() {
        return Some(Private::default());
    }
    if PRIVATE_BYTES_MAX < bytes.len() {
        return None;
    }
    let stored: Stored = serde_json::from_slice(bytes).ok()?;
    let agent = stored.agent.as_deref().map(AgentId::parse);
    let private = Private {
        existing: stored.existing,
        agent_registered: stored.agent_registered,
        agent: agent.transpose().ok()?,
        refresh_token: stored.refresh_token.map(|hex| hex.0),
        tokens: stored.tokens.map(|tokens| TokenHashes {
            access: tokens.access.0,
            refresh: tokens.refresh.0,
        }),
        emitted: stored.emitted,
        written_by: stored.written_by,
    };
    if rules < Rules::V2 && (private.emitted || private.written_by.is_some()) {
        return None;
    }
    // Also rejects input that serde accepts leniently, such as an array instead of an object.
    (encode(&private) == bytes).then_some(private)
}

// Without `Debug`, so that no log line can contain a hash.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    existing: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    agent_registered: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh_token: Option<Hex>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tokens: Option<StoredTokens>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    emitted: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    written_by: Option<Box<str>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredTokens {
    access: Hex,
    refresh: Hex,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
struct Hex(TokenHash);

impl From<Hex> for String {
    fn from(hex: Hex) -> Self {
        hex::encode(hex.0.bytes())
    }
}

impl TryFrom<String> for Hex {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut hash = [0; HASH_BYTES];
        // The error of the library would contain a digit of the hash.
        hex::decode_to_slice(text, &mut hash).map_err(|_withheld| "not a hash")?;
        Ok(Self(TokenHash::new(hash)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hash() -> impl Strategy<Value = TokenHash> {
        any::<[u8; HASH_BYTES]>().prop_map(TokenHash::new)
    }

    prop_compose! {
        fn private()(
            existing: bool,
            agent_registered: bool,
            agent in prop::option::of("[a-z\"]{1,256}"),
            refresh_token in prop::option::of(hash()),
            tokens in prop::option::of((hash(), hash())),
            emitted: bool,
            written_by in prop::option::of("[a-z|\"]{1,512}"),
        ) -> Private {
            let tokens = tokens.map(|(access, refresh)| TokenHashes { access, refresh });
            let agent = agent.map(|id| AgentId::parse(&id).unwrap());
            let written_by = written_by.map(Into::into);
            Private { existing, agent_registered, agent, refresh_token, tokens, emitted, written_by }
        }
    }

    proptest! {
        #[test]
        fn an_encoded_private_part_decodes_to_itself(private in private()) {
            let bytes = encode(&private);
            prop_assert!(bytes.len() <= PRIVATE_BYTES_MAX);
            prop_assert_eq!(decode(Rules::V2, &bytes), Some(private.clone()));
            let is_old = private == private.without_writer();
            prop_assert_eq!(decode(Rules::V1, &bytes), is_old.then_some(private));
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode(Rules::LATEST, &bytes);
        }
    }

    #[test]
    fn the_default_is_encoded_as_no_bytes() {
        assert_eq!(encode(&Private::default()), b"");
        assert_eq!(decode(Rules::V1, b""), Some(Private::default()));
    }

    #[test]
    fn the_stored_form_never_changes() {
        let hash = |byte| TokenHash::new([byte; HASH_BYTES]);
        let private = Private {
            existing: true,
            agent_registered: true,
            agent: Some(AgentId::parse("a-7").unwrap()),
            refresh_token: Some(hash(1)),
            tokens: Some(TokenHashes {
                access: hash(2),
                refresh: hash(0xab),
            }),
            emitted: true,
            written_by: Some("0123".into()),
        };
        let expected = format!(
            r#"{{"existing":true,"agent_registered":true,"agent":"a-7","refresh_token":"{}","tokens":{{"access":"{}","refresh":"{}"}},"emitted":true,"written_by":"0123"}}"#,
            "01".repeat(32),
            "02".repeat(32),
            "ab".repeat(32),
        );
        assert_eq!(String::from_utf8(encode(&private)).unwrap(), expected);
    }

    #[test]
    fn bytes_that_no_ledger_writes_are_rejected() {
        let short = format!(r#"{{"refresh_token":"{}"}}"#, "0".repeat(63));
        let half = format!(r#"{{"tokens":{{"access":"{}"}}}}"#, "0".repeat(64));
        let long = format!("{{}}{}", " ".repeat(PRIVATE_BYTES_MAX));
        for wrong in [
            "[]",
            "[true]",
            "null",
            "{}",
            "{\"existing\": true}",
            r#"{"existing":1}"#,
            r#"{"unknown":true}"#,
            r#"{"existing":true,"existing":true}"#,
            r#"{"existing":true}x"#,
            &short,
            &half,
            &long,
        ] {
            assert_eq!(decode(Rules::LATEST, wrong.as_bytes()), None, "{wrong}");
        }
    }
}
