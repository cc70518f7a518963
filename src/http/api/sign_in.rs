//! Sign-in codes, which open the dashboard for the credential of a program: `POST /v1/sign-in-codes`
//! makes one, and `POST /sign-in` gives the credential for it.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use crate::auth::{Presented, SignInError};
use crate::http::dto;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::problem::sets::{SignInCodeProblems, SignInProblems};
use crate::http::request::caller::{Anyone, Caller};
use crate::http::request::credential;
use crate::http::request::extract::{NoQuery, Query};
use crate::http::request::sign_in_code::GivenCode;
use crate::http::response::body;
use crate::http::response::success::Success;
use crate::http::state::App;

/// Make a sign-in code
///
/// Makes a code that stands for the credential of this request. A page of this server exchanges it for the
/// credential by `POST /sign-in`: once, and within 60 s. `session-ledger ui` prints a link with a code.
/// Only the server that made a code knows it. A caller has at most 4 codes at one time: one more ends the
/// oldest.
#[utoipa::path(
    post,
    path = "/v1/sign-in-codes",
    operation_id = "make_sign_in_code",
    tag = "keys",
    params(Caller<Anyone>, Query<NoQuery>),
    responses(
        (status = 201, description = "The code", body = dto::SignInCode),
        SignInCodeProblems,
    )
)]
pub(crate) async fn make(
    State(app): State<App>,
    caller: Caller<Anyone>,
    Query(NoQuery): Query<NoQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // A request without a credential has come this far only if the server requires none.
    let presented = credential::presented(&headers).ok().map(Presented::text);
    let made = app
        .sign_in_codes()
        .make(caller.principal(), presented, app.now());
    let (code, expires_at) = made.map_err(|error| match error {
        SignInError::TooMany => Problem::new(Code::TooManySignInCodes),
        SignInError::Random(error) => {
            tracing::error!(error = %error, "failed to make a sign-in code: {error}");
            Problem::new(Code::InternalError)
        }
    })?;
    let answer = dto::SignInCode {
        code: code.reveal(),
        expires_at: expires_at.to_string(),
    };
    Ok(body::json_with_status(Success::Created, &answer))
}

/// Sign in with a code
///
/// Exchanges a code of `POST /v1/sign-in-codes` for the credential that it stands for, and ends the code.
#[utoipa::path(
    post,
    path = "/sign-in",
    operation_id = "sign_in",
    tag = "keys",
    params(GivenCode),
    responses(
        (status = 200, description = "What to send with requests", body = dto::SignIn),
        SignInProblems,
    )
)]
pub(crate) async fn exchange(
    State(app): State<App>,
    GivenCode(code): GivenCode,
) -> Result<Response, Problem> {
    let found = code.and_then(|code| app.sign_in_codes().exchange(&code, app.now()));
    let found = found.ok_or_else(|| Problem::new(Code::InvalidSignIn))?;
    Ok(body::json_of(&dto::SignIn {
        credential: found.credential,
        tenant_id: found.tenant.to_string(),
    }))
}
