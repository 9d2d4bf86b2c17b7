//! Secrets in command lines, which are known by the names before them.

use super::{MASK, merged};
use std::{mem, ops::Range};

/// Words in the names of options and variables whose values are secrets.
const HINTS: [&str; 8] = ["pass", "pwd", "key", "token", "secret", "credential", "authorization", "signature"];
/// Parts of such names, where they are whole: they are too short to be looked for within others.
const PARTS: [&str; 4] = ["pw", "sig", "auth", "cred"];
/// Options with a user, after whom the password may stand.
const USERS: [&str; 4] = ["-u", "--user", "--login", "--username"];
/// Values that are no secrets, and would be found everywhere.
const WORDS: [&str; 6] = ["true", "false", "none", "null", "auto", "prompt"];
/// The length from which on a value is looked for elsewhere; one of digits, which may be a number, if it is longer.
const SHORTEST: usize = 4;
const SHORTEST_NUMBER: usize = 6;

/// A command line in which dots stand for secrets: the values of variables and options in whose names are `pass`, `key`,
/// `token` and the like, and the users of URLs.
pub fn masked(command: &[String]) -> Vec<String> {
    let dotted = |(argument, found): (&String, Vec<Range<usize>>)| {
        found.into_iter().rev().fold(argument.clone(), |mut text, range| {
            text.replace_range(range, MASK);
            text
        })
    };
    command.iter().zip(find(command)).map(dotted).collect()
}

/// The secrets of a command line, as far as they can be looked for elsewhere.
pub(super) fn secrets(command: &[String]) -> Vec<String> {
    let found = command.iter().zip(find(command));
    let values = found.flat_map(|(argument, found)| found.into_iter().filter_map(|range| argument.get(range)));
    let is_number = |piece: &str| piece.len() < SHORTEST_NUMBER && piece.bytes().all(|octet| octet.is_ascii_digit());
    let is_word = |piece: &str| WORDS.iter().any(|word| piece.eq_ignore_ascii_case(word));
    let pieces = values.flat_map(pieces);
    pieces.filter(|piece| piece.len() >= SHORTEST && !is_number(piece) && !is_word(piece)).collect()
}

/// A value, and the parts of it that may be the secret: after the user, before the next field, without its escapes.
fn pieces(value: &str) -> Vec<String> {
    let password = value.split_once(':').map(|(_, password)| password);
    let field = value.split_once([';', '&', ',']).map(|(field, _)| field);
    // Lines are put together where they are shown.
    let lines = value.lines().map(str::trim).filter(|line| *line != value);
    let mut pieces: Vec<String> =
        [Some(value), password, field].into_iter().flatten().chain(lines).map(String::from).collect();
    let decoded = |piece: &String| unescaped(piece).filter(|decoded| decoded != piece);
    pieces.extend(pieces.iter().filter_map(decoded).collect::<Vec<_>>());
    pieces
}

/// A part of a URL without its escapes.
fn unescaped(text: &str) -> Option<String> {
    let mut octets = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.split_at_checked(2).filter(|_| *first == b'%');
        let octet = escaped.and_then(|(digits, _)| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        octets.push(octet.unwrap_or(*first));
        rest = escaped.filter(|_| octet.is_some()).map_or(after, |(_, rest)| rest);
    }
    String::from_utf8(octets).ok()
}

/// The kind of the next word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Next {
    #[default]
    Other,
    Secret,
    User,
}

/// The places of the secrets in each argument, in their order.
fn find(command: &[String]) -> Vec<Vec<Range<usize>>> {
    let mut next = Next::Other;
    command.iter().map(|argument| merged(find_in(argument, &mut next))).collect()
}

fn find_in(argument: &str, next: &mut Next) -> Vec<Range<usize>> {
    // A value may have spaces in it.
    if *next == Next::Secret && !is_option(argument) {
        *next = Next::Other;
        return value(argument, 0..argument.len()).into_iter().collect();
    }
    words(argument).into_iter().flat_map(|word| find_in_word(argument, word, next)).collect()
}

