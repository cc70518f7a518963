//! Logs that fail or do not confirm, and a fold that lags: the answers, and how to recover.

use std::sync::atomic::Ordering;

use session_ledger::auth::{Grant, Role};
use session_ledger::domain::AgentId;
use session_ledger::log::LogError;

use super::*;
use crate::support::app::grant;
use crate::support::faulty_log::{DoubtfulLog, PickyLog};

const AGENT: &str = r#"{"agent_name":"a","agent_provider":"p"}"#;

/// The error of a log that wrote nothing.
fn unavailable() -> LogError {
    LogError::unavailable("the test says so")
}

/// The error of a log that may have written.
fn unconfirmed() -> LogError {
    LogError::unconfirmed("the test says so")
}

async fn start() -> (Otas, Arc<PickyLog>) {
    let mut picky = None;
    let otas = Otas::start_on(
        |log| log,
        |log| {
            let log = Arc::new(PickyLog::new(log));
            picky = Some(Arc::clone(&log));
            log
        },
    );
    let otas = otas.await;
    (otas, picky.unwrap())
}

impl Otas {
    /// Returns the id of the project's only agent, and the number of its keys.
    async fn only_agent(&self) -> (String, usize) {
        let listed = self.page(&self.member, PROJECT, LIST, None).await.ok();
        let agents = listed["response"]["agents"].as_array().unwrap();
        assert_eq!(agents.len(), 1, "{listed}");
        let keys = agents[0]["agent_keys"].as_array().unwrap();
        (text(&agents[0]["id"]), keys.len())
    }
}

