//! `ui`: prints a link that opens the dashboard of a server, signed in as the caller.

use std::process::ExitCode;

use clap::Args;
use reqwest::{Method, Url};
use serde_json::{Map, Value};

use crate::cli::client::{Api, read};
use crate::cli::server::ServerArgs;
use crate::cli::{CommandResult, output};
use crate::http::dto::SignInCode;

const AFTER_HELP: &str = "\
Examples:
  export SESSION_LEDGER_KEY=slk_...
  session-ledger ui
  Of another server, in the browser of a desktop:
    xdg-open \"$(session-ledger ui --url https://ledger.example)\"
  Of a server with --no-auth:
    session-ledger ui --tenant acme

The link has a code instead of the key. It works once, within 60 seconds, and
only on the server that made it: behind a load balancer, give the address of one
node. The page keeps the key in its memory until it is closed or loaded again.";

/// Print a link that opens the dashboard of a server, signed in.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Ui {
    #[command(flatten)]
    server: ServerArgs,
}

impl Ui {
    pub(super) async fn run(self) -> CommandResult {
        let link = link(&self.server.api()?).await?;
        output::line(link)?;
        output::note(format_args!(
            "The link works once, until a minute from now. Open it in a browser."
        ));
        Ok(ExitCode::SUCCESS)
    }
}

/// Makes a link to the dashboard that signs in as the caller. The code is in the fragment, which browsers
/// do not send.
pub(super) async fn link(api: &Api) -> anyhow::Result<Url> {
    let path = ["v1", "sign-in-codes"];
    let nothing = Map::<String, Value>::new();
    let made = api.change(Method::POST, &path, None, &nothing).await?;
    let SignInCode { code, .. } = read(&made)?;
    let mut link = api.url(&["ui"]);
    link.set_fragment(Some(&format!("code={code}")));
    Ok(link)
}
