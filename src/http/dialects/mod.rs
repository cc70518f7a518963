//! Dialects: APIs of others, served so that their published clients work unchanged.
//!
//! A [`Dialect`] is its routes, where its clients say who they are, and how it words failures: a
//! [`Definition`]. It translates only: questions go to `query`, changes to `ledger`, and no
//! dialect uses another. Shapes, statuses and texts are those of the vendor's documents, so these
//! routes are not in ours. As their servers do, dialects ignore query parameters that they do not
//! know.

mod agi;
mod apphandoff;
mod calls;
mod change;
mod cors;
mod fields;
mod millis;
mod otas;
mod pieces;
mod truthlocks;
mod voice;
mod whole_list;

use axum::Router;
use axum::extract::Request;
use axum::http::Uri;
use axum::http::uri::PathAndQuery;
use axum::middleware::{from_fn_with_state, map_request};
use tower_http::catch_panic::CatchPanicLayer;

use super::app::App;
use super::caller::{self, Gate, Signature};
use super::problem;
use calls::Calls;
use cors::Cors;

pub use calls::Call;
pub(super) use voice::Voice;

/// An API of somebody else that the ledger serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Sessions of AGI.
    Agi,
    /// Agent sessions of projects, of `AppHandoff`.
    AppHandoff,
    /// Agents of OTAS, their keys and sessions.
    Otas,
    /// Sessions and agents of Truthlocks.
    Truthlocks,
}

/// What makes a dialect.
struct Definition {
    /// Calls of callers that are known, and where these say who they are; paths as its clients ask
    /// for them.
    known: Vec<(Calls, Signature)>,
    /// Calls that answer anybody: they say nothing of any tenant.
    open: Calls,
    /// How it words a failure.
    voice: Voice,
    /// What pages of other sites may ask, if the vendor's servers let them.
    cors: Option<Cors>,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: [Self; 4] = [Self::Agi, Self::AppHandoff, Self::Otas, Self::Truthlocks];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agi => "agi",
            Self::AppHandoff => "apphandoff",
            Self::Otas => "otas",
            Self::Truthlocks => "truthlocks",
        }
    }

    /// The dialect with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|dialect| dialect.as_str() == name)
    }

    /// This dialect alone, served from `/`: the whole API, entered at the dialect's mount.
    pub fn router(self, whole: Router) -> Router {
        Router::new()
            .fallback_service(whole)
            .layer(map_request(move |request| {
                std::future::ready(self.enter(request))
            }))
    }

    /// All that its clients can ask for.
    pub fn calls(self) -> Vec<Call> {
        let Definition { known, open, .. } = self.definition();
        let known = known.into_iter().flat_map(|(calls, _)| calls.list);
        known.chain(open.list).collect()
    }

    fn enter(self, mut request: Request) -> Request {
        *request.uri_mut() = below(&self.mount_point(), request.uri());
        request
    }

    fn mount_point(self) -> String {
        format!("/compat/{}", self.as_str())
    }

    fn definition(self) -> Definition {
        match self {
            Self::Agi => agi::definition(),
            Self::AppHandoff => apphandoff::definition(),
            Self::Otas => otas::definition(),
            Self::Truthlocks => truthlocks::definition(),
        }
    }
}

/// Adds every dialect to the API. `inner` puts around the routes of each what stands around the
/// API's own; outside of it a dialect words what goes wrong there too.
pub(super) fn mount(
    api: Router<App>,
    app: &App,
    inner: impl Fn(Router<App>) -> Router<App>,
) -> Router<App> {
    Dialect::ALL.into_iter().fold(api, |api, dialect| {
        let Definition {
            known,
            open,
            voice,
            cors,
        } = dialect.definition();
        let guarded = known.into_iter().map(|(calls, signature)| {
            let app = app.clone();
            let gate = Gate { app, signature };
            calls
                .router
                .route_layer(from_fn_with_state(gate, caller::authenticate))
        });
        let routes = guarded
            .fold(open.router, Router::merge)
            .fallback(problem::route_not_found)
            .method_not_allowed_fallback(problem::method_not_allowed)
            .layer(CatchPanicLayer::custom(problem::panicked));
        let spoken = inner(routes).layer(from_fn_with_state(voice, voice::lend));
        let spoken = match cors {
            Some(cors) => spoken.layer(cors.layer(app.access())),
            None => spoken,
        };
        // With the slash, so that the root of the dialect is its own as well.
        api.nest(&format!("{}/", dialect.mount_point()), spoken)
    })
}

/// The same place below another path. What is no path, as in `OPTIONS *` or `CONNECT host:80`,
/// becomes the root.
fn below(mount_point: &str, uri: &Uri) -> Uri {
    let asked = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let rooted = if asked.starts_with('/') { asked } else { "/" };
    let mut parts = uri.clone().into_parts();
    // A path that is too long for a URI by now leads nowhere.
    let path = PathAndQuery::try_from(format!("{mount_point}{rooted}"));
    let root = || PathAndQuery::try_from(format!("{mount_point}/"));
    parts.path_and_query = path.or_else(|_too_long| root()).ok();
    // Without a scheme it stands for itself, and with a path for nothing.
    parts.authority = parts.authority.filter(|_| parts.scheme.is_some());
    Uri::from_parts(parts).unwrap_or_else(|_no_uri| Uri::from_static("/compat/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_to_a_dialects_own_address_stays_below_its_mount() {
        for (asked, expected) in [
            ("/", "/m/"),
            ("/v1/sessions?a=b%2F", "/m/v1/sessions?a=b%2F"),
            ("//v1/../events", "/m//v1/../events"),
            ("*", "/m/"),
            ("host:80", "/m/"),
            ("http://host/v1", "http://host/m/v1"),
        ] {
            let moved = below("/m", &asked.parse().unwrap());
            assert_eq!(moved.to_string(), expected, "{asked}");
        }
    }

    #[test]
    fn a_name_leads_back_to_its_dialect() {
        for dialect in Dialect::ALL {
            assert_eq!(Dialect::parse(dialect.as_str()), Some(dialect));
        }
        assert_eq!(Dialect::parse("AGI"), None);
    }
}
