//! Whether the log accepts records, and why not.

use tokio::sync::watch;

use crate::log::LogError;

/// Shared by the writer, which decides, and the log, which reports.
pub(super) struct Refusal(watch::Sender<State>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Accepting,
    /// Until there is room, or until the file can be opened again.
    Waiting(String),
    /// Until the server starts again.
    Ended(String),
    /// The process must end.
    NotSynced(String),
}

impl Default for Refusal {
    fn default() -> Self {
        Self(watch::Sender::new(State::Accepting))
    }
}

impl State {
    fn is_final(&self) -> bool {
        matches!(self, Self::Ended(_) | Self::NotSynced(_))
    }
}

impl Refusal {
    /// Why the log accepts no records at present.
    pub(super) fn why(&self) -> Option<String> {
        match &*self.0.borrow() {
            State::Accepting => None,
            State::Waiting(why) | State::Ended(why) | State::NotSynced(why) => Some(why.clone()),
        }
    }

    /// Whether the log may accept records again by itself.
    pub(super) fn may_end(&self) -> bool {
        matches!(&*self.0.borrow(), State::Waiting(_))
    }

    /// Whether the log accepts no more records in this process.
    pub(super) fn is_final(&self) -> bool {
        self.0.borrow().is_final()
    }

    /// Accepts records again.
    pub(super) fn end(&self) {
        if self.set(State::Accepting) {
            tracing::info!("the log accepts records again");
        }
    }

    /// Accepts no records until there is room, or until the file can be opened again.
    pub(super) fn wait(&self, why: &str) {
        let was_waiting = self.may_end();
        if self.set(State::Waiting(why.to_owned())) && !was_waiting {
            tracing::error!("the log accepts no records until this ends: {why}");
        }
    }

    /// Accepts no records until the server starts again.
    pub(super) fn give_up(&self, why: &str) {
        if self.set(State::Ended(why.to_owned())) {
            tracing::error!("the log accepts no more records: {why}");
        }
    }

    /// Accepts no records, because the process must end.
    pub(super) fn not_synced(&self, why: String) {
        self.set(State::NotSynced(why));
    }

    /// Waits until the process must end.
    pub(super) async fn must_end(&self) -> LogError {
        let mut states = self.0.subscribe();
        loop {
            if let State::NotSynced(why) = &*states.borrow_and_update() {
                return LogError::NotSynced(why.clone());
            }
            if states.changed().await.is_err() {
                // Cannot be: `self` keeps the sender.
                return std::future::pending().await;
            }
        }
    }

    /// Returns whether the state changed.
    fn set(&self, state: State) -> bool {
        self.0.send_if_modified(|old| {
            let changes = !old.is_final() && *old != state;
            if changes {
                *old = state;
            }
            changes
        })
    }
}
