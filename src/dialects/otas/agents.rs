//! Agents: an administrator creates them with a first key and lists them with their keys. Services
//! ask whether a key speaks for an agent.

use std::collections::HashMap;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Value, json};

use super::agent::{self, Agent, PROVIDER};
use super::credential;
use super::failure::{Failure, Refusal, success};
use super::keys;
use crate::dialects::sdk::change::{self, Change};
use crate::dialects::sdk::fields::{Fields, wrong};
use crate::dialects::sdk::whole_list;
use crate::domain::agent::{AgentProfile, AgentTexts};
use crate::domain::command::NewAgent;
use crate::domain::limits::PAGE_ROWS_MAX;
use crate::domain::{AgentFilter, AgentId, AgentStatus, Metadata, Reason, StatusSet, Timestamp};
use crate::http::api::keys::change as key_change;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::problem::style::text_of;
use crate::http::request::caller::{Admin, Anyone, Caller, Read, sight};
use crate::http::request::command::Command;
use crate::http::response::success::Success;
use crate::http::state::App;
use crate::ledger::command::AgentDone;
use crate::query;

/// Creates an agent and its first key.
pub(super) async fn create(
    State(app): State<App>,
    caller: Caller<Admin>,
    Change(command): Change,
) -> Result<Response, Failure> {
    key_change::refuse_unfit(&caller)?;
    let wanted = Wanted::read(&command.body).map_err(creation_failed)?;
    // The caller needs the key as well, so there must be room for it before the agent is created.
    key_change::check_room(&app, &caller)?;
    let created_by = user(&caller);
    let new = wanted.command(created_by).map_err(creation_failed)?;
    let done = app.commands().register_agent(command.by(), new).await;
    let done = done.map_err(Problem::from).map_err(creation_failed)?;
    let (status, agent) = match registered(&app, &command, &done)? {
        Some(agent) => (Success::Created, agent),
        // The event is on the log, and has no verdict yet.
        None => (
            Success::Accepted,
            wanted.agent(done.agent, created_by, app.now()),
        ),
    };
    // A retry with the same Idempotency-Key also gets a new key: its sender did not receive the
    // first.
    let given = keys::give(&app, &caller, &agent.id).await;
    let (key, entry) = given.map_err(|problem| keyless(&agent.id, &problem))?;
    let mut shape = agent.shape();
    shape["project_id"] = json!(caller.tenant());
    let mut agent_key = keys::issued_shape(&key, &entry);
    agent_key["agent_id"] = json!(agent.id);
    let payload = json!({"agent": shape, "agent_key": agent_key});
    Ok(success(status, "agent_created", "response", &payload))
}

/// All agents that may act, with their keys that are not revoked.
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller<Read>,
) -> Result<Response, Failure> {
    let (tenant, principal) = (caller.tenant(), caller.principal().clone());
    let mut keys: HashMap<String, Vec<Value>> = HashMap::new();
    for entry in app.keys().list(tenant) {
        if let Some(agent) = entry.grant.agent.as_ref().filter(|_| entry.is_live()) {
            let of_agent = keys.entry(agent.to_string()).or_default();
            of_agent.push(keys::listed_shape(&entry));
        }
    }
    let before = format!(
        r#"{{"status":1,"status_description":"agents_listed","response":{{"project_id":"{tenant}","agents":["#
    );
    let filter = AgentFilter {
        statuses: StatusSet::only(AgentStatus::Active),
        ..AgentFilter::default()
    };
    let now = app.now();
    let answer = whole_list::answer([before, "]}}".to_owned()], move |rows, start| {
        let rows_max = usize::from(PAGE_ROWS_MAX);
        let page = app.read(|snapshot| {
            let page = query::agents::list(snapshot, sight(&principal), &filter, start, rows_max);
            Ok(page?)
        })?;
        for known in &page.rows {
            if let Some(agent) = Agent::of(&known.row()?, now)? {
                let mut shape = agent.shape();
                shape["is_active"] = json!(true);
                let keys = keys.remove(agent.id.as_str());
                shape["agent_keys"] = Value::Array(keys.unwrap_or_default());
                rows.add(|out| out.value(&shape));
            }
        }
        Ok(page.next)
    });
    Ok(answer?)
}

/// Answers with the agent of the caller's key.
pub(super) async fn verify(
    State(app): State<App>,
    caller: Caller<Anyone>,
) -> Result<Response, Failure> {
    let agent = agent::of_key(&app, caller.sight())?;
    let payload = json!({
        "project_id": caller.tenant(),
        "agent": {"id": agent.id, "name": agent.name, "provider": agent.provider},
    });
    Ok(success(Success::Ok, "authenticated", "response", &payload))
}

