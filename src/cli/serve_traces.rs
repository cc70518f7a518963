//! Options of `serve` for traces: where the server's own spans go, and links to traces.

use clap::Args;

use crate::app::traces::{Traces, TracesError};

/// The path of an endpoint that takes all signals.
const TRACES_PATH: &str = "/v1/traces";
/// The protocol of the exporter, as the variables name it.
pub(super) const PROTOCOL: &str = "http/protobuf";
/// What the template of a link must have.
const TRACE_ID: &str = "{trace_id}";

#[derive(Debug, Args)]
#[command(next_help_heading = "Traces")]
pub(super) struct TraceArgs {
    /// Send spans of the server's own work to this collector, by OTLP over HTTP. The path /v1/traces is added.
    /// The other standard variables (OTEL_*) count too: docs/operations.md lists them
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    otlp_endpoint: Option<String>,

    /// Send them to exactly this URL
    #[arg(long, env = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", value_name = "URL")]
    otlp_traces_endpoint: Option<String>,

    #[arg(long, env = "OTEL_SDK_DISABLED", hide = true)]
    otel_sdk_disabled: Option<String>,

    #[arg(long, env = "OTEL_TRACES_EXPORTER", hide = true)]
    otel_traces_exporter: Option<String>,

    #[arg(long, env = "OTEL_EXPORTER_OTLP_PROTOCOL", hide = true)]
    otel_exporter_otlp_protocol: Option<String>,

    #[arg(long, env = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", hide = true)]
    otel_exporter_otlp_traces_protocol: Option<String>,

    /// The URL of a trace in your tracing system, with `{trace_id}` in the place of its id. Answers name it, so that
    /// clients can link to traces
    #[arg(long, env = "SESSION_LEDGER_TRACE_URL", value_name = "URL", value_parser = template)]
    pub(super) trace_url: Option<String>,
}

impl TraceArgs {
    /// Begins to export spans, if the options say so. Call it on a runtime.
    pub(super) fn start(&self) -> Result<Option<Traces>, TracesError> {
        self.endpoint().map(|url| Traces::start(&url)).transpose()
    }

    /// The protocol that the variables ask for, if spans are sent by another.
    pub(super) fn other_protocol(&self) -> Option<&str> {
        let exact = self.otel_exporter_otlp_traces_protocol.as_deref();
        let asked = exact.or(self.otel_exporter_otlp_protocol.as_deref());
        asked.filter(|asked| *asked != PROTOCOL && self.endpoint().is_some())
    }

    fn endpoint(&self) -> Option<String> {
        let says = |option: &Option<String>, word: &str| {
            let option = option.as_deref().unwrap_or_default();
            option.trim().eq_ignore_ascii_case(word)
        };
        if says(&self.otel_sdk_disabled, "true") || says(&self.otel_traces_exporter, "none") {
            return None;
        }
        let base = self.otlp_endpoint.as_ref();
        let from_base = base.map(|base| format!("{}{TRACES_PATH}", base.trim_end_matches('/')));
        self.otlp_traces_endpoint.clone().or(from_base)
    }
}

fn template(text: &str) -> Result<String, String> {
    let is_link = text.starts_with("https://") || text.starts_with("http://");
    if is_link && text.contains(TRACE_ID) && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "must be a URL with {TRACE_ID} in it, such as https://traces.example/trace/{TRACE_ID}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(base: Option<&str>, exact: Option<&str>, disabled: Option<&str>) -> TraceArgs {
        TraceArgs {
            otlp_endpoint: base.map(str::to_owned),
            otlp_traces_endpoint: exact.map(str::to_owned),
            otel_sdk_disabled: disabled.map(str::to_owned),
            otel_traces_exporter: None,
            otel_exporter_otlp_protocol: None,
            otel_exporter_otlp_traces_protocol: None,
            trace_url: None,
        }
    }

    #[test]
    fn spans_are_exported_only_if_an_endpoint_is_given() {
        let base = Some("http://c:4318/");
        for (args, expected) in [
            (args(None, None, None), None),
            (args(base, None, None), Some("http://c:4318/v1/traces")),
            (
                args(base, Some("http://d/x"), Some("no")),
                Some("http://d/x"),
            ),
            (args(base, Some("http://d/x"), Some("TRUE")), None),
        ] {
            assert_eq!(args.endpoint().as_deref(), expected, "{args:?}");
        }
        let off = TraceArgs {
            otel_traces_exporter: Some("none".to_owned()),
            ..args(base, None, None)
        };
        assert_eq!(off.endpoint(), None);
    }

    #[test]
    fn a_protocol_that_the_exporter_does_not_speak_is_noticed() {
        let asked = |all: &str, traces: Option<&str>| TraceArgs {
            otel_exporter_otlp_protocol: Some(all.to_owned()),
            otel_exporter_otlp_traces_protocol: traces.map(str::to_owned),
            ..args(Some("http://c:4318"), None, None)
        };
        assert_eq!(asked("grpc", None).other_protocol(), Some("grpc"));
        assert_eq!(asked("grpc", Some(PROTOCOL)).other_protocol(), None);
        assert_eq!(asked(PROTOCOL, None).other_protocol(), None);
        let off = TraceArgs {
            otlp_endpoint: None,
            ..asked("grpc", None)
        };
        assert_eq!(off.other_protocol(), None);
    }

    #[test]
    fn the_link_to_a_trace_has_a_place_for_its_id() {
        assert!(template("https://t.example/{trace_id}?org=1").is_ok());
        for wrong in [
            "https://t.example/",
            "t.example/{trace_id}",
            "javascript:{trace_id}",
        ] {
            assert!(template(wrong).is_err(), "{wrong}");
        }
    }
}
