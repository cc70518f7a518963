//! Runs the subjects that the arguments name, one after the other.

use std::time::Instant;

use crate::filled::Filled;
use crate::machine::Machine;
use crate::postgres::Applied;
use crate::report::Report;
use crate::stats::per_second;
use crate::subjects::{self, page::Rates};
use crate::{Options, Subject};

const SESSIONS_DEFAULT: u64 = 100_000;
const SESSIONS_ALL: u64 = 1_000_000;
/// With more sessions, PostgreSQL takes too long.
const POSTGRES_SESSIONS_MAX: u64 = 1_000_000;

pub(crate) fn run(options: &Options, subject: Subject) {
    // One thread: the rest of the machine is for the servers under test.
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    let started = Instant::now();
    let mut report = Report::new(Machine::look());
    let mut earlier: Vec<Size> = Vec::new();
    for sessions in sizes(options, subject) {
        let measured = size(&mut report, options, (subject, sessions), &earlier);
        earlier.extend(runtime.block_on(measured));
    }
    if subject == Subject::All {
        runtime.block_on(subjects::append::run(&mut report));
        subjects::agents::run(&mut report, options.agents);
    }
    if let Some(file) = &options.json {
        report.write(file);
    }
    println!("\nended after {:.0} s", started.elapsed().as_secs_f64());
}

fn sizes(options: &Options, subject: Subject) -> Vec<u64> {
    match (options.sessions.as_slice(), subject) {
        ([], Subject::All) => vec![SESSIONS_ALL],
        ([], _) => vec![SESSIONS_DEFAULT],
        (sizes, _) => sizes.to_vec(),
    }
}

/// The results for one size, to compare others with.
pub(crate) struct Size {
    pub(crate) sessions: u64,
    /// Events per second.
    pub(crate) fold: Option<f64>,
    /// Requests per second, by case.
    pub(crate) pages: Rates,
}

/// Measures at one size.
async fn size(
    report: &mut Report,
    options: &Options,
    (subject, sessions): (Subject, u64),
    earlier: &[Size],
) -> Option<Size> {
    match subject {
        Subject::Fold if options.batches => {
            subjects::fold_batches::run(report, sessions, options.ages);
        }
        Subject::Depth => depth(report, options, sessions).await,
        Subject::Then => then(report, options, sessions).await,
        Subject::Lineage => lineage(report, options, sessions).await,
        Subject::Live => live(report, options, sessions).await,
        Subject::Append => subjects::append::run(report).await,
        Subject::Overload => subjects::overload::run(report).await,
        Subject::Agents => subjects::agents::run(report, options.agents),
        Subject::Fold | Subject::Page | Subject::Visible | Subject::Restart | Subject::All => {
            let measured = on_filled(report, options, (subject, sessions), earlier).await;
            if subject == Subject::All {
                depth(report, options, sessions).await;
                then(report, options, sessions).await;
            }
            return Some(measured);
        }
    }
    None
}

/// Whether a subject that takes all events or none compares with PostgreSQL.
fn with_postgres(options: &Options, sessions: u64) -> bool {
    options.postgres_events != Some(0) && sessions <= POSTGRES_SESSIONS_MAX
}

async fn depth(report: &mut Report, options: &Options, sessions: u64) {
    subjects::depth::run(report, sessions, with_postgres(options, sessions)).await;
}

async fn then(report: &mut Report, options: &Options, sessions: u64) {
    let with_postgres = with_postgres(options, sessions);
    subjects::then::run(report, sessions, options.ages, with_postgres).await;
}

async fn lineage(report: &mut Report, options: &Options, sessions: u64) {
    subjects::lineage::run(report, sessions, with_postgres(options, sessions)).await;
}

async fn live(report: &mut Report, options: &Options, sessions: u64) {
    subjects::live::run(report, sessions, with_postgres(options, sessions)).await;
}

/// Runs the subjects that need a log with events, all on one log.
async fn on_filled(
    report: &mut Report,
    options: &Options,
    (subject, sessions): (Subject, u64),
    earlier: &[Size],
) -> Size {
    let wanted = |which: Subject| subject == which || subject == Subject::All;
    let mut filled = Filled::publish(sessions, options.ages).await;
    let postgres = match subject {
        Subject::Visible | Subject::Restart => None,
        _ => postgres(options, &filled).await,
    };
    let mut measured = Size {
        sessions,
        fold: None,
        pages: Rates::new(),
    };
    if wanted(Subject::Fold) {
        let rate = subjects::fold::run(report, &filled, postgres.as_ref(), earlier).await;
        measured.fold = Some(rate);
    }
    if subject == Subject::Fold {
        return measured;
    }
    let (mut node, caught_up) = filled.serve().await;
    if wanted(Subject::Page) {
        let from_nothing = measured.fold.is_none();
        if from_nothing {
            measured.fold = Some(per_second(filled.events, caught_up));
        }
        let with = (postgres.as_ref(), earlier);
        let rates = subjects::page::run(report, &filled, &node, with).await;
        measured.pages = rates;
        if from_nothing {
            subjects::fold::by_size(report, &measured, earlier);
        }
    }
    drop(postgres);
    if wanted(Subject::Visible) {
        subjects::visible::run(report, &mut filled, &node).await;
    }
    if wanted(Subject::Restart) {
        node = subjects::restart::run(report, &mut filled, node).await;
    }
    node.stop();
    measured
}

/// Returns PostgreSQL with equal events, or with as many as the options allow.
async fn postgres(options: &Options, filled: &Filled) -> Option<Applied> {
    let events = match options.postgres_events {
        Some(events) => events.min(filled.events),
        None if POSTGRES_SESSIONS_MAX < filled.sessions => 0,
        None => filled.events,
    };
    if events == 0 {
        return None;
    }
    Applied::fill(filled.sessions, events, filled.ages).await
}
