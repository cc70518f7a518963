//! The shipped configuration of NATS, tried with a stock client: runtimes can write the events of their
//! tenant and receive its verdicts, and nothing else.

use async_nats::jetstream::{context::PublishErrorKind, stream};
use futures_util::{FutureExt as _, StreamExt as _};
use serde_json::json;
use session_ledger::domain::Position;
use session_ledger::log::{EventLog, Guard, LogError, Notice};
use session_ledger::wire::{ADMIN_STREAM_SUBJECTS, EXPIRIES, stream_subjects};

use crate::log_conformance::{content, expired, new_record, new_records, positions, read};
use crate::support::python;
use crate::support::shipped_nats::{SOON, STREAMS, World, header_map};

const OURS: &str = "ledger.v1.acme.session.created";
const THEIRS: &str = "ledger.v1.globex.session.created";

/// Returns the subjects on which runtimes of a tenant may publish.
fn subjects_of(tenant: &str) -> Vec<String> {
    let all = stream_subjects().into_iter();
    all.filter(|subject| subject.starts_with("ledger.v1."))
        .map(|subject| subject.replace('*', tenant))
        .collect()
}

#[tokio::test]
async fn a_runtime_writes_every_event_of_its_tenant_and_gets_its_position() {
    let world = World::start().await;
    let mut expected = Vec::new();
    for tenant in ["acme", "globex"] {
        let user = world.user(tenant).await;
        for subject in subjects_of(tenant) {
            expected.push(subject.clone());
            let ack = user.store(&subject, &[]).await;
            assert_eq!(ack.stream, "LEDGER");
            assert_eq!(ack.sequence, expected.len() as u64);
        }
    }
    assert_eq!(expected.len(), 18);
    let mut tail = world.ledger.tail(Position::ZERO).await.unwrap();
    let subjects = read(&mut *tail, 18).await.into_iter();
    let subjects: Vec<_> = subjects.map(|record| record.subject.to_string()).collect();
    assert_eq!(subjects, expected);
}

#[tokio::test]
async fn the_ledger_can_do_all_that_it_needs() {
    let world = World::start().await;
    let (log, admin) = (&world.ledger, &world.admin);
    assert_eq!(positions(log.append(new_records(0..2)).await), [1, 2]);
    log.append(new_records(2..600)).await;
    let guard = Guard {
        subject: EXPIRIES,
        after: Position::ZERO,
        read_to: Position::ZERO,
    };
    let appended = log
        .append_after((0..50).map(expired).collect(), guard)
        .await;
    assert_eq!(positions(appended).last(), Some(&650));
    let mut key = new_record(1);
    key.subject = ADMIN_STREAM_SUBJECTS[0].replace('*', "acme").into();
    assert_eq!(positions(admin.append(vec![key.clone()]).await), [1]);
    for (log, at, expected) in [(&**log, 2, new_record(1)), (admin, 1, key)] {
        let before = Position::new(at - 1);
        let mut tail = log.tail(before).await.unwrap();
        let read = read(&mut *tail, 1).await;
        assert_eq!(content(&read[0]), expected);
        assert_eq!(log.get(vec![before.next()]).await.unwrap(), read);
    }
}

#[tokio::test]
async fn a_runtime_cannot_write_outside_its_tenants_subjects() {
    let world = World::start().await;
    let acme = world.user("acme").await;
    let mut forbidden: Vec<String> = subjects_of("globex");
    let ledgers = stream_subjects()
        .into_iter()
        .filter(|subject| subject.contains(".sys."));
    forbidden.extend(ledgers.map(|subject| subject.replace('*', "acme")));
    let keys = ADMIN_STREAM_SUBJECTS.iter();
    forbidden.extend(keys.map(|subject| subject.replace('*', "acme")));
    forbidden.extend(
        [
            "ledger.v1.acme",
            "ledger.v1.acme.session",
            "ledger.v1.acme.session.created.more",
            "ledger.v1.ACME.session.created",
            "ledger.verdict.v1.acme",
            "ledger.verdict.v1.globex",
            "anything",
            "_INBOX.made.up",
        ]
        .map(str::to_owned),
    );
    for subject in forbidden {
        acme.client
            .publish(subject.clone(), "{}".into())
            .await
            .unwrap();
        acme.complains("publish", &subject).await;
    }
    // The user may publish on these subjects, but no stream has them.
    for kind in [
        "session.expired",
        "session.invented",
        "key.issued",
        "ledger.rules",
    ] {
        let error = acme.try_store(&format!("ledger.v1.acme.{kind}"), &[]).await;
        let kind = error.unwrap_err().kind();
        assert_eq!(kind, PublishErrorKind::StreamNotFound);
    }
    assert_eq!(world.stored().await, [0, 0]);
}

