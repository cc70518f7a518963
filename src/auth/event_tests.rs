//! Tests of the stored form of keys.

use proptest::prelude::*;

use super::*;
use crate::auth::ApiKey;
use crate::domain::Position;
use crate::wire::Headers;

const TIME: &str = "2026-01-31T12:00:00.000000Z";

fn time() -> Timestamp {
    Timestamp::parse(TIME).unwrap()
}

fn grant_of(tenant: &str) -> Grant {
    Grant {
        tenant: TenantId::parse(tenant).unwrap(),
        name: None,
        roles: [Role::Read].into_iter().collect(),
        agent: None,
        expires_at: None,
    }
}

fn issued() -> (KeyId, KeyEvent) {
    let key = ApiKey::generate().unwrap();
    let event = KeyEvent::Issued {
        id: key.id(),
        hash: key.hash(),
        grant: grant_of("acme"),
        by: Some(Author::Operator),
    };
    (key.id(), event)
}

fn stored(new: NewRecord) -> Record {
    Record {
        position: Position::new(1),
        recorded_at: time(),
        subject: new.subject,
        private: new.private,
        headers: Headers::default(),
        payload: new.body,
    }
}

/// The record of an issued key with some text in its body replaced.
fn changed(from: &str, to: &str) -> Record {
    let (_, event) = issued();
    let mut record = stored(event.to_record(time()));
    let body = String::from_utf8(record.payload.to_vec()).unwrap();
    assert!(body.contains(from), "{body}");
    record.payload = body.replace(from, to).into();
    record
}

prop_compose! {
    fn any_grant()(
        name in prop::option::of("[^\\p{Cc}]{1,20}"),
        roles in prop::collection::vec(prop::sample::select(Role::ALL.to_vec()), 0..4),
        agent in prop::option::of("[a-z0-9:]{1,20}"),
        expires_us in prop::option::of(Timestamp::MIN.micros()..Timestamp::MAX.micros()),
    ) -> Grant {
        Grant {
            tenant: TenantId::parse("acme").unwrap(),
            name: name.map(String::into_boxed_str),
            roles: roles.into_iter().collect(),
            agent: agent.map(|id| AgentId::parse(&id).unwrap()),
            expires_at: expires_us.map(Timestamp::from_micros_clamped),
        }
    }
}

fn any_author() -> impl Strategy<Value = Option<Author>> {
    let token = "[a-z:/]{0,9}[|][^\\p{Cc}]{1,9}".prop_map(|text| Author::Token(text.into()));
    prop::option::of(prop_oneof![Just(Author::Operator), token])
}

proptest! {
    #[test]
    fn a_written_event_reads_back(grant in any_grant(), by in any_author()) {
        let key = ApiKey::generate().unwrap();
        let issued = KeyEvent::Issued { id: key.id(), hash: key.hash(), grant, by: by.clone() };
        let record = stored(issued.to_record(time()));
        prop_assert_eq!(KeyEvent::read(&record), Ok(issued));
        let tenant = TenantId::parse("a").unwrap();
        let revoked = KeyEvent::Revoked { id: key.id(), tenant, by };
        prop_assert_eq!(KeyEvent::read(&stored(revoked.to_record(time()))), Ok(revoked));
    }

    #[test]
    fn arbitrary_bytes_are_unreadable(
        subject in "ledger.admin.v1.[a.]{0,4}.key.(issued|revoked|x)",
        private in prop::collection::vec(any::<u8>(), 0..64),
        body in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let record = NewRecord { subject: subject.into(), private: private.into(), body: body.into() };
        prop_assert!(KeyEvent::read(&stored(record)).is_err());
    }
}

