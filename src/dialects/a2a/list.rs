//! `ListTasks`: a page of tasks with the exact total, newest first.
//!
//! The listings of the ledger are divided by status and outcome, and sorted by the time of creation. So a
//! page of a tenant's tasks in any state costs what a page of sessions costs. Without a context, a filter by
//! the time of the state is exact for working tasks alone: they have had that state since their creation.
//! Within a context every filter is, because the tree of a context is read whole.

use super::failure::Failure;
use super::request::{Context, ListTasks};
use super::state::TaskState;
use super::task::{self, Shown, TASK_BYTES};
use crate::auth::Principal;
use crate::domain::{SessionFilter, TenantId, TimeRange};
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::request::caller::sight;
use crate::http::response::json::Json;
use crate::http::state::App;
use crate::projection::{RowBytes, Snapshot};
use crate::query::{self, Cursor, Page, PageStart, Paged, Sight, TreeFilter};

/// Why the ledger cannot answer: what to ask instead.
const NO_INDEX_OF_TIMES: &str = "needs a contextId, or the status TASK_STATE_WORKING: the ledger has no \
                                 index of the times at which tasks ended, and gives no total that it has \
                                 not counted";

/// The tasks that a request wants, as listings of the ledger.
enum Wanted {
    /// Of the whole tenant.
    All(SessionFilter),
    /// Of one tree.
    Tree(TreeFilter),
    /// No session can match.
    Nothing,
}

impl Wanted {
    fn of(request: &ListTasks) -> Result<Self, Problem> {
        let ListTasks {
            context,
            state,
            since,
            ..
        } = request;
        if context.is_none() && since.is_some() && *state != TaskState::Working {
            let problem = Problem::new(Code::UnsupportedFilter);
            return Err(problem.with_error("statusTimestampAfter", NO_INDEX_OF_TIMES));
        }
        let Some((statuses, outcomes)) = state.sessions() else {
            return Ok(Self::Nothing);
        };
        Ok(match context {
            Some(Context::Tree(root)) => Self::Tree(TreeFilter {
                root: root.clone(),
                statuses,
                outcomes,
                since: *since,
            }),
            Some(Context::Unknown) => Self::Nothing,
            None => Self::All(SessionFilter {
                statuses,
                outcomes,
                created: TimeRange {
                    after: *since,
                    before: None,
                },
                ..SessionFilter::default()
            }),
        })
    }
}

/// The answer, as JSON.
pub(super) async fn answer(
    app: &App,
    principal: &Principal,
    request: ListTasks,
) -> Result<Json, Failure> {
    let wanted = Wanted::of(&request)?;
    let principal = principal.clone();
    // Contexts read up to thousands of rows.
    let answer = app.scan(move |snapshot| {
        let sight = sight(&principal);
        let page = page(snapshot, sight, &wanted, &request)?;
        write(snapshot, sight, page.as_ref(), &request)
    });
    Ok(answer.await?)
}

fn page(
    snapshot: &Snapshot,
    sight: Sight<'_>,
    wanted: &Wanted,
    request: &ListTasks,
) -> Result<Option<Page<RowBytes>>, Problem> {
    let rows_max = usize::from(request.page_size);
    let token = request.token.as_deref();
    Ok(match wanted {
        Wanted::All(filter) => {
            let start = cursor(token, sight.tenant, filter)?;
            let start = start.map_or(PageStart::Offset(0), PageStart::from);
            let page = query::sessions::list(snapshot, sight, filter, start, rows_max);
            Some(page?)
        }
        Wanted::Tree(filter) => {
            let start = cursor(token, sight.tenant, filter)?;
            Some(query::trees::list(
                snapshot, sight, filter, start, rows_max,
            )?)
        }
        Wanted::Nothing => None,
    })
}

fn cursor(
    token: Option<&str>,
    tenant: &TenantId,
    filter: &impl Paged,
) -> Result<Option<Cursor>, Problem> {
    let cursor = token.map(|token| Cursor::parse(token, tenant, filter));
    cursor.transpose().map_err(|_of_another_listing| {
        let message = "belongs to no listing with these filters; send the nextPageToken of a page \
                       unchanged, with the filters of that page";
        Problem::new(Code::InvalidParameter).with_error("pageToken", message)
    })
}

/// Writes a page. A task has the state that the log says, as the filter has it, whatever time it is.
fn write(
    snapshot: &Snapshot,
    sight: Sight<'_>,
    page: Option<&Page<RowBytes>>,
    request: &ListTasks,
) -> Result<Json, Problem> {
    let (rows, total, next) = match page {
        Some(page) => (&*page.rows, page.total, page.next),
        None => (&[][..], 0, None),
    };
    let mut contexts = query::trees::roots(snapshot, sight, rows)?.into_iter();
    let mut out = Json::with_capacity(TASK_BYTES * rows.len() + TASK_BYTES);
    out.raw("{\"tasks\":[");
    out.elements(rows, |out, stored| {
        let (row, context) = (stored.row()?, contexts.next().flatten());
        let shown = Shown {
            context: context.as_deref(),
            status: row.status,
            artifacts: request.artifacts,
        };
        task::write(out, &row, shown);
        Ok::<_, Problem>(())
    })?;
    out.raw("],\"nextPageToken\":");
    out.text(&next.map_or_else(String::new, Cursor::to_text));
    out.raw(",\"pageSize\":");
    out.value(&request.page_size);
    out.raw(",\"totalSize\":");
    out.value(&total);
    out.raw("}");
    Ok(out)
}
