//! A ledger's events for an export, read over HTTP.

use anyhow::Context as _;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::cli::client::{Api, ApiError, read};
use crate::domain::Position;
use crate::domain::causes::BoxError;
use crate::domain::limits::EXPORT_PAGE_EVENTS_MAX;
use crate::export::{End, Source};
use crate::http::dto::ExportEnd;
use crate::log::chain::TenantChain;

/// The code of the problem if the log of the server ends before a position.
const BEYOND_HEAD: &str = "position_beyond_head";

/// A ledger behind an API.
pub(super) struct RemoteExport {
    api: Api,
}

impl RemoteExport {
    pub(super) fn new(api: Api) -> Self {
        Self { api }
    }

    /// Asks what the ledger has up to a state, in the form of the API; up to now if there is none.
    pub(super) async fn end_at(&self, until: Option<&str>) -> anyhow::Result<End> {
        end(&self.ask(until).await?)
    }

    /// Asks what the ledger has up to a position, or up to the end of its log if that is before the position.
    pub(super) async fn end_or_last(&self, until: Position) -> anyhow::Result<End> {
        match self.ask(Some(&until.to_string())).await {
            Err(ApiError::Problem(problem)) if problem.code == BEYOND_HEAD => {
                self.end_at(None).await
            }
            answer => end(&answer?),
        }
    }

    async fn ask(&self, until: Option<&str>) -> Result<String, ApiError> {
        let query = until.map(|until| ("until", until)).into_iter().collect();
        self.api.get(&["v1", "export"], &query).await
    }
}

fn end(answer: &str) -> anyhow::Result<End> {
    let answer: ExportEnd = read(answer)?;
    let mut head = [0; 32];
    hex::decode_to_slice(&answer.chain, &mut head).context("the server's chain is no hash")?;
    Ok(End {
        tenant: answer.tenant,
        until: Position::new(answer.until),
        chain: TenantChain {
            events: answer.events,
            position: Position::new(answer.last_position),
            head,
        },
    })
}

impl Source for RemoteExport {
    fn end(&self, until: Position) -> BoxFuture<'_, Result<End, BoxError>> {
        async move {
            let answer = self.ask(Some(&until.to_string())).await?;
            Ok(end(&answer)?)
        }
        .boxed()
    }

    fn page(&self, after: Position, until: Position) -> BoxFuture<'_, Result<String, BoxError>> {
        async move {
            let (after, until) = (after.to_string(), until.to_string());
            let limit = EXPORT_PAGE_EVENTS_MAX.to_string();
            let query = vec![("after", &*after), ("until", &*until), ("limit", &*limit)];
            let page = self.api.get(&["v1", "export", "events"], &query).await;
            Ok(page?)
        }
        .boxed()
    }
}
