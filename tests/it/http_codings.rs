//! Compressed bodies of requests and answers (`Content-Encoding`).

use std::io;

use async_compression::Level;
use async_compression::tokio::bufread;
use async_compression::tokio::write::{BrotliEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder};
use async_compression::zstd::CParameter;
use reqwest::Method;
use serde_json::json;
use session_ledger::domain::limits::REQUEST_BYTES_MAX;
use session_ledger::log::EventLog as _;
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::app::{App, NOW};
use crate::support::client::{Answer, Client, created};

const CODINGS: [&str; 4] = ["gzip", "deflate", "br", "zstd"];

async fn written(encoder: &mut (impl AsyncWrite + Unpin), text: &[u8]) {
    encoder.write_all(text).await.unwrap();
    encoder.shutdown().await.unwrap();
}

/// Encodes a text.
async fn coded(coding: &str, text: &[u8]) -> Vec<u8> {
    let out = Vec::new();
    match coding {
        "gzip" => {
            let mut encoder = GzipEncoder::new(out);
            written(&mut encoder, text).await;
            encoder.into_inner()
        }
        "deflate" => {
            let mut encoder = ZlibEncoder::new(out);
            written(&mut encoder, text).await;
            encoder.into_inner()
        }
        "br" => {
            let mut encoder = BrotliEncoder::with_quality(out, Level::Fastest);
            written(&mut encoder, text).await;
            encoder.into_inner()
        }
        _ => {
            let mut encoder = ZstdEncoder::new(out);
            written(&mut encoder, text).await;
            encoder.into_inner()
        }
    }
}

async fn decoded(coding: &str, bytes: &[u8]) -> io::Result<String> {
    let mut text = String::new();
    let read = match coding {
        "gzip" => {
            bufread::GzipDecoder::new(bytes)
                .read_to_string(&mut text)
                .await
        }
        "br" => {
            bufread::BrotliDecoder::new(bytes)
                .read_to_string(&mut text)
                .await
        }
        _ => {
            bufread::ZstdDecoder::new(bytes)
                .read_to_string(&mut text)
                .await
        }
    };
    read.map(|_bytes| text)
}

async fn post(client: &Client, path: &str, (kind, coding): (&str, &str), body: Vec<u8>) -> Answer {
    let headers = [("content-type", kind), ("content-encoding", coding)];
    client.send(Method::POST, path, &headers, body).await
}

