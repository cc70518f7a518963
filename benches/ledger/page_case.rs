//! The queries for pages, for the ledger's API and in SQL.

use fastrand::Rng;
use serde_json::Value;

use crate::filled::{Filled, LARGEST};
use crate::http::{self, Connection};
use crate::postgres::PageQueries;
use crate::workload::{SEED, agent_id, time_us, timestamp};

/// The number of time ranges, which are requested in turn.
const RANGES: usize = 256;
const LISTING: &str = "/v1/agent-sessions";
const COUNT: &str = "/v1/agent-sessions/count";

/// One query, in all its variants.
pub(crate) struct PageCase {
    pub(crate) name: String,
    /// The total of the first variant.
    pub(crate) total: u64,
    /// Paths and queries for the ledger.
    pub(crate) targets: Vec<String>,
    pub(crate) queries: PageQueries,
}

impl PageCase {
    /// Whether the query asks only for a total.
    pub(crate) fn is_count(&self) -> bool {
        self.targets.iter().all(|target| target.starts_with(COUNT))
    }
}

/// A filter, for the API and in SQL.
struct Filter {
    name: &'static str,
    query: String,
    agent: Option<String>,
    /// The numbers of the statuses in SQL, see `postgres::schema`.
    statuses: &'static [u8],
}

/// Returns all cases for a fill.
pub(crate) async fn cases(connection: &mut Connection, filled: &Filled) -> Vec<PageCase> {
    let agent = agent_id(0, 0);
    let by_agent = format!("agent_id={agent}");
    let filters = [
        Filter {
            name: "all of the largest tenant",
            query: String::new(),
            agent: None,
            statuses: &[],
        },
        Filter {
            name: "status active",
            query: "status=active".to_owned(),
            agent: None,
            statuses: &[0],
        },
        Filter {
            name: "two statuses",
            query: "status=active&status=terminated".to_owned(),
            agent: None,
            statuses: &[0, 2],
        },
        Filter {
            name: "agent",
            query: by_agent.clone(),
            agent: Some(agent.clone()),
            statuses: &[],
        },
        Filter {
            name: "agent and status",
            query: format!("{by_agent}&status=active"),
            agent: Some(agent),
            statuses: &[0],
        },
    ];
    let mut cases = Vec::new();
    for filter in &filters {
        cases.push(plain(filter, 0));
    }
    let total = total(connection, filled, &cases[0].targets[0]).await;
    cases.push(plain(&filters[0], total / 2));
    let ranges = ranges(filled.events);
    cases.push(range(
        "created in a range of time",
        LISTING,
        "limit=50&",
        &ranges,
        true,
    ));
    cases.push(range("count in a range of time", COUNT, "", &ranges, false));
    for case in &mut cases {
        case.total = self::total(connection, filled, &case.targets[0]).await;
    }
    cases
}

async fn total(connection: &mut Connection, filled: &Filled, target: &str) -> u64 {
    let answer: Value = connection.json(&http::get(target, &filled.key)).await;
    answer["total"].as_u64().expect("a total")
}

fn plain(filter: &Filter, offset: u64) -> PageCase {
    let mut name = filter.name.to_owned();
    let mut target = format!("{LISTING}?limit=50&{}", filter.query);
    if offset != 0 {
        name.push_str(", offset in the middle");
        target = format!("{target}&offset={offset}");
    }
    let statuses = filter
        .statuses
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    let status = match filter.statuses {
        [] => String::new(),
        [one] => format!(" AND status = {one}"),
        _ => format!(" AND status IN ({statuses})"),
    };
    let agent = filter
        .agent
        .as_ref()
        .map(|agent| format!(" AND agent = '{agent}'"))
        .unwrap_or_default();
    let condition = format!("tenant = '{LARGEST}'{agent}{status}");
    let kept_agent = filter.agent.as_deref().unwrap_or_default();
    PageCase {
        name,
        total: 0,
        targets: vec![target.trim_end_matches('&').replace("&&", "&")],
        queries: PageQueries {
            page: Some(format!(
                "SELECT * FROM sessions WHERE {condition} ORDER BY created_at DESC, id LIMIT 50 OFFSET {offset}"
            )),
            count: format!("SELECT count(*) FROM sessions WHERE {condition}"),
            kept: Some(format!(
                "SELECT sum(n) FROM counts WHERE tenant = '{LARGEST}' AND agent = '{kept_agent}'{status}"
            )),
            ranges: Vec::new(),
        },
    }
}

fn range(name: &str, path: &str, more: &str, ranges: &[(i64, i64)], page: bool) -> PageCase {
    let target = |(after, before): &(i64, i64)| {
        let (after, before) = (timestamp(*after), timestamp(*before));
        format!("{path}?{more}created_after={after}&created_before={before}")
    };
    let condition = format!("tenant = '{LARGEST}' AND $1 < created_at AND created_at < $2");
    PageCase {
        name: name.to_owned(),
        total: 0,
        targets: ranges.iter().map(target).collect(),
        queries: PageQueries {
            page: page.then(|| {
                format!(
                    "SELECT * FROM sessions WHERE {condition} ORDER BY created_at DESC, id LIMIT 50"
                )
            }),
            count: format!("SELECT count(*) FROM sessions WHERE {condition}"),
            kept: None,
            ranges: ranges.to_vec(),
        },
    }
}

/// Returns ranges between random times of the fill.
fn ranges(events: u64) -> Vec<(i64, i64)> {
    let mut random = Rng::with_seed(SEED);
    let mut range = || {
        let [one, other] = [(); 2].map(|()| time_us(random.u64(1..=events)));
        (one.min(other), one.max(other) + 1)
    };
    (0..RANGES).map(|_| range()).collect()
}
