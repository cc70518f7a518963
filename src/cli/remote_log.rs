//! The logs of a server, read over HTTP for a backup.

use anyhow::Context as _;
use clap::Args;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::app::backup::{self, BackedUp, Destination, Options, Sources, Step};
use crate::backup::{Line, LogKind, LogPart, Origin, Source, SourceError};
use crate::cli::Usage;
use crate::cli::client::{Api, ApiError, Identity, read};
use crate::cli::client_tls::ClientTlsArgs;
use crate::cli::target::{KeyArgs, tenant};
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
                      this role";

/// An operator of a server.
#[derive(Debug, Args)]
pub(super) struct OperatorArgs {
    #[command(flatten)]
    who: KeyArgs,

    #[command(flatten)]
    tls: ClientTlsArgs,

    /// Tenant of the caller, for a token of several tenants
    #[arg(long, env = "SESSION_LEDGER_TENANT", value_name = "TENANT", value_parser = tenant)]
    tenant: Option<String>,
}

impl OperatorArgs {
    /// Makes a client. `instead` says what to do about a server that gives no caller this role.
    pub(super) fn api(self, url: &str, instead: &str) -> anyhow::Result<Api> {
        let Some(key) = self.who.read()? else {
            return Err(Usage(format!("{NO_KEY}: {instead}")).into());
        };
        let who = Identity {
            key: Some(key),
            tenant: self.tenant,
        };
        Api::with_tls(url, who, &self.tls.read()?)
    }
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
    for (kind, end) in [(LogKind::Events, &ends.events), (LogKind::Keys, &ends.keys)] {
        let copy = done.manifest.log(kind);
        anyhow::ensure!(
            agrees(copy, end),
            "the hash chain of the log of {} in the backup at position {} is {}, and the server has \
             folded {}: the log of the server was changed",
            kind.as_str(),
            copy.position,
            hex::encode(copy.chain),
            end.chain
        );
    }
    Ok(done)
}

/// Whether the copy of a log has the hash chain that the server has folded. Behind a record that stands in
/// the place of a lost one, the chains of this log differ, and cannot be compared.
fn agrees(copy: &LogPart, end: &LogEnd) -> bool {
    let is_same = hex::encode(copy.chain) == end.chain;
    is_same || end.position != copy.position.get() || !copy.lost.is_empty()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::LostRange;
    use crate::domain::Timestamp;

    #[test]
    fn a_copy_has_the_chain_of_the_server_unless_it_has_lost_records_of_that_log() {
        let end = |chain: [u8; 32]| LogEnd {
            position: 3,
            chain: hex::encode(chain),
        };
        let mut copy = LogPart {
            position: Position::new(3),
            chain: [1; 32],
            ..LogPart::default()
        };
        assert!(agrees(&copy, &end([1; 32])));
        assert!(!agrees(&copy, &end([2; 32])));
        copy.lost.push(LostRange {
            first: Position::new(2),
            last: Position::new(2),
            accepted_at: Timestamp::MIN,
            why: "the test says so".to_owned(),
        });
        assert!(agrees(&copy, &end([2; 32])));
    }
}
