//! Finds out that the server denies a request.
//!
//! The server does not answer a request that the user may not send, or whose answer it may not receive.
//! It reports an error of the connection instead. Without that report, the request would only time out.

use std::future::{self, Future};

use async_nats::ServerError;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// The number of reports that a waiting request may be behind before it misses some.
const REPORTS_MAX: usize = 16;

/// The server's reports of what the user may not do. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Denials(broadcast::Sender<Denied>);

/// What the user may not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Denied {
    /// To publish on a subject.
    #[error("this NATS user may not publish on {0}")]
    Publish(String),
    /// To subscribe to a subject. The ledger subscribes only to inboxes.
    #[error(
        "this NATS user may not receive answers on {0}: set --nats-inbox-prefix to a prefix that it \
         may subscribe to"
    )]
    Subscribe(String),
}

impl Denials {
    pub(super) fn new() -> Self {
        Self(broadcast::Sender::new(REPORTS_MAX))
    }

    /// Passes an error of the connection on to the requests that wait.
    pub(super) fn note(&self, error: &ServerError) {
        if let ServerError::Other(text) = error
            && let Some(denied) = Denied::parse(text)
        {
            // An error means that no request waits.
            drop(self.0.send(denied));
        }
    }

    /// Returns the result of a request on a subject. Fails at once if the server reports that the user
    /// may not send it, or may not receive its answer.
    pub(super) async fn or_denied<T>(
        &self,
        subject: &str,
        request: impl Future<Output = T>,
    ) -> Result<T, Denied> {
        // Before the request, so that no report comes too early.
        let reports = self.0.subscribe();
        tokio::select! {
            biased;
            result = request => Ok(result),
            denied = report_about(subject, reports) => Err(denied),
        }
    }
}

async fn report_about(subject: &str, mut reports: broadcast::Receiver<Denied>) -> Denied {
    loop {
        match reports.recv().await {
            Ok(denied) if denied.concerns(subject) => return denied,
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            // The connection is gone. The request then fails by itself.
            Err(RecvError::Closed) => future::pending().await,
        }
    }
}

impl Denied {
    /// Reads the text of an error such as `Permissions Violation for Publish to "a.b"`.
    fn parse(text: &str) -> Option<Self> {
        let mut quoted = text.split('"');
        let (what, subject) = (quoted.next()?, quoted.next()?);
        let is = |expected: &str| what.eq_ignore_ascii_case(expected);
        if is("permissions violation for publish to ") {
            Some(Self::Publish(subject.to_owned()))
        } else if is("permissions violation for subscription to ") {
            Some(Self::Subscribe(subject.to_owned()))
        } else {
            None
        }
    }

    fn concerns(&self, request: &str) -> bool {
        match self {
            Self::Publish(subject) => subject == request,
            Self::Subscribe(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reports_about_permissions_are_read() {
        let publish = "Permissions Violation for Publish to \"$JS.API.STREAM.CREATE.L\"";
        let denied = Denied::Publish("$JS.API.STREAM.CREATE.L".to_owned());
        assert_eq!(Denied::parse(publish), Some(denied));
        let subscribe =
            "Permissions Violation for Subscription to \"_INBOX.a.*\" using queue \"q\"";
        let denied = Denied::Subscribe("_INBOX.a.*".to_owned());
        assert_eq!(Denied::parse(subscribe), Some(denied));
        for other in [
            "",
            "Stale Connection",
            "Maximum Payload Violation",
            "a \"b\"",
        ] {
            assert_eq!(Denied::parse(other), None, "{other}");
        }
    }

    #[tokio::test]
    async fn a_request_fails_when_its_own_subject_is_denied() {
        let denials = Denials::new();
        let report = |subject: &str| {
            let text = format!("Permissions Violation for Publish to \"{subject}\"");
            denials.note(&ServerError::Other(text));
        };
        let answered = denials.or_denied("mine", async { report("other") }).await;
        assert_eq!(answered, Ok(()));
        let unanswered = async {
            report("other");
            report("mine");
            future::pending::<()>().await;
        };
        let denied = denials.or_denied("mine", unanswered).await;
        assert_eq!(denied, Err(Denied::Publish("mine".to_owned())));
    }
}
