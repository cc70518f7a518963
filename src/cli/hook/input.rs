//! Reads the input of a hook, within limits of size and time.

use std::io::{self, Read as _};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::domain::limits::{HOOK_INPUT_BYTES_MAX, HOOK_INPUT_WAIT_MS};

/// Reads stdin to its end.
pub(super) async fn read() -> anyhow::Result<Vec<u8>> {
    let (sender, receiver) = oneshot::channel();
    // A thread and not a task: the process must be able to end while stdin is open.
    #[expect(clippy::disallowed_methods, reason = "it ends with the process")]
    thread::spawn(move || drop(sender.send(whole())));
    let at_most = Duration::from_millis(HOOK_INPUT_WAIT_MS);
    let read = timeout(at_most, receiver).await;
    let read = read.with_context(|| format!("stdin did not end within {HOOK_INPUT_WAIT_MS} ms"))?;
    let input = read.context("cannot read stdin")?;
    let input = input.context("cannot read stdin")?;
    let bytes = u64::try_from(input.len()).unwrap_or(u64::MAX);
    ensure!(
        bytes <= HOOK_INPUT_BYTES_MAX,
        "the input is longer than {HOOK_INPUT_BYTES_MAX} bytes"
    );
    Ok(input)
}

/// Reads all, and keeps one byte more than the limit: a runtime that writes to a closed pipe may fail.
fn whole() -> io::Result<Vec<u8>> {
    let mut stdin = io::stdin().lock();
    let mut input = Vec::new();
    let kept = HOOK_INPUT_BYTES_MAX + 1;
    stdin.by_ref().take(kept).read_to_end(&mut input)?;
    io::copy(&mut stdin, &mut io::sink())?;
    Ok(input)
}
