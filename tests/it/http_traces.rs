//! `POST /v1/traces`: exports of OpenTelemetry become sessions.

use serde_json::{Value, json};
use session_ledger::auth::{Role, Roles};

use crate::support::app::{App, grant};
use crate::support::client::{Answer, Client};

/// 2026-01-31T11:00:00Z, an hour before the clock of an `App`.
const START_S: u64 = 1_769_857_200;

/// A span of a conversation. Its parent is 0 if it has none, and its times are in seconds.
fn span(conversation: &str, (id, parent): (u64, u64), (start, end): (u64, u64)) -> Value {
    let nanos = |seconds: u64| format!("{}000000000", START_S + seconds);
    let parent = match parent {
        0 => String::new(),
        parent => format!("{parent:016x}"),
    };
    json!({
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": format!("{id:016x}"),
        "parentSpanId": parent,
        "name": "chat",
        "startTimeUnixNano": nanos(start),
        "endTimeUnixNano": nanos(end),
        "attributes": [
            attribute("gen_ai.conversation.id", conversation),
            attribute("gen_ai.agent.name", "triage"),
            attribute("gen_ai.input.messages", "the secret prompt"),
        ],
        "status": {"code": 0},
    })
}

fn attribute(key: &str, text: &str) -> Value {
    json!({"key": key, "value": {"stringValue": text}})
}

/// A span that invokes an agent, or that executes a tool.
fn with(mut span: Value, attributes: &[(&str, &str)]) -> Value {
    let all = span["attributes"].as_array_mut().unwrap();
    all.extend(attributes.iter().map(|(key, text)| attribute(key, text)));
    span
}

/// An agent that passes its conversation on to another one, which then works.
fn transfer(conversation: &str) -> Vec<Value> {
    vec![
        with(
            span(conversation, (1, 0), (0, 200)),
            &[("gen_ai.operation.name", "invoke_agent")],
        ),
        with(
            span(conversation, (2, 1), (10, 190)),
            &[
                ("gen_ai.operation.name", "execute_tool"),
                ("gen_ai.tool.name", "transfer_to_refunds"),
            ],
        ),
        with(
            span(conversation, (3, 2), (12, 188)),
            &[
                ("gen_ai.operation.name", "invoke_agent"),
                ("gen_ai.agent.name", "refunds"),
            ],
        ),
    ]
}

fn request(spans: &[Value]) -> Value {
    let resource = json!({"attributes": [attribute("service.name", "shop")]});
    json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]})
}

async fn export(client: &Client, spans: &[Value]) -> Answer {
    let body = request(spans).to_string();
    client.post("/v1/traces", "application/json", body).await
}

/// Exports spans that the ledger takes.
async fn take(client: &Client, spans: &[Value]) {
    let answer = export(client, spans).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, "{}"));
}

/// A field of protobuf that has a length.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = bytes.len() as u64;
    while 0x80 <= length {
        field.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    field.push((length & 0x7f) as u8);
    [field, bytes.to_vec()].concat()
}

/// The bytes in protobuf of an object of OTLP in JSON, as far as the spans of these tests need it.
fn protobuf(spans: &[Value]) -> Vec<u8> {
    let text = |value: &Value| value.as_str().unwrap().as_bytes().to_vec();
    let attributes = |number: u8, attributes: &Value| -> Vec<u8> {
        let attributes = attributes.as_array().unwrap().iter();
        let pairs = attributes.map(|pair| {
            let value = field(1, &text(&pair["value"]["stringValue"]));
            field(
                number,
                &[field(1, &text(&pair["key"])), field(2, &value)].concat(),
            )
        });
        pairs.collect::<Vec<_>>().concat()
    };
    let fixed = |number: u8, nanos: &Value| {
        let nanos: u64 = nanos.as_str().unwrap().parse().unwrap();
        let mut bytes = nanos.to_be_bytes();
        bytes.reverse();
        [vec![number << 3 | 1], bytes.to_vec()].concat()
    };
    let spans = spans.iter().map(|span| {
        let id = |name: &str| hex::decode(span[name].as_str().unwrap()).unwrap();
        let code = (span["status"]["code"].as_u64().unwrap() & 0x7f) as u8;
        let parts = [
            field(1, &id("traceId")),
            field(2, &id("spanId")),
            field(4, &id("parentSpanId")),
            field(5, &text(&span["name"])),
            fixed(7, &span["startTimeUnixNano"]),
            fixed(8, &span["endTimeUnixNano"]),
            attributes(9, &span["attributes"]),
            field(15, &[3 << 3, code]),
        ];
        field(2, &parts.concat())
    });
    let scope_spans = field(2, &spans.collect::<Vec<_>>().concat());
    let resource = attributes(1, &json!([attribute("service.name", "shop")]));
    field(1, &[scope_spans, field(1, &resource)].concat())
}

