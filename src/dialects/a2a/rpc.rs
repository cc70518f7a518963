//! The binding JSON-RPC 2.0: all methods at one address. Clients of `a2a-sdk` use it by default.
//!
//! Each method needs the role that its call over HTTP+JSON needs. Batches are not served, as in the SDK.

use axum::RequestExt as _;
use axum::extract::{FromRequest as _, Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::failure::Failure;
use super::list;
use super::request::{self, ListTasks};
use super::tasks;
use super::version::Version;
use crate::dialects::sdk::fields::Fields;
use crate::domain::SessionId;
use crate::http::problem::Problem;
use crate::http::request::body::Body;
use crate::http::request::caller::{Caller, Read, ReadOrWrite, Write};
use crate::http::request::command::CommandRequest;
use crate::http::request::extract::echo;
use crate::http::response::body;
use crate::http::response::json::Json;
use crate::http::response::lookup::session_not_found;
use crate::http::state::App;

/// Where it is.
pub(super) const PATH: &str = "/rpc";
/// Bytes of an envelope.
const ENVELOPE_BYTES: usize = 128;
const NO_ID: &str = "null";

/// `POST /rpc`.
pub(super) async fn call(
    State(app): State<App>,
    caller: Caller<ReadOrWrite>,
    request: Request,
) -> Response {
    match answer(&app, &caller, request).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

/// Answers a request. A problem is a failure of HTTP.
async fn answer(
    app: &App,
    caller: &Caller<ReadOrWrite>,
    mut request: Request,
) -> Result<Response, Problem> {
    let roles = Roles {
        read: request.extract_parts_with_state(app).await,
        write: request.extract_parts_with_state(app).await,
    };
    let headers = request.headers().clone();
    let Body(body) = Body::from_request(request, app).await?;
    let (id, result) = match Envelope::parse(&body) {
        Ok(envelope) => {
            let result = match Version::check(&headers) {
                Ok(_version) => {
                    let call = Call {
                        app,
                        caller,
                        roles,
                        params: envelope.params,
                    };
                    let command = |write| CommandRequest::new(write, &headers, Bytes::new());
                    call.run(&envelope.method, command).await
                }
                Err(failure) => Err(failure),
            };
            (envelope.id, result)
        }
        Err((id, failure)) => (id, Err(failure)),
    };
    let mut out = Json::with_capacity(ENVELOPE_BYTES);
    out.raw("{\"jsonrpc\":\"2.0\",\"id\":");
    out.raw(id);
    match result {
        Ok(result) => {
            out.raw(",\"result\":");
            out.bytes(&result.into_bytes());
        }
        Err(failure) => {
            out.raw(",\"error\":");
            out.value(&failure.for_rpc()?);
        }
    }
    out.raw("}");
    Ok(body::json(out.into_bytes()))
}

/// The caller, if it has the role that a method needs.
struct Roles {
    read: Result<Caller<Read>, Problem>,
    write: Result<Caller<Write>, Problem>,
}

/// A request of JSON-RPC.
struct Envelope<'b> {
    /// The JSON text of its id.
    id: &'b str,
    method: String,
    params: Fields<'b>,
}

impl<'b> Envelope<'b> {
    /// Reads a body. A failure comes with the id to answer with.
    fn parse(body: &'b [u8]) -> Result<Self, (&'b str, Failure)> {
        if serde_json::from_slice::<IgnoredAny>(body).is_err() {
            return Err((NO_ID, Failure::NotJson));
        }
        let wrong = |id, lacks| (id, Failure::NotARequest(lacks));
        let fields = Fields::parse(body)
            .map_err(|_no_object| wrong(NO_ID, "it must be one object; batches are not served"))?;
        let id = fields.raw("id").unwrap_or(NO_ID);
        let is_id = match serde_json::from_str(id) {
            Ok(Value::Null | Value::String(_)) => true,
            Ok(Value::Number(number)) => !number.is_f64(),
            Ok(_) | Err(_) => false,
        };
        if !is_id {
            return Err(wrong(NO_ID, "id must be a string, a whole number or null"));
        }
        let version = fields.text("jsonrpc").ok().flatten();
        if version.as_deref() != Some("2.0") {
            return Err(wrong(id, "jsonrpc must be \"2.0\""));
        }
        let method = fields.text("method").ok().flatten();
        let method = method.ok_or_else(|| wrong(id, "method must be a string"))?;
        let params = match fields.raw("params") {
            Some(raw) => Fields::nested("params", raw).ok_or_else(|| {
                let failure = fields.wrong("params", "must be an object").into();
                (id, failure)
            })?,
            None => Fields::default(),
        };
        Ok(Self {
            id,
            method: method.into_owned(),
            params,
        })
    }
}

/// A method that is called.
struct Call<'a> {
    app: &'a App,
    caller: &'a Caller<ReadOrWrite>,
    roles: Roles,
    params: Fields<'a>,
}

