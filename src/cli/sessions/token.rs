//! Tokens that a command is given: in a variable of the environment, or on stdin.

use std::convert::Infallible;
use std::fmt;
use std::io::{self, Read as _};
use std::str::FromStr;

use anyhow::Context as _;

use crate::cli::Usage;
use crate::domain::limits::TOKEN_CHARS_MAX;

/// A token, or where it is. Not printable.
#[derive(Clone)]
pub(super) enum Token {
    Stdin,
    Given(String),
}

impl Token {
    /// The token itself.
    pub(super) fn read(self) -> anyhow::Result<String> {
        match self {
            Self::Given(token) => Ok(token),
            Self::Stdin => from(io::stdin()),
        }
    }
}

/// Reads no more than the ledger would look at; a longer text stays too long for it.
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
            token => Self::Given(token.to_owned()),
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
    fn a_token_ends_where_its_line_ends_and_has_a_bound() {
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