async fn sessions(client: &Client) -> Vec<Value> {
    let list = client.get("/v1/agent-sessions?limit=100").await.ok();
    list["sessions"].as_array().unwrap().clone()
}

async fn events(client: &Client) -> Vec<Value> {
    let list = client.get("/v1/events?limit=1000").await.ok();
    list["events"].as_array().unwrap().clone()
}

#[tokio::test]
async fn spans_of_a_conversation_are_a_session() {
    let app = App::start().await;
    let client = app.client("acme");
    let spans = [span("s", (2, 1), (5, 50)), span("s", (1, 0), (1, 60))];
    let body = request(&spans).to_string();
    let path = "/v1/traces?ttl_seconds=60000&project_id=checkout";
    client.post(path, "application/json", body).await.ok();
    let session = client.get("/v1/agent-sessions/s").await.ok();
    for (name, expected) in [
        ("status", json!("active")),
        ("agent_id", json!("triage")),
        ("agent_name", json!("triage")),
        ("project_id", json!("checkout")),
        ("created_at", json!("2026-01-31T11:00:01.000000Z")),
        ("last_activity_at", json!("2026-01-31T11:01:00.000000Z")),
        ("expires_at", json!("2026-02-01T03:41:00.000000Z")),
        (
            "metadata",
            json!({"runtime": "opentelemetry", "service": "shop"}),
        ),
    ] {
        assert_eq!(session[name], expected, "{name}");
    }
    let opened = &events(&client).await[0]["event"];
    let expected = "00-5b8efff798038103d269b633813fc60c-0000000000000001-01";
    assert_eq!(opened["traceparent"], expected);
    app.stop().await;
}

#[tokio::test]
async fn spans_without_a_conversation_mean_nothing() {
    let app = App::start().await;
    let client = app.client("acme");
    let mut plain = span("s", (1, 0), (0, 1));
    plain["attributes"] = json!([]);
    take(&client, &[plain]).await;
    take(&client, &[]).await;
    client
        .post("/v1/traces", "application/json", "{}")
        .await
        .ok();
    let empty = client
        .post("/v1/traces", "application/x-protobuf", "")
        .await;
    assert_eq!((empty.status, empty.text.as_str()), (200, ""));
    assert!(app.is_empty());
    app.stop().await;
}

#[tokio::test]
async fn protobuf_and_json_with_any_coding_mean_the_same() {
    let app = App::start().await;
    let spans = transfer("s");
    let (json, binary) = (request(&spans).to_string().into_bytes(), protobuf(&spans));
    let mut shown = Vec::new();
    for (tenant, media_type, body) in [
        ("json", "application/json", json),
        ("binary", "application/x-protobuf", binary),
    ] {
        for coded in [false, true] {
            let client = app.client(&format!("{tenant}-{coded}"));
            let mut headers = vec![("content-type", media_type)];
            let mut body = body.clone();
            if coded {
                headers.push(("content-encoding", "gzip"));
                body = gzip(&body).await;
            }
            let post = axum::http::Method::POST;
            let answer = client.send(post, "/v1/traces", &headers, body).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            assert_eq!(answer.header("content-type"), media_type);
            let events = events(&client).await.into_iter();
            shown.push(
                events
                    .map(|event| event["event"].clone())
                    .collect::<Vec<_>>(),
            );
        }
    }
    assert_eq!(shown[0].len(), 3);
    assert!(shown.iter().all(|one| *one == shown[0]));
    app.stop().await;
}

async fn gzip(body: &[u8]) -> Vec<u8> {
    use tokio::io::AsyncWriteExt as _;
    let mut encoder = async_compression::tokio::write::GzipEncoder::new(Vec::new());
    encoder.write_all(body).await.unwrap();
    encoder.shutdown().await.unwrap();
    encoder.into_inner()
}

