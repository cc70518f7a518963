//! Creates streams, changes and checks their settings, and reads their state.

use std::error::Error as _;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{
    CreateStreamError, CreateStreamErrorKind, GetStreamError, GetStreamErrorKind, RequestError,
    RequestErrorKind,
};
use async_nats::jetstream::stream::Config;

use super::config::JetStreamConfig;
use super::link::Link;
use super::pulse;
use super::settings::{self, check, required};
use crate::domain::Position;
use crate::domain::causes::because;
use crate::log::LogError;

/// The state of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StreamState {
    /// The first position that the stream still has; 1 if it has never had a record.
    pub(super) first: Position,
    pub(super) head: Position,
}

impl StreamState {
    /// Returns an error if the first records are gone.
    pub(super) fn check_first(&self) -> Result<(), LogError> {
        if Position::ZERO.next() < self.first {
            return Err(LogError::Erased { first: self.first });
        }
        Ok(())
    }
}

/// Creates the stream if it does not exist, or allows atomic batches on the stream of an earlier build.
/// Checks its settings.
pub(super) async fn ensure(
    link: &Link,
    config: &JetStreamConfig,
    expect_existing: bool,
) -> Result<StreamState, LogError> {
    if let Some((existing, state)) = get(link, &config.stream).await? {
        let wanted = settings::with_batches(&existing);
        check(&change(link, existing, wanted, config).await?, config)?;
        return Ok(state);
    }
    if expect_existing {
        return Err(LogError::misconfigured(format!(
            "stream {} does not exist, but this ledger has read from it: it was deleted, or this \
             is another server",
            config.stream
        )));
    }
    create(link, config).await.map(|(_, state)| state)
}

/// Changes the settings of a stream to others, if those are right. Returns the present settings.
pub(super) async fn change(
    link: &Link,
    existing: Config,
    wanted: Config,
    config: &JetStreamConfig,
) -> Result<Config, LogError> {
    if wanted == existing || check(&wanted, config).is_err() {
        return Ok(existing);
    }
    let stream = &config.stream;
    let subject = format!("$JS.API.STREAM.UPDATE.{stream}");
    let request = link.context.update_stream(&wanted);
    match link.denials.or_denied(&subject, request).await {
        Ok(Ok(updated)) => {
            let changes = settings::changes(&existing, &updated.config);
            tracing::info!(stream = %stream, "changed stream {stream}: {}", changes.join(", "));
            Ok(updated.config)
        }
        Ok(Err(error)) => Err(not_done("change", stream, error)),
        Err(_denied) => {
            let wrong = settings::wrong(&existing, config).join("; ");
            Err(LogError::misconfigured(format!(
                "stream {stream}: {wrong}. This NATS user may not change the stream: run \
                 `session-ledger streams create` as a user that may"
            )))
        }
    }
}

/// Returns the state of the stream; `None` if it does not exist.
pub(super) async fn state(link: &Link, stream: &str) -> Result<Option<StreamState>, LogError> {
    Ok(get(link, stream).await?.map(|(_, state)| state))
}

/// Returns the error for a stream that should exist and does not.
pub(super) fn missing(stream: &str) -> LogError {
    LogError::unavailable(format!("stream {stream} does not exist"))
}

