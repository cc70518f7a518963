//! Tenants that are divided over several logs on one NATS server: an account, a stream and ledgers for each
//! group.

use session_ledger::domain::Position;
use session_ledger::log::jetstream::{Credentials, JetStreamConfig};
use session_ledger::log::{EventLog as _, JetStreamLog, LogError};

use crate::log_conformance::{content, new_records, positions, read};
use crate::support::nats::NatsServer;

const ACCOUNTS: &str = "
accounts {
  EU { jetstream: enabled, users: [{ user: eu, password: p }] }
  US { jetstream: enabled, users: [{ user: us, password: p }] }
}
";

fn config(server: &NatsServer, user: &str, stream: &str) -> JetStreamConfig {
    JetStreamConfig {
        stream: stream.to_owned(),
        credentials: Credentials::UserPassword {
            user: user.to_owned(),
            password: "p".to_owned(),
        },
        ..JetStreamConfig::new(vec![server.url().to_owned()])
    }
}

#[tokio::test]
async fn groups_in_accounts_of_their_own_have_logs_of_their_own() {
    let server = NatsServer::start_with(ACCOUNTS).await;
    let mut logs = Vec::new();
    for user in ["eu", "us"] {
        let log = JetStreamLog::connect(&config(&server, user, "LEDGER"), false).await;
        logs.push(log.unwrap());
    }
    for (log, numbers) in logs.iter().zip([0..3, 3..5]) {
        let new = new_records(numbers);
        let count = new.len() as u64;
        let expected: Vec<u64> = (1..=count).collect();
        assert_eq!(positions(log.append(new.clone()).await), expected);
        let mut tail = log.tail(Position::ZERO).await.unwrap();
        let found = read(&mut *tail, new.len()).await;
        assert_eq!(found.iter().map(content).collect::<Vec<_>>(), new);
    }
}

#[tokio::test]
async fn two_logs_in_one_account_are_refused() {
    let server = NatsServer::start_with(ACCOUNTS).await;
    let first = JetStreamLog::connect(&config(&server, "eu", "LEDGER"), false).await;
    first.unwrap();
    let second = JetStreamLog::connect(&config(&server, "eu", "LEDGER_EU"), false).await;
    let Err(refused) = second else {
        panic!("two streams have the same subjects");
    };
    assert!(matches!(refused, LogError::Misconfigured(_)), "{refused:?}");
}
