//! What a row of JSON costs: copied by hand, as the rows of listings are, and written by serde.
//!
//! `cargo run --release --example json_speed` prints the time for 50 rows.
#![expect(clippy::print_stdout, reason = "the figures are the output")]

use std::hint::black_box;
use std::time::Instant;

use serde::Serialize;
use serde_json::value::RawValue;

const ROWS: usize = 50;
const ROUNDS: u32 = 20_000;
const ROUND_BYTES: usize = ROWS * 1024;

/// A row with the kinds of values that a session has: texts, times, and stored JSON.
#[derive(Serialize)]
struct Row<'a> {
    session_id: &'a str,
    agent_id: &'a str,
    status: &'a str,
    agent_name: Option<&'a str>,
    user_id: Option<&'a str>,
    parent_session_id: Option<&'a str>,
    project_id: Option<&'a str>,
    #[serde(borrow)]
    scopes: &'a RawValue,
    #[serde(borrow)]
    metadata: &'a RawValue,
    created_at: &'a str,
    recorded_at: &'a str,
    updated_at: &'a str,
    expires_at: Option<&'a str>,
}

impl Row<'_> {
    fn copy(&self, out: &mut Vec<u8>) {
        let texts = [
            ("{\"session_id\":", Some(self.session_id)),
            (",\"agent_id\":", Some(self.agent_id)),
            (",\"status\":", Some(self.status)),
            (",\"agent_name\":", self.agent_name),
            (",\"user_id\":", self.user_id),
            (",\"parent_session_id\":", self.parent_session_id),
            (",\"project_id\":", self.project_id),
        ];
        for (name, value) in texts {
            text(out, name, value);
        }
        for (name, json) in [
            (",\"scopes\":", self.scopes),
            (",\"metadata\":", self.metadata),
        ] {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(json.get().as_bytes());
        }
        let times = [
            (",\"created_at\":", Some(self.created_at)),
            (",\"recorded_at\":", Some(self.recorded_at)),
            (",\"updated_at\":", Some(self.updated_at)),
            (",\"expires_at\":", self.expires_at),
        ];
        for (name, value) in times {
            text(out, name, value);
        }
        out.push(b'}');
    }
}

fn text(out: &mut Vec<u8>, name: &str, value: Option<&str>) {
    out.extend_from_slice(name.as_bytes());
    let Some(value) = value else {
        return out.extend_from_slice(b"null");
    };
    // Without an early exit, the compiler vectorizes the scan.
    let escapes = value.bytes().fold(0, |escapes, byte| {
        escapes | u8::from(byte < 0x20) | u8::from(byte == b'"') | u8::from(byte == b'\\')
    });
    if escapes != 0 {
        return serde_json::to_writer(out, value).expect("a text is JSON");
    }
    out.push(b'"');
    out.extend_from_slice(value.as_bytes());
    out.push(b'"');
}

fn measure(name: &str, write: impl Fn(&mut Vec<u8>)) {
    let started = Instant::now();
    for _ in 0..ROUNDS {
        let mut out = Vec::with_capacity(ROUND_BYTES);
        for _ in 0..ROWS {
            write(&mut out);
        }
        black_box(out);
    }
    let us = started.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS);
    println!("{name}: {us:.1} us for {ROWS} rows");
}

fn main() {
    let (scopes, metadata) = (
        r#"["mail:read","mail:send"]"#,
        r#"{"run":17,"labels":["a","b"]}"#,
    );
    let time = "2026-01-31T12:00:00.123456Z";
    let row = || Row {
        session_id: "session-000123456",
        agent_id: "agent-42",
        status: "active",
        agent_name: Some("Mailer"),
        user_id: Some("u-1"),
        parent_session_id: None,
        project_id: Some("p-1"),
        // Serde takes stored JSON only after it has parsed it.
        scopes: serde_json::from_str(black_box(scopes)).expect("JSON"),
        metadata: serde_json::from_str(black_box(metadata)).expect("JSON"),
        created_at: time,
        recorded_at: time,
        updated_at: time,
        expires_at: Some(time),
    };
    let (stored, mut copied) = (row(), Vec::new());
    stored.copy(&mut copied);
    assert_eq!(copied, serde_json::to_vec(&stored).expect("JSON"));
    for _ in 0..3 {
        measure("copied by hand", |out| black_box(&stored).copy(out));
        measure("by serde", |out| {
            serde_json::to_writer(out, &row()).expect("JSON");
        });
    }
}
