//! JSON Schemas that stand in the API's document as they are: the library's types do not know all of
//! their keywords.

use serde_json::Value;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType};

/// A schema of the document that has just these keywords.
pub(crate) fn raw(schema: Value) -> Schema {
    let keywords = match schema {
        Value::Object(keywords) => keywords,
        _ => serde_json::Map::new(),
    };
    ObjectBuilder::new()
        .schema_type(SchemaType::AnyValue)
        .extensions(Some(Extensions::from_iter(keywords)))
        .into()
}
