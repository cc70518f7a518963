//! Cross-origin requests from pages in browsers.

use super::*;

const ALLOWED: &str = "access-control-allow-origin";
const PAGE: &str = "http://localhost:5173";

async fn preflight(otas: &Otas, origin: &str) -> Answer {
    let headers = [
        ("origin", origin),
        ("access-control-request-method", "GET"),
        (
            "access-control-request-headers",
            "x-otas-project-id,x-otas-user-token",
        ),
    ];
    let path = format!("{SESSIONS}?agent_id=a");
    otas.send(Method::OPTIONS, &path, &headers, "").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_page_may_call_as_on_the_vendors_servers() {
    let otas = Otas::start().await;
    let asked = preflight(&otas, "https://otas.example").await;
    assert_eq!(asked.status, 200);
    assert_eq!(asked.header(ALLOWED), "https://otas.example");
    assert_eq!(asked.header("access-control-allow-credentials"), "true");
    assert_eq!(asked.header("access-control-max-age"), "86400");
    let methods = asked.header("access-control-allow-methods");
    assert_eq!(methods, "DELETE,GET,OPTIONS,PATCH,POST,PUT");
    let headers: Vec<&str> = asked
        .header("access-control-allow-headers")
        .split(',')
        .collect();
    for name in [
        "content-type",
        "x-otas-user-token",
        "x-otas-project-id",
        "x-otas-agent-key",
        "x-otas-agent-id",
        "x-otas-agent-session-token",
        "x-otas-agent-session-key",
        "x-otas-sdk-key",
    ] {
        assert!(headers.contains(&name), "{name}: {headers:?}");
    }

    // A page can read every answer, also errors.
    let made = otas.make(PROJECT, "a").await;
    let path = format!("{SESSIONS}?agent_id={}", made.id);
    for (user, path, status) in [
        (&*otas.member, &*path, 200),
        ("nonsense", &path, 401),
        (&otas.member, "/api/none/", 404),
    ] {
        let answer = otas.page(user, PROJECT, path, None).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header(ALLOWED), PAGE);
        assert_eq!(answer.header("access-control-allow-credentials"), "true");
        let vary: Vec<&str> = answer
            .headers
            .get_all("vary")
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect();
        assert!(vary.join(",").contains("origin"), "{vary:?}");
    }
    otas.app.stop().await;
}

/// Otherwise any page in a browser on this machine could read a ledger that requires no credentials.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_credentials_only_pages_of_this_machine_may_call() {
    let otas = Otas::of(App::start().await);
    assert_eq!(preflight(&otas, PAGE).await.header(ALLOWED), PAGE);
    for foreign in [
        "https://otas.example",
        "http://localhost.otas.example",
        "null",
    ] {
        assert_eq!(preflight(&otas, foreign).await.header(ALLOWED), "");
    }
    otas.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_may_call_no_other_api() {
    let otas = Otas::start().await;
    let native = otas.app.client("none");
    let origin = [("origin", PAGE)];
    for path in ["/v1/agent-sessions", "/compat/agi/v1/sessions"] {
        let answer = native.send(Method::GET, path, &origin, Vec::new()).await;
        assert_eq!(answer.header(ALLOWED), "");
    }
    otas.app.stop().await;
}
