//! Looks at a server and its stream without changing either: what `doctor` asks.

use super::config::JetStreamConfig;
use super::link::Link;
use super::topology;
use crate::domain::Position;
use crate::log::LogError;

/// What was found. A server that is too old or cannot be reached is an error instead.
#[derive(Debug)]
pub struct Inspection {
    /// The server's version.
    pub version: String,
    /// Whether the server asks who we are.
    pub guarded: bool,
    /// The last position of the stream, or the promises that it breaks; `None` if there is none yet.
    pub stream: Option<Result<Position, LogError>>,
}

/// Looks at the server and the stream of a configuration.
pub async fn inspect(config: &JetStreamConfig) -> Result<Inspection, LogError> {
    let link = Link::connect(config, "session-ledger doctor").await?;
    let found = topology::get(&link, &config.stream).await?;
    let stream = found.map(|(stream, state)| topology::check(&stream, config).map(|()| state.head));
    let info = link.client.server_info();
    Ok(Inspection {
        version: info.version.clone(),
        guarded: info.auth_required,
        stream,
    })
}
