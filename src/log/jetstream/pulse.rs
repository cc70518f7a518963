//! Asks the leader of the stream for an answer at short intervals, and moves a connection over which none
//! comes to another server.
//!
//! A server that is cut off from its cluster still answers pings, so the client library keeps the
//! connection. While a cluster elects a leader, no server answers requests about the stream, not even
//! after the election. So requests wait until there is a leader, and the ledger gives up those that it sent
//! to another one.

use std::future;
use std::time::Duration;

use async_nats::Subscriber;
use async_nats::jetstream::ErrorCode;
use futures_util::StreamExt as _;
use serde::Deserialize;
use tokio::time::{Instant, sleep, timeout};

use super::link::Link;
use super::reads::Reads;
use crate::domain::limits::{LOG_MOVE_MS, LOG_PEER_LOST_MS, LOG_PULSE_LOST_MS, LOG_PULSE_MS};

/// The pauses between two questions: normally, and while no answer comes.
const PAUSE: Duration = Duration::from_millis(LOG_PULSE_MS.0);
const PAUSE_UNHEARD: Duration = Duration::from_millis(LOG_PULSE_MS.1);
/// How long no answer may come before the questions become more frequent.
const UNHEARD: Duration = Duration::from_secs(1);
const PEER_LOST: Duration = Duration::from_millis(LOG_PEER_LOST_MS);
const LOST: Duration = Duration::from_millis(LOG_PULSE_LOST_MS);
const MOVE: Duration = Duration::from_millis(LOG_MOVE_MS);

/// An answer to a question.
#[derive(Deserialize)]
struct Answer {
    error: Option<async_nats::jetstream::Error>,
    /// Only a cluster sends it.
    cluster: Option<ClusterInfo>,
}

#[derive(Deserialize)]
struct ClusterInfo {
    leader: Option<String>,
    /// The other servers with a copy of the stream.
    #[serde(default)]
    replicas: Vec<Replica>,
}

#[derive(Deserialize)]
struct Replica {
    /// How long the leader has not heard of it, in nanoseconds.
    #[serde(default)]
    active: u64,
}

impl ClusterInfo {
    /// Whether the answer is of a leader. If there is none, a server with a copy answers instead.
    fn has_leader(&self) -> bool {
        self.leader.as_ref().is_some_and(|name| !name.is_empty())
    }

    fn has_quorum(&self) -> bool {
        let replicas = self.replicas.iter();
        let silences = replicas.map(|replica| Duration::from_nanos(replica.active));
        has_quorum(&silences.collect::<Vec<_>>())
    }
}

/// Whether a leader hears of most copies, including its own. `silences` is how long it has not heard of
/// each of the others. A leader that is cut off takes 10 s to give up. The others elect a new one only
/// after they have not heard of it for 4 s.
pub(super) fn has_quorum(silences: &[Duration]) -> bool {
    let heard = silences.iter().filter(|silence| **silence < PEER_LOST);
    1 + silences.len() < 2 * (1 + heard.count())
}

/// The pulse of a connection.
struct Pulse<'a> {
    link: &'a Link,
    subject: String,
    inbox: String,
    answers: Subscriber,
    leader: Option<String>,
    moved_at: Instant,
    /// Whether it helps to connect to another server.
    may_move: &'a (dyn Fn() -> bool + Send + Sync),
}

/// Watches the connection for writes. Never returns.
pub(super) async fn watch_writes(link: &Link, stream: &str) {
    watch(|| link.clone(), stream, &|| true).await;
}

/// Watches the connection for reads. Never returns.
///
/// It moves only if the other connection has found a leader: while there is none, a consumer that still
/// lives should be kept.
pub(super) async fn watch_reads(reads: &Reads, writes: &Link, stream: &str) {
    watch(|| reads.link(), stream, &|| writes.is_connected()).await;
}

