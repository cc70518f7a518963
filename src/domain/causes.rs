//! Displays errors with the errors behind them.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// The error behind another one. Shared, because one failure can concern many records.
pub type Cause = Arc<dyn Error + Send + Sync>;

/// What a [`Cause`] is made of: a text, or an error with its own causes.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Displays an error and the errors behind it, as in `the log is unavailable: it was closed`.
///
/// Some errors, such as those of the NATS client, repeat their causes in their own text. These causes
/// are not displayed a second time.
#[derive(Debug, Clone, Copy)]
pub struct WithCauses<'a>(pub &'a (dyn Error + 'a));

impl fmt::Display for WithCauses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            if !said.ends_with(&text) {
                write!(f, ": {text}")?;
                said = text;
            }
            next = cause.source();
        }
        Ok(())
    }
}

/// Returns the innermost cause of an error, which is usually an error of the operating system.
pub fn root_cause<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause
}

/// Puts a text before an error: what failed because of it.
pub fn because(what: impl Into<String>, source: impl Into<BoxError>) -> BoxError {
    let (what, source) = (what.into(), source.into());
    Box::new(Because { what, source })
}

#[derive(Debug, thiserror::Error)]
#[error("{what}")]
struct Because {
    what: String,
    source: BoxError,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_displayed_in_order_and_once() {
        let io = || std::io::Error::other("no route to host");
        let error = because("the log is unavailable", because("cannot connect", io()));
        let expected = "the log is unavailable: cannot connect: no route to host";
        assert_eq!(WithCauses(&*error).to_string(), expected);
        assert_eq!(root_cause(&*error).to_string(), "no route to host");
        let repeating = because(format!("cannot connect: {}", io()), io());
        let error = because("the log is unavailable", repeating);
        assert_eq!(WithCauses(&*error).to_string(), expected);
    }
}
