//! Prepares the streams of a ledger: creates them, or brings those of an earlier build up to date.

use super::config::JetStreamConfig;
use super::link::Link;
use super::{settings, topology};
use crate::log::LogError;

/// A stream, and what was done to it.
#[derive(Debug)]
pub struct PreparedStream {
    /// The name of the stream.
    pub name: String,
    /// What was done, or what is wrong with the stream.
    pub prepared: Result<Prepared, LogError>,
}

/// What was done to a stream. In every case its settings are right now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prepared {
    /// It was created.
    Created,
    /// Settings were changed. Each text has a field and its new value.
    Changed(Vec<String>),
    /// Nothing: its settings were right.
    Unchanged,
}

/// Creates the stream of events and the stream of API keys, or changes the settings of existing ones as
/// far as that costs no record and no promise. Does not change a stream that would still be wrong.
pub async fn prepare(config: &JetStreamConfig) -> Result<Vec<PreparedStream>, LogError> {
    let link = Link::connect(config, "session-ledger streams").await?;
    let mut streams = Vec::new();
    for config in [config, &config.admin()] {
        let prepared = match topology::get(&link, &config.stream).await? {
            None => create(&link, config).await,
            Some((existing, _)) => {
                let wanted = settings::up_to_date(&existing, config);
                let changed = topology::change(&link, existing.clone(), wanted, config).await;
                changed.and_then(|now| {
                    settings::check(&now, config)?;
                    Ok(match settings::changes(&existing, &now) {
                        changes if changes.is_empty() => Prepared::Unchanged,
                        changes => Prepared::Changed(changes),
                    })
                })
            }
        };
        streams.push(PreparedStream {
            name: config.stream.clone(),
            prepared,
        });
    }
    link.close().await;
    Ok(streams)
}

async fn create(link: &Link, config: &JetStreamConfig) -> Result<Prepared, LogError> {
    let (created, _) = topology::create(link, config).await?;
    Ok(if created {
        Prepared::Created
    } else {
        Prepared::Unchanged
    })
}