impl Call<'_> {
    async fn run(
        self,
        method: &str,
        command: impl FnOnce(Caller<Write>) -> Result<CommandRequest, Problem>,
    ) -> Result<Json, Failure> {
        self.check_tenant()?;
        let Self {
            app, roles, params, ..
        } = self;
        match method {
            "ListTasks" => {
                let read = roles.read?;
                let wanted = ListTasks::of_params(&params)?;
                list::answer(app, read.principal(), wanted).await
            }
            "GetTask" => {
                let read = roles.read?;
                request::check_history_length(&params)?;
                tasks::get(app, read.principal(), &task_id(&params)?).await
            }
            "CancelTask" => {
                let command = command(roles.write?)?;
                let (_success, task) = tasks::cancel(app, &command, &task_id(&params)?).await?;
                Ok(task)
            }
            "SendMessage" | "SendStreamingMessage" | "SubscribeToTask" | "GetExtendedAgentCard" => {
                Err(Failure::NoRuntime)
            }
            "CreateTaskPushNotificationConfig"
            | "GetTaskPushNotificationConfig"
            | "ListTaskPushNotificationConfigs"
            | "DeleteTaskPushNotificationConfig" => Err(Failure::NoPush),
            other => Err(Failure::NoMethod(echo(other).into_owned())),
        }
    }

    /// The agent card names no tenant, because the credential does. A client that names one must mean it.
    fn check_tenant(&self) -> Result<(), Problem> {
        match self.params.text("tenant")?.as_deref() {
            None | Some("") => Ok(()),
            Some(named) if named == self.caller.tenant().as_str() => Ok(()),
            Some(_other) => {
                let message = "must be the tenant of the credential; leave it out";
                Err(self.params.wrong("tenant", message))
            }
        }
    }
}

/// The task that the params name. An invalid id is the id of no task.
fn task_id(params: &Fields<'_>) -> Result<SessionId, Problem> {
    let Some(text) = params.text("id")? else {
        return Err(params.wrong("id", "is required"));
    };
    SessionId::parse(&text).map_err(|_no_id| session_not_found())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The id, and the code of the error if there is one.
    fn read(body: &str) -> (&str, Option<i64>) {
        match Envelope::parse(body.as_bytes()) {
            Ok(envelope) => (envelope.id, None),
            Err((id, failure)) => (id, failure.for_rpc().unwrap()["code"].as_i64()),
        }
    }

    #[test]
    fn a_request_is_one_object_with_a_method() {
        for (body, expected) in [
            (
                r#"{"jsonrpc":"2.0","id":"a\"","method":"m"}"#,
                (r#""a\"""#, None),
            ),
            (
                r#"{"jsonrpc":"2.0","id":-7,"method":"m","params":{}}"#,
                ("-7", None),
            ),
            (r#"{"jsonrpc":"2.0","method":"m"}"#, ("null", None)),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"m","params":[1]}"#,
                ("1", Some(-32602)),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1.5,"method":"m"}"#,
                ("null", Some(-32600)),
            ),
            (
                r#"{"jsonrpc":"2.0","id":true,"method":"m"}"#,
                ("null", Some(-32600)),
            ),
            (
                r#"{"jsonrpc":"1.0","id":1,"method":"m"}"#,
                ("1", Some(-32600)),
            ),
            (r#"{"jsonrpc":"2.0","id":1}"#, ("1", Some(-32600))),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":5}"#,
                ("1", Some(-32600)),
            ),
            ("[]", ("null", Some(-32600))),
            ("7", ("null", Some(-32600))),
            ("", ("null", Some(-32700))),
            ("{", ("null", Some(-32700))),
        ] {
            assert_eq!(read(body), expected, "{body}");
        }
    }
}
