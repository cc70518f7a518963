//! The keyring: every key on the log of keys. It is a pure function of the records.
//!
//! An unreadable record changes nothing. If a key was issued twice, the first record counts. A
//! revocation is final.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::auth::event::{Grant, KeyEvent, Unreadable};
use crate::auth::{ApiKey, Author, Identity, KeyId, Role, Tenants};
use crate::domain::limits::KEYS_REVOKED_MAX;
use crate::domain::{Position, TenantId, Timestamp, TokenHash};
use crate::log::Record;

/// What the keyring knows about a key. The secret is not part of it.
#[derive(Debug, Clone)]
pub struct KeyEntry {
    /// The id of the key.
    pub id: KeyId,
    /// What the key may do, where and until when.
    pub grant: Grant,
    /// When the log stored the `key.issued` event.
    pub issued_at: Timestamp,
    /// Who issued the key; `None` if an older build did.
    pub issued_by: Option<Author>,
    /// The revocation; `None` if the key is not revoked.
    pub revoked: Option<Revocation>,
    /// The position of the `key.issued` event on the log.
    position: Position,
    hash: TokenHash,
    identity: Identity,
}

/// The revocation of a key.
#[derive(Debug, Clone)]
pub struct Revocation {
    /// When the log stored it.
    pub at: Timestamp,
    /// Who revoked the key; `None` if an older build did.
    pub by: Option<Author>,
}

/// Why a key is rejected. For logs: callers do not see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No key has this id.
    #[error("is unknown")]
    Unknown,
    /// The key with this id has another secret.
    #[error("has another secret")]
    Secret,
    /// The key is revoked.
    #[error("is revoked")]
    Revoked,
    /// The key has expired.
    #[error("has expired")]
    Expired,
}

impl KeyEntry {
    /// Whether the key is not revoked. It may have expired.
    pub fn is_live(&self) -> bool {
        self.revoked.is_none()
    }

    /// Whether this key was issued before `other`.
    pub(super) fn is_before(&self, other: &Self) -> bool {
        self.position < other.position
    }

    /// Returns the identity that the key proves at `now`.
    fn identity(&self, now: Timestamp) -> Result<&Identity, KeyError> {
        if !self.is_live() {
            return Err(KeyError::Revoked);
        }
        let expired = self.grant.expires_at.is_some_and(|at| at <= now);
        (!expired)
            .then_some(&self.identity)
            .ok_or(KeyError::Expired)
    }

    /// Whether the key can issue and revoke keys at `now`.
    fn is_admin(&self, now: Timestamp) -> bool {
        self.grant.roles.has(Role::Admin) && self.identity(now).is_ok()
    }
}

/// All keys of all tenants.
#[derive(Debug, Default)]
pub struct Keyring {
    keys: HashMap<KeyId, Arc<KeyEntry>>,
    tenants: HashMap<TenantId, TenantKeys>,
    /// Keys that are known only as revoked: [`KEYS_REVOKED_MAX`] keys of the tenant were revoked
    /// after them. Their ids stay, so that a second `key.issued` record cannot revive them.
    forgotten: HashSet<KeyId>,
}

/// A tenant's keys.
#[derive(Debug, Default)]
struct TenantKeys {
    /// The keys in the order in which they were issued.
    issued: BTreeMap<Position, KeyId>,
    /// The revoked ones of `issued`, in the order in which they were revoked.
    revoked: VecDeque<Position>,
    /// The positions of all records that issued or revoked a key.
    changes: Vec<Position>,
}

impl Keyring {
    /// Applies a record.
    pub(super) fn apply(&mut self, record: &Record) -> Result<(), Unreadable> {
        match KeyEvent::read(record)? {
            KeyEvent::Issued {
                id,
                hash,
                grant,
                by,
            } => self.issue(id, hash, (grant, by), record),
            KeyEvent::Revoked { id, tenant, by } => {
                let at = record.recorded_at;
                self.revoke(id, &tenant, Revocation { at, by }, record.position);
            }
        }
        Ok(())
    }

    fn issue(
        &mut self,
        id: KeyId,
        hash: TokenHash,
        (grant, issued_by): (Grant, Option<Author>),
        record: &Record,
    ) {
        if self.keys.contains_key(&id) || self.forgotten.contains(&id) {
            return;
        }
        let tenant = self.tenants.entry(grant.tenant.clone()).or_default();
        tenant.issued.insert(record.position, id);
        tenant.changes.push(record.position);
        let identity = Identity {
            tenants: Tenants::One(grant.tenant.clone()),
            roles: grant.roles,
            id: id.to_string().into(),
            agent: grant.agent.clone(),
        };
        let entry = KeyEntry {
            id,
            grant,
            issued_at: record.recorded_at,
            issued_by,
            revoked: None,
            position: record.position,
            hash,
            identity,
        };
        self.keys.insert(id, Arc::new(entry));
    }