#[test]
fn the_stored_form_stays_as_it_is() {
    let event = KeyEvent::Issued {
        id: KeyId::parse("0123456789abcdef").unwrap(),
        hash: TokenHash::new([0xab; 32]),
        grant: Grant {
            name: Some("ci".into()),
            roles: [Role::Write, Role::Read].into_iter().collect(),
            agent: Some(AgentId::parse("a1").unwrap()),
            expires_at: Some(time()),
            ..grant_of("acme")
        },
        by: Some(Author::Token("https://id.example|ops".into())),
    };
    let record = event.to_record(time());
    assert_eq!(&*record.subject, "ledger.admin.v1.acme.key.issued");
    assert_eq!(
        String::from_utf8(record.body.to_vec()).unwrap(),
        format!(
            r#"{{"specversion":"1.0","id":"issued-0123456789abcdef","source":"urn:session-ledger:keys","type":"key.issued","subject":"0123456789abcdef","time":"{TIME}","tenantid":"acme","actor":"https://id.example|ops","data":{{"name":"ci","roles":["read","write"],"agent_id":"a1","expires_at":"{TIME}"}}}}"#
        )
    );
    assert_eq!(
        String::from_utf8(record.private.to_vec()).unwrap(),
        format!(r#"{{"key_sha256":"{}"}}"#, "ab".repeat(32))
    );
}

/// Records of builds that did not write `actor`.
#[test]
fn records_without_an_actor_are_read() {
    let hash = TokenHash::new([0xab; 32]);
    let private = format!(r#"{{"key_sha256":"{}"}}"#, "ab".repeat(32));
    let record = |kind: &str, data: &str, private: String| {
        Record {
        position: Position::new(1),
        recorded_at: time(),
        subject: format!("ledger.admin.v1.acme.key.{kind}").into(),
        private: private.into(),
        headers: Headers::default(),
        payload: format!(
            r#"{{"specversion":"1.0","id":"{kind}-0123456789abcdef","source":"urn:session-ledger:keys","type":"key.{kind}","subject":"0123456789abcdef","time":"{TIME}","tenantid":"acme","data":{data}}}"#
        )
        .into(),
    }
    };
    let id = KeyId::parse("0123456789abcdef").unwrap();
    let issued = record("issued", r#"{"roles":["read"]}"#, private);
    let expected = KeyEvent::Issued {
        id,
        hash,
        grant: grant_of("acme"),
        by: None,
    };
    assert_eq!(KeyEvent::read(&issued), Ok(expected));
    let revoked = record("revoked", "{}", String::new());
    let tenant = TenantId::parse("acme").unwrap();
    let expected = KeyEvent::Revoked {
        id,
        tenant,
        by: None,
    };
    assert_eq!(KeyEvent::read(&revoked), Ok(expected));
}

/// Builds that do not know `actor` read these members of a body, and reject unknown members of its
/// data.
#[test]
fn older_builds_read_what_this_one_writes() {
    #[derive(Deserialize)]
    struct Older {
        subject: String,
        r#type: String,
        tenantid: String,
        data: Data,
    }
    let (id, event) = issued();
    let record = event.to_record(time());
    let read: Older = serde_json::from_slice(&record.body).unwrap();
    assert_eq!(read.subject, id.to_string());
    assert_eq!((&*read.r#type, &*read.tenantid), (ISSUED, "acme"));
    assert_eq!(read.data.roles, ["read"]);
    assert!(String::from_utf8_lossy(&record.body).contains(r#""actor":"operator""#));
}

#[test]
fn a_record_with_an_unreadable_actor_is_read() {
    for actor in [
        "7",
        "null",
        r#"{"a":1}"#,
        r#""a later build's""#,
        r#""a|\u0000""#,
    ] {
        let body = format!(r#""actor":{actor}"#);
        let read = KeyEvent::read(&changed(r#""actor":"operator""#, &body)).unwrap();
        assert!(matches!(read, KeyEvent::Issued { by: None, .. }), "{actor}");
    }
}

#[test]
fn neither_key_nor_hash_is_in_the_body() {
    let key = ApiKey::generate().unwrap();
    let event = KeyEvent::Issued {
        id: key.id(),
        hash: key.hash(),
        grant: grant_of("acme"),
        by: Some(Author::Operator),
    };
    let record = event.to_record(time());
    let body = String::from_utf8(record.body.to_vec()).unwrap();
    let (_, secret) = key
        .reveal()
        .rsplit_once('_')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    assert!(!body.contains(&secret));
    assert!(!body.contains(&hex::encode(key.hash().bytes())));
}

#[test]
fn a_grant_that_this_build_does_not_understand_is_unreadable() {
    for (from, to) in [
        (
            r#""roles":["read"]"#,
            r#""roles":["read"],"only_from":"10.0.0.0/8""#,
        ),
        (r#""roles":["read"]"#, r#""roles":["read","god"]"#),
        (
            r#""roles":["read"]"#,
            r#""roles":["read"],"expires_at":"soon""#,
        ),
        (
            r#""roles":["read"]"#,
            r#""roles":["read"],"agent_id":"a/b""#,
        ),
        (r#""tenantid":"acme""#, r#""tenantid":"globex""#),
        (r#""type":"key.issued""#, r#""type":"key.revoked""#),
        (r#""subject":""#, r#""subject":"x"#),
    ] {
        assert!(KeyEvent::read(&changed(from, to)).is_err(), "{to}");
    }
    let (_, event) = issued();
    let mut record = stored(event.to_record(time()));
    record.private = Bytes::new();
    assert!(KeyEvent::read(&record).is_err());
}

#[test]
fn a_revocation_with_unknown_members_is_read() {
    let id = KeyId::parse("0123456789abcdef").unwrap();
    let mut record = changed("read", "read");
    record.subject = "ledger.admin.v1.acme.key.revoked".into();
    record.payload = r#"{"subject":"0123456789abcdef","data":{"new":[1]},"more":null}"#.into();
    let tenant = TenantId::parse("acme").unwrap();
    assert_eq!(
        KeyEvent::read(&record),
        Ok(KeyEvent::Revoked {
            id,
            tenant,
            by: None
        })
    );
}

#[test]
fn an_invalid_grant_is_rejected() {
    #[track_caller]
    fn check(grant: &Grant, expected: Result<(), GrantError>) {
        assert_eq!(grant.check(time()), expected, "{grant:?}");
    }
    let good = grant_of("acme");
    check(&good, Ok(()));
    let roles = Roles::default();
    check(
        &Grant {
            roles,
            ..good.clone()
        },
        Err(GrantError::NoRole),
    );
    for (name, expected) in [
        ("ci of the billing team", Ok(())),
        ("", Err(GrantError::Name)),
        ("a\nb", Err(GrantError::Name)),
        (&*"n".repeat(KEY_NAME_CHARS_MAX + 1), Err(GrantError::Name)),
    ] {
        let name = Some(name.into());
        check(
            &Grant {
                name,
                ..good.clone()
            },
            expected,
        );
    }
    let agent = Some(AgentId::parse("a1").unwrap());
    check(
        &Grant {
            agent: agent.clone(),
            ..good.clone()
        },
        Ok(()),
    );
    let roles = Roles::ALL;
    check(
        &Grant {
            roles,
            agent,
            ..good.clone()
        },
        Err(GrantError::BoundAdmin),
    );
    for (expires_at, expected) in [
        (time().plus_micros(1), Ok(())),
        (time(), Err(GrantError::Expired)),
    ] {
        let expires_at = Some(expires_at);
        check(
            &Grant {
                expires_at,
                ..good.clone()
            },
            expected,
        );
    }
}