/// Checks that an answer is a failure that does not ask for a retry.
#[track_caller]
fn check_final(answer: &Answer, word: &str, said: &str) {
    check_failure(answer, 409, word);
    assert_eq!(answer.header("retry-after"), "");
    assert!(answer.text.contains(said), "{said}: {}", answer.text);
    assert!(!answer.text.contains("/v1/"), "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_created_without_a_key_is_named_and_can_get_one() {
    for error in [unavailable(), unconfirmed()] {
        let (otas, log) = start().await;
        log.refuse("key.issued", error);
        let answer = otas.page(&otas.admin, PROJECT, CREATE, Some(AGENT)).await;
        let (id, keys) = otas.only_agent().await;
        assert_eq!(keys, 0);
        let said = format!("the agent {id} exists");
        check_final(&answer, "agent_created_without_key", &said);
        let said = "agents/key/create/ gives it one";
        check_final(&answer, "agent_created_without_key", said);
        log.take_all();
        let given = otas.rotate(&id).await;
        let given = succeeded(&given, 201, "agent_key_created", "response");
        assert!(otas.is_good(&text(&given["agent_key"]["api_key"])).await);
        otas.app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_that_cannot_revoke_says_so_and_the_next_one_revokes_all() {
    let (otas, log) = start().await;
    let made = otas.make(PROJECT, "a").await;
    let bound = otas.app.key(Grant {
        agent: Some(AgentId::parse(&made.id).unwrap()),
        ..grant(PROJECT, [Role::Write].into_iter().collect())
    });
    let bound = bound.await;
    for error in [unavailable(), unconfirmed()] {
        log.refuse("key.revoked", error);
        let answer = otas.rotate(&made.id).await;
        let said = "a new key exists but cannot be shown";
        check_final(&answer, "unconfirmed", said);
        assert!(otas.is_good(&made.key).await && otas.is_good(&bound).await);
    }
    assert_eq!(otas.only_agent().await.1, 4);
    log.take_all();
    let rotated = otas.rotate(&made.id).await;
    let rotated = succeeded(&rotated, 201, "agent_key_created", "response");
    assert!(!otas.is_good(&made.key).await && !otas.is_good(&bound).await);
    assert!(otas.is_good(&text(&rotated["agent_key"]["api_key"])).await);
    assert_eq!(otas.only_agent().await.1, 1);
    otas.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_keys_may_be_retried_only_if_it_wrote_nothing() {
    let (otas, log) = start().await;
    let made = otas.make(PROJECT, "a").await;
    let revoke = async || {
        let body = json!({"agent_key_id": made.key_id}).to_string();
        otas.page(&otas.admin, PROJECT, KEY_REVOKE, Some(&body))
            .await
    };
    log.refuse("key.issued", unavailable());
    let rotated = otas.rotate(&made.id).await;
    log.refuse("key.revoked", unavailable());
    for answer in [rotated, revoke().await] {
        check_failure(&answer, 503, "unavailable");
        assert_eq!(answer.header("retry-after"), "1");
    }
    log.refuse("key.issued", unconfirmed());
    let said = "the log did not confirm the new key";
    check_final(&otas.rotate(&made.id).await, "unconfirmed", said);
    log.refuse("key.revoked", unconfirmed());
    let said = "not confirmed that the key is revoked";
    check_final(&revoke().await, "unconfirmed", said);
    assert!(otas.is_good(&made.key).await);
    // The revocation is written, but this server no longer follows the log.
    log.take_all();
    otas.app.stop_fold().await;
    check_final(&revoke().await, "not_caught_up", said);
    let (client, bearer) = (otas.app.client(PROJECT), format!("Bearer {}", otas.admin));
    let (path, shown) = (
        format!("/v1/keys/{}", made.key_id),
        [("authorization", &*bearer)],
    );
    let answer = client.send(Method::DELETE, &path, &shown, Vec::new()).await;
    let native = answer.problem(503, "not_caught_up");
    let detail = native["detail"].as_str().unwrap();
    assert!(detail.contains("is on the log"), "{detail}");
    otas.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_may_be_written_asks_for_no_retry() {
    let mut doubtful = None;
    let otas = Otas::start_on(
        |log| {
            let log = Arc::new(DoubtfulLog::new(log));
            doubtful = Some(Arc::clone(&log));
            log
        },
        |keys| keys,
    );
    let otas = otas.await;
    let log = doubtful.unwrap();
    let made = otas.make(PROJECT, "a").await;
    // The log keeps the event, and confirms it late.
    log.doubts.store(2, Ordering::SeqCst);
    let id = otas.open(&made.key, "").await;
    assert_eq!(otas.sessions(PROJECT, &made.id).await[0]["id"], id);
    // The log never confirms the event.
    log.doubts.store(usize::MAX, Ordering::SeqCst);
    let opened = otas.agent(&made.key, SESSION_CREATE, "").await;
    check_final(&opened, "unconfirmed", "may or may not be written");
    let agent = otas.page(&otas.admin, PROJECT, CREATE, Some(AGENT)).await;
    check_final(&agent, "unconfirmed", "may or may not be written");
    log.doubts.store(0, Ordering::SeqCst);
    otas.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_without_a_verdict_yet_returns_its_token_or_key() {
    let tokens = tokens().await;
    let app = App::start_with_credentials_and_no_fold(|keys_alone| Credentials {
        tokens: Some(tokens),
        ..keys_alone
    });
    let otas = Otas::of(app.await);
    let known = otas.app.fold_during(otas.make(PROJECT, "known")).await;

    let answer = otas.agent(&known.key, SESSION_CREATE, "{}").await;
    let opened = succeeded(&answer, 202, "agent_session_created", "response");
    assert_eq!(opened["Header_value"], "X-OTAS-AGENT-SESSION-TOKEN");
    let said = claims(&opened["jwt_token"]);
    assert_eq!(said["agent_id"], known.id);
    assert_eq!(otas.sessions(PROJECT, &known.id).await, [Value::Null; 0]);

    let answer = otas.page(&otas.admin, PROJECT, CREATE, Some(AGENT)).await;
    let made = succeeded(&answer, 202, "agent_created", "response");
    assert_eq!(made["agent"]["name"], "a");
    assert_eq!(made["agent"]["created_at"], NOW_ISO);
    assert_eq!(made["agent_key"]["agent_id"], made["agent"]["id"]);

    // Once the events are folded, the token and the key work.
    let head = otas.app.log().head().await.unwrap();
    otas.app.fold_during(otas.app.projection.reach(head)).await;
    let rows = otas.sessions(PROJECT, &known.id).await;
    assert_eq!(rows[0]["id"], said["agent_session_id"]);
    assert!(otas.is_good(&text(&made["agent_key"]["api_key"])).await);
    otas.app.stop().await;
}
