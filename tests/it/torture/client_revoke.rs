//! A client that revokes agents which have active sessions. The answer says when no session of the agent is
//! active any more, and every ledger must show that.

use reqwest::Method;
use serde_json::json;

use crate::torture::Finding;
use crate::torture::book::{Birth, End, Step, What, count};
use crate::torture::client_http::{RETRY_MS, Writer};

/// Most sessions of a revoked agent.
const SESSIONS_MAX: u64 = 8;
/// The longest pause between two agents, in milliseconds.
const PAUSE_MS: u64 = 2_000;

impl Writer {
    /// Revokes one agent after another.
    pub(crate) async fn revocations(mut self) -> Result<(), Finding> {
        for number in 0.. {
            if self.book.is_ending() {
                break;
            }
            self.revoke(&format!("r{number}")).await?;
            self.pause(PAUSE_MS).await;
        }
        Ok(())
    }

    async fn revoke(&mut self, agent: &str) -> Result<(), Finding> {
        let what = What::Command("agent.registered", agent.to_owned());
        let body = json!({"agent_id": agent});
        self.command(Method::POST, "/v1/agents", &body, &what)
            .await?;
        let sessions = 1..=self.rng.u64(1..=SESSIONS_MAX);
        let sessions: Vec<_> = sessions
            .map(|number| format!("{agent}-s{number}"))
            .collect();
        for session in &sessions {
            let what = What::Command("session.created", session.clone());
            let body = json!({"agent_id": agent, "session_id": session});
            let created = self.command(Method::POST, "/v1/agent-sessions", &body, &what);
            let position = created.await?.position;
            self.book
                .step(session, agent, Step::Opened(Birth::Created), position);
        }
        let what = What::Command("agent.revoked", agent.to_owned());
        let path = format!("/v1/agents/{agent}/revoke");
        let revoked = self.command(Method::POST, &path, &json!({}), &what).await?;
        let settled = revoked.answer.body["settled_position"].as_u64();
        let shown = self
            .no_active_session(
                agent,
                settled.unwrap_or(revoked.position),
                settled.is_some(),
            )
            .await?;
        for session in &sessions {
            self.book
                .step(session, agent, Step::Ended(End::Terminated), shown);
        }
        count(&self.book.counts.revoked);
        Ok(())
    }

    /// Reads at any ledger until an agent has no active session, and returns the position that this read shows.
    /// If the answer to the revocation has said so, the first read must show it.
    async fn no_active_session(
        &mut self,
        agent: &str,
        position: u64,
        is_settled: bool,
    ) -> Result<u64, Finding> {
        let path = format!(
            "/v1/agent-sessions/count?agent_id={agent}&status=active&min_position={position}"
        );
        loop {
            let ledger = self.rng.usize(..self.address.ledgers());
            let answer = self.address.get(ledger, &path).await?;
            let counted = answer.and_then(|answer| {
                let total = answer.body["total"].as_u64()?;
                Some((total, answer.body["as_of"]["position"].as_u64()?))
            });
            match counted {
                Some((0, shown)) => return Ok(shown),
                Some((active, _)) if is_settled => {
                    return Err(Finding(format!(
                        "expected: no active session of {agent} at its settled position {position}; seen: \
                         {active} at ledger {ledger}"
                    )));
                }
                Some(_) | None => self.pause(RETRY_MS).await,
            }
        }
    }
}