fn find_in_word(argument: &str, word: Range<usize>, next: &mut Next) -> Vec<Range<usize>> {
    let text = argument.get(word.clone()).unwrap_or_default();
    let bare = text.trim_matches(is_quote);
    let after = |at: usize| word.start.saturating_add(at)..word.end;
    match mem::take(next) {
        Next::Secret if !is_option(text) => return value(argument, word).into_iter().collect(),
        Next::User => {
            if let Some(at) = text.find(':') {
                return value(argument, after(at.saturating_add(1))).into_iter().collect();
            }
        }
        _ => {}
    }
    if is_option(bare) && !bare.contains('=') && is_secret(bare) {
        *next = Next::Secret;
    } else if USERS.contains(&bare) {
        *next = Next::User;
    }
    let mut found =
        users(text).into_iter().map(|user| after(user.start).start..after(user.end).start).collect::<Vec<_>>();
    let named = text.char_indices().find(|(at, c)| {
        let (name, rest) = text.split_at_checked(*at).unwrap_or_default();
        matches!(c, '=' | ':') && !rest.starts_with("://") && is_secret(last_name(name))
    });
    if let Some((at, _)) = named {
        let range = after(at.saturating_add(1));
        if argument.get(range.clone()).is_some_and(|value| value.trim_matches(is_quote).is_empty()) {
            *next = Next::Secret;
        }
        found.extend(value(argument, range));
    }
    found
}

/// The words of an argument, which may be a script. Quotation marks keep what is between them together.
fn words(argument: &str) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let (mut start, mut quote) = (None, None);
    for (at, c) in argument.char_indices() {
        match quote {
            Some(other) if c == other => quote = None,
            None if matches!(c, '"' | '\'') => quote = Some(c),
            _ => {}
        }
        if c.is_whitespace() && quote.is_none() {
            words.extend(start.take().map(|start| start..at));
        } else {
            start.get_or_insert(at);
        }
    }
    words.extend(start.map(|start| start..argument.len()));
    words
}

const fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'' | '`' | '(' | ')' | '{' | '}' | ',' | ';')
}

/// The range without the quotation marks around it; `None` if nothing is left, or a word in braces that the tool replaces.
fn value(argument: &str, range: Range<usize>) -> Option<Range<usize>> {
    let text = argument.get(range.clone())?;
    let is_place = ["{url}", "{address}", "{scenario}", "{count}"].contains(&text);
    let begun = text.trim_start_matches(is_quote);
    let start = range.end.saturating_sub(begun.len());
    let end = start.saturating_add(begun.trim_end_matches(is_quote).len());
    (start < end && !is_place).then_some(start..end)
}

/// A password may begin with a hyphen as well: options have two of them, or one letter.
fn is_option(text: &str) -> bool {
    text.strip_prefix('-').is_some_and(|rest| rest.starts_with('-') || rest.chars().count() == 1)
        || (text.starts_with('-') && is_secret(text))
}

/// Whether the name of an option or a variable is that of a secret.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let is_part = |part: &str| PARTS.contains(&part);
    HINTS.iter().any(|hint| name.contains(hint)) || name.split(|c: char| !c.is_ascii_alphanumeric()).any(is_part)
}

/// The name at the end of a text.
fn last_name(text: &str) -> &str {
    let text = text.trim_end_matches(['"', '\'', ' ']);
    let is_other = |c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-' | '.');
    text.rsplit(is_other).next().unwrap_or_default()
}

