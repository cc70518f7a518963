//! The `OpenAPI` 3.1 document of the API, generated from the handlers.

use std::sync::LazyLock;

use axum::response::Response;
use bytes::Bytes;
use utoipa::OpenApi as _;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{OpenApi, RefOr};

use crate::http::dto;
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
        description = "Lifecycle events of agent sessions in, exact listings out. Every failure is a \
                       problem document (RFC 9457) with a stable `code`. Unknown query parameters \
                       are refused. Every answer has the header `X-Request-ID`. A security \
                       requirement names the role that a credential needs; any one of those given \
                       will do. A server that limits requests says so with `X-RateLimit-Limit` \
                       (how many at once after a rest), `X-RateLimit-Remaining`, \
                       `X-RateLimit-Reset` (in how many seconds all are there again) and \
                       `X-RateLimit-Policy`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "sessions", description = "Listings, totals, single sessions and their history"),
        (name = "agents", description = "Who the sessions belong to"),
        (name = "events", description = "Append events, replay them, see what was rejected"),
        (name = "keys", description = "Issue, list and revoke API keys"),
        (name = "operations", description = "Health and figures"),
    ),
    components(schemas(dto::Problem)),
)]
struct Frame;

/// The document as indented JSON that ends with a newline.
static TEXT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(text()));

/// The document.
pub fn document() -> OpenApi {
    let mut routes = super::routes().into_openapi();
    for operation in operations(&mut routes) {
        state_roles(operation);
        without_null(operation);
    }
    let mut document = Frame::openapi();
    if let Some(components) = &mut document.components {
        components.add_security_scheme(API_KEY, api_key());
        components.add_security_scheme(BEARER, bearer());
    }
    document.merge(routes);
    document.merge(super::open_routes().into_openapi());
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

/// Writes the roles that an operation accepts into its security requirements and its description.
/// The roles come from the operation's [`Caller`](crate::http::request::caller::Caller).
fn state_roles(operation: &mut Operation) {
    let parameters = operation.parameters.iter_mut().flatten();
    let mut extensions = parameters.filter_map(|parameter| match parameter {
        RefOr::T(parameter) => parameter.extensions.take(),
        RefOr::Ref(_) => None,
    });
    let roles = extensions.find_map(|mut extensions| extensions.remove(ROLES_EXTENSION));
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

/// Removes `null` from the schema of an optional body. `utoipa` describes `Option<T>` as `T` or
/// null, and clients that are generated from that send null or fail before they send anything.
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
    let about = "A key as `POST /v1/keys` issues it. `Authorization: ApiKey KEY` is the same.";
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

/// The text of the document, as in `schemas/openapi.json` and as served.
pub fn text() -> String {
    // Through a `Value`, which sorts its members: the members of raw schemas have no fixed order.
    let document = serde_json::to_value(document()).expect("the document is JSON");
    let mut text = serde_json::to_string_pretty(&document).expect("a value is JSON");
    text.push('\n');
    text
}

/// Read this document
///
/// The description of the API, as it was built into the server.
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "openapi",
    tag = "operations",
    responses((
        status = 200,
        description = "The document",
        body = Object,
        content_type = "application/json",
    ))
)]
pub(crate) async fn serve() -> Response {
    body::typed("application/json", TEXT.clone())
}
