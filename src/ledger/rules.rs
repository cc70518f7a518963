//! Switches a log to newer rules, by a record that every node that folds the log obeys.

use bytes::Bytes;

use crate::domain::{EventId, EventType, Position, Rules, Source};
use crate::log::{EventLog, LogError, NewRecord};
use crate::wire::data::RulesData;
use crate::wire::{Envelope, Subject, source};

/// Switches a log that holds nothing to the newest rules, so that a new ledger begins with them. A log
/// that holds records keeps its rules until somebody [adopts](adopt) newer ones.
///
/// Gives the position of the switch. Two ledgers that begin at the same time may both write the record,
/// which changes nothing.
pub async fn begin(log: &dyn EventLog) -> Result<Option<Position>, LogError> {
    if log.head().await? == Position::ZERO {
        return adopt(log).await.map(Some);
    }
    Ok(None)
}

/// Switches a log to the newest rules that this build knows, and gives the position of the switch.
/// Nodes that do not know these rules stop there, so upgrade all of them first.
pub async fn adopt(log: &dyn EventLog) -> Result<Position, LogError> {
    let appended = log.append(vec![record(Rules::LATEST)]).await;
    let first = appended.into_iter().next();
    first.unwrap_or_else(|| Err(LogError::unconfirmed("the log gave no answer")))
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
