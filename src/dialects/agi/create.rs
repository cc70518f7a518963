//! `POST /v1/sessions`: opens a session for an agent, which here is the name of a model.
//!
//! The ledger keeps the fields that distinguish kinds of sessions. It does not keep `goal`,
//! `webhook_url` and `cdp_url`: they hold prompts, and addresses with secrets, which cannot be
//! removed from the log again.

use std::borrow::Cow;

use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use super::failure::Failure;
use super::read;
use super::session::KIND;
use crate::dialects::sdk::change::{self, Change};
use crate::dialects::sdk::fields::{Fields, wrong};
use crate::dialects::sdk::millis::millis;
use crate::domain::command::NewSession;
use crate::domain::event::Created;
use crate::domain::session::Phase;
use crate::domain::{AgentId, Metadata};
use crate::http::problem::Problem;
use crate::http::response::body;
use crate::http::response::success::Success;
use crate::http::state::App;
use crate::ledger::TokenPolicy;
use crate::ledger::command::SessionDone;

const AGENT_DEFAULT: &str = "agi-0";
/// The limit in AGI's documents.
const WEBHOOK_CHARS_MAX: usize = 2000;
/// Fields that are kept as metadata.
const KEPT: [&str; 4] = [
    KIND,
    "environment_type",
    "restore_from_session_id",
    "restore_from_environment_id",
];

pub(super) async fn create(
    State(app): State<App>,
    Change(command): Change,
) -> Result<Response, Failure> {
    let wanted = Wanted::read(&Fields::parse(&command.body)?)?;
    let (by, new) = (command.by(), wanted.command()?);
    let done = app.commands().create(by, new, TokenPolicy::None).await;
    let done = done.map_err(Problem::from)?;
    match change::stepped(&app, &command, &done.session, &done)? {
        Some(stepped) => {
            let answer = read::answer(&app, &stepped.session);
            Ok(answer.map_err(change::after_writing)?)
        }
        None => Ok(begun(&app, &done, &wanted)),
    }
}

/// The session that a request wants to create.
struct Wanted<'b> {
    agent: AgentId,
    /// The names and values of the metadata.
    kept: Vec<(&'static str, Cow<'b, str>)>,
}

impl<'b> Wanted<'b> {
    fn read(fields: &Fields<'b>) -> Result<Self, Problem> {
        let name = fields.text("agent_name")?;
        let agent = AgentId::parse(name.as_deref().unwrap_or(AGENT_DEFAULT));
        let agent = agent.map_err(|error| wrong("agent_name", error.to_string()))?;
        if let Some(url) = fields.text("webhook_url")? {
            check_webhook(&url)?;
        }
        for unkept in ["goal", "cdp_url"] {
            fields.text(unkept)?;
        }
        fields.number("max_steps")?;
        let mut kept = Vec::new();
        for name in KEPT {
            kept.extend(fields.text(name)?.map(|text| (name, text)));
        }
        Ok(Self { agent, kept })
    }

    fn command(&self) -> Result<NewSession, Problem> {
        let texts = self.kept.iter().map(|(name, text)| (*name, &**text));
        let metadata = Metadata::of_texts(&texts.collect::<Vec<_>>());
        let metadata = metadata.map_err(|error| wrong("metadata", error.to_string()))?;
        let created = Created {
            metadata,
            phase: Some(Phase::Ready),
            ..Created::new(self.agent.clone())
        };
        Ok(NewSession { id: None, created })
    }
}

fn check_webhook(url: &str) -> Result<(), Problem> {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    let is_web = ["http", "https"]
        .iter()
        .any(|it| scheme.eq_ignore_ascii_case(it));
    if is_web && url.chars().count() <= WEBHOOK_CHARS_MAX {
        return Ok(());
    }
    let message = format!("must be an http or https URL of at most {WEBHOOK_CHARS_MAX} characters");
    Err(wrong("webhook_url", message))
}

/// The answer while the session is on the log, but not in the list yet.
fn begun(app: &App, done: &SessionDone, wanted: &Wanted<'_>) -> Response {
    let mut shape = json!({
        "session_id": done.session,
        "agent_name": wanted.agent,
        "status": Phase::Initializing.as_str(),
        "created_at": millis(app.now()),
        "vnc_url": null,
    });
    if let Some((_, kind)) = wanted.kept.iter().find(|(name, _)| *name == KIND) {
        shape[KIND] = json!(kind);
    }
    body::json_with_status(Success::Accepted, &shape)
}
