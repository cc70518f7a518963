//! Looks at a server and its streams without changing either: what `doctor` asks.

use super::config::JetStreamConfig;
use super::link::Link;
use super::taking;
use super::topology::{self, StreamState};
use crate::domain::Position;
use crate::log::LogError;

/// What was found. A server that is too old or cannot be reached is an error instead.
#[derive(Debug)]
pub struct Inspection {
    /// The server's version.
    pub version: String,
    /// Whether the server asks who we are.
    pub guarded: bool,
    /// What is wrong with the size of the messages that the server takes.
    pub too_small: Option<String>,
    /// The streams of the events and of the keys.
    pub streams: Vec<InspectedStream>,
}

/// A stream as it was found.
#[derive(Debug)]
pub struct InspectedStream {
    /// Its name.
    pub name: String,
    /// The last position of the stream, or the promises that it breaks, or why it takes nothing; `None`
    /// if there is none yet.
    pub found: Option<Result<Position, LogError>>,
}

/// Looks at the server and the streams of a configuration.
pub async fn inspect(config: &JetStreamConfig) -> Result<Inspection, LogError> {
    let link = Link::connect(config, "session-ledger doctor").await?;
    let mut streams = Vec::new();
    for config in [config, &config.admin()] {
        let found = match topology::get(&link, &config.stream).await? {
            None => None,
            Some((stream, StreamState { head, .. })) => Some(
                match topology::check(&stream, config) {
                    Ok(()) => taking::probe(&link, &config.probe_subject()).await,
                    Err(error) => Err(error),
                }
                .map(|()| head),
            ),
        };
        streams.push(InspectedStream {
            name: config.stream.clone(),
            found,
        });
    }
    let info = link.client.server_info();
    Ok(Inspection {
        version: info.version.clone(),
        guarded: info.auth_required,
        too_small: link.too_small(),
        streams,
    })
}