/// Answers whether a user may see an agent.
pub(super) async fn authenticate(
    State(app): State<App>,
    caller: Caller<Read>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let id = credential::agent_id(&headers).ok_or(Refusal::MissingAgentId)?;
    let agent = agent::find(&app, caller.sight(), id)?.ok_or(Refusal::AgentNotFound)?;
    let payload = json!({
        "id": agent.id,
        "name": agent.name,
        "project_id": caller.tenant(),
    });
    Ok(success(Success::Ok, "authenticated", "agent", &payload))
}

/// The agent that a request wants to create.
struct Wanted {
    name: String,
    description: String,
    provider: String,
}

impl Wanted {
    fn read(body: &[u8]) -> Result<Self, Problem> {
        let fields = Fields::parse(body)?;
        let text = |name| {
            let text = fields.text(name)?;
            Ok::<_, Problem>(text.unwrap_or_default().trim().to_owned())
        };
        let required = |name| {
            let text: String = text(name)?;
            let missing = || wrong(name, "is required");
            (!text.is_empty()).then_some(text).ok_or_else(missing)
        };
        Ok(Self {
            name: required("agent_name")?,
            provider: required("agent_provider")?,
            description: text("agent_description")?,
        })
    }

    fn command(&self, created_by: &str) -> Result<NewAgent, Problem> {
        let metadata = Metadata::of_texts(&[(PROVIDER, &self.provider)]);
        let metadata = metadata.map_err(|error| wrong("agent_provider", error.to_string()))?;
        let description = Some(&*self.description).filter(|text| !text.is_empty());
        let texts = AgentTexts {
            display_name: Some(self.name.as_str().into()),
            description: description.map(Into::into),
            created_by_user_id: Some(created_by.into()),
            ..AgentTexts::default()
        };
        let profile = AgentProfile {
            texts,
            metadata: Some(metadata),
            ..AgentProfile::default()
        };
        Ok(NewAgent { id: None, profile })
    }

    fn agent(self, id: AgentId, created_by: &str, created_at: Timestamp) -> Agent {
        Agent {
            id,
            name: self.name,
            description: self.description,
            provider: self.provider,
            created_by: created_by.to_owned(),
            created_at,
        }
    }
}

/// The user's own id, without the issuer of the token.
fn user(caller: &Caller<Admin>) -> &str {
    let id = caller.principal().id.as_deref().unwrap_or_default();
    id.split_once('|').map_or(id, |(_issuer, subject)| subject)
}

/// The agent that this request registered, or an earlier try of it. `None` if there is no verdict
/// yet.
fn registered(app: &App, command: &Command, done: &AgentDone) -> Result<Option<Agent>, Failure> {
    let failed = |problem: Problem| match problem.code() {
        Code::VerdictUnreadable => keyless(&done.agent, &problem),
        _ => creation_failed(problem),
    };
    let Some(stepped) = change::stepped_agent(app, command, done).map_err(failed)? else {
        return Ok(None);
    };
    let row = stepped.agent.row().map_err(change::after_writing);
    let agent = Agent::of(&row.map_err(failed)?, app.now()).map_err(change::after_writing);
    let may_not_act = || {
        let detail = format!(
            "the agent {} was created before, and may not act",
            done.agent
        );
        Failure::Because(Refusal::AgentCreationFailed, detail)
    };
    agent.map_err(failed)?.map(Some).ok_or_else(may_not_act)
}

/// The failure if the agent exists but has no key. To repeat the whole request would create another
/// agent.
fn keyless(id: &AgentId, problem: &Problem) -> Failure {
    let why = problem.code().as_str();
    let detail = format!(
        "the agent {id} exists, and giving it a key failed ({why}): agents/key/create/ gives it \
         one"
    );
    Failure::Because(Refusal::AgentWithoutKey, detail)
}

/// Converts a problem of a create. The word for an invalid agent is `agent_creation_failed`.
fn creation_failed(problem: Problem) -> Failure {
    match problem.code() {
        Code::Event(
            Reason::NotJson | Reason::Invalid | Reason::TooLarge | Reason::MetadataTooLarge,
        ) => {
            let detail = text_of(&in_words_of_the_body(&problem));
            Failure::Because(Refusal::AgentCreationFailed, detail)
        }
        _ => problem.into(),
    }
}

/// Renames fields of the event to those of the body, because the caller knows only these.
fn in_words_of_the_body(problem: &Problem) -> Problem {
    let errors = problem.errors().iter().map(|error| {
        let field = match &*error.field {
            "display_name" => "agent_name",
            "description" => "agent_description",
            other => other,
        };
        (field.to_owned(), error.message.clone())
    });
    Problem::new(problem.code()).with_errors(errors.collect())
}
