//! Tests of the plans: what spans mean, from what is known of their sessions.

use std::collections::HashMap;
use std::convert::Infallible;

use serde_json::{Value, json};

use super::*;
use crate::domain::AgentId;
use crate::domain::limits::OTLP_SPANS_MAX;
use crate::domain::time::SECOND_US;

/// Every time of a test is a number of seconds after this one: 2026-01-31T12:00:00Z.
const NOON_S: i64 = 1_769_860_800;
const TTL_SECONDS: u64 = 3600;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros((NOON_S + seconds) * SECOND_US).unwrap()
}

/// A span of the conversation `s`: `2<1 60-90 execute_tool transfer_to_bob` has the id 2 and the parent 1. It
/// begins at 60 s and ends at 90 s. `!` behind the times means that it failed, and `@bob` is its agent.
fn span(text: &str) -> Value {
    let mut words = text.split(' ');
    let ids = words.next().unwrap();
    let (own, parent) = ids.split_once('<').unwrap_or((ids, ""));
    let times = words.next().unwrap();
    let failed = times.ends_with('!');
    let (start, end) = times.trim_end_matches('!').split_once('-').unwrap();
    let nanos = |text: &str| format!("{}000000000", NOON_S + text.parse::<i64>().unwrap());
    let id = |text: &str| match text {
        "" => String::new(),
        _ => format!("{text:0>16}"),
    };
    let mut attributes = vec![("gen_ai.conversation.id", "s")];
    let words: Vec<&str> = words.collect();
    for (index, word) in words.iter().enumerate() {
        match (word.strip_prefix('@'), index) {
            (Some(agent), _) => attributes.push(("gen_ai.agent.name", agent)),
            (None, 0) => attributes.push(("gen_ai.operation.name", word)),
            (None, _) => attributes.push(("gen_ai.tool.name", word)),
        }
    }
    let attributes = attributes.iter();
    let attributes =
        attributes.map(|(key, text)| json!({"key": key, "value": {"stringValue": text}}));
    json!({
        "traceId": format!("{:0>32}", "a"), "spanId": id(own), "parentSpanId": id(parent),
        "startTimeUnixNano": nanos(start), "endTimeUnixNano": nanos(end),
        "status": {"code": if failed { 2 } else { 0 }},
        "attributes": attributes.collect::<Vec<_>>(),
    })
}

fn planned(spans: &[&str], known: &HashMap<SessionId, Known>) -> Plan {
    let spans: Vec<Value> = spans.iter().map(|text| span(text)).collect();
    let body = json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).to_string();
    let spans = Spans::from_json(body.as_bytes(), at(1_000_000)).unwrap();
    let options = Options {
        agent: AgentId::parse("unknown").unwrap(),
        project: None,
        ttl_seconds: TTL_SECONDS,
    };
    let look = |id: &SessionId| Ok::<_, Infallible>(known.get(id).cloned());
    plan(&spans, &options, look).unwrap()
}

/// The events of a plan, each as its session, its verb, its time and what it says.
fn shown(plan: &Plan) -> Vec<String> {
    let events = plan.conversations.iter().flat_map(|one| &one.events);
    let shown = events.map(|event| {
        let json: Value = serde_json::from_str(&event.json).unwrap();
        let seconds = |text: &Value| {
            let time = Timestamp::parse(text.as_str().unwrap()).unwrap();
            time.micros() / SECOND_US - NOON_S
        };
        let data = &json["data"];
        let verb = json["type"].as_str().unwrap().replace("session.", "");
        let said = match verb.as_str() {
            "created" => format!(
                "{} until {}",
                data["agent_id"],
                seconds(&data["expires_at"])
            ),
            "handed_off" => format!("{} {}", data["to_agent_id"], data["session_id"]),
            "terminated" => data["outcome"].to_string(),
            _ => data["ttl_seconds"].to_string(),
        };
        let time = seconds(&json["time"]);
        format!("{} {verb} {time} {said}", event.session).replace('"', "")
    });
    shown.collect()
}

