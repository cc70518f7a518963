//! Creates the stream, or checks that the settings of an existing one keep the log's promises.

use std::error::Error as _;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{
    CreateStreamErrorKind, GetStreamError, GetStreamErrorKind, RequestError, RequestErrorKind,
};
use async_nats::jetstream::stream::Config;

use super::config::JetStreamConfig;
use super::link::Link;
use super::settings::{check, required};
use crate::domain::Position;
use crate::domain::causes::because;
use crate::log::LogError;

/// The state of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StreamState {
    /// The first position that the stream still has; 1 if it has never had a record.
    pub(super) first: Position,
    pub(super) head: Position,
    /// The time at which it was created, in nanoseconds. Differs if a stream was deleted and created
    /// again.
    pub(super) created_ns: i128,
}

/// Creates the stream if it does not exist, and checks it.
pub(super) async fn ensure(
    link: &Link,
    config: &JetStreamConfig,
    expect_existing: bool,
) -> Result<StreamState, LogError> {
    if let Some((existing, state)) = get(link, &config.stream).await? {
        check(&allow_batches(link, existing, config).await, config)?;
        return Ok(state);
    }
    if expect_existing {
        return Err(LogError::misconfigured(format!(
            "stream {} does not exist, but this ledger has read from it: it was deleted, or this \
             is another server",
            config.stream
        )));
    }
    create(link, config).await?;
    match get(link, &config.stream).await? {
        Some((created, state)) => check(&created, config).map(|()| state),
        None => Err(missing(&config.stream)),
    }
}

/// Allows atomic batches on the stream of an earlier build, if its other settings are right.
async fn allow_batches(link: &Link, existing: Config, config: &JetStreamConfig) -> Config {
    let changed = Config {
        allow_atomic_publish: true,
        ..existing.clone()
    };
    if changed == existing || check(&changed, config).is_err() {
        return existing;
    }
    match link.context.update_stream(changed).await {
        Ok(updated) => {
            tracing::info!(stream = %config.stream, "allowed atomic batches");
            updated.config
        }
        Err(error) => {
            tracing::warn!("the server did not allow atomic batches on the stream: {error}");
            existing
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
    match link.context.get_stream(stream).await {
        Ok(stream) => {
            let info = stream.cached_info();
            let state = StreamState {
                // Of an empty stream, servers say 0 or 1.
                first: Position::new(info.state.first_sequence.max(1)),
                head: Position::new(info.state.last_sequence),
                created_ns: info.created.unix_timestamp_nanos(),
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
                let what = format!("cannot read the settings of stream {stream}");
                Err(LogError::unavailable(because(what, error)))
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

async fn create(link: &Link, config: &JetStreamConfig) -> Result<(), LogError> {
    let Err(error) = link.context.create_stream(required(config)).await else {
        tracing::info!(stream = %config.stream, "created stream {}", config.stream);
        return Ok(());
    };
    match error.kind() {
        // Another node was faster. The caller checks its stream like any other.
        CreateStreamErrorKind::JetStream(error)
            if error.error_code() == ErrorCode::STREAM_NAME_EXIST =>
        {
            Ok(())
        }
        // The server refuses, for example because of another stream's subjects or too many replicas.
        CreateStreamErrorKind::JetStream(error) if error.code() != 503 => {
            let what = format!("the server refuses to create stream {}", config.stream);
            Err(LogError::misconfigured(because(what, error)))
        }
        _ => {
            let what = format!("cannot create stream {}", config.stream);
            Err(LogError::unavailable(because(what, error)))
        }
    }
}
