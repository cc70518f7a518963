//! File descriptors: raises the limit of the process, and bounds the number of connections so that
//! enough descriptors remain for everything else.

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::domain::limits::{CONNECTIONS_HEALTH_MAX, CONNECTIONS_MAX, DESCRIPTORS_KEPT};

/// Raises the soft limit of this process to the hard limit. Returns how many connections the server
/// may have.
pub(super) fn connections_max() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::debug!(error = %error, "the limit of file descriptors cannot be raised");
        }
    }
    let allowed = getrlimit(Resource::Nofile).current;
    let allowed = allowed.map_or(usize::MAX, |it| usize::try_from(it).unwrap_or(usize::MAX));
    let connections = connections_within(allowed);
    if connections < CONNECTIONS_MAX {
        tracing::warn!(
            descriptors = allowed,
            connections,
            "the process may open {allowed} files, which leaves room for {connections} connections \
             instead of {CONNECTIONS_MAX}; raise the limit (ulimit -n, LimitNOFILE)"
        );
    }
    connections
}

/// Returns how many connections a process with this many descriptors may have.
fn connections_within(descriptors: usize) -> usize {
    // Connections for health checks, and as many that wait for a place, need descriptors too.
    let others = DESCRIPTORS_KEPT.min(descriptors / 2) + 2 * CONNECTIONS_HEALTH_MAX;
    descriptors.saturating_sub(others).clamp(1, CONNECTIONS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_to_the_rest() {
        assert_eq!(connections_within(usize::MAX), CONNECTIONS_MAX);
        assert_eq!(connections_within(65_536), CONNECTIONS_MAX);
        assert_eq!(connections_within(1_024), 640);
        assert_eq!(connections_within(300), 22);
        assert_eq!(connections_within(0), 1);
    }
}