/// Returns the configuration and state of the stream; `None` if it does not exist.
pub(super) async fn get(
    link: &Link,
    stream: &str,
) -> Result<Option<(Config, StreamState)>, LogError> {
    let subject = format!("$JS.API.STREAM.INFO.{stream}");
    let request = link.context.get_stream(stream);
    let cannot_read = || format!("cannot read the settings of stream {stream}");
    let answer = link.denials.or_denied(&subject, request).await;
    match answer.map_err(|denied| LogError::unavailable(because(cannot_read(), denied)))? {
        Ok(stream) => {
            let info = stream.cached_info();
            let replicas = info.cluster.iter().flat_map(|cluster| &cluster.replicas);
            let silences: Vec<_> = replicas.map(|replica| replica.active).collect();
            let has_leader = info.cluster.as_ref().is_none_or(|cluster| {
                let leader = cluster.leader.as_ref();
                leader.is_some_and(|name| !name.is_empty())
            });
            if !has_leader {
                let why = "the stream has no leader";
                return Err(LogError::unavailable(because(cannot_read(), why)));
            }
            if !pulse::has_quorum(&silences) {
                // The others may have a new leader, and more records.
                let why = "the leader of the stream is cut off from the other servers";
                return Err(LogError::unavailable(because(cannot_read(), why)));
            }
            let state = StreamState {
                // Of an empty stream, servers say 0 or 1.
                first: Position::new(info.state.first_sequence.max(1)),
                head: Position::new(info.state.last_sequence),
            };
            Ok(Some((info.config.clone(), state)))
        }
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(error)
                if error.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                Ok(None)
            }
            GetStreamErrorKind::EmptyName | GetStreamErrorKind::InvalidStreamName => Err(
                LogError::misconfigured(format!("{stream:?} is not a valid name of a stream")),
            ),
            GetStreamErrorKind::JetStream(error)
                if error.error_code() == ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT =>
            {
                Err(LogError::misconfigured(
                    "JetStream is not enabled for this account: add `jetstream: enabled` to the \
                     account in the server's configuration",
                ))
            }
            GetStreamErrorKind::JetStream(error)
                if error.error_code() == ErrorCode::JETSTREAM_NOT_ENABLED =>
            {
                Err(not_enabled())
            }
            // In a cluster, another server may have JetStream and answer.
            GetStreamErrorKind::Request
                if has_no_responders(&error) && !link.client.server_info().jetstream =>
            {
                Err(not_enabled())
            }
            GetStreamErrorKind::JetStream(_) | GetStreamErrorKind::Request => {
                Err(LogError::unavailable(because(cannot_read(), error)))
            }
        },
    }
}

fn not_enabled() -> LogError {
    LogError::misconfigured("JetStream is not enabled: start nats-server with --jetstream")
}

fn has_no_responders(error: &GetStreamError) -> bool {
    let source = error.source();
    source
        .and_then(|source| source.downcast_ref::<RequestError>())
        .is_some_and(|error| error.kind() == RequestErrorKind::NoResponders)
}

/// Creates the stream and checks it. Returns `true` unless another node was faster, and the state.
pub(super) async fn create(
    link: &Link,
    config: &JetStreamConfig,
) -> Result<(bool, StreamState), LogError> {
    let created = request_creation(link, config).await?;
    // The settings are those that the server has stored, or those of the other node.
    match get(link, &config.stream).await? {
        Some((settings, state)) => check(&settings, config).map(|()| (created, state)),
        None => Err(missing(&config.stream)),
    }
}

/// Returns `false` if the stream exists.
async fn request_creation(link: &Link, config: &JetStreamConfig) -> Result<bool, LogError> {
    let stream = &config.stream;
    let subject = format!("$JS.API.STREAM.CREATE.{stream}");
    let request = link.context.create_stream(required(config));
    let error = match link.denials.or_denied(&subject, request).await {
        Ok(Ok(_)) => {
            tracing::info!(stream = %stream, "created stream {stream}");
            return Ok(true);
        }
        Ok(Err(error)) => error,
        Err(_denied) => {
            return Err(LogError::misconfigured(format!(
                "stream {stream} does not exist, and this NATS user may not create it: run \
                 `session-ledger streams create` as a user that may"
            )));
        }
    };
    match error.kind() {
        CreateStreamErrorKind::JetStream(error)
            if error.error_code() == ErrorCode::STREAM_NAME_EXIST =>
        {
            Ok(false)
        }
        _ => Err(not_done("create", stream, error)),
    }
}

/// Returns the error for a stream that was not created or changed.
fn not_done(what: &str, stream: &str, error: CreateStreamError) -> LogError {
    match error.kind() {
        // The server refuses, for example because of another stream's subjects or too many replicas.
        CreateStreamErrorKind::JetStream(error) if error.code() != 503 => {
            let what = format!("the server refuses to {what} stream {stream}");
            LogError::misconfigured(because(what, error))
        }
        _ => LogError::unavailable(because(format!("cannot {what} stream {stream}"), error)),
    }
}
