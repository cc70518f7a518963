//! Tests of the spool's files.

use proptest::prelude::*;

use super::*;

async fn with_spool(test: impl AsyncFnOnce(&Spool)) {
    let dir = tempfile::tempdir().unwrap();
    test(&Spool::open(&dir.path().join("spool")).unwrap()).await;
}

#[tokio::test]
async fn events_come_back_in_their_order_and_are_removed_from_the_front() {
    with_spool(async |spool| {
        let locked = spool.lock().await.unwrap();
        assert!(locked.first(500).unwrap().is_empty());
        assert!(locked.append(&[r#"{"n":1}"#, r#"{"n":2}"#]).unwrap());
        assert!(locked.append(&[r#"{"n":3}"#]).unwrap());
        let batch = locked.first(500).unwrap();
        assert_eq!(batch.events, [r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":3}"#]);
        assert_eq!(batch.end_of(0), 0);
        assert_eq!(locked.first(2).unwrap().events, batch.events[..2]);
        locked.remove(batch.end_of(2)).unwrap();
        assert_eq!(locked.first(500).unwrap().events, [r#"{"n":3}"#]);
        locked.remove(locked.first(500).unwrap().end_of(1)).unwrap();
        assert!(locked.first(500).unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_torn_record_is_skipped_and_the_next_one_is_not() {
    with_spool(async |spool| {
        let locked = spool.lock().await.unwrap();
        fs::write(spool.events(), "{\"n\":1}\n{\"n\":2").unwrap();
        assert_eq!(locked.first(500).unwrap().events, [r#"{"n":1}"#]);
        assert!(locked.append(&[r#"{"n":3}"#]).unwrap());
        let batch = locked.first(500).unwrap();
        assert_eq!(batch.events, [r#"{"n":1}"#, r#"{"n":3}"#]);
        locked.remove(batch.end_of(2)).unwrap();
        assert!(locked.first(500).unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_full_spool_keeps_what_it_has() {
    with_spool(async |spool| {
        let locked = spool.lock().await.unwrap();
        let event = format!(r#"{{"n":"{}"}}"#, "x".repeat(1000));
        while locked.append(&[&event]).unwrap() {}
        let bytes = fs::metadata(spool.events()).unwrap().len();
        assert!(bytes <= HOOK_SPOOL_BYTES_MAX && HOOK_SPOOL_BYTES_MAX < bytes + 2_000);
        let batch = locked.first(500).unwrap();
        assert_eq!(batch.events.len(), 500);
        locked.remove(batch.end_of(1)).unwrap();
        assert!(locked.append(&[&event]).unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_second_process_waits_for_the_lock() {
    with_spool(async |spool| {
        let locked = spool.lock().await.unwrap();
        let refused = spool.lock().await.unwrap_err().to_string();
        assert!(refused.contains("stays locked"), "{refused}");
        drop(locked);
        spool.lock().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn events_are_removed_although_no_second_file_can_be_written() {
    with_spool(async |spool| {
        let locked = spool.lock().await.unwrap();
        fs::create_dir(spool.dir.join("events.ndjson.new")).unwrap();
        assert!(locked.append(&[r#"{"n":1}"#, r#"{"n":2}"#]).unwrap());
        locked.remove(locked.first(500).unwrap().end_of(1)).unwrap();
        assert_eq!(locked.first(500).unwrap().events, [r#"{"n":2}"#]);
        locked.remove(locked.first(500).unwrap().end_of(1)).unwrap();
        assert!(locked.first(500).unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn others_can_never_read_the_spool() {
    let dir = tempfile::tempdir().unwrap();
    let mode = || fs::metadata(dir.path()).unwrap().permissions().mode() & 0o777;
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    let spool = Spool::open(dir.path()).unwrap();
    assert_eq!(mode(), 0o700);
    spool.lock().await.unwrap();
}

proptest! {
    /// Whatever the file holds, the lines that were read end within it, and events are JSON.
    #[test]
    fn any_bytes_are_a_batch(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let batch = Batch::of(&bytes, usize::MAX);
        prop_assert_eq!(batch.end_of(batch.events.len()), bytes.len());
        prop_assert!(batch.ends.iter().all(|end| *end <= bytes.len()));
    }
}