    fn revoke(&mut self, id: KeyId, tenant: &TenantId, revocation: Revocation, position: Position) {
        let Some(entry) = self.keys.get_mut(&id) else {
            return;
        };
        if entry.grant.tenant != *tenant || !entry.is_live() {
            return;
        }
        Arc::make_mut(entry).revoked = Some(revocation);
        let keys = self.tenants.entry(tenant.clone()).or_default();
        keys.changes.push(position);
        keys.revoked.push_back(entry.position);
        if KEYS_REVOKED_MAX < keys.revoked.len()
            && let Some(oldest) = keys.revoked.pop_front()
            && let Some(id) = keys.issued.remove(&oldest)
        {
            self.keys.remove(&id);
            self.forgotten.insert(id);
        }
    }

    /// Returns the identity that a key proves at `now`.
    pub fn authenticate(&self, key: &ApiKey, now: Timestamp) -> Result<Identity, KeyError> {
        let Some(entry) = self.keys.get(&key.id()) else {
            let forgotten = self.forgotten.contains(&key.id());
            return Err(if forgotten {
                KeyError::Revoked
            } else {
                KeyError::Unknown
            });
        };
        if !key.has_hash(&entry.hash) {
            return Err(KeyError::Secret);
        }
        entry.identity(now).cloned()
    }

    /// Whether a key is the only one of its tenant that can issue and revoke keys at `now`.
    pub(super) fn is_last_admin(&self, key: &KeyEntry, now: Timestamp) -> bool {
        let others = self.list(&key.grant.tenant).into_iter();
        let mut others = others.filter(|entry| entry.id != key.id);
        key.is_admin(now) && !others.any(|entry| entry.is_admin(now))
    }

    /// Returns a key of a tenant.
    pub fn get(&self, tenant: &TenantId, id: KeyId) -> Option<&Arc<KeyEntry>> {
        let entry = self.keys.get(&id)?;
        (entry.grant.tenant == *tenant).then_some(entry)
    }

    /// Returns the keys of a tenant, newest first.
    pub fn list(&self, tenant: &TenantId) -> Vec<Arc<KeyEntry>> {
        let keys = self.tenants.get(tenant);
        let ids = keys.into_iter().flat_map(|keys| keys.issued.values().rev());
        ids.filter_map(|id| self.keys.get(id).cloned()).collect()
    }

    /// Returns the positions of all changes of a tenant's keys on the log.
    pub(super) fn changes(&self, tenant: &TenantId) -> &[Position] {
        let keys = self.tenants.get(tenant);
        keys.map_or(&[], |keys| &keys.changes)
    }

    /// Returns the number of a tenant's keys that are not revoked.
    pub fn live_count(&self, tenant: &TenantId) -> usize {
        let keys = self.tenants.get(tenant);
        keys.map_or(0, |keys| keys.issued.len() - keys.revoked.len())
    }