fn known(state: State) -> HashMap<SessionId, Known> {
    let known = Known {
        opened_at: at(0),
        active_at: at(0),
        state,
    };
    HashMap::from([(SessionId::parse("s").unwrap(), known)])
}

fn open() -> HashMap<SessionId, Known> {
    known(State::Open {
        deadline: Some(at(3600)),
    })
}

const TRANSFER: [&str; 4] = [
    "1 0-100 invoke_agent @ada",
    "2<1 10-90 execute_tool transfer_to_bob @ada",
    "3<2 12-88 invoke_agent @bob",
    "4<3 20-80 chat @bob",
];

#[test]
fn the_first_span_opens_a_session_and_later_ones_refresh_it() {
    let plan = planned(
        &["2<1 5-50 chat", "1 0-70 invoke_agent @ada"],
        &HashMap::new(),
    );
    let expected = ["s created 0 ada until 3670", "s refreshed 70 3600"];
    assert_eq!(shown(&plan), expected);
    let alone = planned(&["2<1 5-20 chat"], &HashMap::new());
    assert_eq!(shown(&alone), ["s created 5 unknown until 3620"]);
}

#[test]
fn signs_of_life_that_are_close_to_each_other_or_late_mean_nothing() {
    for (spans, expected) in [
        ("1 10-29 chat", &[][..]),
        ("1 10-30 chat", &["s refreshed 30 3600"]),
        ("1 31-60 chat", &["s refreshed 31 3600"]),
    ] {
        assert_eq!(shown(&planned(&[spans], &open())), expected, "{spans}");
    }
}

#[test]
fn a_session_without_a_deadline_gets_none() {
    let plan = planned(&["1 10-60 chat"], &known(State::Open { deadline: None }));
    assert_eq!(shown(&plan), ["s refreshed 60 null"]);
}

#[test]
fn an_agent_below_a_tool_that_transfers_takes_over() {
    let child = format!("s:{:0>16}", 3);
    let expected = [
        "s created 0 ada until 3700".to_owned(),
        format!("s handed_off 12 bob {child}"),
        format!("{child} refreshed 80 3600"),
    ];
    assert_eq!(shown(&planned(&TRANSFER, &HashMap::new())), expected);
    // The one that runs the tool alone, or without the tool, does not.
    for without in [1, 2] {
        let mut spans = TRANSFER.to_vec();
        spans.remove(without);
        let plan = planned(&spans, &HashMap::new());
        assert!(
            !shown(&plan)
                .iter()
                .any(|event| event.contains("handed_off"))
        );
    }
}

#[test]
fn a_failed_root_ends_the_session_and_what_begins_later_opens_another() {
    let spans = [
        "1 0-10! invoke_agent @ada",
        "2<1 2-12! chat",
        "3 20-21 chat",
    ];
    let expected = [
        "s created 0 ada until 3610",
        "s terminated 10 error",
        "s.2 created 20 ada until 3621",
    ];
    assert_eq!(shown(&planned(&spans, &HashMap::new())), expected);
    let late = planned(
        &["1 0-10! chat", "2 5-9 chat"],
        &known(State::Ended { at: at(20) }),
    );
    assert_eq!(shown(&late), [""; 0]);
}

#[test]
fn a_conversation_that_goes_on_after_the_deadline_opens_another_session() {
    for (spans, expected) in [
        (
            "1 3599-3700 chat",
            &["s refreshed 3599 3600", "s refreshed 3700 3600"][..],
        ),
        (
            "1 3601-3700 chat",
            &[
                "s.2 created 3601 unknown until 7300",
                "s.2 refreshed 3700 3600",
            ],
        ),
    ] {
        assert_eq!(shown(&planned(&[spans], &open())), expected, "{spans}");
    }
    // A span that takes longer than the time to live shows that its session was alive.
    let long = planned(&["1 0-9000 chat"], &HashMap::new());
    let expected = ["s created 0 unknown until 12600", "s refreshed 9000 3600"];
    assert_eq!(shown(&long), expected);
}

