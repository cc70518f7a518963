//! Tests that the handwritten row of a session equals the serde output.

use std::convert::Infallible;

use proptest::option::of;
use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;
use crate::domain::Timestamp;
use crate::domain::session::Profile;
use crate::http::dto;
use crate::projection::TenantNumber;

/// The optional texts of a row.
type Texts = Vec<Option<String>>;

/// The values of a row.
#[derive(Debug, Clone)]
struct RowValues {
    ids: (String, String),
    texts: Texts,
    scopes: Vec<String>,
    metadata: Map<String, Value>,
    times: [i64; 8],
    words: (usize, usize, usize),
    time_adjusted: bool,
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn row_values() -> impl Strategy<Value = RowValues> {
    let texts = prop::collection::vec(of(any::<String>()), 12);
    let metadata = prop::collection::btree_map(any::<String>(), value(), 0..4);
    let time = Timestamp::MIN.micros()..=Timestamp::MAX.micros();
    let times = prop::array::uniform8(time);
    let words = (0..4_usize, 0..5_usize, 0..5_usize);
    (
        any::<(String, String)>(),
        texts,
        prop::collection::vec(any::<String>(), 0..4),
        metadata,
        times,
        words,
        any::<bool>(),
    )
        .prop_map(
            |(ids, texts, scopes, metadata, times, words, time_adjusted)| RowValues {
                ids,
                texts,
                scopes,
                metadata: metadata.into_iter().collect(),
                times,
                words,
                time_adjusted,
            },
        )
}

fn row<'a>(values: &'a RowValues, scopes: &'a str, metadata: &'a str) -> SessionRow<'a> {
    let text = |at: usize| values.texts[at].as_deref();
    let time = |at: usize| Timestamp::from_micros(values.times[at]).unwrap();
    // An even time stands for an absent one.
    let maybe = |at: usize| (values.times[at] % 2 != 0).then(|| time(at));
    let mut texts = values.texts[4..].iter().map(Option::as_deref);
    SessionRow {
        tenant: TenantNumber::new(1),
        session_id: &values.ids.0,
        agent_id: &values.ids.1,
        status: Status::ALL[values.words.0],
        phase: Phase::ALL.get(values.words.1).copied(),
        outcome: Outcome::ALL.get(values.words.2).copied(),
        created_at: time(0),
        recorded_at: time(1),
        updated_at: time(2),
        last_activity_at: time(3),
        refreshed_at: maybe(4),
        expires_at: maybe(5),
        terminated_at: maybe(6),
        deleted_at: maybe(7),
        ttl_us: None,
        time_adjusted: values.time_adjusted,
        scopes,
        metadata,
        parent_session_id: text(0),
        project_id: text(1),
        handed_off_to: text(2),
        handed_off_session_id: text(3),
        profile: Profile::read(|_field| Ok::<_, Infallible>(texts.next().unwrap())).unwrap(),
    }
}

fn expected(values: &RowValues) -> dto::Session {
    let text = |at: usize| values.texts[at].clone();
    let time = |at: usize| {
        Timestamp::from_micros(values.times[at])
            .unwrap()
            .to_string()
    };
    let maybe = |at: usize| (values.times[at] % 2 != 0).then(|| time(at));
    dto::Session {
        session_id: values.ids.0.clone(),
        agent_id: values.ids.1.clone(),
        agent_name: text(4),
        agent_key_id: text(5),
        status: Status::ALL[values.words.0].as_str().to_owned(),
        phase: Phase::ALL
            .get(values.words.1)
            .map(|phase| phase.as_str().to_owned()),
        outcome: Outcome::ALL
            .get(values.words.2)
            .map(|outcome| outcome.as_str().to_owned()),
        scopes: values.scopes.clone(),
        metadata: values.metadata.clone(),
        expires_at: maybe(5),
        parent_session_id: text(0),
        handed_off_to: text(2),
        handed_off_session_id: text(3),
        project_id: text(1),
        user_id: text(6),
        machine_id: text(7),
        caller_role: text(8),
        caller_origin: text(9),
        ip_address: text(10),
        user_agent: text(11),
        refreshed_at: maybe(4),
        terminated_at: maybe(6),
        deleted_at: maybe(7),
        last_activity_at: time(3),
        created_at: time(0),
        recorded_at: time(1),
        updated_at: time(2),
        time_adjusted: values.time_adjusted,
    }
}

proptest! {
    #[test]
    fn a_row_equals_the_output_of_serde(values in row_values()) {
        let scopes = serde_json::to_string(&values.scopes).unwrap();
        let metadata = serde_json::to_string(&values.metadata).unwrap();
        let row = row(&values, &scopes, &metadata);
        let mut out = Json::default();
        write(&mut out, &row, row.status);
        let text = String::from_utf8(out.into_bytes()).unwrap();
        prop_assert_eq!(text, serde_json::to_string(&expected(&values)).unwrap());
    }
}

#[test]
fn an_active_session_past_its_deadline_shows_as_expired() {
    let at = |micros| Timestamp::from_micros(micros).unwrap();
    let check = |status, due: Option<i64>, now, expected| {
        let values = RowValues {
            ids: ("s".to_owned(), "a".to_owned()),
            texts: vec![None; 12],
            scopes: Vec::new(),
            metadata: Map::new(),
            times: [0; 8],
            words: (0, 9, 9),
            time_adjusted: false,
        };
        let row = SessionRow {
            status,
            expires_at: due.map(at),
            ..row(&values, "[]", "{}")
        };
        assert_eq!(row.status_at(at(now)), expected);
    };
    check(Status::Active, Some(5), 4, Status::Active);
    check(Status::Active, Some(5), 5, Status::Expired);
    check(Status::Active, None, 5, Status::Active);
    check(Status::Terminated, Some(5), 6, Status::Terminated);
    check(Status::HandedOff, Some(5), 6, Status::HandedOff);
}
