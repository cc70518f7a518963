//! Extractors: they read the caller, the path, the query and the body of a request. Each reports
//! invalid input as a problem that names the field.

pub(crate) mod as_of;
pub(crate) mod body;
pub(crate) mod caller;
pub(crate) mod coding;
pub(crate) mod command;
mod command_body;
pub(crate) mod conditional;
pub(crate) mod credential;
mod decode;
pub(crate) mod extract;
pub(crate) mod json_body;
pub(crate) mod media_type;
pub(crate) mod negotiate;
pub(crate) mod page_query;
pub(crate) mod param;
pub(crate) mod params;
pub(crate) mod sign_in_code;
pub(crate) mod stream_headers;