#[test]
fn the_order_of_spans_and_copies_of_them_do_not_matter() {
    let expected = planned(&TRANSFER, &HashMap::new());
    let mut spans = TRANSFER.to_vec();
    for _ in 0..spans.len() {
        spans.rotate_left(1);
        let copied = [spans.as_slice(), spans.as_slice()].concat();
        let plan = planned(&copied, &HashMap::new());
        assert_eq!(
            plan.conversations[0].events,
            expected.conversations[0].events
        );
    }
}

#[test]
fn what_is_wrong_with_a_span_is_named() {
    let plan = |change: &dyn Fn(&mut Value)| {
        let mut span = span("1 0-1 chat");
        change(&mut span);
        let body = json!({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).to_string();
        let spans = Spans::from_json(body.as_bytes(), at(0)).unwrap();
        (spans.rejected.spans(), spans.rejected.message())
    };
    let conversation = |value: Value| {
        plan(&move |span: &mut Value| span["attributes"][0]["value"] = value.clone()).1
    };
    assert_eq!(plan(&|_| {}), (0, String::new()));
    for (wrong, expected) in [
        (
            plan(&|span| span["traceId"] = json!("00")).1,
            "trace_id must have 16 bytes",
        ),
        (
            plan(&|span| span["spanId"] = json!("0".repeat(16))).1,
            "not all of them zero",
        ),
        (
            plan(&|span| span["startTimeUnixNano"] = json!(0)).1,
            "start_time_unix_nano is missing",
        ),
        (
            plan(&|span| span["name"] = json!(7)).1,
            "a span cannot be read: invalid type: integer",
        ),
        (
            plan(&|span| span["endTimeUnixNano"] = json!("1769861101000000001")).1,
            "5 min ahead",
        ),
        (
            conversation(json!({"intValue": "7"})),
            "gen_ai.conversation.id must be a text",
        ),
        (
            conversation(json!({"stringValue": "a/b"})),
            "gen_ai.conversation.id must not hold `/`",
        ),
        (
            conversation(json!({"stringValue": "x".repeat(201)})),
            "must have 1 to 200 characters",
        ),
    ] {
        assert!(wrong.contains(expected), "{wrong:?} {expected:?}");
    }
    let long = plan(&|span| span["startTimeUnixNano"] = json!("x".repeat(1_000_000))).1;
    assert!(long.len() < 400, "{}", long.len());
}

#[test]
fn a_request_has_a_bounded_number_of_spans_and_events() {
    let many: Vec<Value> = (0..=OTLP_EVENTS_MAX)
        .map(|number| {
            let mut one = span(&format!("{} 0-1 chat", number + 1));
            one["attributes"][0]["value"]["stringValue"] = json!(format!("s{number}"));
            one
        })
        .collect();
    let body = json!({"resourceSpans": [{"scopeSpans": [{"spans": many}]}]}).to_string();
    let spans = Spans::from_json(body.as_bytes(), at(0)).unwrap();
    let options = Options {
        agent: AgentId::parse("unknown").unwrap(),
        project: None,
        ttl_seconds: TTL_SECONDS,
    };
    let plan = plan(&spans, &options, |_| Ok::<_, Infallible>(None)).unwrap();
    let events = plan.conversations.iter().map(|one| one.events.len());
    assert_eq!(events.sum::<usize>(), OTLP_EVENTS_MAX);
    assert_eq!(plan.rejected.spans(), 1);
    assert!(plan.rejected.message().contains("export smaller batches"));

    let empty = vec!["{}"; OTLP_SPANS_MAX + 5].join(",");
    let body = format!("{{\"resourceSpans\": [{{\"scopeSpans\": [{{\"spans\": [{empty}]}}]}}]}}");
    let rejected = Spans::from_json(body.as_bytes(), at(0)).unwrap().rejected;
    assert_eq!(rejected.spans(), OTLP_SPANS_MAX as u64 + 5);
    assert!(
        rejected.message().contains("too many spans"),
        "{rejected:?}"
    );
}
