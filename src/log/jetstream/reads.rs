//! A connection for reads. It is made again if the task of the client library dies.
//!
//! A runtime can publish a message with headers at which the library panics. That ends the task of
//! the connection that the message is delivered on, and the library does not start it again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Mutex;

use super::config::JetStreamConfig;
use super::link::Link;
use crate::log::LogError;

/// A connection that can be replaced. Clones share it.
#[derive(Clone)]
pub(super) struct Reads(Arc<Shared>);

struct Shared {
    config: JetStreamConfig,
    /// NATS shows it to operators.
    name: &'static str,
    link: RwLock<Link>,
    /// Held while the connection is made again, so that one tail does it.
    replacing: Mutex<()>,
    closed: AtomicBool,
}

impl Reads {
    pub(super) async fn connect(
        config: &JetStreamConfig,
        name: &'static str,
    ) -> Result<Self, LogError> {
        let link = Link::connect(config, name).await?;
        Ok(Self(Arc::new(Shared {
            config: config.clone(),
            name,
            link: RwLock::new(link),
            replacing: Mutex::default(),
            closed: AtomicBool::default(),
        })))
    }

    /// The current connection.
    pub(super) fn link(&self) -> Link {
        let link = self.0.link.read();
        link.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The current connection, or another one if its task has died.
    pub(super) async fn alive(&self) -> Result<Link, LogError> {
        let _turn = self.0.replacing.lock().await;
        let link = self.link();
        if !link.is_dead() {
            return Ok(link);
        }
        tracing::warn!("the task of the connection for reads died; connecting again");
        let other = Box::pin(Link::connect(&self.0.config, self.0.name)).await?;
        *self.0.link.write().unwrap_or_else(PoisonError::into_inner) = other.clone();
        // After the new link is in place: `close` sees it, or is seen here.
        if self.0.closed.load(Ordering::SeqCst) {
            other.close().await;
        }
        Ok(other)
    }

    /// Closes the connection, and one that is being made.
    pub(super) async fn close(&self) {
        self.0.closed.store(true, Ordering::SeqCst);
        self.link().close().await;
    }
}
