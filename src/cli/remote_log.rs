//! The logs of a server, read over HTTP for a backup.

use anyhow::Context as _;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::app::backup::{self, BackedUp, Destination, Options, Sources, Step};
use crate::app::tls::ClientTls;
use crate::backup::{Line, LogKind, Origin, Source, SourceError};
use crate::cli::Usage;
use crate::cli::client::{Api, ApiError, Identity, read};
use crate::cli::target::KeyArgs;
use crate::domain::Position;
use crate::domain::limits::EVENTS_PAGE_MAX;
use crate::http::dto::{LogEnd, LogEnds};
use crate::log::Record;

/// A log of a server.
struct RemoteLog {
    api: Api,
    kind: LogKind,
    /// The end of the log when the backup began.
    head: Position,
    /// Up to here records are read one by one, because a read of several has failed.
    one_by_one: Position,
}

/// The code of the problem if a record is missing or damaged.
const LOST: &str = "record_lost";
/// The error without a credential.
const NO_KEY: &str = "a key or token with the role operator is required, in the variable \
                      SESSION_LEDGER_KEY or in a --key-file. A server with --no-auth gives no caller \
                      this role: back up its --data-dir, once it is stopped, or its --nats-url";

/// Makes a client of an operator.
pub(super) fn api(
    url: &str,
    who: KeyArgs,
    tenant: Option<String>,
    tls: &ClientTls,
) -> anyhow::Result<Api> {
    let Some(key) = who.read()? else {
        return Err(Usage(NO_KEY.to_owned()).into());
    };
    let key = Some(key);
    Api::with_tls(url, Identity { key, tenant }, tls)
}

/// Asks a server for the ends of its logs.
pub(super) async fn ends(api: &Api) -> anyhow::Result<LogEnds> {
    let answer = api.get(&["v1", "backup"], &Vec::new()).await?;
    read(&answer).context("the server's answer is not the ends of its logs")
}

/// Backs up a server. The copy must have the hash chain that the server has folded.
pub(super) async fn back_up(
    api: Api,
    destination: Destination,
    options: &Options,
    on_step: impl FnMut(Step),
) -> anyhow::Result<BackedUp> {
    let ends = ends(&api).await?;
    let log = |kind, end: &LogEnd| {
        Box::new(RemoteLog {
            api: api.clone(),
            kind,
            head: Position::new(end.position),
            one_by_one: Position::ZERO,
        })
    };
    let sources = Sources {
        events: log(LogKind::Events, &ends.events),
        keys: log(LogKind::Keys, &ends.keys),
        origin: Origin::Server,
    };
    let done = backup::from(sources, destination, options, on_step).await?;
    let is_same = ends.events.position != done.position.get() || ends.events.chain == done.chain;
    // Behind a record that stands in the place of a lost one, the chains differ.
    anyhow::ensure!(
        is_same || done.lost_records != 0,
        "the hash chain of the backup at position {} is {}, and the server has folded {}: the log of \
         the server was changed",
        done.position,
        done.chain,
        ends.events.chain
    );
    Ok(done)
}

impl RemoteLog {
    async fn slice(&self, after: Position, limit: u64) -> Result<Vec<Record>, SourceError> {
        let (text, limit) = (after.to_string(), limit.to_string());
        let path = ["v1", "backup", self.kind.as_str()];
        let query = vec![("after", text.as_str()), ("limit", limit.as_str())];
        let answer = match self.api.get(&path, &query).await {
            Ok(answer) => answer,
            Err(ApiError::Problem(problem)) if problem.code == LOST => {
                return Err(SourceError::Lost(
                    "the server cannot read it; its log lines say why".to_owned(),
                ));
            }
            Err(error) => return Err(SourceError::Other(error.into())),
        };
        let lines = answer.lines().map(|line| Line::read(line.as_bytes()));
        let records: Result<Vec<Record>, _> = lines.collect();
        let records = records.map_err(|error| SourceError::Other(error.into()))?;
        let expected = after.get() + 1..;
        let in_order = |(record, expected): (&Record, u64)| record.position.get() == expected;
        if records.is_empty() || !records.iter().zip(expected).all(in_order) {
            let why = "the server sent other records than those that follow";
            return Err(SourceError::Other(why.into()));
        }
        Ok(records)
    }

    async fn next(&mut self, after: Position, until: Position) -> Result<Vec<Record>, SourceError> {
        let wanted = (until.get() - after.get()).min(EVENTS_PAGE_MAX.into());
        if after < self.one_by_one || wanted == 1 {
            return self.slice(after, 1).await;
        }
        match self.slice(after, wanted).await {
            Err(SourceError::Lost(_)) => {
                self.one_by_one = Position::new(after.get() + wanted);
                self.slice(after, 1).await
            }
            read => read,
        }
    }
}

impl Source for RemoteLog {
    fn head(&self) -> BoxFuture<'_, Result<Position, SourceError>> {
        std::future::ready(Ok(self.head)).boxed()
    }

    fn read(
        &mut self,
        after: Position,
        until: Position,
    ) -> BoxFuture<'_, Result<Vec<Record>, SourceError>> {
        self.next(after, until).boxed()
    }
}
