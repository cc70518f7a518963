//! Follows a stream of the API, and connects again whenever it ends.

use std::ops::ControlFlow;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::cli::client::{Api, ApiError, Lines, Query, read};
use crate::cli::output;
use crate::http::dto::Bye;

/// How long to wait before a retry if the server does not answer.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// How the line of the last frame begins.
const BYE: &str = r#"{"frame":"bye""#;

/// What a command does with the frames of a stream.
pub(super) trait Follower {
    /// A frame.
    type Frame: DeserializeOwned;

    /// The query of the next connection. It says what the command has already.
    fn query(&self) -> Vec<(&'static str, String)>;

    /// Takes a frame, and the line of JSON from which it was read.
    fn take(&mut self, frame: Self::Frame, line: &str) -> anyhow::Result<ControlFlow<()>>;
}

/// Follows until the follower breaks off, or until an error that a retry does not help.
pub(super) async fn follow<F: Follower>(
    api: &Api,
    path: &[&str],
    follower: &mut F,
) -> anyhow::Result<()> {
    let mut announced = false;
    loop {
        let mut pause = RETRY_PAUSE;
        match connect(api, path, follower).await {
            Ok(mut lines) => {
                while let Some(line) = lines.next().await? {
                    announced = false;
                    if line.starts_with(BYE) {
                        let bye: Bye = read(&line)?;
                        pause = Duration::from_millis(bye.retry_ms);
                    }
                    if follower.take(read(&line)?, &line)?.is_break() {
                        return Ok(());
                    }
                }
            }
            Err(error) if error.is_passing() => {
                if !announced {
                    output::note(format_args!("{error}; trying again"));
                    announced = true;
                }
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(pause).await;
    }
}

async fn connect<F: Follower>(api: &Api, path: &[&str], follower: &F) -> Result<Lines, ApiError> {
    let query = follower.query();
    let query: Query<'_> = query
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    api.stream(path, &query).await
}
