//! The calls of a dialect: its routes, each listed with the roles that it accepts. Tests use the
//! list to try every call with every kind of credential. The handler's [`Caller`] checks the roles.
//!
//! [`Caller`]: crate::http::request::caller::Caller

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, on};

use crate::auth::Role;
use crate::http::request::caller::Needs;
use crate::http::state::App;

/// One method on one path of a dialect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The HTTP method.
    pub method: Method,
    /// The path below the dialect's mount, with placeholders such as `{id}`.
    pub path: String,
    /// The accepted roles: a caller needs at least one. Empty for a call without a credential.
    pub one_of: &'static [Role],
}

/// A list of calls, and the router that serves them.
#[derive(Default)]
pub(crate) struct Calls {
    pub(crate) router: Router<App>,
    pub(crate) list: Vec<Call>,
}

impl Calls {
    /// Adds a call that needs a credential with one of the roles of `N`. The handler must take
    /// `Caller<N>`, or [`Change`](super::change::Change) if `N` is `Write`.
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

    /// Adds a `GET` call without a credential. Its answer must hold no data of a tenant.
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
        let filter = MethodFilter::try_from(method.clone()).expect("a standard HTTP method");
        self.router = self.router.route(&path, on(filter, handler));
        self.list.push(Call {
            method,
            path,
            one_of,
        });
        self
    }
}
