//! The keys of this node: the keyring that follows the log, and the ways to change it.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use crate::auth::event::{Grant, GrantError, KeyEvent};
use crate::auth::keyring::{KeyEntry, KeyError, Keyring};
use crate::auth::{ApiKey, Author, Identity, KeyId, Role};
use crate::domain::limits::{KEYS_PER_TENANT_MAX, LOG_READ_RECORDS_MAX, VERDICT_WAIT_MS};
use crate::domain::{Position, TenantId, Timestamp};
use crate::log::{EventLog, LogError};

/// Why keys could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// What was asked for makes no sense.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// Revoke some first.
    #[error(
        "the tenant has {KEYS_PER_TENANT_MAX} keys that are not revoked, and may not have more; \
         revoke those that nobody uses, expired ones too"
    )]
    TooMany,
    /// Nobody with a key could change keys any more.
    #[error(
        "it is the tenant's last key with the role admin: issue another such key first, or revoke it \
         with --data-dir or --nats-url"
    )]
    LastAdmin,
    /// The log did not take it, or may have.
    #[error(transparent)]
    Log(#[from] LogError),
    /// It is on the log, and this node has not heard of it in time.
    #[error("it is on the log, but the keys of this node have not caught up with it in time")]
    Behind,
    /// The keyring no longer follows the log.
    #[error("the keys of this node no longer follow their log")]
    Stopped,
    /// The operating system has no random bytes to give.
    #[error("the operating system gives no random bytes for a key")]
    Random(#[from] getrandom::Error),
    /// Its id is taken: a matter of 64 random bits. Try again.
    #[error("another key has the same id; try again")]
    Collision,
}

/// How far the keyring follows its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    position: Position,
    stopped: bool,
}

/// The keys of this node.
pub struct Keys {
    log: Arc<dyn EventLog>,
    /// Read by every request for some 100 ns, written when a key is issued or revoked.
    ring: RwLock<Keyring>,
    progress: watch::Sender<Progress>,
    /// Held while a key with the role admin is revoked: of two that revoke each other one stays.
    revoking_admin: Mutex<()>,
}

impl Keys {
    /// Keys of a log. They open nothing before [`Keys::run`] has read it.
    pub fn new(log: Arc<dyn EventLog>) -> Self {
        Self {
            log,
            ring: RwLock::default(),
            progress: watch::Sender::new(Progress {
                position: Position::ZERO,
                stopped: false,
            }),
            revoking_admin: Mutex::default(),
        }
    }

    /// Follows the log until told to stop. If that cannot go on, says why, and revocations that
    /// come later are not heard of: [`Keys::are_followed`] says so as well.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), LogError> {
        let followed = stop.run_until_cancelled(self.tail()).await;
        self.progress
            .send_modify(|progress| progress.stopped = true);
        followed.unwrap_or(Ok(()))
    }

    async fn tail(&self) -> Result<(), LogError> {
        let mut tail = self.log.tail(Position::ZERO).await?;
        loop {
            let records = tail.next(LOG_READ_RECORDS_MAX).await?;
            let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
            for record in &records {
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
            if let Some(last) = records.last() {
                self.progress
                    .send_modify(|progress| progress.position = last.position);
            }
        }
    }

    /// Whether revocations reach this node: the log can be reached and is followed.
    pub fn are_followed(&self) -> bool {
        !self.progress.borrow().stopped && self.log.is_available()
    }

    /// Waits until everything that is on the log now is known here.
    pub async fn catch_up(&self) -> Result<(), KeysError> {
        let head = self.log.head().await?;
        self.reach(head).await
    }

    async fn reach(&self, position: Position) -> Result<(), KeysError> {
        let mut progress = self.progress.subscribe();
        let reached =
            progress.wait_for(|progress| position <= progress.position || progress.stopped);
        match reached.await {
            Ok(progress) if position <= progress.position => Ok(()),
            Ok(_) | Err(_) => Err(KeysError::Stopped),
        }
    }

    /// Whom a key stands for at `now`.
    pub fn authenticate(&self, key: &ApiKey, now: Timestamp) -> Result<Identity, KeyError> {
        self.read(|ring| ring.authenticate(key, now))
    }

    /// A tenant's keys, those issued last first.
    pub fn list(&self, tenant: &TenantId) -> Vec<Arc<KeyEntry>> {
        self.read(|ring| ring.list(tenant))
    }

    /// Where some changes of a tenant's keys stand on the log, and how many there are.
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

    pub(super) fn log(&self) -> &dyn EventLog {
        &*self.log
    }

    /// Whether there is any key that is not revoked.
    pub fn is_empty(&self) -> bool {
        self.read(Keyring::is_empty)
    }

    /// A tenant's key.
    pub fn get(&self, tenant: &TenantId, id: KeyId) -> Option<Arc<KeyEntry>> {
        self.read(|ring| ring.get(tenant, id).cloned())
    }

    /// The keys in whose place a key of an agent is: those of the same agent that were issued before
    /// it and are not revoked. A key that is bound to no agent is in no other's place.
    pub fn replaced_by(&self, key: &KeyEntry) -> Vec<Arc<KeyEntry>> {
        let agent = &key.grant.agent;
        let of_agent = |entry: &KeyEntry| agent.is_some() && entry.grant.agent == *agent;
        let keys = self.list(&key.grant.tenant).into_iter();
        keys.filter(|entry| of_agent(entry) && entry.is_live() && entry.is_before(key))
            .collect()
    }

    /// Refuses if a tenant may not have another key.
    pub fn check_room(&self, tenant: &TenantId) -> Result<(), KeysError> {
        if KEYS_PER_TENANT_MAX <= self.read(|ring| ring.live_count(tenant)) {
            return Err(KeysError::TooMany);
        }
        Ok(())
    }

    /// Issues a key. Once this returns it opens this node, and every other as soon as that has
    /// heard of it. If it fails, a key may be on the log that nobody knows: it is of no use to
    /// anybody, and can be revoked.
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

    /// Revokes a tenant's key, if it has it; again is as well. Once this returns it no longer opens
    /// this node. The last key with the role admin is not revoked by a key: it takes who needs none.
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
