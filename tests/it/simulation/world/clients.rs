//! The clients of the simulation: they try operations, repeat them, and learn answers.

use std::sync::Arc;

use proptest::strategy::{Strategy as _, ValueTree as _};
use session_ledger::domain::TenantId;
use session_ledger::ledger::{IdempotencyKey, rules};
use session_ledger::log::NewRecord;
use tokio::task::AbortHandle;

use super::World;
use crate::fold::history::{Logged, Sent, TENANTS, sent};
use crate::simulation::log::Client;
use crate::simulation::operation::{Command, Learned, Operation};

/// The number of the node that runtimes have, which publish on the log themselves.
const RUNTIMES: u32 = 1000;

/// An attempt of a client under way.
pub(super) struct Attempt {
    /// `None` if the client uses the log itself.
    node: Option<usize>,
    operation: usize,
    handle: AbortHandle,
}

impl World {
    /// Takes what attempts have learned, and finds nodes that have stopped.
    pub(crate) fn reap(&mut self) {
        let mut ended = Vec::new();
        while let Some(joined) = self.attempts.try_join_next_with_id() {
            let (id, learned) = joined.unwrap_or_else(|error| {
                assert!(error.is_cancelled(), "an operation panicked: {error:?}");
                (error.id(), Learned::Nothing("the node crashed".to_owned()))
            });
            let mut under_way = self.under_way.iter();
            let number = under_way.find(|(_, attempt)| attempt.handle.id() == id);
            ended.push((*number.unwrap().0, learned));
        }
        ended.sort_by_key(|(number, _)| *number);
        for (number, learned) in ended {
            let Attempt {
                node, operation, ..
            } = self.under_way.remove(&number).unwrap();
            self.note(format_args!(
                "attempt {number} of operation {operation} at {node:?}: {learned:?}"
            ));
            self.learn(node, operation, learned);
        }
        for number in 0..self.nodes.len() {
            let Some(why) = self.nodes[number].failure() else {
                continue;
            };
            assert!(
                self.nodes[number].disk.is_off(),
                "node {number} stopped by itself: {why}"
            );
            self.lose(number);
        }
    }

    fn learn(&mut self, node: Option<usize>, operation: usize, learned: Learned) {
        let off = node.is_some_and(|node| self.nodes[node].disk.is_off());
        match &learned {
            Learned::Wrong(why) => assert!(off, "operation {operation} at {node:?}: {why}"),
            Learned::Judged(_, _, Some(token)) => {
                if let Operation::Command(tenant, ..) = &self.operations[operation].0 {
                    let session = (tenant.to_string(), token.session.to_string());
                    self.refresh_tokens.insert(session, token.refresh.clone());
                }
            }
            _ => {}
        }
        self.operations[operation].1.push(learned);
    }

    /// Starts a new operation.
    pub(super) fn operate(&mut self) {
        let sent = loop {
            let sent = sent().new_tree(&mut self.sents).unwrap().current();
            // Only the ledger's reactors write expiries.
            if sent.kind != "session.expired" {
                break sent;
            }
        };
        let number = self.operations.len();
        let operation = match self.rng.u8(..10) {
            0..4 => self.publication(sent),
            4..7 if sent.broken.is_none() && sent.command.is_none() => {
                let tenant = tenant(sent.tenant);
                Operation::Emit(tenant, sent.body.into())
            }
            _ => {
                let tenant = tenant(TENANTS[self.rng.usize(..TENANTS.len())]);
                let tokens = &self.refresh_tokens;
                let command = Command::draw(&mut self.rng, |session| {
                    let session = (tenant.to_string(), session.to_string());
                    tokens.get(&session).cloned()
                });
                let key = IdempotencyKey::parse(&format!("k{number}")).unwrap();
                Operation::Command(tenant, key, Box::new(command))
            }
        };
        self.operations.push((operation, Vec::new()));
        self.attempt(number);
    }

    fn publication(&mut self, sent: Sent) -> Operation {
        if self.rng.u8(..20) == 0 {
            return Operation::Publish(record(Sent::switch()));
        }
        self.oracle.note_broken(&sent);
        Operation::Publish(record(sent))
    }

    /// Switches an empty log to the newest rules, as a server does when it starts.
    pub(crate) fn begin(&mut self) {
        let caller = (RUNTIMES, "begin", 0);
        let client = Client::new(&self.log, &Arc::default(), caller);
        let number = self.operations.len();
        let operation = Operation::Publish(record(Sent::switch()));
        self.operations.push((operation, Vec::new()));
        self.counts.attempts += 1;
        let begin = async move { Learned::Nothing(format!("{:?}", rules::begin(&client).await)) };
        self.follow(None, number, begin);
    }

    /// Repeats an operation, whatever its clients have learned.
    pub(super) fn repeat(&mut self) {
        if !self.operations.is_empty() {
            let number = self.rng.usize(..self.operations.len());
            self.attempt(number);
        }
    }

    fn attempt(&mut self, number: usize) {
        let operation = self.operations[number].0.clone();
        self.counts.attempts += 1;
        let attempt = self.counts.attempts;
        if let Operation::Publish(record) = operation {
            self.note(format_args!(
                "operation {number}: publish on {}",
                record.subject
            ));
            let client = Client::new(&self.log, &Arc::default(), (RUNTIMES, "runtime", attempt));
            let publish = async move { Operation::publish(record, &client).await };
            return self.follow(None, number, publish);
        }
        let node = self.rng.usize(..self.nodes.len());
        let Some(up) = &self.nodes[node].up else {
            return;
        };
        let (ledger, commands) = (up.ledger.clone(), up.commands.clone());
        self.note(format_args!(
            "operation {number} at node {node}: {operation:?}"
        ));
        self.follow(Some(node), number, operation.perform(ledger, commands));
    }

    fn follow(
        &mut self,
        node: Option<usize>,
        operation: usize,
        attempt: impl Future<Output = Learned> + Send + 'static,
    ) {
        let handle = self.attempts.spawn(attempt);
        let attempt = Attempt {
            node,
            operation,
            handle,
        };
        self.under_way.insert(self.counts.attempts, attempt);
    }

    /// The clients of a node lose their connections.
    pub(super) fn disconnect(&self, number: usize) {
        for attempt in self.under_way.values() {
            if attempt.node == Some(number) {
                attempt.handle.abort();
            }
        }
    }

    /// Whether any attempt of a client is under way.
    pub(crate) fn is_busy(&self) -> bool {
        !self.under_way.is_empty()
    }
}

/// The record of an event.
fn record(sent: Sent) -> NewRecord {
    let record = Logged::new(1, 0, 1, sent).record();
    NewRecord {
        subject: record.subject,
        private: record.private,
        body: record.payload,
    }
}

fn tenant(id: &str) -> TenantId {
    TenantId::parse(id).unwrap()
}
