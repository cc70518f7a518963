//! A NATS server whose accounts and users are signed by an operator, without a service for accounts.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use serde_json::{Value, json};

/// An operator with an account for the system and one for the ledger.
pub(crate) struct Operator {
    account: KeyPair,
    config: String,
}

impl Operator {
    pub(crate) fn new() -> Self {
        let (operator, system, account) = (
            KeyPair::new_operator(),
            KeyPair::new_account(),
            KeyPair::new_account(),
        );
        let all = json!({"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1});
        let limits = json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
            "conn": -1, "leaf": -1,
        });
        let mut with_streams = limits.clone();
        for (name, value) in all.as_object().unwrap() {
            with_streams[name] = value.clone();
        }
        let of_account =
            |limits: &Value| json!({"type": "account", "version": 2, "limits": limits});
        let signed = |subject: &KeyPair, claims: &Value| jwt(&operator, subject, "acc", claims);
        let config = format!(
            "operator: {}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{ {}: {}, {}: {} }}",
            jwt(
                &operator,
                &operator,
                "op",
                &json!({"type": "operator", "version": 2})
            ),
            system.public_key(),
            system.public_key(),
            signed(&system, &of_account(&limits)),
            account.public_key(),
            signed(&account, &of_account(&with_streams)),
        );
        Self { account, config }
    }

    /// The configuration of a server.
    pub(crate) fn config(&self) -> &str {
        &self.config
    }

    /// Returns the credentials file of a new user of the account.
    pub(crate) fn creds(&self) -> String {
        let user = KeyPair::new_user();
        let claims = json!({
            "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1, "pub": {}, "sub": {},
        });
        let jwt = jwt(&self.account, &user, "user", &claims);
        let seed = user.seed().unwrap();
        format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )
    }
}

fn jwt(issuer: &KeyPair, subject: &KeyPair, name: &str, claims: &Value) -> String {
    let body = json!({
        "jti": subject.public_key(), "iat": 1_700_000_000, "iss": issuer.public_key(), "name": name,
        "sub": subject.public_key(), "nats": claims,
    });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let head = json!({"typ": "JWT", "alg": "ed25519-nkey"});
    let signed = format!("{}.{}", part(&head), part(&body));
    let signature = issuer.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}
