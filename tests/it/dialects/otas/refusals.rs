//! Every error answer, and requests that must not cause a server error.

use session_ledger::auth::Roles;

use super::*;
use crate::support::app::grant;

/// The calls of users, and a valid body for each.
const BY_USERS: [(&str, Option<&str>); 6] = [
    (CREATE, Some("{}")),
    (LIST, None),
    (AUTHENTICATE, Some("")),
    (KEY_CREATE, Some("{}")),
    (KEY_REVOKE, Some("{}")),
    (SESSIONS, None),
];
const BY_AGENTS: [&str; 2] = [SESSION_CREATE, VERIFY];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_session_list_has_six_error_answers() {
    let otas = Otas::start().await;
    let made = otas.make(PROJECT, "a").await;
    let foreign = otas.make(OTHER_PROJECT, "b").await;
    let of = |id: &str| format!("{SESSIONS}?agent_id={id}");
    let (user, project) = (
        ("x-otas-user-token", &*otas.member),
        ("x-otas-project-id", PROJECT),
    );
    let get = async |path: &str, headers: &[(&'static str, &str)]| {
        otas.send(Method::GET, path, headers, "").await
    };
    for missing in [&[][..], &[user], &[project]] {
        let answer = get(&of(&made.id), missing).await;
        check_failure(&answer, 400, "missing_headers");
        assert_eq!(answer.header("www-authenticate"), "");
    }
    for token in ["nonsense", "slk_0_0", &made.key[..40], "a.b.c"] {
        let answer = get(&of(&made.id), &[("x-otas-user-token", token), project]).await;
        check_failure(&answer, 401, "invalid_token");
    }
    for elsewhere in ["globex", "not a project", "*"] {
        let answer = get(&of(&made.id), &[user, ("x-otas-project-id", elsewhere)]).await;
        check_failure(&answer, 403, "user_project_mapping_invalid");
    }
    for path in [SESSIONS, &of(""), &format!("{SESSIONS}?agent=x")] {
        check_failure(&get(path, &[user, project]).await, 400, "agent_id_required");
    }
    let long = "x".repeat(300);
    for id in [
        &*foreign.id,
        "none",
        "%00",
        "%ff",
        "a%2Fb",
        &*long,
        "%F0%9F%92%A9",
    ] {
        let answer = get(&of(id), &[user, project]).await;
        check_failure(&answer, 403, "agent_not_found_or_no_access");
    }
    let powerless = token(&json!([]));
    let answer = otas.page(&powerless, PROJECT, &of(&made.id), None).await;
    check_failure(&answer, 403, "forbidden");
    otas.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_requires_its_own_kind_of_credential() {
    let otas = Otas::start().await;
    let made = otas.make(PROJECT, "a").await;
    let opened = otas.agent(&made.key, SESSION_CREATE, "").await.json();
    let session_token = text(&opened["response"]["jwt_token"]);
    let key = otas.app.key(grant(PROJECT, Roles::ALL)).await;
    for (path, body) in BY_USERS {
        let method = body.map_or(Method::GET, |_| Method::POST);
        let by_key = [("x-otas-agent-key", &*made.key)];
        let answer = otas.send(method, path, &by_key, "").await;
        check_failure(&answer, 400, "missing_headers");
        // The token of a session is not a user's token.
        let answer = otas.page(&session_token, PROJECT, path, body).await;
        check_failure(&answer, 401, "invalid_token");
        let answer = otas.page(&otas.admin, "globex", path, body).await;
        check_failure(&answer, 403, "user_project_mapping_invalid");
    }
    for path in BY_AGENTS {
        let answer = otas.page(&otas.admin, PROJECT, path, Some("{}")).await;
        check_failure(&answer, 401, "invalid_agent_key");
        let cut = &made.key[..made.key.len() - 1];
        let two_prefixes = made.key.replace("agent_", "agent_x_");
        // The last key is valid, but bound to no agent.
        for wrong in [
            "",
            "agent_",
            "agent_a_b",
            cut,
            &two_prefixes,
            &session_token,
            &otas.admin,
            &key,
        ] {
            let answer = otas.agent(wrong, path, "{}").await;
            check_failure(&answer, 401, "invalid_agent_key");
        }
    }
    otas.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_of_a_project_cannot_change_it() {
    let otas = Otas::start().await;
    let made = otas.make(PROJECT, "a").await;
    let position = otas.app.projection.position();
    let agent = format!(r#"{{"agent_id":"{}"}}"#, made.id);
    for path in [CREATE, KEY_CREATE, KEY_REVOKE] {
        // The role is checked before the body.
        for body in [&*agent, "", "[]"] {
            let answer = otas.page(&otas.member, PROJECT, path, Some(body)).await;
            check_failure(&answer, 403, "forbidden");
        }
    }
    // Nor can an agent-bound token change anything, whatever its roles.
    let bound = Signer::hs256(USERS_SECRET).token(&json!({
        "sub": "bot", "exp": 4_000_000_000_u64, "tenants": [PROJECT, OTHER_PROJECT],
        "roles": ["read", "write", "admin"], "agent_id": made.id,
    }));
    let body = r#"{"agent_name":"a","agent_provider":"p"}"#;
    for (path, body) in [(CREATE, body), (KEY_CREATE, &*agent)] {
        let answer = otas.page(&bound, PROJECT, path, Some(body)).await;
        check_failure(&answer, 403, "agent_bound");
    }
    assert_eq!(otas.app.projection.position(), position);
    otas.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_body_is_a_client_error() {
    let otas = Otas::start().await;
    let made = otas.make(PROJECT, "a").await;
    let position = otas.app.projection.position();
    let deep = format!("{{\"meta\":{}1{}}}", "[".repeat(4000), "]".repeat(4000));
    let large = format!("{{\"meta\":\"{}\"}}", "x".repeat(16 * 1024));
    let huge = format!("{{\"meta\":\"{}\"}}", "x".repeat(65 * 1024));
    let no_json = [
        "[]",
        "null",
        "1",
        "{",
        "\0",
        "{\"meta\":NaN}",
        "{\"a\":Infinity}",
        "\"\"",
        "{'a':1}",
    ];
    for body in no_json {
        let answer = otas.agent(&made.key, SESSION_CREATE, body).await;
        check_failure(&answer, 400, "invalid_json");
        let answer = otas.page(&otas.admin, PROJECT, KEY_CREATE, Some(body));
        check_failure(&answer.await, 400, "invalid_json");
        let answer = otas.page(&otas.admin, PROJECT, KEY_REVOKE, Some(body));
        check_failure(&answer.await, 400, "invalid_json");
        let answer = otas.page(&otas.admin, PROJECT, CREATE, Some(body));
        check_failure(&answer.await, 400, "agent_creation_failed");
    }
    // A value that is not an object is nested in a wrapper, so it has one level and some bytes less.
    let level_32 = format!("{{\"meta\":{}{}}}", "[".repeat(32), "]".repeat(32));
    let unpaired = r#"{"meta":"\ud800"}"#.to_owned();
    let endless = r#"{"meta":{"a":1e999}}"#.to_owned();
    for (body, said) in [
        (level_32, "meta must be nested at most"),
        (unpaired, "meta "),
        (endless, "meta "),
        (deep, "meta must be nested at most"),
        (large, "meta must have at most 16384 bytes"),
        (huge, "meta must have at most 16384 bytes"),
    ] {
        let answer = otas.agent(&made.key, SESSION_CREATE, &body).await;
        check_failure(&answer, 400, "invalid_meta");
        assert!(answer.text.contains(said), "{}", answer.text);
    }
    let long = format!(
        r#"{{"agent_name":"{}","agent_provider":"p"}}"#,
        "x".repeat(300)
    );
    for (body, said) in [
        ("", "agent_name is required"),
        (r#"{"agent_name":"a"}"#, "agent_provider is required"),
        (r#"{"agent_name":"","agent_provider":"p"}"#, "agent_name is"),
        (
            r#"{"agent_name":" ","agent_provider":"p"}"#,
            "agent_name is",
        ),
        (
            r#"{"agent_name":[],"agent_provider":"p"}"#,
            "must be a string",
        ),
        (
            r#"{"agent_name":"a\u0000","agent_provider":"p"}"#,
            "control",
        ),
        (&*long, "agent_name must have at most 256"),
    ] {
        let answer = otas.page(&otas.admin, PROJECT, CREATE, Some(body)).await;
        check_failure(&answer, 400, "agent_creation_failed");
        assert!(answer.text.contains(said), "{said}: {}", answer.text);
    }
    assert_eq!(otas.app.projection.position(), position);
    otas.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_or_foreign_id_is_not_found() {
    let otas = Otas::start().await;
    let foreign = otas.make(OTHER_PROJECT, "b").await;
    let body = json!({"agent_id": foreign.id}).to_string();
    let foreign_key = otas.page(&otas.admin, PROJECT, KEY_CREATE, Some(&body));
    let word = "agent_not_found_or_invalid_id";
    check_failure(&foreign_key.await, 404, word);
    assert!(otas.is_good(&foreign.key).await);
    for (body, status, word) in [
        ("", 400, "agent_id_required"),
        (r#"{"agent_id":null}"#, 400, "agent_id_required"),
        (r#"{"agent_id":""}"#, 400, "agent_id_required"),
        (r#"{"agent_id":7}"#, 404, "agent_not_found_or_invalid_id"),
        (
            r#"{"agent_id":"a\u0000"}"#,
            404,
            "agent_not_found_or_invalid_id",
        ),
        (
            r#"{"agent_id":"none"}"#,
            404,
            "agent_not_found_or_invalid_id",
        ),
    ] {
        let answer = otas
            .page(&otas.admin, PROJECT, KEY_CREATE, Some(body))
            .await;
        check_failure(&answer, status, word);
    }
    for (body, status, word) in [
        ("{}", 400, "agent_key_id_required"),
        (r#"{"agent_key_id":{}}"#, 404, "agent_key_not_found"),
        (r#"{"agent_key_id":"00"}"#, 404, "agent_key_not_found"),
        (
            r#"{"agent_key_id":"0123456789abcdef"}"#,
            404,
            "agent_key_not_found",
        ),
    ] {
        let answer = otas
            .page(&otas.admin, PROJECT, KEY_REVOKE, Some(body))
            .await;
        check_failure(&answer, status, word);
    }
    let (user, project) = (
        ("x-otas-user-token", &*otas.member),
        ("x-otas-project-id", PROJECT),
    );
    for (id, status, word) in [
        ("", 400, "missing_agent_id"),
        ("none", 404, "agent_not_found"),
        ("\u{e9}", 404, "agent_not_found"),
    ] {
        let headers = [user, project, ("x-otas-agent-id", id)];
        let answer = otas.send(Method::POST, AUTHENTICATE, &headers, "").await;
        check_failure(&answer, status, word);
    }
    otas.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_without_its_slash_is_not_found() {
    let otas = Otas::start().await;
    let made = otas.make(PROJECT, "a").await;
    let users = BY_USERS.map(|(path, body)| (path, body));
    let agents = BY_AGENTS.map(|path| (path, Some("{}")));
    for (path, body) in users.into_iter().chain(agents) {
        let path = path.trim_end_matches('/');
        let by_user = otas.page(&otas.admin, PROJECT, path, body).await;
        let by_agent = otas.agent(&made.key, path, "{}").await;
        for answer in [by_user, by_agent] {
            check_failure(&answer, 404, "not_found");
            assert!(answer.text.contains("end with a slash"), "{}", answer.text);
            assert_eq!(answer.header("location"), "");
        }
    }
    // The calls of the vendor's other servers are not found, either.
    for path in [
        "/api/user/v1/login/",
        "/api/project/v1/create/",
        "/api/v1/agent/session/events/",
    ] {
        let answer = otas.page(&otas.admin, PROJECT, path, Some("{}")).await;
        check_failure(&answer, 404, "not_found");
        assert!(!answer.text.contains("end with a slash"), "{}", answer.text);
    }
    otas.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_credentials_sessions_can_be_read_and_no_key_can_be_created() {
    let app = App::start().await;
    let native = app.client(PROJECT);
    native
        .apply(&crate::support::client::created("s1", "a1", NOW))
        .await;
    let otas = Otas::of(app);
    assert_eq!(otas.sessions(PROJECT, "a1").await[0]["id"], "s1");
    let body = r#"{"agent_name":"a","agent_provider":"p","agent_id":"a1"}"#;
    for path in [CREATE, KEY_CREATE] {
        let answer = otas.page("anybody", PROJECT, path, Some(body)).await;
        check_failure(&answer, 403, "credentials_off");
    }
    let tenant = format!("tenant:{PROJECT}");
    for path in BY_AGENTS {
        let answer = otas.agent(&tenant, path, "{}").await;
        check_failure(&answer, 401, "invalid_agent_key");
    }
    otas.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_cannot_serve_says_so_in_the_envelope() {
    let otas = Otas::start().await;
    let made = otas.make(PROJECT, "a").await;
    otas.app.stop_fold().await;
    let answer = otas.agent(&made.key, SESSION_CREATE, "{}").await;
    check_failure(&answer, 503, "fold_stopped");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(answer.json()["request_id"], answer.header("x-request-id"));
    otas.app.stop().await;
}
