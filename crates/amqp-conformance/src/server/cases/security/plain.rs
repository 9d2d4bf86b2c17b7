//! PLAIN (RFC 4616).

use super::support::{LOGIN, frame, gives_up, gives_up_after, offers};
use crate::{
    case::{Case, Check, Need},
    server::ServerTrial,
    verdict::{Outcome, Stop},
};
use amqp1_codec::sasl::{SaslBody, SaslCode, SaslOutcome};
use amqp1_script::{Got, frames};

/// A case that sends a `sasl-init` for PLAIN which must not succeed.
const REFUSED: Case = Case {
    wants: "the end of the connection, without a success",
    needs: &[Need::Sasl, Need::Plain],
    twin: Some(&LOGIN),
    ..Case::SERVER
};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "S-plain-1/no-nul",
        rule: "A PLAIN message has an authorization identity, an identity and a password between NULs (RFC 4616).",
        sends: "PLAIN with octets without a NUL",
        check: Check::Server(|trial| refused(trial, b"user")),
        ..REFUSED
    },
    Case {
        id: "S-plain-1/one-nul",
        rule: "A PLAIN message has two NULs (RFC 4616).",
        sends: "PLAIN with one NUL",
        check: Check::Server(|trial| refused(trial, b"\0user")),
        ..REFUSED
    },
    Case {
        id: "S-plain-1/three-nuls",
        rule: "The password of a PLAIN message holds no NUL (RFC 4616).",
        sends: "PLAIN with three NULs",
        check: Check::Server(|trial| refused(trial, b"\0user\0pass\0word")),
        ..REFUSED
    },
    Case {
        id: "S-plain-1/empty",
        rule: "A PLAIN message is not empty (RFC 4616).",
        sends: "PLAIN with an initial-response of no octets",
        check: Check::Server(|trial| refused(trial, b"")),
        ..REFUSED
    },
    Case {
        id: "S-plain-1/not-utf-8",
        rule: "The identities of a PLAIN message are UTF-8 (RFC 4616).",
        sends: "PLAIN with octets that are not UTF-8",
        check: Check::Server(|trial| refused(trial, b"\0\xff\xfe\0\xc3\x28")),
        ..REFUSED
    },
    Case {
        id: "S-5.3.3.5-1/password",
        rule: "Credentials that are wrong end with the code auth, and without additional data (§5.3.3.5).",
        sends: "PLAIN with a wrong password",
        wants: "an outcome with the code 1 and null additional-data, and the end of the stream",
        needs: &[Need::Sasl, Need::Plain],
        twin: Some(&LOGIN),
        check: Check::Server(wrong_password),
        ..Case::SERVER
    },
];

fn refused(trial: &mut ServerTrial<'_>, response: &[u8]) -> Result<Outcome, Stop> {
    let mut connection = offers(trial, "PLAIN")?;
    let length = u8::try_from(response.len()).unwrap_or(u8::MAX);
    let size = length.saturating_add(10);
    let body = [b"\0\x53\x41\xc0", &[size][..], b"\x02\xa3\x05PLAIN\xa0", &[length], response].concat();
    connection.raw(frame(2, 1, [0, 0], &body));
    if !response.is_empty() {
        return Ok(gives_up(&mut connection));
    }
    // A server that takes no octets for no response asks for one; that is the matter of S-5.3.3.2-3.
    match connection.next() {
        Got::Sasl(SaslBody::Challenge(_)) => {
            connection.raw(b"\0\0\0\x10\x02\x01\0\0\0\x53\x43\xc0\x03\x01\xa0\x00");
            Ok(gives_up(&mut connection))
        }
        Got::Sasl(SaslBody::Outcome(outcome)) if outcome.code != SaslCode::Ok => Ok(gives_up(&mut connection)),
        got if got.is_end() => Ok(Outcome::pass()),
        got => Ok(Outcome::fail(format!("expected a failed outcome, got {got}"))),
    }
}

fn wrong_password(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = offers(trial, "PLAIN")?;
    let user = trial.target().login.user().unwrap_or("amqp-conformance");
    connection.raw(frames::sasl(&SaslBody::Init(frames::plain(user, "this is not the password"))));
    let outcome = connection.expect::<SaslOutcome>()?;
    if outcome.code != SaslCode::Auth || outcome.additional_data.is_some() {
        return Ok(Outcome::fail(format!("expected the code auth without additional-data, got {:?}", outcome.body)));
    }
    Ok(gives_up_after(Some(outcome.code), &mut connection))
}
