//! The settings of a stream that keep the log's promises.

use std::time::Duration;

use async_nats::jetstream::stream::{
    Config, DiscardPolicy, PersistenceMode, RetentionPolicy, StorageType,
};

use super::config::JetStreamConfig;
use crate::domain::limits::LOG_MESSAGE_BYTES_MAX;
use crate::log::LogError;

/// The shortest window that the server allows. Within it, the server drops a message whose
/// `Nats-Msg-Id` another publisher has used.
const DUPLICATE_WINDOW: Duration = Duration::from_millis(100);

/// The settings of a stream that the ledger creates. For the server, a limit of 0 means -1.
pub(super) fn required(config: &JetStreamConfig) -> Config {
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

/// Returns the settings of an existing stream, changed so that it takes atomic batches.
pub(super) fn with_batches(existing: &Config) -> Config {
    Config {
        allow_atomic_publish: true,
        ..existing.clone()
    }
}

/// Returns the settings of an existing stream with all changes that cost no record and no promise:
/// it takes atomic batches, and has at least the required replicas.
pub(super) fn up_to_date(existing: &Config, config: &JetStreamConfig) -> Config {
    Config {
        num_replicas: existing.num_replicas.max(config.replicas),
        ..with_batches(existing)
    }
}

/// Returns the fields that [`up_to_date`] may change and that differ, each with its new value.
pub(super) fn changes(before: &Config, after: &Config) -> Vec<String> {
    let mut changes = Vec::new();
    if before.allow_atomic_publish != after.allow_atomic_publish {
        changes.push(format!(
            "allow_atomic is now {}",
            after.allow_atomic_publish
        ));
    }
    if before.num_replicas != after.num_replicas {
        changes.push(format!("num_replicas is now {}", after.num_replicas));
    }
    changes
}

/// Checks the settings of an existing stream. The error names each wrong field and the right value.
pub(super) fn check(actual: &Config, config: &JetStreamConfig) -> Result<(), LogError> {
    let wrong = wrong(actual, config);
    if wrong.is_empty() {
        return Ok(());
    }
    let (stream, wrong) = (&config.stream, wrong.join("; "));
    Err(LogError::misconfigured(format!("stream {stream}: {wrong}")))
}

/// Returns each wrong field with the right value.
pub(super) fn wrong(actual: &Config, config: &JetStreamConfig) -> Vec<String> {
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
        let replicas = config.replicas;
        wrong.push(format!(
            "num_replicas must be {replicas} or more (`session-ledger streams create \
             --nats-replicas {replicas}` raises it if nothing else is wrong; its events stay)"
        ));
    }
    wrong
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
             (`session-ledger streams create --nats-replicas 1` raises it if nothing else is wrong; \
             its events stay)",
        );
    }

    #[test]
    fn bringing_a_stream_up_to_date_raises_replicas_and_never_lowers_them() {
        let mut config = JetStreamConfig::new(Vec::new());
        let mut earlier = required(&config);
        earlier.allow_atomic_publish = false;
        config.replicas = 3;
        let raised = up_to_date(&earlier, &config);
        let said = ["allow_atomic is now true", "num_replicas is now 3"];
        assert_eq!(changes(&earlier, &raised), said);
        assert_eq!(wrong(&raised, &config), Vec::<String>::new());
        config.replicas = 1;
        assert_eq!(up_to_date(&raised, &config), raised);
        assert!(changes(&raised, &raised).is_empty());
    }
}