#[tokio::test]
async fn an_agent_that_takes_over_has_a_session_of_its_own() {
    let app = App::start().await;
    let client = app.client("acme");
    take(&client, &transfer("s")).await;
    let first = client.get("/v1/agent-sessions/s").await.ok();
    assert_eq!(first["status"], "handed_off");
    assert_eq!(first["handed_off_to"], "refunds");
    let child = first["handed_off_session_id"].as_str().unwrap();
    let child = client
        .get(&format!("/v1/agent-sessions/{child}"))
        .await
        .ok();
    assert_eq!(child["agent_id"], "refunds");
    assert_eq!(child["status"], "active");
    assert_eq!(child["last_activity_at"], "2026-01-31T11:03:08.000000Z");
    app.stop().await;
}

#[tokio::test]
async fn agents_that_hand_back_and_forth_are_one_lineage() {
    let app = App::start().await;
    let client = app.client("acme");
    let mut spans = vec![span("s", (1, 0), (0, 3000))];
    let agents = ["refunds", "triage"].into_iter().cycle();
    for (turn, to) in (0..10).zip(agents) {
        let (tool, agent) = (100 + 2 * turn, 101 + 2 * turn);
        let tool_name = format!("transfer_to_{to}");
        let (start, end) = (10 * turn, 1000 - 10 * turn);
        let tools = [
            ("gen_ai.operation.name", "execute_tool"),
            ("gen_ai.tool.name", &tool_name),
        ];
        let invokes = [
            ("gen_ai.operation.name", "invoke_agent"),
            ("gen_ai.agent.name", to),
        ];
        spans.push(with(span("s", (tool, tool - 1), (start + 1, end)), &tools));
        spans.push(with(span("s", (agent, tool), (start + 2, end)), &invokes));
    }
    for _ in 0..2 {
        // One agent after another, as exports of a long conversation arrive.
        for part in [&spans[..1], &spans[1..9], &spans[9..]] {
            take(&client, part).await;
        }
        let all = sessions(&client).await;
        assert_eq!(all.len(), 11);
        let active: Vec<&Value> = all.iter().filter(|one| one["status"] == "active").collect();
        assert_eq!(active.len(), 1);
        assert_eq!(active[0]["agent_id"], "triage");
        let roots = client.get("/v1/agent-sessions?root=true").await.ok();
        assert_eq!(roots["total"], 1);
    }
    app.stop().await;
}

#[tokio::test]
async fn a_failed_root_is_the_outcome_and_the_conversation_may_go_on() {
    let app = App::start().await;
    let client = app.client("acme");
    let mut failed = span("s", (1, 0), (0, 9));
    failed["status"]["code"] = json!(2);
    take(&client, &[failed.clone()]).await;
    let first = client.get("/v1/agent-sessions/s").await.ok();
    assert_eq!(
        (&first["status"], &first["outcome"]),
        (&json!("terminated"), &json!("error"))
    );
    take(&client, &[span("s", (2, 0), (10, 11)), failed]).await;
    let second = client.get("/v1/agent-sessions/s.2").await.ok();
    assert_eq!(second["status"], "active");
    assert_eq!(second["metadata"]["resumes"], "s");
    app.stop().await;
}

/// What an export in any order gives: without the time and the agent of the first span to arrive, and
/// without the times of signs of life: only one in 30 s counts.
fn exact(sessions: &[Value]) -> Vec<(Value, Value, Value, i64)> {
    let mut shown: Vec<_> = sessions
        .iter()
        .map(|session| {
            let time = session["last_activity_at"].as_str().unwrap();
            let minutes = time[14..16].parse::<i64>().unwrap();
            let seconds = time[17..19].parse::<i64>().unwrap();
            let at = 60 * minutes + seconds;
            let [id, status, parent] = ["session_id", "status", "parent_session_id"];
            (
                session[id].clone(),
                session[status].clone(),
                session[parent].clone(),
                at,
            )
        })
        .collect();
    shown.sort_by_key(|(id, ..)| id.to_string());
    shown
}

