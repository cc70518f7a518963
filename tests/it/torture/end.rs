//! The end of a run: all clients finish, and what they were told is compared with the log and the read models.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::torture::book::Book;
use crate::torture::{Finding, LOOK_AGAIN, QUIET_MAX, Run, log_check, verify};

/// How long a ledger may take to end after SIGTERM.
const END_MAX: Duration = Duration::from_secs(40);

/// Lets all clients finish, and checks that all promises hold.
pub(crate) async fn end(run: &mut Run<'_>) -> Result<(), Finding> {
    run.book.ending.cancel();
    let began = Instant::now();
    while !run.clients.is_empty() {
        run.look().await?;
        if QUIET_MAX < began.elapsed() {
            return Err(Finding(format!(
                "expected: an answer to every write within {QUIET_MAX:?} after all faults have ended; seen: \
                 {} clients still wait",
                run.clients.len()
            )));
        }
    }
    let missing = run.book.never_checked();
    if !missing.is_empty() {
        return Err(Finding(format!(
            "expected: each check at least once; seen: none of {missing:?}"
        )));
    }
    let head = settled(run).await?;
    let mut logs = Vec::new();
    for ledger in 0..run.address.ledgers() {
        let log = log_check::read(&run.address, ledger, head).await?;
        log.check(&run.book)?;
        logs.push(log.digest);
    }
    if logs.iter().any(|log| *log != logs[0]) {
        return Err(Finding(format!(
            "expected: ledgers that show one log with the same verdicts; seen: {logs:?}"
        )));
    }
    let (mut set_aside, mut flipped, mut starts, mut from_snapshot) = (0, 0, 0, 0);
    let mut ended = BTreeMap::new();
    for ledger in &mut run.world.ledgers {
        let status = ledger.terminate(END_MAX).await;
        if status.and_then(|status| status.code()) != Some(0) {
            return Err(Finding(format!(
                "expected: exit code 0 within {END_MAX:?} after SIGTERM; seen: {status:?} of the ledger in {}",
                ledger.dir().display()
            )));
        }
        ledger.check_panic()?;
        set_aside += ledger.set_aside();
        flipped += ledger.counts.flipped;
        starts += ledger.counts.starts;
        from_snapshot += ledger.starts_from_snapshots();
        for (why, count) in ledger.ended() {
            *ended.entry(why.clone()).or_insert(0) += count;
        }
    }
    run.report.digests = verify::all(run).await?;
    let mut counts = run.book.summary();
    for (name, count) in [
        ("records on the log", head),
        ("starts of ledgers", starts),
        ("ledgers that ended by themselves", ended.values().sum()),
        ("bytes of read models flipped", flipped),
        ("read models set aside and made again", set_aside),
        ("starts from a snapshot", from_snapshot),
    ] {
        writeln!(counts, "| {name} | {count} |").unwrap();
    }
    run.report.counts = counts;
    run.report.ended = ended;
    Ok(())
}

/// Waits until every ledger counts the sessions that its clients know. Until then, expiries may be missing.
/// Returns the highest position that a ledger shows.
async fn settled(run: &mut Run<'_>) -> Result<u64, Finding> {
    let expected = expected_totals(&run.book);
    let last = run.book.acknowledged();
    let last = last.iter().map(|acknowledged| acknowledged.position).max();
    let mut head = last.unwrap_or_default();
    for ledger in 0..run.address.ledgers() {
        let began = Instant::now();
        loop {
            let path = format!("/v1/agent-sessions/count?min_position={head}");
            let answer = run.address.get(ledger, &path).await?;
            let body = answer.map(|answer| answer.body).unwrap_or_default();
            let counted = totals_of(&body["by_status"]);
            if counted == expected {
                head = head.max(body["as_of"]["position"].as_u64().unwrap_or_default());
                break;
            }
            if QUIET_MAX < began.elapsed() {
                return Err(Finding(format!(
                    "expected: {expected:?} at ledger {ledger} within {QUIET_MAX:?} after all clients have \
                     finished; seen: {body}"
                )));
            }
            run.look().await?;
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
    Ok(head)
}

/// The sessions by status, by the account of the clients.
fn expected_totals(book: &Book) -> BTreeMap<String, u64> {
    let mut totals = BTreeMap::new();
    for session in book.sessions().values() {
        *totals.entry(session.status().to_owned()).or_insert(0) += 1;
    }
    totals
}

/// The totals of an answer that are not zero.
fn totals_of(by_status: &Value) -> BTreeMap<String, u64> {
    let parts = by_status.as_object().into_iter().flatten();
    parts
        .filter_map(|(name, count)| {
            Some((name.clone(), count.as_u64().filter(|count| *count != 0)?))
        })
        .collect()
}