#[tokio::test]
async fn the_streams_are_out_of_a_runtimes_reach() {
    let world = World::start().await;
    let acme = world.user("acme").await;
    acme.store(OURS, &[]).await;
    for stream in STREAMS {
        for request in [
            "STREAM.INFO.<>",
            "STREAM.CREATE.<>",
            "STREAM.UPDATE.<>",
            "STREAM.DELETE.<>",
            "STREAM.PURGE.<>",
            "STREAM.SNAPSHOT.<>",
            "STREAM.RESTORE.<>",
            "STREAM.MSG.GET.<>",
            "STREAM.MSG.DELETE.<>",
            "STREAM.PEER.REMOVE.<>",
            "STREAM.LEADER.STEPDOWN.<>",
            "DIRECT.GET.<>",
            "DIRECT.GET.<>.ledger.v1.acme.session.created",
            "CONSUMER.CREATE.<>",
            "CONSUMER.CREATE.<>.c",
            "CONSUMER.CREATE.<>.c.ledger.v1.acme.session.created",
            "CONSUMER.DURABLE.CREATE.<>.c",
            "CONSUMER.NAMES.<>",
            "CONSUMER.LIST.<>",
            "CONSUMER.INFO.<>.c",
            "CONSUMER.DELETE.<>.c",
            "CONSUMER.PAUSE.<>.c",
            "CONSUMER.RESET.<>.c",
            "CONSUMER.MSG.NEXT.<>.c",
            "INFO",
            "STREAM.NAMES",
            "STREAM.LIST",
            "META.LEADER.STEPDOWN",
            "SERVER.REMOVE",
            "ACCOUNT.PURGE.LEDGER",
        ] {
            acme.cannot_request(request, stream, "{}").await;
        }
    }
    for subject in [
        "$JS.ACK.LEDGER.c.1.1.1.1.1",
        "$JS.FC.LEDGER.c.1",
        "$SYS.REQ.SERVER.PING",
    ] {
        acme.client.publish(subject, "".into()).await.unwrap();
        acme.complains("publish", subject).await;
    }
    assert_eq!(world.stored().await, [1, 0]);
}

/// Requests that would erase records, or change what a stream keeps.
const DESTRUCTIVE: [&str; 7] = [
    "STREAM.DELETE.<>",
    "STREAM.PURGE.<>",
    "STREAM.RESTORE.<>",
    "STREAM.MSG.DELETE.<>",
    "STREAM.PEER.REMOVE.<>",
    "STREAM.LEADER.STEPDOWN.<>",
    "ACCOUNT.PURGE.LEDGER",
];

/// Returns a stream's settings with a limit that would erase all records but one.
fn limited(settings: &stream::Config) -> stream::Config {
    stream::Config {
        max_messages: 1,
        discard: stream::DiscardPolicy::Old,
        ..settings.clone()
    }
}

#[tokio::test]
async fn the_ledger_cannot_change_the_streams_or_delete_from_them() {
    let world = World::start().await;
    world.ledger.append(new_records(0..3)).await;
    let ledger = world.user("ledger").await;
    for stream in STREAMS {
        let before = ledger.settings(stream).await;
        let body = serde_json::to_string(&limited(&before)).unwrap();
        for request in [&["STREAM.CREATE.<>", "STREAM.UPDATE.<>"], &DESTRUCTIVE[..]].concat() {
            ledger.cannot_request(request, stream, &body).await;
        }
        assert_eq!(ledger.settings(stream).await, before);
    }
    assert_eq!(world.stored().await, [3, 0]);
    assert_eq!(world.first_position().await, 1);
}

