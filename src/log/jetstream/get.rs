//! Reads records by position, through the API that answers in JSON.
//!
//! Not by direct get: that answers with the stored headers, and a block of headers that the client
//! library cannot parse (any runtime can publish one) makes it drop the whole connection.

use std::borrow::Cow;

use async_nats::client::RequestErrorKind;
use async_nats::jetstream::ErrorCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;

use super::link::Link;
use super::message;
use super::topology;
use crate::domain::limits::LOG_GET_IN_FLIGHT_MAX;
use crate::domain::{Position, Timestamp};
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

/// The records at these positions, in the order asked for.
pub(super) async fn get(
    link: &Link,
    stream: &str,
    positions: Vec<Position>,
) -> Result<Vec<Record>, LogError> {
    stream::iter(positions)
        .map(|position| async move {
            match get_one(link, stream, position).await? {
                Some(record) => Ok(record),
                None => Err(explain_missing(link, stream, position).await),
            }
        })
        .buffered(LOG_GET_IN_FLIGHT_MAX)
        .try_collect()
        .await
}

/// The record at a position, if the stream has it.
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
            LogError::Unavailable("JetStream is not there (no responders)".to_owned())
        }
        _ => LogError::Unavailable(format!("cannot read position {position}: {error}")),
    })?;
    let malformed = || LogError::Damaged(format!("the server's answer on {position} is malformed"));
    let answer: Answer<'_> =
        serde_json::from_slice(&reply.payload).map_err(|_not_json| malformed())?;
    match answer {
        Answer {
            message: Some(stored),
            error: None,
        } => stored.into_record(position).map(Some).ok_or_else(malformed),
        Answer {
            error: Some(error), ..
        } => match error.error_code() {
            ErrorCode::NO_MESSAGE_FOUND => Ok(None),
            ErrorCode::STREAM_NOT_FOUND => Err(topology::missing(stream)),
            _ => Err(LogError::Unavailable(format!(
                "cannot read position {position}: {error}"
            ))),
        },
        Answer { .. } => Err(malformed()),
    }
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
        Ok(Some(_)) => LogError::Damaged(format!("there is no record at position {position}")),
        Ok(None) => topology::missing(stream),
        Err(error) => error,
    }
}