#[tokio::test]
async fn exports_in_any_order_and_sent_again_give_the_same_sessions() {
    let app = App::start().await;
    for seed in 0..16 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut spans: Vec<Value> = (1..=random.u64(1..20))
            .map(|id| {
                let conversation = ["a", "b", "c"][random.usize(..3)];
                let start = random.u64(..1500);
                span(conversation, (id, 0), (start, start + random.u64(..900)))
            })
            .collect();
        let mut expected = None;
        for order in 0..3 {
            let client = app.client(&format!("t{seed}-{order}"));
            random.shuffle(&mut spans);
            let mut first = None;
            for _ in 0..2 {
                let mut rest = spans.as_slice();
                while !rest.is_empty() {
                    let (batch, later) = rest.split_at(random.usize(1..=rest.len()));
                    take(&client, batch).await;
                    rest = later;
                }
                let now = (sessions(&client).await, events(&client).await);
                // What is sent again appends nothing.
                assert_eq!(
                    *first.get_or_insert_with(|| now.clone()),
                    now,
                    "seed {seed}"
                );
            }
            let found = exact(&sessions(&client).await);
            let expected = expected.get_or_insert_with(|| found.clone());
            assert_eq!(found.len(), expected.len(), "seed {seed}");
            for (found, expected) in found.iter().zip(expected) {
                assert_eq!(
                    (&found.0, &found.1, &found.2),
                    (&expected.0, &expected.1, &expected.2)
                );
                assert!(
                    (found.3 - expected.3).abs() < 30,
                    "seed {seed}: {found:?} {expected:?}"
                );
            }
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn exports_that_are_sent_at_the_same_time_are_taken_once() {
    let app = App::start().await;
    let client = app.client("acme");
    let spans = transfer("s");
    let exports = (0..8).map(|_| export(&client, &spans));
    for answer in futures_util::future::join_all(exports).await {
        assert_eq!((answer.status, answer.text.as_str()), (200, "{}"));
    }
    let applied = events(&client).await;
    let applied = applied.iter().filter(|event| event["verdict"] == "applied");
    assert_eq!(applied.count(), 3);
    app.stop().await;
}

#[tokio::test]
async fn an_answer_counts_what_was_rejected_and_names_why() {
    let app = App::start().await;
    let client = app.client("acme");
    let agent = json!({"agent_id": "rogue"}).to_string();
    client.post("/v1/agents", "application/json", agent).await;
    let revoked = client
        .post("/v1/agents/rogue/revoke", "application/json", "{}")
        .await;
    assert_eq!(revoked.status, 200, "{}", revoked.text);
    let mut rogue = span("r", (3, 0), (0, 1));
    rogue["attributes"][1]["value"]["stringValue"] = json!("rogue");
    let spans = [
        span("a/b", (1, 0), (0, 1)),
        span("s", (2, 0), (0, 1)),
        rogue,
    ];
    let partial = export(&client, &spans).await.ok()["partialSuccess"].clone();
    assert_eq!(partial["rejectedSpans"], "2");
    let message = partial["errorMessage"].as_str().unwrap();
    assert!(
        message.contains("gen_ai.conversation.id must not hold `/`"),
        "{message}"
    );
    assert!(
        message.contains("conversation r: agent_revoked"),
        "{message}"
    );
    assert_eq!(
        client.get("/v1/agent-sessions/s").await.ok()["status"],
        "active"
    );
    let answer = client
        .post(
            "/v1/traces",
            "application/x-protobuf",
            protobuf(&spans[..1]),
        )
        .await;
    assert_eq!(answer.status, 200);
    assert!(answer.text.contains("must not hold `/`"), "{}", answer.text);
    app.stop().await;
}

#[tokio::test]
async fn what_is_no_export_is_a_problem() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let key = |role: Role| app.key(grant("acme", [role].into_iter().collect::<Roles>()));
    let client = app.client("none").with_key(&key(Role::Write).await);
    for (media_type, body, status, code) in [
        ("application/json", "{", 400, "not_json"),
        ("application/json", "[]", 400, "not_json"),
        ("application/json", "", 400, "not_json"),
        (
            "application/json",
            r#"{"resourceSpans": [[]]}"#,
            400,
            "not_json",
        ),
        ("application/x-protobuf", "\n\u{5}", 400, "invalid"),
        ("application/x-protobuf", "\u{7f}", 400, "invalid"),
        ("text/plain", "", 415, "unsupported_media_type"),
    ] {
        let answer = client.post("/v1/traces", media_type, body).await;
        answer.problem(status, code);
    }
    take(&client, &[span("s", (1, 0), (0, 1))]).await;
    let reader = app.client("none").with_key(&key(Role::Read).await);
    export(&reader, &[]).await.problem(403, "role_required");
    app.stop().await;
}

#[tokio::test]
async fn no_event_has_a_prompt() {
    let app = App::start().await;
    let client = app.client("acme");
    take(&client, &transfer("s")).await;
    let events = json!(events(&client).await).to_string();
    assert!(
        events.contains("session.handed_off") && !events.contains("secret"),
        "{events}"
    );
    app.stop().await;
}
