//! Inspects a server and its streams for `doctor`. Changes nothing.

use super::config::JetStreamConfig;
use super::link::Link;
use super::settings;
use super::topology;
use super::writable;
use crate::domain::Position;
use crate::log::LogError;

/// A server as it was found. A server that is too old or cannot be reached is an error instead.
#[derive(Debug)]
pub struct Inspection {
    /// The server's version.
    pub version: String,
    /// Whether the server requires credentials.
    pub asks_for_credentials: bool,
    /// A warning if the server accepts only smaller messages than the ledger needs.
    pub too_small: Option<String>,
    /// The stream of events and the stream of API keys.
    pub streams: Vec<InspectedStream>,
}

/// A stream as it was found.
#[derive(Debug)]
pub struct InspectedStream {
    /// The name of the stream.
    pub name: String,
    /// The last position of the stream; or what is wrong with its settings, that its first records are
    /// gone, or why it accepts no messages. `None` if the stream does not exist.
    pub found: Option<Result<Position, LogError>>,
}

/// Inspects the server and the streams of a configuration.
pub async fn inspect(config: &JetStreamConfig) -> Result<Inspection, LogError> {
    let link = Link::connect(config, "session-ledger doctor").await?;
    let mut streams = Vec::new();
    for config in [config, &config.admin()] {
        let found = match topology::get(&link, &config.stream).await? {
            None => None,
            Some((stream, state)) => Some(
                match settings::check(&stream, config).and_then(|()| state.check_first()) {
                    Ok(()) => writable::probe(&link, &config.probe_subject()).await,
                    Err(error) => Err(error),
                }
                .map(|()| state.head),
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
        asks_for_credentials: info.auth_required,
        too_small: link.too_small(),
        streams,
    })
}
