//! Chooses the server to connect to, so that a connection that is lost or moved goes to another server.
//!
//! By default, the client library chooses at random. It may then return to a server that hangs.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_nats::{ReconnectToServer, Server, ServerAddr};
use tokio::time::Instant;

use crate::domain::limits::LOG_SERVER_AVOIDED_MS;

/// How long a server is avoided after it could not be reached.
const AVOIDED: Duration = Duration::from_millis(LOG_SERVER_AVOIDED_MS);

/// Remembers the server that was tried last, and which servers could not be reached.
#[derive(Default)]
pub(super) struct NextServer(Mutex<Memory>);

#[derive(Default)]
struct Memory {
    last: Option<ServerAddr>,
    /// Of each server the number of failures in a row, and when the last of them was noticed.
    failures: Vec<(ServerAddr, usize, Instant)>,
}

impl NextServer {
    /// Returns the server to try next; `None` for the first connection, which tries all of them.
    pub(super) fn choose(&self, servers: &[Server]) -> Option<ReconnectToServer> {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known: Vec<_> = servers.iter().map(|server| memory.know(server)).collect();
        let position_of = |addr: &ServerAddr| servers.iter().position(|one| one.addr == *addr);
        let next = next(&known, memory.last.as_ref().and_then(position_of))?;
        let addr = servers.get(next)?.addr.clone();
        memory.last = Some(addr.clone());
        Some(ReconnectToServer { addr, delay: None })
    }
}

impl Memory {
    fn know(&mut self, server: &Server) -> Known {
        let (failures, now) = (server.failed_attempts, Instant::now());
        let remembered = self
            .failures
            .iter_mut()
            .find(|(addr, ..)| *addr == server.addr);
        let failed_at = if let Some((_, count, at)) = remembered {
            if *count < failures {
                *at = now;
            }
            *count = failures;
            *at
        } else {
            self.failures.push((server.addr.clone(), failures, now));
            now
        };
        Known {
            avoided: 0 < failures && failed_at.elapsed() < AVOIDED,
            did_connect: server.did_connect,
        }
    }
}

/// What matters about a server.
#[derive(Debug, Clone, Copy)]
struct Known {
    avoided: bool,
    did_connect: bool,
}

/// Returns the index of the server to try after the last one: the next in turn that is not avoided. The
/// last one itself is tried only if there is no other.
fn next(servers: &[Known], last: Option<usize>) -> Option<usize> {
    let count = servers.len();
    let last = last.or_else(|| servers.iter().position(|server| server.did_connect))?;
    let in_turn = (1..count).map(|step| (last + step) % count);
    let avoided = |index: &usize| servers.get(*index).is_some_and(|server| server.avoided);
    // Of several that are equal, this is the first in turn.
    Some(in_turn.min_by_key(avoided).unwrap_or(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_goes_to_another_server_and_first_to_those_that_can_be_reached() {
        let of = |avoided: &[bool], connected: usize| -> Vec<_> {
            let known = |(index, &avoided)| Known {
                avoided,
                did_connect: index == connected,
            };
            avoided.iter().enumerate().map(known).collect()
        };
        let (good, bad) = (false, true);
        assert_eq!(next(&of(&[good, good, good], 9), None), None);
        assert_eq!(next(&of(&[good, good, good], 1), None), Some(2));
        assert_eq!(next(&of(&[good, good, good], 1), Some(2)), Some(0));
        assert_eq!(next(&of(&[good, bad, good], 0), Some(0)), Some(2));
        assert_eq!(next(&of(&[good, bad, bad], 0), Some(0)), Some(1));
        assert_eq!(next(&of(&[good, bad, bad], 0), Some(1)), Some(0));
        assert_eq!(next(&of(&[bad], 0), Some(0)), Some(0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_is_avoided_for_a_while_after_each_failure() {
        let mut memory = Memory::default();
        let mut server = Server {
            addr: "nats://127.0.0.1:4222".parse().unwrap(),
            failed_attempts: 0,
            did_connect: true,
            is_discovered: false,
            last_error: None,
        };
        assert!(!memory.know(&server).avoided);
        server.failed_attempts = 1;
        assert!(memory.know(&server).avoided);
        tokio::time::advance(AVOIDED).await;
        assert!(!memory.know(&server).avoided);
        server.failed_attempts = 2;
        assert!(memory.know(&server).avoided);
        server.failed_attempts = 0;
        assert!(!memory.know(&server).avoided);
    }
}
