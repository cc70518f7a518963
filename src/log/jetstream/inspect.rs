//! Looks at a server and its streams without changing either: what `doctor` asks.

use super::config::JetStreamConfig;
use super::link::Link;
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
    /// The streams of the events and of the keys.
    pub streams: Vec<InspectedStream>,
}

/// A stream as it was found.
#[derive(Debug)]
pub struct InspectedStream {
    /// Its name.
    pub name: String,
    /// The last position of the stream, or the promises that it breaks; `None` if there is none yet.
    pub found: Option<Result<Position, LogError>>,
}

/// Looks at the server and the streams of a configuration.
pub async fn inspect(config: &JetStreamConfig) -> Result<Inspection, LogError> {
    let link = Link::connect(config, "session-ledger doctor").await?;
    let mut streams = Vec::new();
    for config in [config, &config.admin()] {
        let found = topology::get(&link, &config.stream).await?;
        let check = |(stream, state): (_, StreamState)| {
            topology::check(&stream, config).map(|()| state.head)
        };
        streams.push(InspectedStream {
            name: config.stream.clone(),
            found: found.map(check),
        });
    }
    let info = link.client.server_info();
    Ok(Inspection {
        version: info.version.clone(),
        guarded: info.auth_required,
        streams,
    })
}
