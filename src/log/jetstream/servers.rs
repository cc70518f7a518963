//! Chooses the server to connect to, so that a connection that is lost or moved goes to another server.
//!
//! By default, the client library chooses at random. It may then return to a server that hangs.

use std::sync::{Mutex, PoisonError};

use async_nats::{ReconnectToServer, Server, ServerAddr};

/// Remembers the server that was tried last.
#[derive(Default)]
pub(super) struct NextServer(Mutex<Option<ServerAddr>>);

impl NextServer {
    /// Returns the server to try next; `None` for the first connection, which tries all of them.
    pub(super) fn choose(&self, servers: &[Server]) -> Option<ReconnectToServer> {
        let known: Vec<_> = servers.iter().map(Known::of).collect();
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let position_of = |addr: &ServerAddr| servers.iter().position(|one| one.addr == *addr);
        let next = next(&known, last.as_ref().and_then(position_of))?;
        let addr = servers.get(next)?.addr.clone();
        *last = Some(addr.clone());
        Some(ReconnectToServer { addr, delay: None })
    }
}

/// What matters about a server.
#[derive(Debug, Clone, Copy)]
struct Known {
    failures: usize,
    did_connect: bool,
}

impl Known {
    fn of(server: &Server) -> Self {
        Self {
            failures: server.failed_attempts,
            did_connect: server.did_connect,
        }
    }
}

/// Returns the index of the server to try after the last one: of those with the fewest failures the next
/// in turn, and the last one only if there is no other.
fn next(servers: &[Known], last: Option<usize>) -> Option<usize> {
    let count = servers.len();
    let last = last.or_else(|| servers.iter().position(|server| server.did_connect))?;
    let in_turn = (1..count).map(|step| (last + step) % count);
    let failures = |index: &usize| servers.get(*index).map(|server| server.failures);
    // Of several that are equal, this is the first in turn.
    Some(in_turn.min_by_key(failures).unwrap_or(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_goes_to_another_server_and_first_to_those_that_did_not_fail() {
        let of = |failures: &[usize], connected: usize| -> Vec<_> {
            let known = |(index, &failures)| Known {
                failures,
                did_connect: index == connected,
            };
            failures.iter().enumerate().map(known).collect()
        };
        assert_eq!(next(&of(&[0, 0, 0], 9), None), None);
        assert_eq!(next(&of(&[0, 0, 0], 1), None), Some(2));
        assert_eq!(next(&of(&[0, 0, 0], 1), Some(2)), Some(0));
        assert_eq!(next(&of(&[0, 3, 1], 0), Some(0)), Some(2));
        assert_eq!(next(&of(&[0, 1], 0), Some(0)), Some(1));
        assert_eq!(next(&of(&[7], 0), Some(0)), Some(0));
        assert_eq!(next(&[], Some(0)), None.or(Some(0)));
    }
}
