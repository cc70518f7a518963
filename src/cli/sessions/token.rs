//! Tokens as arguments of a command: from an environment variable, or from stdin.

use std::convert::Infallible;
use std::fmt;
use std::io::{self, Read as _};
use std::str::FromStr;

use anyhow::Context as _;

use crate::cli::Usage;
use crate::domain::limits::TOKEN_CHARS_MAX;

/// A token, or that stdin has it. Not printable.
#[derive(Clone)]
pub(super) enum Token {
    Stdin,
    Value(String),
}

impl Token {
    /// Returns the token, and reads stdin if necessary.
    pub(super) fn read(self) -> anyhow::Result<String> {
        match self {
            Self::Value(token) => Ok(token),
            Self::Stdin => from(io::stdin()),
        }
    }
}

/// Reads a token. Reads at most twice the longest token: the ledger rejects a longer text.
fn from(input: impl io::Read) -> anyhow::Result<String> {
    let mut text = String::new();
    let bytes_max = 2 * TOKEN_CHARS_MAX as u64;
    let read = input.take(bytes_max).read_to_string(&mut text);
    read.context("cannot read a token from stdin")?;
    let token = text.trim();
    if token.is_empty() {
        return Err(Usage("there is no token on stdin".to_owned()).into());
    }
    Ok(token.to_owned())
}

impl FromStr for Token {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "-" => Self::Stdin,
            token => Self::Value(token.to_owned()),
        })
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_trimmed_and_bounded() {
        assert_eq!(from(&b"slat_x\r\n"[..]).unwrap(), "slat_x");
        assert!(from(&b" \n"[..]).unwrap_err().is::<Usage>());
        let endless = from(io::repeat(b'x')).unwrap();
        assert!(TOKEN_CHARS_MAX < endless.len());
    }

    #[test]
    fn a_token_is_not_printed() {
        let token: Token = "slat_x".parse().unwrap();
        assert_eq!(format!("{token:?}"), "Token");
    }
}
