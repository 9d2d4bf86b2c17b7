//! The URL of a server: `amqp://` or `amqps://`, user and password, host, port.

use crate::types::error::{Error, ErrorKind};
use amqp1_auth::sasl::Plain;

/// Where to connect to, and as whom.
#[derive(Clone, Debug)]
pub(crate) struct Url {
    /// Whether to speak TLS.
    pub(crate) tls: bool,
    /// A name or an address; an IPv6 address stands here without its brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// `user:password`, which means SASL PLAIN.
    pub(crate) plain: Option<Plain>,
}

impl Url {
    /// Reads a URL. No error repeats it: it may hold a password.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| wrong("the URL has no scheme: write amqp:// or amqps:// before it"))?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "amqp" => false,
            "amqps" => true,
            _ => return Err(wrong("the URL's scheme is neither amqp nor amqps")),
        };
        let (authority, path) = rest.find(['/', '?', '#']).map_or((rest, ""), |at| rest.split_at(at));
        if !matches!(path, "" | "/") {
            return Err(wrong_path(authority, path));
        }
        let (user, server) = match authority.rsplit_once('@') {
            Some((user, server)) => (Some(user), server),
            None => (None, authority),
        };
        let (host, port) = host_and_port(server, if tls { 5671 } else { 5672 })?;
        Ok(Self { tls, host, port, plain: user.map(credentials).transpose()? })
    }
}

/// The part behind the authority, unless it is a lone slash: a path, or the rest of a password that is not encoded.
fn wrong_path(authority: &str, path: &str) -> Error {
    let (raw, encoded) = match path.as_bytes().first() {
        Some(b'?') => ("?", "%3F"),
        Some(b'#') => ("#", "%23"),
        _ => ("/", "%2F"),
    };
    if !path.contains('@') {
        return wrong("the URL has a path; the address of a node is given when a link is attached");
    }
    let what = match authority.split_once(':') {
        // A host and its port, it seems, and then an @ in what follows.
        Some((_, port)) if port.bytes().all(|octet| octet.is_ascii_digit()) => {
            return wrong(format!(
                "the URL has a path, and the address of a node is given when a link is attached; if `{raw}` belongs to \
                 the password, percent-encode it as `{encoded}`"
            ));
        }
        Some(_) => "password",
        None => "user name",
    };
    wrong(format!("the {what} contains `{raw}`: percent-encode it as `{encoded}`"))
}

fn host_and_port(server: &str, default: u16) -> Result<(String, u16), Error> {
    let (host, rest) = if let Some(inner) = server.strip_prefix('[') {
        inner.split_once(']').ok_or_else(|| wrong("the URL's IPv6 address lacks its closing bracket"))?
    } else {
        server.find(':').map_or((server, ""), |at| server.split_at(at))
    };
    if host.is_empty() {
        return Err(wrong("the URL has no host"));
    }
    if host.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(wrong("the URL's host holds a blank"));
    }
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => default,
        Some(digits) => match digits.parse() {
            Ok(port) if port > 0 => port,
            _ => return Err(wrong("the URL's port is no number from 1 to 65535")),
        },
        None => return Err(wrong("something other than a port follows the URL's host")),
    };
    Ok((host.to_owned(), port))
}

fn credentials(user_info: &str) -> Result<Plain, Error> {
    let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
    let decoded = |text, what| {
        let text = percent_decoded(text);
        text.ok_or_else(|| wrong(format!("the URL's {what} is badly encoded: percent-encode a `%` in it as `%25`")))
    };
    Plain::new(decoded(user, "user name")?, decoded(password, "password")?)
        .map_err(|error| wrong(format!("the URL's user name or password cannot be used: {error}")))
}

/// The text with `%41` for `A`; `None` if a `%` is not followed by two digits or the outcome is no UTF-8.
fn percent_decoded(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        if octet != b'%' {
            octets.push(octet);
            continue;
        }
        let digit = |octet: u8| char::from(octet).to_digit(16);
        let value = digit(rest.next()?)?.checked_mul(16)?.checked_add(digit(rest.next()?)?)?;
        octets.push(u8::try_from(value).ok()?);
    }
    String::from_utf8(octets).ok()
}

fn wrong(text: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidUrl, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use amqp1_auth::sasl::{ClientMechanism, plain::Credentials};

    /// T-2.8.19-1: the ports.
    #[test]
    fn ports_have_defaults_by_scheme() {
        let url = Url::parse("amqps://hub.example").expect("a URL");
        assert_eq!((url.tls, url.host.as_str(), url.port), (true, "hub.example", 5671));
        let url = Url::parse("AMQP://hub.example/").expect("a URL");
        assert_eq!((url.tls, url.host.as_str(), url.port), (false, "hub.example", 5672));
        let url = Url::parse("amqp://[::1]:99").expect("a URL");
        assert_eq!((url.host.as_str(), url.port), ("::1", 99));
    }

    #[test]
    fn user_and_password_are_percent_decoded() {
        let mut plain = Url::parse("amqp://a%40b:p%3a%2F@h").expect("a URL").plain.expect("credentials");
        let response = plain.initial_response().expect("a response");
        let parsed = Credentials::parse(&response).expect("our own response");
        assert_eq!((parsed.authcid(), parsed.password()), ("a@b", "p:/"));
    }

    #[test]
    fn a_wrong_url_is_refused_and_not_repeated() {
        for url in [
            "hub.example",
            "http://u:geheim@h",
            "amqp://u:geheim@",
            "amqp://u:geheim@h:0",
            "amqp://u:geheim@h:70000",
            "amqp://u:geheim@h/queue",
            "amqp://u:geheim%zz@h",
            "amqp://u:geheim@[::1",
            "amqp://u:geheim@a b",
        ] {
            let error = Url::parse(url).expect_err(url);
            assert_eq!(error.kind(), ErrorKind::InvalidUrl, "{url}");
            assert!(!error.to_string().contains("geheim"), "{error}");
        }
    }

    #[test]
    fn a_password_that_is_not_encoded_is_said_to_want_it() {
        for (url, text) in [
            ("amqp://u:ge/heim@h", "the password contains `/`: percent-encode it as `%2F`"),
            ("amqps://u:geh?eim@h:5671", "the password contains `?`: percent-encode it as `%3F`"),
            ("amqp://u:geheim#@h/", "the password contains `#`: percent-encode it as `%23`"),
            ("amqp://u:g#e/h?eim@h", "the password contains `#`: percent-encode it as `%23`"),
            ("amqp://us/er:geheim@h", "the user name contains `/`: percent-encode it as `%2F`"),
        ] {
            assert_eq!(Url::parse(url).expect_err(url).to_string(), text, "{url}");
        }
        // Digits may be a port, or how a password begins.
        for url in ["amqp://u:123/geheim@h", "amqp://h:5672/queue@x"] {
            let text = Url::parse(url).expect_err(url).to_string();
            assert!(text.contains("has a path") && text.contains("percent-encode it as `%2F`"), "{text}");
            assert!(!text.contains("geheim") && !text.contains("queue"), "{text}");
        }
        let text = Url::parse("amqp://u:100%geheim@h").expect_err("no encoding").to_string();
        assert!(text.contains("percent-encode a `%` in it as `%25`") && !text.contains("geheim"), "{text}");
        let error = Url::parse("amqp://h/queue").expect_err("a path");
        assert!(!error.to_string().contains("percent-encode"), "{error}");
    }

    #[test]
    fn debug_does_not_show_the_password() {
        let url = Url::parse("amqp://u:geheim@h").expect("a URL");
        assert!(!format!("{url:?}").contains("geheim"));
    }
}
