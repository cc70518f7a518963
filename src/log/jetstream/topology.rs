//! Creates the stream, or checks that the settings of an existing one keep the log's promises.

use std::error::Error as _;
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{
    CreateStreamErrorKind, GetStreamError, GetStreamErrorKind, RequestError, RequestErrorKind,
};
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, PersistenceMode, RetentionPolicy, StorageType,
};

use super::config::JetStreamConfig;
use super::link::Link;
use crate::domain::Position;
use crate::domain::causes::because;
use crate::domain::limits::LOG_MESSAGE_BYTES_MAX;
use crate::log::LogError;

/// The shortest window that the server allows. Within it, the server drops a message whose
/// `Nats-Msg-Id` another publisher has used.
const DUPLICATE_WINDOW: Duration = Duration::from_millis(100);

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

/// The settings of a stream that the ledger creates. For the server, a limit of 0 means -1.
fn required(config: &JetStreamConfig) -> Config {
    Config {
        name: config.stream.clone(),
        description: Some(config.description.to_owned()),
        subjects: config.subjects.clone(),
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::New,
        storage: StorageType::File,
        num_replicas: config.replicas,
        max_message_size: message_bytes_max(),
        duplicate_window: DUPLICATE_WINDOW,
        deny_delete: true,
        deny_purge: true,
        allow_atomic_publish: true,
        ..Config::default()
    }
}

/// Checks the settings of an existing stream. The error names each wrong field and the right value.
pub(super) fn check(actual: &Config, config: &JetStreamConfig) -> Result<(), LogError> {
    let mut wrong = Vec::new();
    wrong.extend(wrong_subjects(actual, config));
    let rules = retention(actual).into_iter().chain(integrity(actual));
    for (holds, field, value) in rules {
        if !holds {
            wrong.push(format!("{field} must be {value}"));
        }
    }
    if actual.max_message_size != message_bytes_max() {
        wrong.push(format!("max_msg_size must be {}", message_bytes_max()));
    }
    if actual.num_replicas < config.replicas {
        let (stream, replicas) = (&config.stream, config.replicas);
        wrong.push(format!(
            "num_replicas must be {replicas} or more (`nats stream edit {stream} --replicas \
             {replicas}` raises it; its events stay)"
        ));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let (stream, wrong) = (&config.stream, wrong.join("; "));
    Err(LogError::misconfigured(format!("stream {stream}: {wrong}")))
}

fn wrong_subjects(actual: &Config, config: &JetStreamConfig) -> Option<String> {
    let (mut actual, mut required) = (actual.subjects.clone(), config.subjects.clone());
    actual.sort_unstable();
    required.sort_unstable();
    (actual != required).then(|| format!("subjects must be {}", required.join(", ")))
}

/// The settings that keep every message forever: whether the setting is right, its field, the right
/// value.
fn retention(actual: &Config) -> [(bool, &'static str, &'static str); 14] {
    [
        (
            actual.retention == RetentionPolicy::Limits,
            "retention",
            "limits",
        ),
        (actual.discard == DiscardPolicy::New, "discard", "new"),
        (actual.storage == StorageType::File, "storage", "file"),
        (actual.max_age.is_zero(), "max_age", "0"),
        (actual.max_messages <= 0, "max_msgs", "-1"),
        (actual.max_bytes <= 0, "max_bytes", "-1"),
        (
            actual.max_messages_per_subject <= 0,
            "max_msgs_per_subject",
            "-1",
        ),
        (actual.max_consumers <= 0, "max_consumers", "-1"),
        (actual.deny_delete, "deny_delete", "true"),
        (actual.deny_purge, "deny_purge", "true"),
        (
            actual.duplicate_window <= DUPLICATE_WINDOW,
            "duplicate_window",
            "100ms",
        ),
        (
            actual.persist_mode != Some(PersistenceMode::Async),
            "persist_mode",
            "default",
        ),
        (!actual.no_ack, "no_ack", "false"),
        // Without this setting, the stream keeps every message too, but large appends are slow.
        (actual.allow_atomic_publish, "allow_atomic", "true"),
    ]
}

/// The settings that could remove, change or delay messages, or let publishers do so.
fn integrity(actual: &Config) -> [(bool, &'static str, &'static str); 9] {
    let no_sources = actual.sources.as_ref().is_none_or(Vec::is_empty);
    let starts_at_1 = actual.first_sequence.is_none_or(|first| first <= 1);
    [
        (!actual.allow_rollup, "allow_rollup_hdrs", "false"),
        (!actual.allow_message_ttl, "allow_msg_ttl", "false"),
        (!actual.allow_message_counter, "allow_msg_counter", "false"),
        (
            !actual.allow_message_schedules,
            "allow_msg_schedules",
            "false",
        ),
        (!actual.sealed, "sealed", "false"),
        (
            actual.subject_transform.is_none(),
            "subject_transform",
            "absent",
        ),
        (actual.mirror.is_none(), "mirror", "absent"),
        (no_sources, "sources", "absent"),
        (starts_at_1, "first_seq", "absent"),
    ]
}

fn message_bytes_max() -> i32 {
    i32::try_from(LOG_MESSAGE_BYTES_MAX).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::WithCauses;

    #[track_caller]
    fn check_changed(change: impl FnOnce(&mut Config), expected: &str) {
        let config = JetStreamConfig::new(Vec::new());
        let mut actual = required(&config);
        change(&mut actual);
        let error = check(&actual, &config)
            .err()
            .map(|error| WithCauses(&error).to_string());
        assert_eq!(error.unwrap_or_default(), expected);
    }

    #[test]
    fn a_stream_as_we_create_it_keeps_the_promises() {
        check_changed(|_| {}, "");
        check_changed(|actual| actual.subjects.reverse(), "");
        check_changed(|actual| actual.num_replicas = 3, "");
    }

    #[test]
    fn each_broken_promise_is_named_with_the_value_needed() {
        check_changed(
            |actual| actual.max_age = Duration::from_mins(1),
            "the log is misconfigured: stream LEDGER: max_age must be 0",
        );
        check_changed(
            |actual| {
                actual.deny_purge = false;
                actual.allow_rollup = true;
                actual.num_replicas = 0;
            },
            "the log is misconfigured: stream LEDGER: deny_purge must be true; \
             allow_rollup_hdrs must be false; num_replicas must be 1 or more \
             (`nats stream edit LEDGER --replicas 1` raises it; its events stay)",
        );
    }
}
