//! Starts of `serve` with wrong files, and what a start warns of.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use crate::support::certs::{Ca, put, text};
use crate::support::cli::{Server, fails};

#[test]
fn a_start_with_wrong_files_names_the_option_and_the_fix() {
    let (ca, dir) = (Ca::new(), tempfile::tempdir().unwrap());
    let (own, other) = (ca.pair(), ca.pair());
    let files = own.write(dir.path(), "own");
    let file = |name: &str, content: &str| {
        let path = dir.path().join(name);
        put(&path, content);
        text(&path)
    };
    let (cert, key) = (text(&files.cert), text(&files.key));
    let missing = text(&dir.path().join("missing"));
    let (other_key, empty) = (file("other.key", &other.key), file("empty", ""));
    let torn = file("torn", &own.cert[..own.cert.len() / 2]);
    let damaged = file("damaged", &own.cert.replacen("\nM", "\nN", 1));
    let long = file("long", &own.cert.repeat(3_000));
    let encrypted = own.key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let encrypted = file("encrypted", &encrypted);
    let data = dir.path().join("data");
    let start = |args: &[&str], code: i32| {
        let data = text(&data);
        let serve = [
            "serve",
            "--no-auth",
            "--listen",
            "127.0.0.1:0",
            "--data-dir",
            &data,
        ];
        let error = fails(&[&serve[..], args].concat(), code);
        assert!(!data_exists(&data), "a rejected start creates nothing");
        error
    };
    let (c, k) = ("--tls-cert", "--tls-key");
    for (cert, key, option, says) in [
        (&missing, &key, c, "cannot be read"),
        (&cert, &missing, k, "cannot be read"),
        (&empty, &key, c, "has no certificate"),
        (&key, &key, c, "has no certificate"),
        (&torn, &key, c, "the PEM text is damaged"),
        (&damaged, &key, c, "cannot be used"),
        (&long, &key, c, "more than"),
        (&cert, &empty, k, "has no private key"),
        (&cert, &cert, k, "has no private key"),
        (&cert, &encrypted, k, "removes the password"),
        (&cert, &other_key, k, "not the key of the first certificate"),
    ] {
        let error = start(&[c, cert, k, key], 1);
        assert!(
            error.contains(option) && error.contains(says),
            "{says}: {error}"
        );
    }
    let error = start(&[c, &cert, k, &key, "--tls-client-ca", &key], 1);
    assert!(
        error.contains("--tls-client-ca") && error.contains("has no certificate"),
        "{error}"
    );
    for (args, says) in [
        (&[c, &cert][..], "--tls-key"),
        (&[k, &key], "--tls-cert"),
        (&["--tls-client-ca", &cert], "--tls-cert"),
    ] {
        let error = start(args, 2);
        assert!(error.contains(says), "{error}");
    }
}

fn data_exists(path: &str) -> bool {
    Path::new(path).exists()
}

#[test]
fn a_start_warns_of_an_exposed_key_and_of_a_certificate_that_expires_soon() {
    let (ca, dir) = (Ca::new(), tempfile::tempdir().unwrap());
    let pair = ca.pair_until(Duration::from_hours(24 * 5 + 1));
    let files = pair.write(dir.path(), "server");
    let args = files.args("tls");
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let data = dir.path().join("data");
    let server = Server::start_with(&data, &args);
    server.until_logged("must be renewed: it expires in 5 days");
    let logged = server.started().to_owned() + &server.terminate().1;
    assert!(!logged.contains("every user of this machine"), "{logged}");

    fs::set_permissions(&files.key, Permissions::from_mode(0o644)).unwrap();
    let server = Server::start_with(&data, &args);
    let logged = server.started().to_owned() + &server.terminate().1;
    let exposed = "every user of this machine can read this secret (mode 0644)";
    assert_eq!(logged.matches(exposed).count(), 1, "{logged}");
}
