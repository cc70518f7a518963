//! JSON Schemas that the OpenAPI document contains unchanged, because the types of `utoipa` do not
//! cover all of their keywords.

use serde_json::Value;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType};

/// An OpenAPI schema with exactly the keywords of this JSON object.
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
