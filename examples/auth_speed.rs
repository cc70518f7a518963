//! Measures the cost of checking a credential, by kind, in process.
//!
//! `cargo run --release --example auth_speed` prints microseconds per check on one thread, and checks
//! per second on all.
#![expect(clippy::print_stdout, reason = "the figures are the output")]

use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use session_ledger::app::clock::SystemClock;
use session_ledger::auth::jwt::{ClaimRules, KeySetSource, Secret, TokenConfig, Tokens};
use session_ledger::auth::{
    Author, Credentials, Grant, Keys, Presented, RateLimit, RateLimits, Roles,
};
use session_ledger::domain::{Clock, TenantId};
use session_ledger::log::EmbeddedLog;
use tokens::{Signer, key_set};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

#[path = "../tests/it/support/tokens.rs"]
#[expect(
    dead_code,
    clippy::unwrap_used,
    reason = "the tests use more of this module, and may panic"
)]
mod tokens;

/// The number of keys, of ten tenants.
const KEYS: usize = 2_000;
const TENANTS: usize = 10;
const SECRET: &[u8] = b"a secret of at least thirty-two bytes";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let log = EmbeddedLog::open(&dir.path().join("admin.redb"), Arc::clone(&clock))?;
    let keys = Arc::new(Keys::new(Arc::new(log)));
    let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
    tasks.spawn(Arc::clone(&keys).run(stop.clone()));
    let key = fill(&keys, &*clock).await?;

    let signers = [Signer::rs256("r"), Signer::es256("e"), Signer::eddsa("d")];
    let file = dir.path().join("keys.json");
    std::fs::write(&file, key_set(&signers.each_ref()))?;
    let tokens = Tokens::open(TokenConfig {
        key_set: Some(KeySetSource::File(file)),
        pace: None,
        secret: Secret::new(SECRET),
        rules: ClaimRules::default(),
    });
    let credentials = Arc::new(Credentials {
        keys,
        tokens: Some(Arc::new(tokens.await?)),
        rate_limits: None,
    });
    let exp = clock.now().micros() / 1_000_000 + 3600;
    let claims = json!({
        "iss": "https://issuer.example", "sub": "ci", "exp": exp, "iat": exp - 3600,
        "tenant_id": "tenant-1", "roles": ["read", "write"],
    });
    let [rs256, es256, eddsa] = signers.each_ref().map(|signer| signer.token(&claims));
    let hs256 = Signer::hs256(SECRET).token(&claims);
    println!(
        "| credential | us a check, one thread | checks a second, all threads |\n|---|---|---|"
    );
    for (name, text, rounds) in [
        ("key", key, 1_000_000),
        ("token, HS256", hs256, 200_000),
        ("token, RS256 (2048 bits)", rs256, 50_000),
        ("token, ES256", es256, 30_000),
        ("token, EdDSA", eddsa, 30_000),
    ] {
        measure(name, &credentials, &clock, &text.into(), rounds).await?;
    }
    limits();
    stop.cancel();
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

/// Issues many keys. Returns one of them.
async fn fill(keys: &Keys, clock: &dyn Clock) -> anyhow::Result<String> {
    let mut last = String::new();
    for number in 0..KEYS {
        let grant = Grant {
            tenant: TenantId::parse(&format!("tenant-{}", number % TENANTS))?,
            name: None,
            roles: Roles::ALL,
            agent: None,
            expires_at: None,
        };
        last = keys
            .issue(grant, Author::Operator, clock.now())
            .await?
            .0
            .reveal();
    }
    Ok(last)
}

async fn measure(
    name: &str,
    credentials: &Arc<Credentials>,
    clock: &Arc<dyn Clock>,
    text: &Arc<str>,
    rounds: u32,
) -> anyhow::Result<()> {
    let check = |rounds: u32| {
        let (credentials, clock) = (Arc::clone(credentials), Arc::clone(clock));
        let text = Arc::clone(text);
        async move {
            for _ in 0..rounds {
                let found = credentials.identify(Presented::Bearer(&text), clock.now());
                assert!(found.await.is_ok());
            }
        }
    };
    check(rounds / 10).await;
    let started = Instant::now();
    check(rounds).await;
    let us = started.elapsed().as_secs_f64() * 1e6 / f64::from(rounds);
    let threads = u32::try_from(std::thread::available_parallelism()?.get())?;
    let mut all = JoinSet::new();
    let started = Instant::now();
    for _ in 0..threads {
        all.spawn(check(rounds));
    }
    while let Some(done) = all.join_next().await {
        done?;
    }
    let a_second = f64::from(rounds * threads) / started.elapsed().as_secs_f64();
    println!("| {name} | {us:.2} | {a_second:.0} |");
    Ok(())
}

/// Measures the additional cost of counting a request.
fn limits() {
    const ROUNDS: u32 = 1_000_000;
    let many = std::num::NonZeroU32::MAX;
    let limits = RateLimits::new(RateLimit {
        per_second: many,
        burst: many,
    });
    let who: Vec<Arc<str>> = (0..1000).map(|number| number.to_string().into()).collect();
    let started = Instant::now();
    for round in 0..ROUNDS {
        limits.count(&who[round as usize % who.len()]);
    }
    let us = started.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS);
    println!("| rate limit, 1,000 credentials | {us:.2} | |");
}
