//! The routes of the ledger's own API, with a directory for each family of routes.

mod agents;
mod backup;
mod emissions;
mod events;
mod export;
mod hooks;
mod keys;
mod listing;
pub mod openapi;
mod ops;
mod sessions;
mod sign_in;
mod traces;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::state::App;

/// All routes that need a credential. `routes!` requires a description of each route for the
/// `OpenAPI` document.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(events::list, events::emit::append))
        .routes(routes!(events::get))
        .routes(routes!(hooks::take))
        .routes(routes!(traces::export))
        .routes(routes!(sessions::list, sessions::commands::create))
        .routes(routes!(sessions::count))
        .routes(routes!(sessions::get, sessions::commands::terminate))
        .routes(routes!(sessions::commands::refresh))
        .routes(routes!(sessions::commands::hand_off))
        .routes(routes!(sessions::introspect::introspect))
        .routes(routes!(sessions::events::list))
        .routes(routes!(sessions::lineage::get))
        .routes(routes!(agents::list, agents::commands::register))
        .routes(routes!(agents::get, agents::commands::update))
        .routes(routes!(agents::commands::suspend))
        .routes(routes!(agents::commands::reinstate))
        .routes(routes!(agents::commands::revoke))
        .routes(routes!(events::rejections::list))
        .routes(routes!(export::end))
        .routes(routes!(export::events))
        .routes(routes!(ops::status::get))
        .routes(routes!(keys::list, keys::issue))
        .routes(routes!(keys::revoke))
        .routes(routes!(keys::history::list))
        .routes(routes!(sign_in::make))
        .routes(routes!(backup::ends))
        .routes(routes!(backup::events))
        .routes(routes!(backup::keys))
}

/// The routes of streams. They need a credential, and an extension with [`Live`](crate::http::live::Live).
pub(super) fn stream_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(events::stream::follow))
        .routes(routes!(sessions::stream::follow))
}

/// All routes that need no credential. Their answers hold no data of a tenant, except for callers with a
/// sign-in code.
pub(super) fn open_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(ops::home::page))
        .routes(routes!(ops::health::alive))
        .routes(routes!(ops::health::ready))
        .routes(routes!(ops::health::metrics))
        .routes(routes!(openapi::serve))
        .routes(routes!(sign_in::exchange))
}
