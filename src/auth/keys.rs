//! The keys of this node: a keyring that follows the log of keys, and the operations that change
//! it.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use crate::auth::event::{Grant, GrantError, KeyEvent};
use crate::auth::keyring::{KeyEntry, KeyError, Keyring};
use crate::auth::seen::Seen;
use crate::auth::{ApiKey, Author, Identity, KeyId, Role};
use crate::domain::limits::{
    KEYS_PER_TENANT_MAX, KEYS_RETRY_MS, LOG_READ_RECORDS_MAX, VERDICT_WAIT_MS,
};
use crate::domain::{Position, TenantId, Timestamp};
use crate::log::{EventLog, LogError};

/// Why a key could not be issued or revoked.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The grant is invalid.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// The tenant has as many keys as it may have.
    #[error(
        "the tenant has {KEYS_PER_TENANT_MAX} keys that are not revoked, and may not have more; \
         revoke those that nobody uses, expired ones too"
    )]
    TooMany,
    /// Afterwards no key of the tenant could issue or revoke keys.
    #[error(
        "it is the tenant's last key with the role admin: issue another such key first, or revoke it \
         with --data-dir or --nats-url"
    )]
    LastAdmin,
    /// The log did not store the change, or did not confirm it.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The log has stored the change, and this node has not read it in time.
    #[error("the change is on the log, but this node has not read it in time")]
    Behind,
    /// The keyring no longer follows the log.
    #[error("this node no longer follows the log of keys")]
    Stopped,
    /// The operating system provided no random bytes.
    #[error("the operating system provides no random bytes for a key")]
    Random(#[from] getrandom::Error),
    /// A key with the random 64-bit id already exists.
    #[error("another key has the same id; try again")]
    Collision,
}

/// How far the keyring has read its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    seen: Seen,
    stopped: bool,
}

/// The keys of this node.
pub struct Keys {
    log: Arc<dyn EventLog>,
    /// Every request holds the read lock for about 100 ns. Writes are rare: a key is issued or
    /// revoked.
    ring: RwLock<Keyring>,
    progress: watch::Sender<Progress>,
    /// Held while a key with the role admin is revoked. If two such keys revoke each other at once,
    /// one remains.
    revoking_admin: Mutex<()>,
}

impl Keys {
    /// Creates an empty keyring for a log. [`Keys::run`] must read the log before any key is valid.
    pub fn new(log: Arc<dyn EventLog>) -> Self {
        Self {
            log,
            ring: RwLock::default(),
            progress: watch::Sender::new(Progress {
                seen: Seen::NOTHING,
                stopped: false,
            }),
            revoking_admin: Mutex::default(),
        }
    }

