//! `verify-export`: checks an export, by itself and against a server.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::cli::client::{Api, Identity};
use crate::cli::client_tls::ClientTlsArgs;
use crate::cli::export::Summary;
use crate::cli::progress::Progress;
use crate::cli::remote_export::RemoteExport;
use crate::cli::target::{KeyArgs, NOBODY, tenant};
use crate::cli::{CommandResult, Usage, output};
use crate::domain::{Position, WithCauses};
use crate::export::{self, Difference, Manifest};

const AFTER_HELP: &str = "\
Examples:
  session-ledger verify-export ./acme-events
  With a key that has the role audit, compare it with a server:
    export SESSION_LEDGER_KEY=slk_...
    session-ledger verify-export ./acme-events \\
      --server https://ledger.example:8787

The command reads every line, and computes the hash chain and the SHA-256 of
each file again. It names the file, the line and the position of the first
difference. It finds every change but those of somebody who makes all hashes
again. With --server, it finds these too: it compares each line with what the
server has.
Exit code 1 if anything differs, or if the log of the server ends earlier.";

/// Check an export, by itself and against a server.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct VerifyExport {
    /// Directory of the export
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// JSON instead of lines
    #[arg(long)]
    json: bool,

    /// Server with which to compare the export, with a key that has the role audit
    #[arg(long, value_name = "URL")]
    server: Option<String>,

    #[command(flatten)]
    who: KeyArgs,

    #[command(flatten)]
    tls: ClientTlsArgs,

    /// Tenant of the export, for a token of several tenants or a server that requires no credentials
    #[arg(long, env = "SESSION_LEDGER_TENANT", value_name = "TENANT", value_parser = tenant)]
    tenant: Option<String>,
}

/// What the check came to.
#[derive(Serialize)]
struct Verified {
    /// What the export has; `None` if its files differ.
    export: Option<Summary>,
    /// The first difference.
    difference: Option<Place>,
    /// What the server has, if it was asked.
    server: Option<Server>,
}

#[derive(Serialize)]
struct Place {
    file: String,
    line: Option<u64>,
    position: Option<u64>,
    /// The event before a line that cannot be read.
    after: Option<u64>,
    what: String,
    #[serde(skip)]
    text: String,
}

#[derive(Serialize)]
struct Server {
    url: String,
    /// The position up to which both were compared.
    compared_until: u64,
    /// Whether the log of the server ends before the export.
    is_behind: bool,
}

impl VerifyExport {
    pub(super) async fn run(self) -> CommandResult {
        let api = match self.server {
            Some(url) => {
                let who = Identity {
                    key: self.who.read()?,
                    tenant: self.tenant,
                };
                if who.key.is_none() && who.tenant.is_none() {
                    return Err(Usage(NOBODY.to_owned()).into());
                }
                let api = Api::with_tls(&url, who, &self.tls.read()?)?;
                Some((url, api))
            }
            None => None,
        };
        let bar = Progress::of_events("checking");
        let verified = Box::pin(verify(&self.dir, api, &bar)).await;
        bar.end();
        let verified = verified?;
        if self.json {
            output::json(&serde_json::to_string(&verified)?)?;
        } else {
            output::data(&verified.describe())?;
        }
        let is_behind = verified
            .server
            .as_ref()
            .is_some_and(|server| server.is_behind);
        Ok(if verified.difference.is_none() && !is_behind {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

async fn verify(
    dir: &Path,
    server: Option<(String, Api)>,
    bar: &Progress,
) -> anyhow::Result<Verified> {
    // This thread has nothing else to do.
    let checked =
        tokio::task::block_in_place(|| export::check(dir, |done, all| bar.count(done, all)))?;
    let manifest = match checked {
        Ok(manifest) => manifest,
        Err(difference) => {
            return Ok(Verified {
                export: None,
                difference: Some(difference.into()),
                server: None,
            });
        }
    };
    let (mut difference, mut compared) = (None, None);
    if let Some((url, api)) = server {
        bar.phase("comparing");
        let (found, server) = compare(dir, &manifest, (url, api), bar).await?;
        difference = found;
        compared = Some(server);
    }
    Ok(Verified {
        export: Some(Summary::of(&manifest)),
        difference: difference.map(Place::from),
        server: compared,
    })
}

async fn compare(
    dir: &Path,
    manifest: &Manifest,
    (url, api): (String, Api),
    bar: &Progress,
) -> anyhow::Result<(Option<Difference>, Server)> {
    let source = RemoteExport::new(api);
    let until = manifest.complete_until();
    let present = source.end_or_last(manifest.verdicts_until()).await?;
    let on_step = |done, all| bar.count(done, all);
    let found = export::compare((dir, manifest), &source, &present, on_step).await?;
    let server = Server {
        url,
        compared_until: until.min(present.until).get(),
        // Verdicts as of a later position were not compared.
        is_behind: present.until < manifest.verdicts_until(),
    };
    Ok((found, server))
}

impl From<Difference> for Place {
    fn from(difference: Difference) -> Self {
        Self {
            text: difference.to_string(),
            what: WithCauses(&difference.what).to_string(),
            line: difference.line,
            position: difference.position.map(Position::get),
            after: difference.after.map(Position::get),
            file: difference.file,
        }
    }
}

impl Server {
    fn describe(&self) -> String {
        let Self {
            url,
            compared_until,
            is_behind,
        } = self;
        if *is_behind {
            return format!(
                "BEHIND: the log of {url} ends at position {compared_until}, before the end of the export. \
                 Up to there, both have the same events. The server was restored from an older backup, or \
                 its log was cut\n"
            );
        }
        format!("server  {url} has the same events up to position {compared_until}\n")
    }
}

impl Verified {
    fn describe(&self) -> String {
        if let Some(place) = &self.difference {
            return format!("DIFFERENCE: {}\n", place.text);
        }
        let export = self.export.as_ref().map(Summary::describe);
        let mut text = format!("ok: {}", export.unwrap_or_default());
        if let Some(server) = &self.server {
            text.push_str(&server.describe());
        }
        text
    }
}