const EVENT: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";
const JSON: &str = "application/json";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_commands_and_dialects_accept_bodies_in_every_coding() {
    let app = App::start().await;
    let client = app.client("acme");
    for coding in CODINGS {
        let event = created(&format!("s-{coding}"), "a1", NOW).to_string();
        let body = coded(coding, event.as_bytes()).await;
        let answer = post(&client, "/v1/events", (EVENT, coding), body).await;
        assert_eq!(answer.status, 201, "{coding}: {}", answer.text);
        let body = coded(coding, br#"{"agent_id":"a1"}"#).await;
        let answer = post(&client, "/v1/agent-sessions", (JSON, coding), body).await;
        assert_eq!(answer.status, 201, "{coding}: {}", answer.text);
        let body = coded(coding, br#"{"agent_name":"a2"}"#).await;
        let answer = post(&client, "/compat/agi/v1/sessions", (JSON, coding), body).await;
        assert_eq!(answer.status, 200, "{coding}: {}", answer.text);
        assert_eq!(answer.json()["agent_name"], "a2");
    }
    for coding in ["identity", "X-GZIP"] {
        let event = created(&format!("s-{coding}"), "a1", NOW).to_string();
        let body = match coding {
            "identity" => event.into_bytes(),
            _ => coded("gzip", event.as_bytes()).await,
        };
        let answer = post(&client, "/v1/events", (EVENT, coding), body).await;
        assert_eq!(answer.status, 201, "{coding}: {}", answer.text);
    }
    app.stop().await;
}

/// Returns a batch of one event, padded with spaces to this length.
fn padded(session: &str, len: usize) -> Vec<u8> {
    let mut text = json!([created(session, "a1", NOW)])
        .to_string()
        .into_bytes();
    text.resize(len, b' ');
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decoded_body_has_the_size_limit_of_all_bodies() {
    let app = App::start().await;
    let client = app.client("acme");
    for coding in CODINGS {
        let body = coded(coding, &padded(coding, REQUEST_BYTES_MAX)).await;
        let answer = post(&client, "/v1/events", (BATCH, coding), body).await;
        assert!(answer.status < 300, "{coding}: {}", answer.text);
        let head = app.log.known_head();
        let body = coded(coding, &padded("no", REQUEST_BYTES_MAX + 1)).await;
        assert!(body.len() < REQUEST_BYTES_MAX / 100, "{coding}");
        let answer = post(&client, "/v1/events", (BATCH, coding), body).await;
        answer.problem(413, "request_too_large");
        assert_eq!(app.log.known_head(), head);
    }
    // The limit also holds for a body that decodes to nothing: many empty gzip members. Each has a
    // long file name (FNAME, RFC 1952), because a debug build takes its time for each member.
    let mut nothing = coded("gzip", b"").await;
    nothing[3] |= 0x08;
    let name = [&b"x".repeat(1_000)[..], b"\0"].concat();
    nothing.splice(10..10, name);
    let body = nothing.repeat(REQUEST_BYTES_MAX / nothing.len() + 1);
    let answer = post(&client, "/v1/events", (BATCH, "gzip"), body).await;
    answer.problem(413, "request_too_large");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_codings_are_rejected_with_a_list_of_the_supported_ones() {
    let app = App::start().await;
    let client = app.client("acme");
    for coding in ["compress", "gzip, gzip", "aws-chunked"] {
        let body = coded("gzip", b"{}").await;
        let answer = post(&client, "/v1/events", (EVENT, coding), body).await;
        assert_eq!(answer.header("accept-encoding"), "gzip, deflate, br, zstd");
        answer.problem(415, "unsupported_content_encoding");
        let body = coded("gzip", b"{}").await;
        let answer = post(&client, "/compat/agi/v1/sessions", (JSON, coding), body).await;
        assert_eq!(answer.status, 415, "{}", answer.text);
        assert_eq!(answer.header("accept-encoding"), "gzip, deflate, br, zstd");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_not_in_its_coding_is_rejected() {
    let app = App::start().await;
    let client = app.client("acme");
    let head = app.log.known_head();
    let event = created("s1", "a1", NOW).to_string();
    for coding in CODINGS {
        let whole = coded(coding, event.as_bytes()).await;
        let bodies = [
            event.clone().into_bytes(),
            whole[..whole.len() - 5].to_vec(),
            [&whole[..], b"more"].concat(),
        ];
        for body in bodies {
            let answer = post(&client, "/v1/events", (EVENT, coding), body).await;
            let problem = answer.problem(400, "unreadable_body");
            let detail = problem["detail"].as_str().unwrap();
            assert!(
                detail.contains(&format!("is not valid {coding}")),
                "{detail}"
            );
        }
    }
    // A zstd window larger than a decoder must support.
    let large = [CParameter::window_log(27)];
    let mut encoder = ZstdEncoder::with_quality_and_params(Vec::new(), Level::Default, &large);
    written(&mut encoder, event.as_bytes()).await;
    let answer = post(&client, "/v1/events", (EVENT, "zstd"), encoder.into_inner()).await;
    answer.problem(400, "unreadable_body");
    assert_eq!(app.log.known_head(), head);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compressed_body_leaves_its_connection_open() {
    let app = App::start().await;
    let mut stream = TcpStream::connect(app.host()).await.unwrap();
    for session in ["s1", "s2"] {
        let event = created(session, "a1", NOW).to_string();
        let body = coded("gzip", event.as_bytes()).await;
        let head = format!(
            "POST /v1/events HTTP/1.1\r\nHost: localhost\r\nX-Tenant-ID: acme\r\n\
             Content-Type: {EVENT}\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream
            .write_all(&[head.as_bytes(), &body].concat())
            .await
            .unwrap();
        let mut answer = String::new();
        while !answer.ends_with('}') {
            answer.push(char::from(stream.read_u8().await.unwrap()));
        }
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        assert!(!answer.contains("connection: close"), "{answer}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_compressed_on_request() {
    let app = App::start().await;
    let client = app.client("acme");
    for number in 0..50 {
        client
            .apply(&created(&format!("s{number}"), "a1", NOW))
            .await;
    }
    let pages = "/v1/agent-sessions?limit=50";
    let plain = client.get(pages).await;
    assert_eq!(plain.header("content-encoding"), "");
    assert_eq!(plain.header("content-length"), plain.text.len().to_string());
    for coding in ["gzip", "br", "zstd"] {
        let (headers, bytes) = client.fetch(pages, &[("accept-encoding", coding)]).await;
        assert_eq!(headers["content-encoding"], coding);
        assert_eq!(headers["content-length"], bytes.len().to_string());
        let vary = headers.get_all("vary").iter();
        assert!(vary.into_iter().any(|value| value == "accept-encoding"));
        assert!(
            bytes.len() < plain.text.len() / 8,
            "{coding}: {}",
            bytes.len()
        );
        assert_eq!(decoded(coding, &bytes).await.unwrap(), plain.text);
    }
    let (headers, bytes) = client
        .fetch(
            "/v1/events",
            &[
                ("accept", "application/x-ndjson"),
                ("accept-encoding", "gzip"),
            ],
        )
        .await;
    assert_eq!(headers["content-encoding"], "gzip");
    assert_eq!(decoded("gzip", &bytes).await.unwrap().lines().count(), 50);
    let (headers, _) = client
        .fetch("/healthz", &[("accept-encoding", "gzip")])
        .await;
    assert!(!headers.contains_key("content-encoding"));
    let (headers, _) = client
        .fetch(pages, &[("accept-encoding", "gzip;q=0, deflate")])
        .await;
    assert!(!headers.contains_key("content-encoding"));
    app.stop().await;
}