/// The server publishes answers, acknowledgements and deliveries on any subject that a request names.
/// None of them may count as a request of its own.
#[tokio::test]
async fn the_ledger_cannot_make_the_server_change_the_streams_for_it() {
    let world = World::start().await;
    let setup = world.user("ledger-setup").await;
    // With this setting, the server could answer DIRECT.GET.
    let before = stream::Config {
        allow_direct: true,
        ..setup.settings("LEDGER").await
    };
    setup.change(before.clone()).await.unwrap();
    let ledger = world.user("ledger").await;
    let subject = stream_subjects()[0].replace('*', "acme");
    let body = serde_json::to_string(&limited(&before)).unwrap();
    for _ in 0..3 {
        let sent = ledger.request(&subject, &body).await;
        assert!(sent.contains("seq"), "{sent}");
    }
    let get = json!({ "last_by_subj": subject }).to_string();
    for request in [
        "DIRECT.GET.<>",
        "DIRECT.GET.<>.ledger.v1.acme.session.created",
    ] {
        ledger.cannot_request(request, "LEDGER", &get).await;
    }
    let consumer = json!({"stream_name": "LEDGER", "config": {"name": "c", "ack_policy": "none"}});
    let create = "$JS.API.CONSUMER.CREATE.LEDGER.c";
    let said = ledger.request(create, &consumer.to_string()).await;
    assert!(said.contains("created"), "{said}");
    for forged in ["UPDATE", "PURGE"] {
        let forged = format!("$JS.API.STREAM.{forged}.LEDGER");
        let config = json!({"deliver_subject": forged, "ack_policy": "none"});
        let push = json!({"stream_name": "LEDGER", "config": config}).to_string();
        let said = ledger
            .request("$JS.API.CONSUMER.CREATE.LEDGER", &push)
            .await;
        assert!(said.contains("created"), "{said}");
        for (subject, body) in [
            (subject.as_str(), body.as_str()),
            ("$JS.API.STREAM.MSG.GET.LEDGER", &get),
            ("$JS.API.STREAM.INFO.LEDGER", ""),
            ("$JS.API.CONSUMER.INFO.LEDGER.c", ""),
            (
                "$JS.API.CONSUMER.MSG.NEXT.LEDGER.c",
                r#"{"batch":9,"no_wait":true}"#,
            ),
            (
                "$JS.API.CONSUMER.MSG.NEXT.LEDGER.c",
                r#"{"batch":9,"no_wait":true}"#,
            ),
        ] {
            let (client, body) = (&ledger.client, body.to_owned());
            let sent = client.publish_with_reply(subject.to_owned(), forged.clone(), body.into());
            sent.await.unwrap();
        }
    }
    // The server takes this request after those.
    let ack = ledger.store(&subject, &[]).await;
    assert_eq!(ack.sequence, 6);
    assert_eq!(ledger.settings("LEDGER").await, before);
    assert_eq!(world.first_position().await, 1);
}

/// An answer without a body on the subject of a deletion counts as one. docs/operations.md says so.
#[tokio::test]
async fn the_ledger_can_still_delete_a_whole_stream_with_a_reply_subject() {
    let world = World::start().await;
    let ledger = world.user("ledger").await;
    let consumer = json!({"stream_name": "LEDGER", "config": {"name": "c", "ack_policy": "none"}});
    let create = "$JS.API.CONSUMER.CREATE.LEDGER.c";
    let said = ledger.request(create, &consumer.to_string()).await;
    assert!(said.contains("created"), "{said}");
    let next = "$JS.API.CONSUMER.MSG.NEXT.LEDGER.c";
    let (forged, body) = (
        "$JS.API.STREAM.DELETE.LEDGER",
        r#"{"batch":1,"no_wait":true}"#,
    );
    let sent = ledger.client.publish_with_reply(next, forged, body.into());
    sent.await.unwrap();
    let is_gone = async {
        while !ledger
            .request("$JS.API.STREAM.INFO.LEDGER", "")
            .await
            .contains("stream not found")
        {}
    };
    tokio::time::timeout(SOON, is_gone).await.unwrap();
    // The ledger notices.
    assert!(world.ledger.head().await.is_err());
}

#[tokio::test]
async fn the_setup_user_can_only_create_and_change_the_streams() {
    let world = World::start().await;
    world.ledger.append(new_records(0..3)).await;
    let setup = world.user("ledger-setup").await;
    let subjects = stream_subjects().into_iter();
    let subjects = subjects.chain(ADMIN_STREAM_SUBJECTS.map(str::to_owned));
    let verdicts = ["ledger.verdict.v1.acme".to_owned()];
    for subject in subjects.chain(verdicts) {
        let subject = subject.replace('*', "acme");
        let sent = setup.client.publish(subject.clone(), "{}".into());
        sent.await.unwrap();
        setup.complains("publish", &subject).await;
    }
    for stream in STREAMS {
        for request in [
            "INFO",
            "STREAM.NAMES",
            "STREAM.LIST",
            "STREAM.SNAPSHOT.<>",
            "STREAM.MSG.GET.<>",
            "DIRECT.GET.<>",
            "DIRECT.GET.<>.ledger.v1.acme.session.created",
            "CONSUMER.CREATE.<>",
            "CONSUMER.CREATE.<>.c",
            "CONSUMER.DURABLE.CREATE.<>.c",
            "CONSUMER.MSG.NEXT.<>.c",
            "CONSUMER.INFO.<>.c",
            "CONSUMER.DELETE.<>.c",
            "STREAM.CREATE.OTHER",
        ]
        .iter()
        .chain(&DESTRUCTIVE)
        {
            setup.cannot_request(request, stream, "{}").await;
        }
    }
    // The ledger receives the records that it reads on `_INBOX.>`.
    for subject in [">", "ledger.>", "_INBOX.>", "_INBOX_ledger.>", "$JS.>"] {
        let _listening = setup.client.subscribe(subject).await.unwrap();
        setup.complains("subscription", subject).await;
    }
    // It may change settings, but the server does not let it unset these two.
    let mut settings = setup.settings("LEDGER").await;
    (settings.deny_delete, settings.deny_purge) = (false, false);
    let refused = setup.change(settings).await.unwrap_err();
    assert!(refused.to_string().contains("deny"), "{refused}");
    assert_eq!(world.stored().await, [3, 0]);
}