/// The users of the URLs in a word, with their passwords.
fn users(word: &str) -> Vec<Range<usize>> {
    let mut users = Vec::new();
    for (at, scheme) in word.match_indices("://") {
        let start = at.saturating_add(scheme.len());
        let rest = word.get(start..).unwrap_or_default();
        let rest = rest.split(['"', '\'', ' ']).next().unwrap_or_default();
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        // A password may have a slash in it that should have been escaped.
        let has_port =
            authority.split_once(':').is_none_or(|(_, port)| port.bytes().all(|octet| octet.is_ascii_digit()));
        let user = authority.rfind('@').or_else(|| rest.rfind('@').filter(|_| !has_port));
        users.extend(user.map(|end| start..start.saturating_add(end)));
    }
    users
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(command: &[&str]) -> String {
        masked(&command.iter().map(ToString::to_string).collect::<Vec<_>>()).join(" ")
    }

    #[test]
    fn the_values_of_options_and_variables_that_name_a_secret_are_masked() {
        for (command, wanted) in [
            (&["driver", "--password", "s e"][..], "driver --password …"),
            (&["driver", "--password=sesame", "{url}"], "driver --password=… {url}"),
            (&["driver", "--api-key", "sesame", "--count", "{count}"], "driver --api-key … --count {count}"),
            (&["driver", "--auth-token", "-sesame"], "driver --auth-token …"),
            (&["driver", "-pw", "sesame"], "driver -pw …"),
            (&["driver", "--key", "{url}"], "driver --key {url}"),
            (&["driver", "--pass", "--verbose", "x"], "driver --pass --verbose x"),
            (&["env", "AMQP_PASSWORD=sesame", "driver"], "env AMQP_PASSWORD=… driver"),
            (&["docker", "-e", "Token=sesame", "image"], "docker -e Token=… image"),
            (&["docker", "--env=MY_SECRET=sesame"], "docker --env=MY_SECRET=…"),
            (&["java", "-Djavax.net.ssl.keyStorePassword=sesame"], "java -Djavax.net.ssl.keyStorePassword=…"),
            (&["curl", "-u", "me:sesame"], "curl -u me:…"),
            (
                &["sh", "-c", "PASS='s e' driver --password \"x y\" {url}"],
                "sh -c PASS='…' driver --password \"…\" {url}",
            ),
            (&["driver", "{\"password\": \"sesame\"}"], "driver {\"password\": \"…\"}"),
            (&["driver", "{\"a\":1,\"password\":\"sesame\"}"], "driver {\"a\":1,\"password\":\"…\"}"),
            (
                &["driver", "Endpoint=sb://h/;SharedAccessKeyName=n;SharedAccessKey=sesame"],
                "driver Endpoint=sb://h/;SharedAccessKeyName=…",
            ),
            (&["driver", "sr=h&sig=sesame&se=1"], "driver sr=h&sig=…"),
            (&["node", "driver.js", "{url}", "{address}", "{scenario}"], "node driver.js {url} {address} {scenario}"),
        ] {
            assert_eq!(shown(command), wanted);
        }
    }

    #[test]
    fn the_users_of_urls_are_masked() {
        for (url, wanted) in [
            ("amqp://me:sesame@h:1/q", "amqp://…@h:1/q"),
            ("--url=amqps://token@h", "--url=amqps://…@h"),
            ("a://u:p@h b://v:q@i", "a://…@h b://…@i"),
            ("amqp://me:a/b@h", "amqp://…@h"),
            ("amqp://h:1/a@b", "amqp://h:1/a@b"),
            ("amqp://h/a", "amqp://h/a"),
        ] {
            assert_eq!(shown(&[url]), wanted);
        }
    }

    #[test]
    fn secrets_are_looked_for_elsewhere_unless_they_are_usual_words() {
        let of = |command: &[&str]| secrets(&command.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(of(&["x", "--password", "sesame"]), ["sesame"]);
        assert_eq!(of(&["x", "amqp://me:s%20esame@h"]), ["me:s%20esame", "s%20esame", "me:s esame", "s esame"]);
        assert_eq!(of(&["x", "SharedAccessKey=abcd=;y=z"]), ["abcd=;y=z", "abcd="]);
        assert_eq!(of(&["x", "--key", "BEGIN\n c2VzYW1l\n"])[1..], ["BEGIN", "c2VzYW1l"]);
        assert_eq!(of(&["x", "--key", "true", "--passes", "100", "--token", "abc"]), [""; 0]);
    }
}
