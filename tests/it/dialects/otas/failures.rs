//! Logs that fail or are in doubt, and a fold that is behind: what is told, and what heals it.

use std::sync::atomic::Ordering;

use session_ledger::auth::{Grant, Role};
use session_ledger::domain::AgentId;
use session_ledger::log::LogError;

use super::*;
use crate::support::app::grant;
use crate::support::faulty_log::{DoubtfulLog, PickyLog};

const AGENT: &str = r#"{"agent_name":"a","agent_provider":"p"}"#;

/// Nothing was written.
fn unavailable() -> LogError {
    LogError::Unavailable("the test says so".to_owned())
}

/// Nobody knows.
fn unconfirmed() -> LogError {
    LogError::Unconfirmed("the test says so".to_owned())
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
    /// The only agent of the project, and how many keys it has.
    async fn only_agent(&self) -> (String, usize) {
        let listed = self.page(&self.member, PROJECT, LIST, None).await.ok();
        let agents = listed["response"]["agents"].as_array().unwrap();
        assert_eq!(agents.len(), 1, "{listed}");
        let keys = agents[0]["agent_keys"].as_array().unwrap();
        (text(&agents[0]["id"]), keys.len())
    }
}

/// A failure that nobody is asked to send again by itself.
#[track_caller]
fn check_told(answer: &Answer, word: &str, said: &str) {
    check_failure(answer, 409, word);
    assert_eq!(answer.header("retry-after"), "");
    assert!(answer.text.contains(said), "{said}: {}", answer.text);
    assert!(!answer.text.contains("/v1/"), "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_got_no_key_is_named_and_can_be_given_one() {
    for error in [unavailable(), unconfirmed()] {
        let (otas, log) = start().await;
        log.refuse("key.issued", error);
        let answer = otas.page(&otas.admin, PROJECT, CREATE, Some(AGENT)).await;
        let (id, keys) = otas.only_agent().await;
        assert_eq!(keys, 0);
        let said = format!("the agent {id} exists");
        check_told(&answer, "agent_created_without_key", &said);
        let said = "agents/key/create/ gives it one";
        check_told(&answer, "agent_created_without_key", said);
        log.take_all();
        let given = otas.rotate(&id).await;
        let given = succeeded(&given, 201, "agent_key_created", "response");
        assert!(otas.is_good(&text(&given["agent_key"]["api_key"])).await);
        otas.app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_that_revokes_in_vain_says_so_and_the_next_one_revokes_all() {
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
        check_told(&answer, "unconfirmed", said);
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
async fn a_change_of_keys_may_be_sent_again_if_it_wrote_nothing_and_else_is_in_doubt() {
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
    check_told(&otas.rotate(&made.id).await, "unconfirmed", said);
    log.refuse("key.revoked", unconfirmed());
    let said = "not confirmed that the key is revoked";
    check_told(&revoke().await, "unconfirmed", said);
    assert!(otas.is_good(&made.key).await);
    // Written, and this server follows the log no more.
    log.take_all();
    otas.app.stop_fold().await;
    check_told(&revoke().await, "not_caught_up", said);
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
async fn nobody_is_told_to_send_again_what_may_be_written() {
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
    // Kept, and not confirmed at once.
    log.doubts.store(2, Ordering::SeqCst);
    let id = otas.open(&made.key, "").await;
    assert_eq!(otas.sessions(PROJECT, &made.id).await[0]["id"], id);
    // Never confirmed.
    log.doubts.store(usize::MAX, Ordering::SeqCst);
    let opened = otas.agent(&made.key, SESSION_CREATE, "").await;
    check_told(&opened, "unconfirmed", "may or may not be written");
    let agent = otas.page(&otas.admin, PROJECT, CREATE, Some(AGENT)).await;
    check_told(&agent, "unconfirmed", "may or may not be written");
    log.doubts.store(0, Ordering::SeqCst);
    otas.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_verdict_yet_has_its_token_or_key_all_the_same() {
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

    // Once it is folded both are what was said.
    let head = otas.app.log().head().await.unwrap();
    otas.app.fold_during(otas.app.projection.reach(head)).await;
    let rows = otas.sessions(PROJECT, &known.id).await;
    assert_eq!(rows[0]["id"], said["agent_session_id"]);
    assert!(otas.is_good(&text(&made["agent_key"]["api_key"])).await);
    otas.app.stop().await;
}
