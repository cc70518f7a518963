//! Shapes of exports of traces, as OTLP defines them in JSON.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// Spans, grouped by their resource and their scope: `ExportTraceServiceRequest` of OTLP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportTraceRequest {
    /// Each has `resource` and `scopeSpans`, as OTLP defines them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    pub resource_spans: Option<Vec<Value>>,
}

/// What became of the spans: `ExportTraceServiceResponse` of OTLP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportTraceResponse {
    /// Is absent if the ledger took all spans.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub partial_success: Option<PartialSuccess>,
}

/// The spans that the ledger could not take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PartialSuccess {
    /// How many there are, as a text, as in all JSON of protobuf.
    #[schema(example = "2")]
    pub rejected_spans: String,
    /// Why.
    pub error_message: String,
}