#[tokio::test]
async fn a_runtime_receives_only_its_own_answers_and_verdicts() {
    let world = World::start().await;
    let (acme, globex) = (world.user("acme").await, world.user("globex").await);
    for subject in [
        ">",
        "*",
        "ledger.>",
        "ledger.v1.>",
        OURS,
        THEIRS,
        "ledger.verdict.v1.*",
        "ledger.verdict.v1.globex",
        "_INBOX_ledger.>",
        "_INBOX_globex.>",
        "$JS.>",
        "$JS.EVENT.ADVISORY.>",
        "$SYS.>",
        "_R_.>",
    ] {
        let _listening = acme.client.subscribe(subject).await.unwrap();
        acme.complains("subscription", subject).await;
    }
    // A subject with an equal name in another account is another inbox.
    let mut inboxes = acme.client.subscribe("_INBOX.>").await.unwrap();
    let mut verdicts = acme
        .client
        .subscribe("ledger.verdict.v1.acme")
        .await
        .unwrap();
    let mut own = globex.client.subscribe("_INBOX.>").await.unwrap();
    acme.client.flush().await.unwrap();
    globex.client.flush().await.unwrap();
    globex.store(THEIRS, &[]).await;
    world.ledger.append(new_records(0..3)).await;
    let notice = |tenant: &str| Notice {
        subject: format!("ledger.verdict.v1.{tenant}"),
        payload: tenant.as_bytes().to_vec(),
    };
    world
        .ledger
        .notify(vec![notice("globex"), notice("acme")])
        .await;
    let heard = tokio::time::timeout(SOON, verdicts.next()).await.unwrap();
    assert_eq!(heard.unwrap().payload, "acme");
    let heard = tokio::time::timeout(SOON, own.next()).await.unwrap();
    assert!(heard.is_some(), "the other tenant receives its own message");
    acme.client.flush().await.unwrap();
    assert!(verdicts.next().now_or_never().is_none());
    assert!(inboxes.next().now_or_never().is_none());
}

#[tokio::test]
async fn no_acknowledgement_is_stored_whatever_its_reply_subject() {
    let world = World::start().await;
    let acme = world.user("acme").await;
    for reply in [
        OURS,
        THEIRS,
        "ledger.sys.v1.acme.session.expired",
        "ledger.sys.v1.rules",
        "ledger.admin.v1.acme.key.issued",
        "$JS.API.STREAM.DELETE.LEDGER",
        "$JS.API.STREAM.MSG.GET.LEDGER",
    ] {
        let before = world.stored().await;
        let sent = acme.client.publish_with_reply(OURS, reply, "{}".into());
        sent.await.unwrap();
        // If the acknowledgement of the first message were stored, it would be between the two.
        let ack = acme.store(OURS, &[]).await;
        assert_eq!(ack.sequence, before[0] + 2, "{reply}");
        assert_eq!(world.stored().await, [ack.sequence, before[1]], "{reply}");
    }
}

#[tokio::test]
async fn a_private_part_that_a_runtime_claims_is_stored_for_the_fold_to_judge() {
    let world = World::start().await;
    let acme = world.user("acme").await;
    acme.store(OURS, &[("Ledger-Private", "c2VjcmV0")]).await;
    assert_eq!(world.last_record().await.private, "secret");
}

