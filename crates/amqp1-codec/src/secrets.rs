//! Secrets in the texts and octets of a peer, which are not shown.

use alloc::{borrow::Cow, string::String};

/// How the text around a secret begins, in lower case.
const MARKS: [&[u8]; 10] = [
    b"sharedaccesssignature",
    b"sharedaccesskey=",
    b"accountkey=",
    b"sig=",
    b"password=",
    b"passwd=",
    b"pwd=",
    b"secret=",
    b"token=",
    b"bearer ",
];

/// Words in the key of a map that say that its value is a secret.
const KEYS: [&str; 7] = ["password", "passwd", "secret", "token", "signature", "authorization", "credential"];

/// How a token begins that is signed JSON: `{"` in base64.
const JSON: &[u8] = b"eyJ";

/// The separator between the scheme of a URL and its authority.
const SCHEME_END: &[u8] = b"://";

/// The place where a secret begins: a shared access signature or key, a password in a connection string or a URL, a bearer
/// token.
pub(crate) fn secret_in(octets: &[u8]) -> Option<usize> {
    find(octets).map(|(at, _)| at)
}

/// The place where a secret begins, and its length where that does not follow from its mark.
fn find(octets: &[u8]) -> Option<(usize, Option<usize>)> {
    let mut is_word = false;
    // No token begins before this place, so that each octet is looked at a bounded number of times.
    let mut no_token = 0;
    for at in 0..octets.len() {
        let rest = octets.get(at..).unwrap_or_default();
        let is_within = core::mem::replace(&mut is_word, rest.first().is_some_and(u8::is_ascii_alphanumeric));
        if let Some(length) = userinfo(rest) {
            return Some((at.saturating_add(SCHEME_END.len()), Some(length)));
        }
        if is_within {
            continue;
        }
        if is_marked(rest) {
            return Some((at, None));
        }
        if at >= no_token && rest.starts_with(JSON) {
            let part = base64_part(rest);
            if rest.get(part) == Some(&b'.') {
                return Some((at, None));
            }
            no_token = at.saturating_add(part);
        }
    }
    None
}

fn is_marked(rest: &[u8]) -> bool {
    // Most words do not begin like a mark.
    if !matches!(rest.first().map(u8::to_ascii_lowercase), Some(b'a' | b'b' | b'p' | b's' | b't')) {
        return false;
    }
    MARKS.iter().any(|mark| rest.get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark)))
}

/// The length of the user's name and password behind the scheme of a URL; `None` without a password.
fn userinfo(rest: &[u8]) -> Option<usize> {
    let authority = rest.strip_prefix(SCHEME_END)?;
    let ends = |octet: &u8| matches!(octet, b'/' | b'?' | b'#' | b'"' | b'<' | b'>' | 0..=b' ');
    let authority = authority.iter().position(ends).map_or(authority, |end| authority.get(..end).unwrap_or_default());
    let end = authority.iter().rposition(|octet| *octet == b'@')?;
    authority.get(..end)?.contains(&b':').then_some(end)
}

/// The text with `<redacted>` in the place of each secret.
pub(crate) fn redacted(text: &str) -> Cow<'_, str> {
    let Some(mut found) = find(text.as_bytes()) else { return Cow::Borrowed(text) };
    let (mut shown, mut rest) = (String::new(), text);
    loop {
        // It begins with a character of ASCII or behind one, and so does what follows it.
        let (at, length) = found;
        let (before, secret) = rest.split_at_checked(at).unwrap_or((rest, ""));
        shown.push_str(before);
        shown.push_str("<redacted>");
        rest = secret.get(length.unwrap_or_else(|| secret_len(secret))..).unwrap_or_default();
        match find(rest.as_bytes()) {
            Some(next) => found = next,
            None => break,
        }
    }
    shown.push_str(rest);
    Cow::Owned(shown)
}

/// How long a secret is, with its mark: to the end of the word, or of the next one where a space ends the mark.
fn secret_len(secret: &str) -> usize {
    let ends_word = |c: char| c.is_whitespace() || c.is_control() || "\"'`;,<>()[]{}".contains(c);
    let word = |from: usize| secret.get(from..).and_then(|rest| rest.find(ends_word)).map(|at| at.saturating_add(from));
    let is_marked = |mark: &str| secret.get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark));
    let spaced = ["sharedaccesssignature ", "bearer "].into_iter().find(|mark| is_marked(mark));
    word(spaced.map_or(0, str::len)).unwrap_or(secret.len())
}

/// How long the first part of a token in base64 is.
fn base64_part(text: &[u8]) -> usize {
    let is_base64 = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'=');
    text.iter().take_while(|octet| is_base64(octet)).count()
}

/// Whether the key of a map says that its value is a secret.
pub(crate) fn is_secret_key(key: &str) -> bool {
    let key = key.as_bytes();
    KEYS.iter().any(|word| key.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_begins_where_its_mark_does() {
        let cases: [(&[u8], Option<usize>); 9] = [
            (b"SharedAccessSignature sr=hub&sig=c2ln&se=1", Some(0)),
            (b"HostName=h;SharedAccessKey=a2V5", Some(11)),
            (b"sr=hub&SIG=c2ln", Some(7)),
            (b"Authorization: Bearer abc", Some(15)),
            (b"x eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", Some(2)),
            (b"eyJust a text", None),
            (b"eyJ", None),
            (b"design=1", None),
            (b"", None),
        ];
        for (octets, at) in cases {
            assert_eq!(secret_in(octets), at, "{}", octets.escape_ascii());
        }
        let cases: [(&[u8], Option<usize>); 8] = [
            (b"amqps://alice:hunter2@server.test/queue", Some(8)),
            (b"see amqp://alice:hun:t@er2@server.test", Some(11)),
            (b"amqp://:hunter2@server.test", Some(7)),
            (b"amqp://server.test:5672/queue@1:2", None),
            (b"amqp://alice@server.test:5672", None),
            (b"amqp://server.test 1:2@3", None),
            (b"amqp://", None),
            (b"://@:", None),
        ];
        for (octets, at) in cases {
            assert_eq!(secret_in(octets), at, "{}", octets.escape_ascii());
        }
        let text = "moved to 'amqp://alice:hunter2@server.test:5672/q', not amqp://bob:x@h; AccountKey=a2V5;x";
        assert_eq!(
            redacted(text),
            "moved to 'amqp://<redacted>@server.test:5672/q', not amqp://<redacted>@h; <redacted>;x"
        );
        let text = "put 'SharedAccessSignature sr=h&sig=a%3d&se=1' (Bearer b.c), SharedAccessKey=d; é eyJe.f.g end";
        assert_eq!(redacted(text), "put '<redacted>' (<redacted>), <redacted>; é <redacted> end");
        assert!(matches!(redacted("a design"), Cow::Borrowed("a design")));
        assert!(is_secret_key("x-opt-Access-Token") && is_secret_key("PASSWORD"));
        assert!(!is_secret_key("x-opt-partition-key") && !is_secret_key("pass"));
    }

    /// To look at the rest of the text at each place would take hours.
    #[test]
    fn a_peer_cannot_make_the_search_for_secrets_long() {
        for piece in ["eyJ-", "a://b:", "Bearer", "x://"] {
            let text = piece.repeat(1 << 18);
            assert_eq!(secret_in(text.as_bytes()), None, "{piece}");
        }
        let text = ["eyJ-".repeat(1 << 18).as_str(), " eyJa.b"].concat();
        assert_eq!(secret_in(text.as_bytes()), Some((4 << 18) + 1));
    }
}
