//! Refuses secrets among the arguments: every user of a machine can see the arguments of a process.
//!
//! The options are there for their variables, which only the same user can see.

use clap::ArgMatches;
use clap::error::{Error, ErrorKind};
use clap::parser::ValueSource;

/// Ids of arguments that hold a secret, the argument as users know it, and what to do instead.
const SECRETS: &[(&str, &str, &str)] = &[
    (
        "key",
        "--key",
        "set the variable SESSION_LEDGER_KEY, or give --key-file",
    ),
    (
        "nats_password",
        "--nats-password",
        "set the variable SESSION_LEDGER_NATS_PASSWORD, or give --nats-password-file",
    ),
    (
        "nats_token",
        "--nats-token",
        "set the variable SESSION_LEDGER_NATS_TOKEN, or give --nats-token-file",
    ),
    (
        "nats_url",
        "a user, password or token in --nats-url",
        "set the whole address as the variable SESSION_LEDGER_NATS_URL, or give the login with \
         --nats-user and --nats-password-file, or --nats-token-file",
    ),
    (
        "url",
        "a user or password in --url",
        "set the key as the variable SESSION_LEDGER_KEY, or give --key-file",
    ),
    (
        "replica",
        "a user or password in --replica",
        "set the key as the variable SESSION_LEDGER_KEY, or give --key-file",
    ),
    (
        "jwt_jwks",
        "a user or password in --jwt-jwks",
        "set the whole address as the variable SESSION_LEDGER_JWT_JWKS",
    ),
    (
        "refresh_token",
        "--refresh-token",
        "set the variable SESSION_LEDGER_REFRESH_TOKEN, or give `-` and the token on stdin",
    ),
    (
        "access_token",
        "an access token",
        "set the variable SESSION_LEDGER_TOKEN, or give `-` and the token on stdin",
    ),
];

/// Fails if an argument of the command or of its subcommands is a secret. The error does not repeat
/// it.
pub(super) fn refuse(matches: &ArgMatches) -> Result<(), Error> {
    for (id, argument, instead) in SECRETS {
        // `value_source` panics if the command has no such argument.
        let is_here = matches.ids().any(|known| known.as_str() == *id);
        if is_here
            && matches.value_source(id) == Some(ValueSource::CommandLine)
            && matches
                .get_raw(id)
                .into_iter()
                .flatten()
                .any(|value| is_secret(id, &value.to_string_lossy()))
        {
            let why = format!(
                "{argument}: other users of this machine can see the arguments of a process; \
                 {instead}\n"
            );
            return Err(Error::raw(ErrorKind::ValueValidation, why));
        }
    }
    match matches.subcommand() {
        Some((_name, matches)) => refuse(matches),
        None => Ok(()),
    }
}

/// Whether the value of a secret argument is the secret itself.
fn is_secret(id: &str, value: &str) -> bool {
    match id {
        // Also behind a `/`, which many passwords have and no address of these.
        "nats_url" | "url" | "replica" => value.contains('@'),
        // Otherwise it is a file.
        "jwt_jwks" => value.contains("://") && value.contains('@'),
        "refresh_token" | "access_token" => value != "-",
        _ => true,
    }
}
