//! Reads records by position, through the API that answers in JSON.
//!
//! The answer to a direct get would carry the stored headers as headers of its own. If the client library
//! cannot parse them, it drops the whole connection, and any runtime can publish such headers.

use std::borrow::Cow;

use async_nats::client::RequestErrorKind;
use async_nats::jetstream::ErrorCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;
use tokio::time::sleep;

use super::link::Link;
use super::message;
use super::topology;
use super::{DOUBT_PAUSE_MAX, DOUBT_PAUSE_MIN};
use crate::domain::causes::BoxError;
use crate::domain::causes::because;
use crate::domain::limits::{LOG_GET_IN_FLIGHT_MAX, LOG_MISSING_RETRIES};
use crate::domain::{Position, Timestamp, backoff};
use crate::log::{LogError, Record};

/// The server's answer.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    message: Option<Stored<'a>>,
    error: Option<async_nats::jetstream::Error>,
}

/// A stored message.
#[derive(Deserialize)]
struct Stored<'a> {
    #[serde(borrow)]
    subject: Cow<'a, str>,
    #[serde(borrow, default)]
    hdrs: Cow<'a, str>,
    #[serde(borrow, default)]
    data: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
}

/// Returns the records at these positions, in the order of the request.
pub(super) async fn get(
    link: &Link,
    stream: &str,
    positions: Vec<Position>,
) -> Result<Vec<Record>, LogError> {
    stream::iter(positions)
        .map(|position| get_surely(link, stream, position))
        .buffered(LOG_GET_IN_FLIGHT_MAX)
        .try_collect()
        .await
}

/// Returns the record at a position of a stream that has had it.
///
/// While a cluster changes the leader of the stream, the previous one may answer as well, and lacks the
/// newest records. So a record that seems to be missing, although the stream goes on, is asked for again.
async fn get_surely(link: &Link, stream: &str, position: Position) -> Result<Record, LogError> {
    let mut retries = 0;
    loop {
        if let Some(record) = get_one(link, stream, position).await? {
            return Ok(record);
        }
        match explain_missing(link, stream, position).await {
            LogError::Damaged(_) if retries < LOG_MISSING_RETRIES => {
                sleep(backoff(retries, DOUBT_PAUSE_MIN, DOUBT_PAUSE_MAX)).await;
                retries += 1;
            }
            why => return Err(why),
        }
    }
}

/// Returns the record at a position; `None` if the stream has no such record.
pub(super) async fn get_one(
    link: &Link,
    stream: &str,
    position: Position,
) -> Result<Option<Record>, LogError> {
    let subject = format!("$JS.API.STREAM.MSG.GET.{stream}");
    let request = format!(r#"{{"seq":{position}}}"#);
    let reply = link.client.request(subject, request.into()).await;
    let reply = reply.map_err(|error| match error.kind() {
        RequestErrorKind::NoResponders => {
            LogError::unavailable("JetStream does not answer (no responders)")
        }
        _ => cannot_read(position, error),
    })?;
    let malformed = || format!("the server's answer for position {position} is malformed");
    let answer: Answer<'_> = serde_json::from_slice(&reply.payload)
        .map_err(|error| LogError::damaged(because(malformed(), error)))?;
    match answer {
        Answer {
            message: Some(stored),
            error: None,
        } => match stored.into_record(position) {
            Some(record) => Ok(Some(record)),
            None => Err(LogError::damaged(malformed())),
        },
        Answer {
            error: Some(error), ..
        } => match error.error_code() {
            ErrorCode::NO_MESSAGE_FOUND => Ok(None),
            ErrorCode::STREAM_NOT_FOUND => Err(topology::missing(stream)),
            _ => Err(cannot_read(position, error)),
        },
        Answer { .. } => Err(LogError::damaged(malformed())),
    }
}

fn cannot_read(position: Position, error: impl Into<BoxError>) -> LogError {
    LogError::unavailable(because(format!("cannot read position {position}"), error))
}

impl Stored<'_> {
    fn into_record(self, position: Position) -> Option<Record> {
        let recorded_at = Timestamp::parse(&self.time)?;
        let headers = STANDARD.decode(self.hdrs.as_bytes()).ok()?;
        let headers = (!headers.is_empty()).then(|| message::parse_headers(&headers));
        let payload = STANDARD.decode(self.data.as_bytes()).ok()?;
        let subject = &self.subject;
        Some(message::record(
            position,
            recorded_at,
            subject,
            headers.as_ref(),
            payload.into(),
        ))
    }
}

async fn explain_missing(link: &Link, stream: &str, position: Position) -> LogError {
    match topology::state(link, stream).await {
        Ok(Some(state)) if state.head < position => LogError::Truncated {
            head: state.head,
            after: position,
        },
        Ok(Some(_)) => LogError::damaged(format!(
            "there is no record at position {position}, although the log goes on"
        )),
        Ok(None) => topology::missing(stream),
        Err(error) => error,
    }
}