/// Watches a connection, and its successor once its task has died. Never returns.
async fn watch(link: impl Fn() -> Link, stream: &str, may_move: &(dyn Fn() -> bool + Send + Sync)) {
    loop {
        let link = link();
        if link.require_open().is_err() {
            return future::pending().await;
        }
        let inbox = link.client.new_inbox();
        if let Ok(answers) = link.client.subscribe(inbox.clone()).await {
            let pulse = Pulse {
                link: &link,
                subject: format!("$JS.API.STREAM.INFO.{stream}"),
                inbox,
                answers,
                leader: None,
                moved_at: Instant::now(),
                may_move,
            };
            pulse.run().await;
        }
        sleep(PAUSE).await;
    }
}

impl Pulse<'_> {
    /// Returns when the connection is dead or closed.
    async fn run(mut self) {
        self.link.hear();
        while !self.link.is_dead() && self.link.require_open().is_ok() {
            self.ask().await;
            let unheard = UNHEARD < self.link.heard_at().elapsed();
            let pause = if unheard { PAUSE_UNHEARD } else { PAUSE };
            let until = Instant::now() + pause;
            while let Ok(answer) = tokio::time::timeout_at(until, self.answers.next()).await {
                let Some(message) = answer else { return };
                // Without responders, the message has no body.
                if let Ok(answer) = serde_json::from_slice::<Answer>(&message.payload) {
                    self.answered(answer);
                }
            }
            self.judge().await;
        }
    }

    async fn ask(&self) {
        if self.link.state().connected {
            let (subject, inbox) = (self.subject.clone(), self.inbox.clone());
            let question = self
                .link
                .client
                .publish_with_reply(subject, inbox, "".into());
            // Without an answer, the question was not sent or got lost.
            drop(timeout(PAUSE, question).await);
        }
    }

    fn answered(&mut self, answer: Answer) {
        let leaderless = |error: &async_nats::jetstream::Error| {
            error.error_code() == ErrorCode::CLUSTER_NOT_AVAILABLE
        };
        if answer.error.as_ref().is_some_and(leaderless) {
            return;
        }
        if let Some(cluster) = &answer.cluster
            && !(cluster.has_leader() && cluster.has_quorum())
        {
            return self.fall_silent();
        }
        self.link.hear();
        let leader = answer.cluster.and_then(|cluster| cluster.leader);
        let changed = leader.is_some() && self.leader.is_some() && leader != self.leader;
        self.leader = leader.or(self.leader.take());
        let was_silent = self.link.state().silent;
        if was_silent || changed {
            self.link.change(|state| {
                state.silent = false;
                state.term += 1;
            });
        }
        if was_silent {
            tracing::info!("the leader of the stream answers again");
        }
    }

    /// Decides whether the leader is silent, and moves the connection if it has been for long.
    async fn judge(&mut self) {
        let state = self.link.state();
        if !state.connected {
            // The next server gets as much time.
            return self.link.hear();
        }
        if LOST < self.link.heard_at().elapsed() {
            self.fall_silent();
        }
        if self.link.state().silent && MOVE < self.moved_at.elapsed() && (self.may_move)() {
            self.moved_at = Instant::now();
            self.link.move_on().await;
        }
    }

    fn fall_silent(&self) {
        if !self.link.state().silent {
            tracing::warn!(
                "the leader of the stream does not answer: NATS elects another one, or this server \
                 is cut off"
            );
            self.link.change(|state| state.silent = true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_that_hears_of_too_few_copies_has_no_quorum() {
        let has_quorum = |silent_ms: &[u64]| {
            let replica = |ms: &u64| format!(r#"{{"name":"n","active":{}}}"#, ms * 1_000_000);
            let replicas: Vec<_> = silent_ms.iter().map(replica).collect();
            let text = format!(r#"{{"leader":"n1","replicas":[{}]}}"#, replicas.join(","));
            serde_json::from_str::<ClusterInfo>(&text)
                .unwrap()
                .has_quorum()
        };
        assert!(has_quorum(&[]));
        assert!(has_quorum(&[900, 1_100]));
        assert!(has_quorum(&[900, 60_000]));
        assert!(!has_quorum(&[4_000, 60_000]));
        assert!(!has_quorum(&[100, 4_000, 4_000, 4_000]));
    }
}
