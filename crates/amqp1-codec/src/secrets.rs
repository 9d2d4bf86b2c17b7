//! Secrets in the texts and octets of a peer, which are not shown.

use alloc::{borrow::Cow, string::String};

/// How the text around a secret begins, in lower case.
const MARKS: [&[u8]; 6] =
    [b"sharedaccesssignature", b"sharedaccesskey=", b"sig=", b"password=", b"secret=", b"bearer "];

/// Words in the key of a map that say that its value is a secret.
const KEYS: [&str; 7] = ["password", "passwd", "secret", "token", "signature", "authorization", "credential"];

/// How a token begins that is signed JSON: `{"` in base64.
const JSON: &[u8] = b"eyJ";

/// The place where a secret begins: a shared access signature or key, a password in a connection string, a bearer token.
pub(crate) fn secret_in(octets: &[u8]) -> Option<usize> {
    let mut is_word = false;
    (0..octets.len()).find(|at| {
        let rest = octets.get(*at..).unwrap_or_default();
        let is_within = core::mem::replace(&mut is_word, rest.first().is_some_and(u8::is_ascii_alphanumeric));
        !is_within && begins_secret(rest)
    })
}

fn begins_secret(rest: &[u8]) -> bool {
    // Most words do not begin like one.
    if !matches!(rest.first(), Some(b's' | b'S' | b'p' | b'P' | b'b' | b'B' | b'e')) {
        return false;
    }
    MARKS.iter().any(|mark| rest.get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark)))
        || rest.starts_with(JSON) && is_token(rest)
}

/// The text with `<redacted>` in the place of each secret.
pub(crate) fn redacted(text: &str) -> Cow<'_, str> {
    let Some(mut at) = secret_in(text.as_bytes()) else { return Cow::Borrowed(text) };
    let (mut shown, mut rest) = (String::new(), text);
    loop {
        // It begins with a character of ASCII, and so does what follows it.
        let (before, secret) = rest.split_at_checked(at).unwrap_or((rest, ""));
        shown.push_str(before);
        shown.push_str("<redacted>");
        rest = secret.get(secret_len(secret)..).unwrap_or_default();
        match secret_in(rest.as_bytes()) {
            Some(next) => at = next,
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

/// Whether it is three parts in base64, at least the beginning of the second.
fn is_token(text: &[u8]) -> bool {
    let is_base64 = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'=');
    let first = text.iter().take_while(|octet| is_base64(octet)).count();
    text.get(first) == Some(&b'.')
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
        let text = "put 'SharedAccessSignature sr=h&sig=a%3d&se=1' (Bearer b.c), SharedAccessKey=d; é eyJe.f.g end";
        assert_eq!(redacted(text), "put '<redacted>' (<redacted>), <redacted>; é <redacted> end");
        assert!(matches!(redacted("a design"), Cow::Borrowed("a design")));
        assert!(is_secret_key("x-opt-Access-Token") && is_secret_key("PASSWORD"));
        assert!(!is_secret_key("x-opt-partition-key") && !is_secret_key("pass"));
    }
}
