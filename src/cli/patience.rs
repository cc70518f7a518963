//! How long a command waits for a server, and when it asks again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable as _};

use crate::cli::client::{ApiError, Failed};
use crate::cli::output;
use crate::domain::limits::{
    CLI_ANSWER_MS, CLI_CONNECT_WAIT_MS, CLI_RETRIES_MS, CLI_RETRY_MS, CLI_SILENCE_MS,
};

/// Waits of a command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For a connection.
    pub(super) connect: Duration,
    /// For a server that says nothing.
    pub(super) silence: Duration,
    /// For a whole answer.
    pub(super) answer: Duration,
    /// How long after its first try a call is made again.
    pub(super) retries: Duration,
}

/// When a call may be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// Whenever that may help: a second time changes nothing more.
    Always,
    /// Only if the server did not take it.
    IfNotTaken,
    /// Never: the caller retries by itself.
    Never,
}

impl Default for Patience {
    fn default() -> Self {
        let millis = Duration::from_millis;
        Self {
            connect: millis(CLI_CONNECT_WAIT_MS),
            silence: millis(CLI_SILENCE_MS),
            answer: millis(CLI_ANSWER_MS),
            retries: millis(CLI_RETRIES_MS),
        }
    }
}

impl Patience {
    /// Makes a call, and makes it again while that may help. `heard` says whether the server has ever
    /// answered: one that was never there is not waited for.
    pub(super) async fn call<F: Future<Output = Result<String, Failed>>>(
        self,
        again: Again,
        heard: &AtomicBool,
        call: impl FnMut() -> F,
    ) -> Result<String, ApiError> {
        let started = Instant::now();
        let (first, longest) = CLI_RETRY_MS;
        let pauses = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(first))
            .with_max_delay(Duration::from_millis(longest))
            .with_jitter()
            .without_max_times();
        let helps = |failed: &Failed| match again {
            Again::Never => false,
            Again::IfNotTaken => failed.error.is_rate_limit(),
            Again::Always if failed.refused => heard.load(Ordering::Relaxed),
            Again::Always => failed.error.is_passing(),
        };
        let in_time = |failed: &Failed, pause: Option<Duration>| {
            let pause = pause?.max(failed.retry_after.unwrap_or_default());
            (started.elapsed() + pause < self.retries).then_some(pause)
        };
        let mut told = false;
        let tell = |failed: &Failed, _pause: Duration| {
            if !told {
                output::note(format_args!("{}; trying again", failed.error));
                told = true;
            }
        };
        let called = call.retry(pauses).when(helps).adjust(in_time).notify(tell);
        let called = called.await;
        called.map_err(|failed| match failed.error {
            ApiError::Unreachable { url, cause, .. } => ApiError::Unreachable {
                url,
                cause,
                nobody: failed.refused && !told && !heard.load(Ordering::Relaxed),
            },
            other => other,
        })
    }
}
