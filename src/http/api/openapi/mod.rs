//! The API's document (`OpenAPI` 3.1), generated from the handlers.
//!
//! The library makes a document in which every operation is complete by itself. [`components`] and
//! [`shared`] put what operations and schemas share in one place, and [`links`] says which operations
//! follow on which. [`layout`] makes the text.

mod components;
mod layout;
mod links;
mod shared;

use std::sync::LazyLock;

use axum::response::Response;
use bytes::Bytes;
use serde_json::Value;
use utoipa::OpenApi as _;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{OpenApi, RefOr};

use crate::http::dto;
use crate::http::dto::words::RejectionCode;
use crate::http::problem::responses::{self, ProblemCode};
use crate::http::problem::sets::OpenProblems;
use crate::http::request::caller::ROLES_EXTENSION;
use crate::http::response::body;

/// The names of the security schemes.
const API_KEY: &str = "api_key";
const BEARER: &str = "bearer";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Session Ledger",
        version = "1",
        description = "Lifecycle events of agent sessions, and exact listings of sessions and agents. \
                       Every error is a problem document (RFC 9457) with a stable `code`. The extension \
                       `x-codes` lists the codes of each status: those of a shared response hold for every \
                       operation that refers to it, and those of an operation for this one. The server rejects \
                       unknown query parameters. Every answer has the header `X-Request-ID`. A security \
                       requirement names the role that a credential needs; one of them is enough. A \
                       server with rate limits sends `X-RateLimit-Limit` (the size of a burst), \
                       `X-RateLimit-Remaining`, `X-RateLimit-Reset` (the seconds until all requests \
                       are available again) and `X-RateLimit-Policy`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "sessions", description = "Create and change sessions, list and read them"),
        (name = "agents", description = "Register and change agents, list and read them"),
        (name = "events", description = "Append events, replay them, list rejected ones"),
        (name = "keys", description = "Issue, list and revoke API keys"),
        (name = "operations", description = "Health, metrics and counts"),
    ),
    components(schemas(dto::Problem, ProblemCode, RejectionCode)),
)]
struct Frame;

/// The document as indented JSON that ends with a newline.
static TEXT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(text()));

/// The document.
fn document() -> Value {
    let mut routes = super::routes().into_openapi();
    routes.merge(super::stream_routes().into_openapi());
    for operation in operations(&mut routes) {
        state_roles(operation);
        without_null(operation);
    }
    let mut document = Frame::openapi();
    if let Some(components) = &mut document.components {
        components.add_security_scheme(API_KEY, api_key());
        components.add_security_scheme(BEARER, bearer());
        components.responses = responses::all();
    }
    document.merge(routes);
    document.merge(super::open_routes().into_openapi());
    let mut document = serde_json::to_value(document).expect("the document is JSON");
    components::refer_to_parameters(&mut document);
    components::list_codes(&mut document);
    components::refer_to_pending(&mut document);
    components::require_what_is_always_there(&mut document);
    links::add(&mut document);
    shared::refer(&mut document);
    document
}

fn operations(document: &mut OpenApi) -> impl Iterator<Item = &mut Operation> {
    document.paths.paths.values_mut().flat_map(|item| {
        let of_methods = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.delete,
            &mut item.patch,
        ];
        of_methods.into_iter().flatten()
    })
}

/// Says which roles an operation needs: a credential of either kind with one of them.
fn state_roles(operation: &mut Operation) {
    let parameters = operation.parameters.iter_mut().flatten();
    let mut extensions = parameters.filter_map(|parameter| match parameter {
        RefOr::T(parameter) => parameter.extensions.as_mut(),
        RefOr::Ref(_) => None,
    });
    let roles = extensions.find_map(|extensions| extensions.remove(ROLES_EXTENSION));
    let roles: Vec<String> = roles
        .and_then(|roles| serde_json::from_value(roles).ok())
        .unwrap_or_default();
    let alternatives = [API_KEY, BEARER].into_iter().flat_map(|scheme| {
        let with = move |role: &String| SecurityRequirement::new(scheme, [role.as_str()]);
        roles.iter().map(with)
    });
    operation.security = Some(alternatives.collect());
    let roles: Vec<String> = roles.iter().map(|role| format!("`{role}`")).collect();
    let description = operation.description.take().unwrap_or_default();
    let needs = format!("Needs the role {}.", roles.join(" or "));
    operation.description = Some(format!("{description}\n\n{needs}"));
}

/// Describes an optional body as one that may be absent. The library says that it may be null, and
/// generated clients would then send null, or fail.
fn without_null(operation: &mut Operation) {
    let Some(RefOr::T(body)) = &mut operation.request_body else {
        return;
    };
    for content in body.content.values_mut() {
        let RefOr::T(content) = content else {
            continue;
        };
        let named = match &content.schema {
            Some(RefOr::T(Schema::OneOf(either))) => {
                let is_named = |item: &&RefOr<Schema>| matches!(item, RefOr::Ref(_));
                either.items.iter().find(is_named).cloned()
            }
            Some(_) | None => None,
        };
        if named.is_some() {
            content.schema = named;
        }
    }
}

fn api_key() -> SecurityScheme {
    let about = "A key from `POST /v1/keys`. `Authorization: ApiKey KEY` has the same effect.";
    let value = ApiKeyValue::with_description("X-API-Key", about);
    SecurityScheme::ApiKey(ApiKey::Header(value))
}

fn bearer() -> SecurityScheme {
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "A key, or a token (JWT) of an issuer that the server trusts.",
        ));
    SecurityScheme::Http(scheme.build())
}

/// The document as it is in `schemas/openapi.json`, and as the server sends it.
pub fn text() -> String {
    layout::text(&document())
}

/// Read this document
///
/// The description of the API of this server.
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "openapi",
    tag = "operations",
    responses(
        (
            status = 200,
            description = "The document",
            body = Object,
            content_type = "application/json",
        ),
        OpenProblems,
    )
)]
pub(crate) async fn serve() -> Response {
    body::typed("application/json", TEXT.clone())
}