    /// Whether every key of every tenant is revoked, or there are no keys.
    pub fn is_empty(&self) -> bool {
        self.tenants
            .keys()
            .all(|tenant| self.live_count(tenant) == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Role;
    use crate::wire::Headers;

    const NOW_US: i64 = 1_769_860_800_000_000;

    /// A keyring and the log that it was made from.
    #[derive(Default)]
    struct World {
        ring: Keyring,
        records: Vec<Record>,
    }

    impl World {
        fn add(&mut self, event: &KeyEvent) {
            let position = self.records.len() as u64 + 1;
            let recorded_at = at(i64::try_from(position).unwrap());
            let new = event.to_record(recorded_at);
            let record = Record {
                position: Position::new(position),
                recorded_at,
                subject: new.subject,
                private: new.private,
                headers: Headers::default(),
                payload: new.body,
            };
            self.ring.apply(&record).unwrap();
            self.records.push(record);
        }

        fn issue(&mut self, tenant: &str, expires_at: Option<Timestamp>) -> ApiKey {
            let key = ApiKey::generate().unwrap();
            self.issue_as(&key, tenant, expires_at);
            key
        }

        fn issue_as(&mut self, key: &ApiKey, tenant: &str, expires_at: Option<Timestamp>) {
            self.add(&KeyEvent::Issued {
                id: key.id(),
                hash: key.hash(),
                grant: Grant {
                    tenant: id(tenant),
                    name: None,
                    roles: [Role::Read].into_iter().collect(),
                    agent: None,
                    expires_at,
                },
                by: Some(Author::Operator),
            });
        }

        fn revoke(&mut self, key: &ApiKey, tenant: &str) {
            let (id, tenant) = (key.id(), id(tenant));
            let by = Some(Author::Key(id));
            self.add(&KeyEvent::Revoked { id, tenant, by });
        }

        fn opens(&self, key: &ApiKey) -> bool {
            self.refused(key, at(1_000)).is_none()
        }

        fn refused(&self, key: &ApiKey, now: Timestamp) -> Option<KeyError> {
            self.ring.authenticate(key, now).err()
        }
    }

    fn id(tenant: &str) -> TenantId {
        TenantId::parse(tenant).unwrap()
    }

    fn at(us: i64) -> Timestamp {
        Timestamp::from_micros_clamped(NOW_US + us)
    }

    #[test]
    fn a_key_stands_for_its_tenant_and_roles() {
        let mut world = World::default();
        let key = world.issue("acme", None);
        let identity = world.ring.authenticate(&key, at(0)).unwrap();
        assert_eq!(identity.tenants, Tenants::One(id("acme")));
        assert!(identity.roles.has(Role::Read) && !identity.roles.has(Role::Write));
        assert_eq!(&*identity.id, key.id().to_string());
    }

    #[test]
    fn a_key_with_another_secret_is_rejected() {
        let mut world = World::default();
        let key = world.issue("acme", None);
        let other = ApiKey::generate().unwrap().reveal();
        let forged = key.reveal()[..21].to_owned() + &other[21..];
        let forged = ApiKey::parse(&forged).unwrap();
        assert_eq!(forged.id(), key.id());
        assert!(world.opens(&key));
        assert_eq!(world.refused(&forged, at(0)), Some(KeyError::Secret));
        let unknown = ApiKey::generate().unwrap();
        assert_eq!(world.refused(&unknown, at(0)), Some(KeyError::Unknown));
    }

    #[test]
    fn a_key_is_valid_before_it_expires_and_not_from_then_on() {
        let mut world = World::default();
        let key = world.issue("acme", Some(at(10)));
        assert_eq!(world.refused(&key, at(9)), None);
        assert_eq!(world.refused(&key, at(10)), Some(KeyError::Expired));
    }

    #[test]
    fn a_revocation_is_final_and_keeps_its_first_time() {
        let mut world = World::default();
        let key = world.issue("acme", None);
        world.revoke(&key, "acme");
        world.revoke(&key, "acme");
        world.issue_as(&key, "acme", None);
        assert_eq!(world.refused(&key, at(0)), Some(KeyError::Revoked));
        let entry = world.ring.get(&id("acme"), key.id()).unwrap();
        let revoked = entry.revoked.as_ref().unwrap();
        assert_eq!((entry.issued_at, revoked.at), (at(1), at(2)));
        assert_eq!(entry.issued_by, Some(Author::Operator));
        assert_eq!(revoked.by, Some(Author::Key(key.id())));
        assert_eq!(world.ring.live_count(&id("acme")), 0);
        assert!(world.ring.is_empty());
        // The second revocation and the second issue changed nothing.
        let changes = [1, 2].map(Position::new);
        assert_eq!(world.ring.changes(&id("acme")), changes);
    }

    #[test]
    fn a_tenant_neither_sees_nor_revokes_nor_takes_over_the_key_of_another() {
        let mut world = World::default();
        let key = world.issue("acme", None);
        world.revoke(&key, "globex");
        let mine = ApiKey::parse(&key.reveal()).unwrap();
        world.issue_as(&mine, "globex", None);
        let identity = world.ring.authenticate(&key, at(0)).unwrap();
        assert_eq!(identity.tenants, Tenants::One(id("acme")));
        assert!(world.ring.get(&id("globex"), key.id()).is_none());
        assert!(world.ring.list(&id("globex")).is_empty());
    }

    #[test]
    fn keys_are_listed_newest_first_and_the_oldest_revoked_are_forgotten() {
        let mut world = World::default();
        let live = world.issue("acme", None);
        let revoked: Vec<ApiKey> = (0..=KEYS_REVOKED_MAX)
            .map(|_| {
                let key = world.issue("acme", None);
                world.revoke(&key, "acme");
                key
            })
            .collect();
        let listed = world.ring.list(&id("acme"));
        assert_eq!(listed.len(), 1 + KEYS_REVOKED_MAX);
        assert_eq!(listed[0].id, revoked[KEYS_REVOKED_MAX].id());
        assert_eq!(listed.last().unwrap().id, live.id());
        assert!(world.ring.get(&id("acme"), revoked[0].id()).is_none());
        world.issue_as(&revoked[0], "acme", None);
        let refused = |key| world.refused(key, at(0));
        assert!(
            revoked
                .iter()
                .all(|key| refused(key) == Some(KeyError::Revoked))
        );
        assert_eq!(world.ring.live_count(&id("acme")), 1);
    }

    #[test]
    fn a_record_of_something_else_changes_nothing() {
        let mut world = World::default();
        let key = world.issue("acme", None);
        let mut odd = world.records[0].clone();
        odd.payload = "{".into();
        assert!(world.ring.apply(&odd).is_err());
        odd.subject = "ledger.v1.acme.session.created".into();
        assert!(world.ring.apply(&odd).is_err());
        assert!(world.opens(&key));
    }
}
