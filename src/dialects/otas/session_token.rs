//! The token that an agent gets for a session. It is a JWT. Only its claims have the session's id,
//! and no other part of the answer.
//!
//! ```text
//! HS256 with HMAC-SHA-256("otas session token") under the ledger's token secret, in hexadecimal
//! {"agent_session_id": "..", "agent_id": "..", "iat": <opened at>, "exp": <30 days later>}
//! ```
//!
//! The vendor's other server, which checks these tokens, takes its secret as a text.

use serde::Serialize;

use crate::auth::jwt::{self, Secret};
use crate::domain::{AgentId, SessionId, Timestamp};
use crate::http::state::App;

/// How long a token is valid, and so how long a session is open.
pub(super) const TTL_S: u32 = 30 * 24 * 3600;
const PURPOSE: &str = "otas session token";

#[derive(Serialize)]
struct Claims<'a> {
    agent_session_id: &'a SessionId,
    agent_id: &'a AgentId,
    iat: i64,
    exp: i64,
}

/// Returns the token of a session that opened at this time. Equal arguments give equal tokens.
pub(super) fn issue(
    app: &App,
    session: &SessionId,
    agent: &AgentId,
    opened_at: Timestamp,
) -> String {
    let secret = hex::encode(app.commands().secret_for(PURPOSE));
    let secret = Secret::new(secret.as_bytes()).expect("64 digits are long enough");
    let iat = opened_at.micros().div_euclid(1_000_000);
    let claims = Claims {
        agent_session_id: session,
        agent_id: agent,
        iat,
        exp: iat + i64::from(TTL_S),
    };
    jwt::sign(&secret, &claims)
}