#[tokio::test]
async fn a_message_id_suppresses_only_messages_with_an_equal_id() {
    let world = World::start().await;
    let (acme, globex) = (world.user("acme").await, world.user("globex").await);
    let id: &[_] = &[("Nats-Msg-Id", "1")];
    // Ids are remembered for a tenth of a second, so this may take more than one try.
    let met = async {
        loop {
            let first = acme.store(OURS, id).await;
            let second = globex.store(THEIRS, id).await;
            if second.sequence == first.sequence {
                return (first, second);
            }
        }
    };
    let (first, second) = tokio::time::timeout(SOON, met).await.unwrap();
    assert!(
        !first.duplicate && second.duplicate,
        "the acknowledgement says so"
    );
    // A runtime that sends no id, as documented, loses nothing. Nor does the ledger.
    let theirs = globex.store(THEIRS, &[]).await;
    let ledgers = positions(world.ledger.append(new_records(0..2)).await);
    assert!(!theirs.duplicate);
    assert_eq!(theirs.sequence, first.sequence + 1);
    assert_eq!(ledgers, [first.sequence + 2, first.sequence + 3]);
}

#[tokio::test]
async fn batches_that_a_runtime_leaves_open_stop_no_other_client() {
    let world = World::start().await;
    let (acme, globex) = (world.user("acme").await, world.user("globex").await);
    for number in 0..60 {
        let id = number.to_string();
        let headers = [("Nats-Batch-Id", id.as_str()), ("Nats-Batch-Sequence", "1")];
        let headers = header_map(&headers);
        let sent = acme.client.publish_with_headers(OURS, headers, "{}".into());
        sent.await.unwrap();
    }
    acme.client.flush().await.unwrap();
    assert_eq!(globex.store(THEIRS, &[]).await.sequence, 1);
    let appended = positions(world.ledger.append(new_records(0..600)).await);
    assert_eq!(appended, (2..602).collect::<Vec<_>>());
    let guard = Guard {
        subject: EXPIRIES,
        after: Position::ZERO,
        read_to: Position::ZERO,
    };
    let records: Vec<_> = (0..50).map(expired).collect();
    let appended = world.ledger.append_after(records.clone(), guard).await;
    assert_eq!(positions(appended), (602..652).collect::<Vec<_>>());
    let late = world.ledger.append_after(records, guard).await;
    assert!(
        late.iter()
            .all(|one| matches!(one, Err(LogError::Overtaken)))
    );
}

/// A runtime can name a subject of another tenant in a precondition. The server's error then has the
/// last position on that subject. docs/operations.md says so.
#[tokio::test]
async fn a_runtime_can_learn_the_last_position_on_a_subject_and_nothing_else() {
    let world = World::start().await;
    let (acme, globex) = (world.user("acme").await, world.user("globex").await);
    acme.store(OURS, &[]).await;
    globex.store(THEIRS, &[]).await;
    let probe = [
        ("Nats-Expected-Last-Subject-Sequence", "99"),
        ("Nats-Expected-Last-Subject-Sequence-Subject", THEIRS),
    ];
    let refused = acme.try_store(OURS, &probe).await.unwrap_err();
    assert_eq!(refused.kind(), PublishErrorKind::WrongLastSequence);
    assert!(
        refused.to_string().contains("wrong last sequence: 2"),
        "{refused}"
    );
    assert_eq!(world.stored().await, [2, 0]);
}

#[tokio::test]
async fn the_user_for_backups_copies_the_streams_and_restores_them() {
    let world = World::start_with_backup_user().await;
    assert_eq!(
        positions(world.ledger.append(new_records(0..300)).await)[299],
        300
    );
    let mut tail = world.ledger.tail(Position::ZERO).await.unwrap();
    let before = read(&mut *tail, 300).await;
    drop(tail);
    let copies = tempfile::tempdir().unwrap();
    let script = include_str!("nats_snapshot.py");
    let url = world.url_as("ledger-backup");
    let copies = copies.path().to_str().unwrap();
    python::run(script, &[&url, "backup", copies]).await;
    // What was written since is lost with the stream.
    world.ledger.append(new_records(300..310)).await;
    python::run(script, &[&url, "restore", copies]).await;
    let mut tail = world.ledger.tail(Position::ZERO).await.unwrap();
    let after = read(&mut *tail, 300).await;
    assert_eq!(after, before);
    assert_eq!(world.stored().await, [300, 0]);

    let user = world.user("ledger-backup").await;
    for subject in [OURS, "ledger.sys.v1.rules", "$JS.API.STREAM.UPDATE.LEDGER"] {
        user.client.publish(subject, "{}".into()).await.unwrap();
        user.complains("publish", subject).await;
    }
}
