//! The checks, compression and accounting around the routes of the API and of every dialect.
//!
//! They form one middleware layer, because axum clones everything inside a layer for each request.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::http::layers::compress::compressed;
use crate::http::layers::hosts::names_host;
use crate::http::layers::unsent::Admitted;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::request::coding::Coding;

/// Rejects requests without a valid `Host` header and requests that exceed the bounds on unsent
/// answers. Compresses the answer if the client accepts that, and counts its bytes until they are
/// sent.
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
    // Compress first: the bytes that wait for the client are the compressed ones.
    let response = compressed(response, coding).await;
    match admitted {
        Some(admitted) => admitted.count(response),
        None => response,
    }
}
