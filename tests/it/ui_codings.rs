//! The files of `/ui` and `/docs` come in the coding that the client prefers, and `/docs` is served like `/ui`.

use std::collections::BTreeSet;
use std::fs;

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZstdDecoder};
use reqwest::Method;
use reqwest::header::HeaderMap;
use tokio::io::AsyncReadExt as _;

use crate::support::app::App;
use crate::support::connection::{rest, send};
use crate::ui_files;

/// The page `/docs` has no image and no font.
const DOCS_BYTES_MAX: usize = 20_000;

async fn decoded(coding: &str, bytes: &[u8]) -> String {
    let mut text = String::new();
    let read = match coding {
        "br" => BrotliDecoder::new(bytes).read_to_string(&mut text).await,
        "zstd" => ZstdDecoder::new(bytes).read_to_string(&mut text).await,
        _ => GzipDecoder::new(bytes).read_to_string(&mut text).await,
    };
    read.unwrap();
    text
}

/// The files of `/docs` and their texts.
fn docs() -> Vec<(String, String)> {
    let files = fs::read_dir("ui/docs").unwrap().map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read_to_string(&path).unwrap())
    });
    files.collect()
}

/// The address and the text of each file of both pages.
fn all() -> Vec<(String, String)> {
    let dashboard = ui_files::all().into_iter();
    let dashboard = dashboard.map(|(path, text)| (format!("/ui/{path}"), text));
    let docs = docs().into_iter();
    let docs = docs.map(|(path, text)| (format!("/docs/{path}"), text));
    dashboard.chain(docs).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_file_is_the_one_in_the_folder_in_every_coding() {
    let app = App::start().await;
    let client = app.client("acme");
    for (path, text) in all() {
        let (plain, bytes) = client.fetch(&path, &[]).await;
        assert_eq!(bytes, text.as_bytes(), "{path}");
        assert_eq!(plain.get("content-encoding"), None, "{path}");
        for coding in ["gzip", "br", "zstd"] {
            let accepted = [("accept-encoding", coding)];
            let (headers, bytes) = client.fetch(&path, &accepted).await;
            for name in ["etag", "vary", "content-type", "content-security-policy"] {
                assert_eq!(headers.get(name), plain.get(name), "{path} {name}");
            }
            assert_eq!(headers["vary"], "accept-encoding", "{path}");
            assert_eq!(headers["content-length"], bytes.len().to_string().as_str());
            match headers.get("content-encoding") {
                Some(sent) => {
                    assert_eq!(sent, coding, "{path}");
                    assert!(bytes.len() < text.len(), "{path}");
                    assert_eq!(decoded(coding, &bytes).await, text, "{path}");
                }
                // Only a short file may be longer in a coding.
                None => assert!(bytes.len() < 200, "{path}"),
            }
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_the_browser_has_in_one_coding_is_not_sent_in_another() {
    let app = App::start().await;
    let client = app.client("acme");
    for path in ["/ui/main.js", "/docs/docs.js"] {
        let (headers, _) = client.fetch(path, &[("accept-encoding", "br")]).await;
        let tag = headers["etag"].to_str().unwrap();
        // The tag is weak, so it may name all codings of the file (RFC 9110, section 8.8.1).
        assert!(tag.starts_with("W/"), "{tag}");
        let known = [("accept-encoding", "gzip"), ("if-none-match", tag)];
        let (headers, bytes) = client.fetch(path, &known).await;
        assert_eq!((headers["etag"].to_str().unwrap(), bytes.len()), (tag, 0));
        assert_eq!(headers.get("content-encoding"), None);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_about_the_api_is_served_without_a_credential() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let client = app.client("acme");
    let none = HeaderMap::new;
    let page = client.send_bare(Method::GET, "/docs/", none(), Vec::new());
    let page = page.await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let policy = page.header("content-security-policy");
    assert!(policy.contains("require-trusted-types-for 'script'"));
    let request = "GET /docs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = rest(send(&app, request).await).await;
    assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
    assert!(answer.contains("location: docs/\r\n"), "{answer}");
    for path in [
        "/docs/none.js",
        "/docs/../lib/api.js",
        "/ui/docs/index.html",
    ] {
        let answer = client
            .send_bare(Method::GET, path, none(), Vec::new())
            .await;
        answer.problem(404, "route_not_found");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_about_the_api_is_small() {
    let app = App::start().await;
    let client = app.client("acme");
    let mut sent = 0;
    for (path, _) in docs() {
        let accepted = [("accept-encoding", "gzip")];
        let (_, bytes) = client.fetch(&format!("/docs/{path}"), &accepted).await;
        sent += bytes.len();
    }
    assert!(sent < DOCS_BYTES_MAX, "{sent}");
    app.stop().await;
}

#[test]
fn the_page_about_the_api_uses_each_of_its_files_and_no_other_host() {
    let files = docs();
    let names: BTreeSet<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    for (name, text) in &files {
        for address in ["http:", "https:", "\"//", "@import", "innerHTML", "eval("] {
            assert!(!text.contains(address), "{name} has {address}");
        }
        assert!(text.is_ascii(), "{name}");
        let begins = ["// ", "/* ", "<!doctype html>"];
        assert!(begins.iter().any(|begin| text.starts_with(begin)), "{name}");
    }
    for name in names.iter().filter(|name| **name != "index.html") {
        let uses = |(other, text): &(String, String)| other != name && text.contains(name);
        assert!(files.iter().any(uses), "nothing uses {name}");
    }
}
