//! Another backup of the same ledger, from which lost records are taken.
//!
//! It is read along with the log: each record that both have must be the same. So the records that only
//! the other backup has are those of this log too. The chains cannot be compared, because they differ
//! behind each record that stands in the place of a lost one.

use std::path::PathBuf;

use super::directory::Directory;
use super::error::BackupError;
use super::lost;
use super::mark::LogKind;
use super::reader::Reader;
use crate::domain::{Position, Rules};
use crate::log::Record;

/// One log of the other backup. Its functions block.
pub(super) struct Filling {
    path: PathBuf,
    kind: LogKind,
    reader: Reader,
}

impl Filling {
    /// Reads a log of a backup after a position.
    pub(super) fn new(other: &Directory, kind: LogKind, after: Position) -> Self {
        Self {
            path: other.path().to_path_buf(),
            kind,
            reader: Reader::after(other, kind, after),
        }
    }

    /// Compares the next record of the log with that of the other backup, if it has one.
    pub(super) fn compare(&mut self, record: &Record) -> Result<(), BackupError> {
        let Some(other) = self.take()? else {
            return Ok(());
        };
        if lost::stands_in(record) || is_same(record, &other) {
            return Ok(());
        }
        let (kind, at) = (self.kind, record.position);
        Err(self.fault(BackupError::NotTheSameLog { kind, at }))
    }

    /// Returns the next record of the other backup; `None` if it has lost that record too, or has ended.
    pub(super) fn take(&mut self) -> Result<Option<Record>, BackupError> {
        let next = self.reader.next_record();
        let next = next.map_err(|error| self.fault(error))?;
        Ok(next.filter(|record| !lost::stands_in(record)))
    }

    fn fault(&self, error: BackupError) -> BackupError {
        BackupError::Filling(self.path.clone(), Box::new(error))
    }
}

/// Whether two records are the same to a reader. Logs spell the headers of an event in binary mode
/// differently, and a restored log has such an event as structured JSON.
fn is_same(one: &Record, other: &Record) -> bool {
    let is_same_body = |rules| one.body(rules) == other.body(rules);
    one.position == other.position
        && one.recorded_at == other.recorded_at
        && one.subject == other.subject
        && one.private == other.private
        && Rules::ALL.into_iter().any(is_same_body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;
    use crate::wire::Headers;

    #[test]
    fn an_event_in_binary_mode_is_the_same_in_any_spelling_and_as_structured_json() {
        let binary = |headers: &[(&str, &str)], payload: &'static str| Record {
            position: Position::new(1),
            recorded_at: Timestamp::MIN,
            subject: "ledger.v1.acme.session.created".into(),
            private: bytes::Bytes::new(),
            headers: Headers::new(headers.iter().copied()),
            payload: payload.into(),
        };
        let names = ["ce-specversion", "ce-id", "ce-source", "ce-type"];
        let values = ["1.0", "e-1", "urn:test", "session.created"];
        let lower: Vec<_> = names.into_iter().zip(values).collect();
        let upper = [
            ("Ce-Specversion", "1.0"),
            ("Ce-Id", "e-1"),
            ("Ce-Source", "urn:test"),
            ("Ce-Type", "session.created"),
        ];
        let one = binary(&lower, r#"{"agent_id":"a-1"}"#);
        let other = binary(&upper, r#"{"agent_id":"a-1"}"#);
        assert_ne!(one, other);
        assert!(is_same(&one, &other));
        for rules in Rules::ALL {
            let restored = Record {
                headers: Headers::default(),
                payload: one.body(rules),
                ..one.clone()
            };
            assert!(is_same(&one, &restored));
        }
        assert!(!is_same(&one, &binary(&lower, r#"{"agent_id":"a-2"}"#)));
        let later = Record {
            recorded_at: Timestamp::MAX,
            ..one.clone()
        };
        assert!(!is_same(&one, &later));
    }
}
