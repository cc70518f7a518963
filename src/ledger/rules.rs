//! Switches a log to newer rules. The switch is a record on the log, so every node applies it at
//! the same position.

use bytes::Bytes;

use crate::domain::{EventId, EventType, Position, Rules, Source};
use crate::log::{EventLog, LogError, NewRecord};
use crate::wire::data::RulesData;
use crate::wire::{Envelope, Subject, source};

/// Switches an empty log to the newest rules, so that a new ledger starts with them.
///
/// Returns the position of the switch; `None` if the log has records. Such a log keeps its rules
/// until an operator [adopts](adopt) newer ones.
///
/// Two ledgers that start at the same time may both append the record. The second one has no
/// effect.
pub async fn begin(log: &dyn EventLog) -> Result<Option<Position>, LogError> {
    if log.head().await? == Position::ZERO {
        return adopt(log).await.map(Some);
    }
    Ok(None)
}

/// Switches a log to the newest rules of this build, and returns the position of the switch. A node
/// that does not know these rules stops there, so upgrade all nodes first.
pub async fn adopt(log: &dyn EventLog) -> Result<Position, LogError> {
    let appended = log.append(vec![record(Rules::LATEST)]).await;
    let first = appended.into_iter().next();
    first.unwrap_or_else(|| Err(LogError::Unconfirmed("the log gave no answer".to_owned())))
}

fn record(rules: Rules) -> NewRecord {
    let id = EventId::parse(&format!("rules-{}", rules.number()));
    let body = Envelope {
        id: &id.expect("a word and a number are an id"),
        source: &Source::parse(source::RULES).expect("a constant that is a source"),
        event_type: EventType::Rules,
        subject: Subject::RULES_ID,
        time: None,
        tenant: None,
        actor: None,
        data: RulesData {
            version: rules.number(),
        },
    }
    .to_json();
    NewRecord {
        subject: Subject::RULES.to_string().into(),
        private: Bytes::new(),
        body: body.into(),
    }
}
