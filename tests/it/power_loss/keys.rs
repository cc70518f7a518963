//! The log of keys under power failures, and what a server remembers to have read of it (`keys.seen`).

use std::collections::BTreeMap;
use std::sync::Arc;

use fastrand::Rng;
use session_ledger::auth::{ApiKey, Author, Grant, Keys, Role, Roles, Seen};
use session_ledger::domain::TenantId;
use session_ledger::log::{EmbeddedLog, EventLog};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::power_loss::{CUTS_PER_LIFE, Cuts, Still, now, runtime};
use crate::simulation::disk::Disk;

/// A key that was issued, and whether it is revoked: `None` if nobody knows.
type Issued = (ApiKey, Option<bool>);

/// Runs one life: the power fails some times, and each time every key is valid or revoked as was
/// acknowledged.
pub(crate) fn keys(seed: u64) -> Cuts {
    let (mut rng, mut disk) = (Rng::with_seed(seed), Disk::default());
    let (mut issued, mut cuts) = (BTreeMap::new(), Cuts::default());
    runtime().block_on(async {
        // A new log gets its name only when it is complete, which is a matter of the file system.
        let log = EmbeddedLog::open_on(disk.opener(), Arc::new(Still));
        log.unwrap().close().await;
        for _ in 0..CUTS_PER_LIFE {
            disk.cut_after(rng.u64(..80));
            let seen = run_until_cut(&disk, &mut rng, &mut issued, &mut cuts).await;
            cuts.made += 1;
            disk = Disk::with(disk.cut(&mut rng));
            check(&disk, seen, &mut issued).await;
        }
    });
    cuts
}

/// Issues and revokes keys until the power fails. Returns how far the keys were read at that time.
async fn run_until_cut(
    disk: &Disk,
    rng: &mut Rng,
    issued: &mut BTreeMap<u64, Issued>,
    cuts: &mut Cuts,
) -> Seen {
    let Ok(log) = EmbeddedLog::open_on(disk.opener(), Arc::new(Still)) else {
        assert!(disk.is_off(), "the log does not open");
        cuts.at_open += 1;
        return Seen::NOTHING;
    };
    let (log, stop, mut tasks) = (Arc::new(log), CancellationToken::new(), JoinSet::new());
    let keys = Arc::new(Keys::new(Arc::<EmbeddedLog>::clone(&log)));
    tasks.spawn(Arc::clone(&keys).run(stop.clone()));
    // Before, no key is known, and there is nothing to revoke.
    drop(keys.catch_up().await);
    while !disk.is_off() {
        let revoked = issued
            .values_mut()
            .find(|(_, revoked)| *revoked == Some(false));
        if let Some((key, revoked)) = revoked.filter(|_| rng.bool()) {
            *revoked = None;
            if keys
                .revoke(&acme(), key.id(), Author::Operator, now())
                .await
                .is_ok()
            {
                *revoked = Some(true);
                cuts.acknowledged += 1;
            }
            continue;
        }
        let roles = Roles::from_iter([Role::Read]);
        let grant = Grant {
            tenant: acme(),
            name: None,
            roles,
            agent: None,
            expires_at: None,
        };
        if let Ok((key, _)) = keys.issue(grant, Author::Operator, now()).await {
            cuts.acknowledged += 1;
            issued.insert(issued.len() as u64, (key, Some(false)));
        }
    }
    let seen = keys.seen();
    stop.cancel();
    tasks.join_all().await;
    log.close().await;
    seen
}

/// Opens what is left.
async fn check(disk: &Disk, seen: Seen, issued: &mut BTreeMap<u64, Issued>) {
    let log = Arc::new(EmbeddedLog::open_on(disk.opener(), Arc::new(Still)).unwrap());
    seen.check(&*log)
        .await
        .expect("a server starts again after a power failure");
    let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
    let keys = Arc::new(Keys::new(Arc::<EmbeddedLog>::clone(&log)));
    tasks.spawn(Arc::clone(&keys).run(stop.clone()));
    keys.catch_up().await.unwrap();
    for (number, (key, revoked)) in issued {
        let valid = keys.authenticate(key, now()).is_ok();
        assert!(
            revoked.is_none_or(|revoked| valid != revoked),
            "key {number}: valid {valid}"
        );
        *revoked = Some(!valid);
    }
    stop.cancel();
    tasks.join_all().await;
    log.close().await;
}

fn acme() -> TenantId {
    TenantId::parse("acme").unwrap()
}
