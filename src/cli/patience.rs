//! The timeouts of a command that calls a server, and its retries.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable as _};

use crate::cli::client::{ApiError, Failed};
use crate::cli::output;
use crate::domain::limits::{
    CLI_ANSWER_MS, CLI_CONNECT_WAIT_MS, CLI_RETRIES_MS, CLI_RETRY_MS, CLI_SILENCE_MS,
};

/// The timeouts of a command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For a connection.
    pub(super) connect: Duration,
    /// For the next bytes of an answer.
    pub(super) silence: Duration,
    /// For a whole answer.
    pub(super) answer: Duration,
    /// How long after the first attempt a retry may start.
    pub(super) retries: Duration,
}

/// When a call may be retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// Whenever a retry may succeed: the call is idempotent.
    Always,
    /// Only if the call had no effect.
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
    /// Makes a call and retries it while that may help. If the server has never answered, a refused
    /// connection is not retried: no server is running there.
    pub(super) async fn call<F: Future<Output = Result<String, Failed>>>(
        self,
        again: Again,
        answered: &AtomicBool,
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
            Again::Always if failed.refused => answered.load(Ordering::Relaxed),
            Again::Always => failed.error.is_passing(),
        };
        let in_time = |failed: &Failed, pause: Option<Duration>| {
            let pause = pause?.max(failed.retry_after.unwrap_or_default());
            (started.elapsed() + pause < self.retries).then_some(pause)
        };
        let mut announced = false;
        let announce = |failed: &Failed, _pause: Duration| {
            if !announced {
                output::note(format_args!("{}; trying again", failed.error));
                announced = true;
            }
        };
        let called = call
            .retry(pauses)
            .when(helps)
            .adjust(in_time)
            .notify(announce);
        let called = called.await;
        called.map_err(|failed| failed.seen(!announced && !answered.load(Ordering::Relaxed)))
    }
}
