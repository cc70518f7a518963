//! The calls of a dialect: each says beside its path what a caller needs, so that all can be listed
//! and tried. The handler checks it, as it does in the API.

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, on};

use crate::auth::Role;
use crate::http::request::caller::Needs;
use crate::http::state::App;

/// A call of a dialect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its method.
    pub method: Method,
    /// Its path below the dialect's mount, with `{id}` where something is named.
    pub path: String,
    /// The roles of which a caller needs one; none is a call that anybody may make.
    pub one_of: &'static [Role],
}

/// Calls, and the routes that serve them.
#[derive(Default)]
pub(crate) struct Calls {
    pub(crate) router: Router<App>,
    pub(crate) list: Vec<Call>,
}

impl Calls {
    /// Adds a call for callers who are known.
    pub(crate) fn on<N: Needs, H, T>(
        self,
        method: Method,
        path: impl Into<String>,
        _needs: N,
        handler: H,
    ) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        self.add(method, path.into(), N::ONE_OF, handler)
    }

    /// Adds a call that answers anybody: it says nothing of any tenant.
    pub(crate) fn open<H, T>(self, path: impl Into<String>, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        self.add(Method::GET, path.into(), &[], handler)
    }

    fn add<H, T>(
        mut self,
        method: Method,
        path: String,
        one_of: &'static [Role],
        handler: H,
    ) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(method.clone()).expect("a method of HTTP's own");
        self.router = self.router.route(&path, on(filter, handler));
        self.list.push(Call {
            method,
            path,
            one_of,
        });
        self
    }
}
