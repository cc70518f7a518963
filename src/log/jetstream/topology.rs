//! The stream: how it is created, and the check that an existing one keeps every promise.

use std::time::Duration;

use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, PersistenceMode, RetentionPolicy, StorageType,
};
use async_nats::jetstream::{self, ErrorCode};

use super::config::JetStreamConfig;
use super::link::Link;
use crate::domain::Position;
use crate::domain::limits::LOG_MESSAGE_BYTES_MAX;
use crate::log::LogError;

/// The shortest window that the server allows. Within it, one publisher's `Nats-Msg-Id` can
/// swallow another's message.
const DUPLICATE_WINDOW: Duration = Duration::from_millis(100);

/// The stream as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StreamState {
    pub(super) head: Position,
    /// When it was created, in nanoseconds: tells a stream from its namesake.
    pub(super) created_ns: i128,
}

/// Creates the stream unless it exists, and checks it.
pub(super) async fn ensure(
    link: &Link,
    config: &JetStreamConfig,
    expect_existing: bool,
) -> Result<StreamState, LogError> {
    if let Some((existing, state)) = get(link, &config.stream).await? {
        check(&existing, config)?;
        return Ok(state);
    }
    if expect_existing {
        return Err(LogError::Misconfigured(format!(
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

/// The stream as it is now, if it exists.
pub(super) async fn state(link: &Link, stream: &str) -> Result<Option<StreamState>, LogError> {
    Ok(get(link, stream).await?.map(|(_, state)| state))
}

/// What a caller gets that needs the stream.
pub(super) fn missing(stream: &str) -> LogError {
    LogError::Unavailable(format!("stream {stream} does not exist"))
}

/// The stream's configuration and state, if it exists.
pub(super) async fn get(
    link: &Link,
    stream: &str,
) -> Result<Option<(Config, StreamState)>, LogError> {
    match link.context.get_stream(stream).await {
        Ok(stream) => {
            let info = stream.cached_info();
            let state = StreamState {
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
                LogError::Misconfigured(format!("{stream:?} is not a name for a stream")),
            ),
            GetStreamErrorKind::JetStream(_) | GetStreamErrorKind::Request => Err(
                LogError::Unavailable(format!("NATS does not tell about stream {stream}: {error}")),
            ),
        },
    }
}

async fn create(link: &Link, config: &JetStreamConfig) -> Result<(), LogError> {
    let Err(error) = link.context.create_stream(wanted(config)).await else {
        tracing::info!(stream = %config.stream, "created stream {}", config.stream);
        return Ok(());
    };
    match error.kind() {
        // Another node was faster; what it created is checked like any other.
        CreateStreamErrorKind::JetStream(error)
            if error.error_code() == ErrorCode::STREAM_NAME_EXIST =>
        {
            Ok(())
        }
        // The server understood and refused: subjects of another stream, too many replicas.
        CreateStreamErrorKind::JetStream(error) if error.code() != 503 => {
            Err(refused(&config.stream, &error))
        }
        _ => Err(LogError::Unavailable(format!(
            "cannot create the stream: {error}"
        ))),
    }
}

fn refused(stream: &str, error: &jetstream::Error) -> LogError {
    LogError::Misconfigured(format!(
        "the server refuses to create stream {stream}: {error}"
    ))
}

/// The stream as we create it. The server fills in -1 where a limit is left at 0.
fn wanted(config: &JetStreamConfig) -> Config {
    Config {
        name: config.stream.clone(),
        description: Some("Events of the session ledger".to_owned()),
        subjects: subjects(),
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::New,
        storage: StorageType::File,
        num_replicas: config.replicas,
        max_message_size: message_bytes_max(),
        duplicate_window: DUPLICATE_WINDOW,
        deny_delete: true,
        deny_purge: true,
        ..Config::default()
    }
}

/// Names each field of an existing stream that breaks a promise, and the value that it needs.
pub(super) fn check(actual: &Config, config: &JetStreamConfig) -> Result<(), LogError> {
    let wanted = wanted(config);
    let mut wrong: Vec<String> = Vec::new();
    let mut need = |holds: bool, field: &str, value: &str| {
        if !holds {
            wrong.push(format!("{field} must be {value}"));
        }
    };
    let mut subjects = (actual.subjects.clone(), wanted.subjects);
    subjects.0.sort_unstable();
    subjects.1.sort_unstable();
    need(subjects.0 == subjects.1, "subjects", &subjects.1.join(", "));
    need(actual.retention == wanted.retention, "retention", "limits");
    need(actual.discard == wanted.discard, "discard", "new");
    need(actual.storage == wanted.storage, "storage", "file");
    need(actual.max_age.is_zero(), "max_age", "0");
    need(actual.max_messages <= 0, "max_msgs", "-1");
    need(actual.max_bytes <= 0, "max_bytes", "-1");
    need(
        actual.max_messages_per_subject <= 0,
        "max_msgs_per_subject",
        "-1",
    );
    need(actual.max_consumers <= 0, "max_consumers", "-1");
    let size = wanted.max_message_size;
    need(
        actual.max_message_size == size,
        "max_msg_size",
        &size.to_string(),
    );
    let replicas = format!("{} or more", config.replicas);
    need(
        config.replicas <= actual.num_replicas,
        "num_replicas",
        &replicas,
    );
    need(
        actual.duplicate_window <= DUPLICATE_WINDOW,
        "duplicate_window",
        "100ms",
    );
    need(actual.deny_delete, "deny_delete", "true");
    need(actual.deny_purge, "deny_purge", "true");
    need(!actual.allow_rollup, "allow_rollup_hdrs", "false");
    need(!actual.no_ack, "no_ack", "false");
    need(!actual.sealed, "sealed", "false");
    // Each of these removes, rewrites or delays messages, or lets publishers ask for it.
    need(!actual.allow_message_ttl, "allow_msg_ttl", "false");
    need(!actual.allow_message_counter, "allow_msg_counter", "false");
    need(
        !actual.allow_message_schedules,
        "allow_msg_schedules",
        "false",
    );
    need(
        actual.subject_transform.is_none(),
        "subject_transform",
        "absent",
    );
    need(actual.mirror.is_none(), "mirror", "absent");
    need(
        actual.sources.as_ref().is_none_or(Vec::is_empty),
        "sources",
        "absent",
    );
    need(
        actual.first_sequence.is_none_or(|first| first <= 1),
        "first_seq",
        "absent",
    );
    let durable = actual.persist_mode != Some(PersistenceMode::Async);
    need(durable, "persist_mode", "default");
    if wrong.is_empty() {
        return Ok(());
    }
    Err(LogError::Misconfigured(format!(
        "stream {}: {}",
        config.stream,
        wrong.join("; ")
    )))
}

fn message_bytes_max() -> i32 {
    i32::try_from(LOG_MESSAGE_BYTES_MAX).unwrap_or(i32::MAX)
}

/// STAND-IN for `crate::wire::subject::stream_subjects` until the wire layer is merged.
fn subjects() -> Vec<String> {
    let session = ["created", "refreshed", "handed_off", "terminated"];
    let agent = [
        "registered",
        "updated",
        "suspended",
        "reinstated",
        "revoked",
    ];
    let system = [
        "ledger.sys.v1.*.session.expired",
        "ledger.sys.v1.*.session.terminated",
    ];
    let session = session
        .iter()
        .map(|kind| format!("ledger.v1.*.session.{kind}"));
    let agent = agent.iter().map(|kind| format!("ledger.v1.*.agent.{kind}"));
    let system = system
        .into_iter()
        .chain(["ledger.sys.v1.rules"])
        .map(str::to_owned);
    session.chain(agent).chain(system).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_changed(change: impl FnOnce(&mut Config), expected: &str) {
        let config = JetStreamConfig::new(Vec::new());
        let mut actual = wanted(&config);
        change(&mut actual);
        let error = check(&actual, &config).err().map(|error| error.to_string());
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
            |actual| actual.max_age = Duration::from_secs(60),
            "the log is misconfigured: stream LEDGER: max_age must be 0",
        );
        check_changed(
            |actual| {
                actual.deny_purge = false;
                actual.allow_rollup = true;
                actual.num_replicas = 0;
            },
            "the log is misconfigured: stream LEDGER: num_replicas must be 1 or more; \
             deny_purge must be true; allow_rollup_hdrs must be false",
        );
    }
}
