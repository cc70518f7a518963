//! Dialects: the APIs of other products, so that their published clients work unchanged.
//!
//! A [`Dialect`] only translates: it reads through `query` and changes through `ledger::Commands`.
//! Shapes, statuses and texts are those of the vendor's documents, so these routes are not in the
//! ledger's own document. [`sdk`] has the parts that dialects share. No dialect uses another.

mod a2a;
mod agi;
mod apphandoff;
mod otas;
pub(crate) mod sdk;
mod truthlocks;

use axum::Router;
use axum::extract::Request;
use axum::http::Uri;
use axum::http::uri::PathAndQuery;
use axum::middleware::map_request;
use strum::VariantArray as _;

use crate::http::state::App;
use crate::http::{self, Hosts, Mount, Services};
use sdk::base_url::OwnAddress;
use sdk::definition::Definition;

pub use sdk::calls::Call;

/// The API of another product, which the ledger serves.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
    strum::VariantNames,
)]
#[strum(serialize_all = "lowercase")]
pub enum Dialect {
    /// Tasks of the A2A protocol.
    A2a,
    /// Sessions of AGI.
    Agi,
    /// Agent sessions of `AppHandoff`'s projects.
    AppHandoff,
    /// Agents of OTAS, their keys and sessions.
    Otas,
    /// Sessions and agents of Truthlocks.
    Truthlocks,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// Its name.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Returns a service with only this dialect, at `/`. It moves each request below the dialect's mount
    /// and passes it to the whole API.
    pub fn router(self, whole: Router) -> Router {
        Router::new()
            .fallback_service(whole)
            .layer(map_request(move |request| {
                std::future::ready(self.enter(request))
            }))
    }

    /// All calls that its clients can make.
    pub fn calls(self) -> Vec<Call> {
        let Definition { known, open, .. } = self.definition();
        let known = known.into_iter().flat_map(|(calls, _)| calls.into_list());
        known.chain(open.into_list()).collect()
    }

    fn enter(self, mut request: Request) -> Request {
        *request.uri_mut() = below(&self.mount_point(), request.uri());
        request.extensions_mut().insert(OwnAddress);
        request
    }

    fn mount_point(self) -> String {
        format!("/compat/{}", self.as_str())
    }

    fn mount(self, app: &App) -> Mount {
        let Definition {
            known,
            open,
            style,
            cors,
        } = self.definition();
        let known = known.into_iter();
        let guarded = known.map(|(calls, scheme)| http::guard(calls.into_router(), app, scheme));
        Mount {
            path: self.mount_point(),
            routes: guarded.fold(open.into_router(), Router::merge),
            style,
            cors: cors.map(|cors| cors.layer(app.access())),
        }
    }

    fn definition(self) -> Definition {
        match self {
            Self::A2a => a2a::definition(self.mount_point()),
            Self::Agi => agi::definition(),
            Self::AppHandoff => apphandoff::definition(),
            Self::Otas => otas::definition(),
            Self::Truthlocks => truthlocks::definition(),
        }
    }
}

/// The ledger's own API with every dialect mounted below it, as a service.
pub fn router(services: Services, hosts: Hosts) -> Router {
    http::router(services, hosts, |app| {
        let mount = |dialect: Dialect| dialect.mount(app);
        Dialect::ALL.iter().copied().map(mount).collect()
    })
}

/// Moves the path of a URI below a mount point. A URI without a path, as in `OPTIONS *` or
/// `CONNECT host:80`, becomes the root of the mount.
fn below(mount_point: &str, uri: &Uri) -> Uri {
    let asked = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let rooted = if asked.starts_with('/') { asked } else { "/" };
    let mut parts = uri.clone().into_parts();
    // If the longer path is too long for a URI, the root takes its place.
    let path = PathAndQuery::try_from(format!("{mount_point}{rooted}"));
    let root = || PathAndQuery::try_from(format!("{mount_point}/"));
    parts.path_and_query = path.or_else(|_too_long| root()).ok();
    // A URI with an authority and no scheme (`host:80`) cannot have a path.
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
        for &dialect in Dialect::ALL {
            assert_eq!(dialect.as_str().parse(), Ok(dialect));
        }
        assert!("AGI".parse::<Dialect>().is_err());
    }
}
