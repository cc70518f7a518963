//! What stands around the routes of the API and of every dialect, as one layer: a router makes
//! copies of all that is inside of a layer for each request.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::http::layers::compress::compressed;
use crate::http::layers::hosts::names_host;
use crate::http::layers::unsent::Admitted;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::request::coding::Coding;

/// Refuses what names no host or has no room, compresses the answer for clients that ask, and counts it.
pub(crate) async fn around(request: Request, next: Next) -> Response {
    if !names_host(&request) {
        return Problem::new(Code::HostRequired).into_response();
    }
    let admitted = match Admitted::check(&request) {
        Ok(admitted) => admitted,
        Err(refused) => return *refused,
    };
    let coding = Coding::preferred(request.headers());
    let response = next.run(request).await;
    // Before it is counted: what waits for its client is the short form.
    let response = compressed(response, coding).await;
    match admitted {
        Some(admitted) => admitted.count(response),
        None => response,
    }
}