    /// Follows the log until `stop` is canceled, or until the log fails. After a failure this node
    /// misses later revocations, and [`Keys::are_followed`] returns false.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), LogError> {
        let followed = stop.run_until_cancelled(self.follow()).await;
        self.progress
            .send_modify(|progress| progress.stopped = true);
        followed.unwrap_or(Ok(()))
    }

    async fn follow(&self) -> Result<(), LogError> {
        let mut seen = Seen::NOTHING;
        loop {
            match self.tail(&mut seen).await {
                // The built-in log opens its file again after a failure.
                Err(LogError::Unavailable(_)) if self.log.is_available() => {
                    tokio::time::sleep(Duration::from_millis(KEYS_RETRY_MS)).await;
                }
                ended => return ended,
            }
        }
    }

    /// Reads the log on from what was seen, until it fails.
    async fn tail(&self, seen: &mut Seen) -> Result<(), LogError> {
        let mut tail = self.log.tail(seen.position()).await?;
        loop {
            let records = tail.next(LOG_READ_RECORDS_MAX).await?;
            let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
            for record in &records {
                seen.add(record);
                if let Err(unreadable) = ring.apply(record) {
                    let position = record.position;
                    tracing::warn!(
                        position = position.get(),
                        "the record at position {position} of the log of keys is skipped: \
                         {unreadable}"
                    );
                }
            }
            drop(ring);
            self.progress.send_modify(|progress| progress.seen = *seen);
        }
    }

    /// Whether this node learns of revocations: the log is available, and the keyring follows it.
    pub fn are_followed(&self) -> bool {
        !self.progress.borrow().stopped && self.log.is_available()
    }

    /// What the keyring has read.
    pub fn seen(&self) -> Seen {
        self.progress.borrow().seen
    }

    /// Waits until the keyring has read more than `known`. Returns what it has read; `None` once it has
    /// stopped.
    pub async fn seen_after(&self, known: Seen) -> Option<Seen> {
        let mut progress = self.progress.subscribe();
        let more = progress.wait_for(|progress| progress.seen != known || progress.stopped);
        let progress = more.await.ok().map(|progress| *progress)?;
        (!progress.stopped).then_some(progress.seen)
    }

    /// Waits until the keyring has read everything that is on the log now.
    pub async fn catch_up(&self) -> Result<(), KeysError> {
        let head = self.log.head().await?;
        self.reach(head).await
    }

    async fn reach(&self, position: Position) -> Result<(), KeysError> {
        let mut progress = self.progress.subscribe();
        let reached =
            progress.wait_for(|progress| position <= progress.seen.position() || progress.stopped);
        match reached.await {
            Ok(progress) if position <= progress.seen.position() => Ok(()),
            Ok(_) | Err(_) => Err(KeysError::Stopped),
        }
    }

    /// Returns the identity that a key proves at `now`.
    pub fn authenticate(&self, key: &ApiKey, now: Timestamp) -> Result<Identity, KeyError> {
        self.read(|ring| ring.authenticate(key, now))
    }

    /// Returns the keys of a tenant, newest first.
    pub fn list(&self, tenant: &TenantId) -> Vec<Arc<KeyEntry>> {
        self.read(|ring| ring.list(tenant))
    }

    /// Returns the positions of up to `limit` changes of a tenant's keys, without the first
    /// `after`, and the number of all its changes.
    pub(super) fn changes(
        &self,
        tenant: &TenantId,
        after: usize,
        limit: usize,
    ) -> (Vec<Position>, usize) {
        self.read(|ring| {
            let all = ring.changes(tenant);
            let some = all.iter().skip(after).take(limit);
            (some.copied().collect(), all.len())
        })
    }

    /// The log of keys.
    pub fn log(&self) -> &dyn EventLog {
        &*self.log
    }

    /// Whether every key of every tenant is revoked, or there are no keys.
    pub fn is_empty(&self) -> bool {
        self.read(Keyring::is_empty)
    }

    /// Returns a key of a tenant.
    pub fn get(&self, tenant: &TenantId, id: KeyId) -> Option<Arc<KeyEntry>> {
        self.read(|ring| ring.get(tenant, id).cloned())
    }

    /// Returns the keys that a new key of an agent replaces: the earlier keys of that agent that
    /// are not revoked. A key that is bound to no agent replaces none.
    pub fn replaced_by(&self, key: &KeyEntry) -> Vec<Arc<KeyEntry>> {
        let agent = &key.grant.agent;
        let of_agent = |entry: &KeyEntry| agent.is_some() && entry.grant.agent == *agent;
        let keys = self.list(&key.grant.tenant).into_iter();
        keys.filter(|entry| of_agent(entry) && entry.is_live() && entry.is_before(key))
            .collect()
    }

    /// Checks that a tenant may have another key.
    pub fn check_room(&self, tenant: &TenantId) -> Result<(), KeysError> {
        if KEYS_PER_TENANT_MAX <= self.read(|ring| ring.live_count(tenant)) {
            return Err(KeysError::TooMany);
        }
        Ok(())
    }

    /// Issues a key. When this returns, the key is valid on this node; other nodes accept it once
    /// they have read the log. After an error the log may still contain the key. Nobody knows its
    /// secret then, and it can be revoked.
    pub async fn issue(
        &self,
        grant: Grant,
        by: Author,
        now: Timestamp,
    ) -> Result<(ApiKey, Arc<KeyEntry>), KeysError> {
        grant.check(now)?;
        let tenant = grant.tenant.clone();
        self.check_room(&tenant)?;
        let key = ApiKey::generate()?;
        let event = KeyEvent::Issued {
            id: key.id(),
            hash: key.hash(),
            grant,
            by: Some(by),
        };
        self.append(&event, now).await?;
        let opens = self.authenticate(&key, now).is_ok();
        let entry = self.get(&tenant, key.id());
        let entry = entry.filter(|_| opens).ok_or(KeysError::Collision)?;
        Ok((key, entry))
    }

    /// Revokes a key of a tenant; `None` if the tenant has no such key. A second revocation changes
    /// nothing. When this returns, this node rejects the key. A key cannot revoke the tenant's last
    /// key with the role admin; a token or an operator can.
    pub async fn revoke(
        &self,
        tenant: &TenantId,
        id: KeyId,
        by: Author,
        now: Timestamp,
    ) -> Result<Option<Arc<KeyEntry>>, KeysError> {
        let known = || self.get(tenant, id);
        let admin = |entry: &Arc<KeyEntry>| entry.grant.roles.has(Role::Admin);
        let _one_by_one = if known().as_ref().is_some_and(admin) {
            Some(self.revoking_admin.lock().await)
        } else {
            None
        };
        match known() {
            Some(entry) if entry.is_live() => {
                let by_a_key = matches!(by, Author::Key(_));
                if by_a_key && self.read(|ring| ring.is_last_admin(&entry, now)) {
                    return Err(KeysError::LastAdmin);
                }
                let (tenant, by) = (tenant.clone(), Some(by));
                let event = KeyEvent::Revoked { id, tenant, by };
                self.append(&event, now).await?;
                Ok(known())
            }
            settled => Ok(settled),
        }
    }

    async fn append(&self, event: &KeyEvent, now: Timestamp) -> Result<(), KeysError> {
        let appended = self.log.append(vec![event.to_record(now)]).await;
        let unconfirmed = || LogError::unconfirmed("the log did not answer");
        let position = appended.into_iter().next().ok_or_else(unconfirmed)??;
        tokio::time::timeout(Duration::from_millis(VERDICT_WAIT_MS), self.reach(position))
            .await
            .unwrap_or(Err(KeysError::Behind))
    }

    fn read<R>(&self, ask: impl FnOnce(&Keyring) -> R) -> R {
        ask(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }
}
