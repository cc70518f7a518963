//! Tests of retries, with servers that are silent, busy or stopped.

use std::sync::Mutex;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::*;

const BUSY: &str =
    "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0\r\nContent-Length: 2\r\n\r\n{}";
const DONE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
/// No answer: the server keeps the connection open.
pub(in crate::cli) const SILENT: &str = "";

/// A server that gives each connection one of the given answers, in order, and then accepts no more
/// connections.
pub(in crate::cli) struct Server {
    url: String,
    heard: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

impl Server {
    pub(in crate::cli) async fn start(answers: &[&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let (answers, heads) = (answers.to_vec(), Arc::clone(&heard));
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut open = Vec::new();
            for answer in answers {
                let (mut connection, _) = listener.accept().await.unwrap();
                let head = head(&mut connection).await;
                heads.lock().unwrap().push(head);
                connection.write_all(answer.as_bytes()).await.unwrap();
                if answer == SILENT {
                    open.push(connection);
                }
            }
            std::future::pending::<()>().await;
        });
        Self {
            url,
            heard,
            _serving: serving,
        }
    }

    pub(in crate::cli) fn api(&self) -> Api {
        crate::cli::install_tls();
        let patience = Patience {
            silence: Duration::from_millis(300),
            retries: Duration::from_millis(1_500),
            ..Patience::default()
        };
        let (base, who) = (base(&self.url, "http").unwrap(), Identity::tenant("acme"));
        Api::with_patience(base, who, &ClientTls::default(), patience).unwrap()
    }

    fn heard(&self) -> Vec<String> {
        std::mem::take(&mut *self.heard.lock().unwrap())
    }
}

/// The head of a request.
async fn head(connection: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

fn key_of(head: &str) -> &str {
    let lines = head.lines();
    let mut keys = lines.filter_map(|line| line.strip_prefix("idempotency-key: "));
    keys.next().unwrap()
}

#[tokio::test]
async fn a_read_is_retried_if_the_server_is_busy_or_silent() {
    let server = Server::start(&[BUSY, SILENT, DONE]).await;
    let answer = server.api().get(&["v1"], &Vec::new()).await;
    assert_eq!(answer.unwrap(), "{}");
    assert_eq!(server.heard().len(), 3);
}

#[tokio::test]
async fn a_change_is_retried_with_its_key_and_without_one_only_after_a_rate_limit() {
    let server = Server::start(&[SILENT, BUSY, DONE]).await;
    let (api, path) = (server.api(), ["v1"]);
    let change = async |key| api.change(Method::POST, &path, key, &0).await;
    assert_eq!(change(Some("k-1")).await.unwrap(), "{}");
    let heard = server.heard();
    let keys: Vec<&str> = heard.iter().map(|head| key_of(head)).collect();
    assert_eq!(keys, ["k-1"; 3]);

    let server = Server::start(&[BUSY, SILENT, DONE]).await;
    let failed = server.api().change(Method::POST, &path, None, &0).await;
    assert!(failed.unwrap_err().is_passing());
    assert_eq!(
        server.heard().len(),
        2,
        "a second one could be another change"
    );
}

#[tokio::test]
async fn retries_end_and_a_server_that_never_answered_is_not_retried() {
    let started = std::time::Instant::now();
    let server = Server::start(&[SILENT; 50]).await;
    let failed = server.api().get(&["v1"], &Vec::new()).await;
    assert!(matches!(failed, Err(ApiError::Unreachable { .. })));
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(2 < server.heard().len());

    let Server {
        url,
        _serving: mut serving,
        heard,
    } = server;
    serving.shutdown().await;
    let nobody = Server {
        url,
        _serving: serving,
        heard,
    };
    let started = std::time::Instant::now();
    assert!(nobody.api().get(&["v1"], &Vec::new()).await.is_err());
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[test]
fn an_address_needs_no_scheme_and_may_not_contain_a_secret() {
    let url = |text: &str| {
        base(text, "http")
            .map(|url| url.to_string())
            .map_err(|Usage(why)| why)
    };
    assert_eq!(url("127.0.0.1:8787").unwrap(), "http://127.0.0.1:8787/");
    assert_eq!(url("localhost:8787").unwrap(), "http://localhost:8787/");
    assert_eq!(
        url("https://ledger.example").unwrap(),
        "https://ledger.example/"
    );
    assert_eq!(base("h:1", "https").unwrap().as_str(), "https://h:1/");
    assert!(url("nowhere").is_err());
    assert!(url("ftp://h").unwrap_err().contains("http://HOST:PORT"));
    let secret = url("http://u:s3cret@h").unwrap_err();
    assert!(!secret.contains("s3cret"), "{secret}");
}
