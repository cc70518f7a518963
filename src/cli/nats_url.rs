//! Parses addresses of NATS servers, which may contain a user and password or a token.

use percent_encoding::percent_decode_str;
use reqwest::Url;

use crate::cli::Usage;
use crate::log::jetstream::Credentials;

/// The schemes that the client supports.
const SCHEMES: [&str; 2] = ["nats", "tls"];

/// The servers of one cluster, and the login in their addresses.
pub(super) struct NatsUrls {
    /// The addresses without logins.
    pub(super) urls: Vec<String>,
    /// The login, if an address has one.
    pub(super) login: Option<Credentials>,
}

impl NatsUrls {
    /// Parses `nats://HOST:PORT`, `nats://USER:PASSWORD@HOST:PORT` and `nats://TOKEN@HOST:PORT`. No
    /// error repeats an address, which may contain a secret.
    pub(super) fn read(texts: &[String]) -> Result<Self, Usage> {
        let mut read = Self {
            urls: Vec::with_capacity(texts.len()),
            login: None,
        };
        for (text, number) in texts.iter().zip(1..) {
            let usage = |why: &str| Usage(format!("--nats-url, address {number}: {why}"));
            let (url, login) = one(text).map_err(|why| usage(&why))?;
            match (&read.login, login) {
                (_, None) => {}
                (None, Some(login)) => read.login = Some(login),
                (Some(known), Some(login)) if *known == login => {}
                (Some(_), Some(_)) => {
                    return Err(usage(
                        "its login differs from that of an address before it; all servers of a \
                         cluster need the same user or token",
                    ));
                }
            }
            read.urls.push(url);
        }
        Ok(read)
    }
}

fn one(text: &str) -> Result<(String, Option<Credentials>), String> {
    let scheme = if text.contains("://") { "" } else { "nats://" };
    let form = "write nats://HOST:PORT; in a user, password or token, write %25 for %, %2C for a \
                comma, %3A for :, %40 for @ and %2F for /";
    let mut url =
        Url::parse(&format!("{scheme}{text}")).map_err(|error| format!("{error}; {form}"))?;
    if !SCHEMES.contains(&url.scheme()) || url.host_str().is_none_or(str::is_empty) {
        return Err(form.to_owned());
    }
    let user = decoded(url.username())?;
    let password = url.password().map(decoded).transpose()?;
    let login = match (user, password) {
        (user, None) if user.is_empty() => None,
        (user, Some(_)) if user.is_empty() => {
            return Err("it has a password but no user".to_owned());
        }
        (token, None) => Some(Credentials::Token(token)),
        (user, Some(password)) => Some(Credentials::UserPassword { user, password }),
    };
    let taken = url.set_username("").and_then(|()| url.set_password(None));
    taken.map_err(|()| form.to_owned())?;
    Ok((url.to_string(), login))
}

fn decoded(text: &str) -> Result<String, String> {
    let decoded = percent_decode_str(text).decode_utf8();
    let decoded = decoded.map_err(|_other| "user, password and token must be UTF-8")?;
    Ok(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<NatsUrls, Usage> {
        let texts: Vec<String> = text.split(',').map(str::to_owned).collect();
        NatsUrls::read(&texts)
    }

    #[track_caller]
    fn check(text: &str, urls: &[&str], login: Option<&Credentials>) {
        let read = read(text).unwrap();
        assert_eq!(read.urls, urls);
        assert!(read.login.as_ref() == login, "{text}");
    }

    fn user(user: &str, password: &str) -> Credentials {
        let [user, password] = [user, password].map(str::to_owned);
        Credentials::UserPassword { user, password }
    }

    #[test]
    fn logins_are_removed_from_addresses_and_decoded() {
        check("nats://h:1", &["nats://h:1"], None);
        check("h:4222", &["nats://h:4222"], None);
        check("tls://[::1]:1", &["tls://[::1]:1"], None);
        let plain = user("u", "p");
        check("nats://u:p@h:1", &["nats://h:1"], Some(&plain));
        check("u:p@h", &["nats://h"], Some(&plain));
        let odd = "nats://a%40b:p%3A%2C%25%C3%A9@h:1";
        check(odd, &["nats://h:1"], Some(&user("a@b", "p:,%\u{e9}")));
        let token = Credentials::Token("s3cr/t".to_owned());
        check("nats://s3cr%2Ft@h:1", &["nats://h:1"], Some(&token));
        check("nats://s3cr%2Ft:@h:1", &["nats://h:1"], Some(&token));
        let both = ["nats://h:1", "nats://i:1"];
        check("nats://u:p@h:1,nats://i:1", &both, Some(&plain));
        check("nats://u:p@h:1,nats://u:p@i:1", &both, Some(&plain));
    }

    #[test]
    fn an_error_does_not_repeat_the_secret() {
        for wrong in [
            "http://u:s3cret@h",
            "nats://u:s3cret@h:99999",
            "nats://:s3cret@h",
            "nats://u:s3cret%FF@h",
            "nats://u:s3cret@h,nats://u:0ther@h",
            "nats://u:s3cret@",
        ] {
            let Err(Usage(message)) = read(wrong) else {
                panic!("{wrong} was accepted");
            };
            assert!(!message.contains("s3cret"), "{message}");
            assert!(!message.contains("0ther"), "{message}");
        }
    }
}
