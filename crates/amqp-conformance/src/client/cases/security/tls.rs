//! TLS (§5.2).

use crate::{
    case::{Case, Check, Severity},
    client::{ClientTrial, Scenario},
    judge::should,
    verdict::{Outcome, Stop},
};
use amqp1_script::Got;
use std::io;

const fn send(check: fn(&mut ClientTrial<'_>) -> Result<Outcome, Stop>) -> Check {
    Check::Client(Scenario::Send, check)
}

pub(super) const CASES: &[Case] = &[
    Case {
        id: "S-5.2-2",
        severity: Severity::Should,
        rule: "A client names the host that it connects to in the TLS handshake (§5.2.1).",
        sends: "nothing; the url is amqps://localhost:…",
        wants: "a ClientHello whose server_name is localhost",
        check: send(|trial| should(server_name(trial))),
        ..Case::CLIENT
    },
    Case {
        id: "S-5.2-3",
        rule: "A client does not trust a certificate that no authority vouches for (§5.2, RFC 5246).",
        sends: "a certificate for localhost that it has signed itself; the url is amqps://localhost:…",
        wants: "the end of the handshake, and no header",
        check: send(untrusted),
        ..Case::CLIENT
    },
    Case {
        id: "S-5.2-4",
        rule: "Inside TLS the client sends a header of SASL or AMQP (§5.2).",
        sends: "the handshake",
        wants: "a header of protocol id 3 or 0",
        check: send(header_inside),
        ..Case::CLIENT
    },
    Case {
        id: "S-5.2-5",
        severity: Severity::May,
        rule: "A peer may close TLS without waiting for the other's closure alert (§5.2).",
        sends: "close, and the closure alert at once",
        wants: "the end of the stream",
        check: send(closed_at_once),
        ..Case::CLIENT
    },
];

/// Reads the big-endian numbers and the vectors of TLS.
struct Octets<'a>(&'a [u8]);

impl<'a> Octets<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self, width: usize) -> Option<usize> {
        let octets = self.take(width)?;
        Some(octets.iter().fold(0usize, |number, octet| (number << 8) | usize::from(*octet)))
    }

    /// A vector after its length of this many octets.
    fn vector(&mut self, width: usize) -> Option<Self> {
        let length = self.number(width)?;
        self.take(length).map(Octets)
    }
}

/// The host name of a ClientHello, whose record these octets begin with (RFC 8446 §4.1.2, RFC 6066 §3).
fn host_name(record: &[u8]) -> Option<String> {
    const HANDSHAKE: usize = 0x16;
    const CLIENT_HELLO: usize = 1;
    const SERVER_NAME: usize = 0;
    let mut octets = Octets(record);
    if octets.number(1)? != HANDSHAKE {
        return None;
    }
    octets.number(2)?;
    let mut handshake = octets.vector(2)?;
    if handshake.number(1)? != CLIENT_HELLO {
        return None;
    }
    let mut hello = handshake.vector(3)?;
    // The version and the random; then session, ciphers and compressions.
    hello.take(34)?;
    hello.vector(1)?;
    hello.vector(2)?;
    hello.vector(1)?;
    let mut extensions = hello.vector(2)?;
    loop {
        let kind = extensions.number(2)?;
        let mut extension = extensions.vector(2)?;
        if kind == SERVER_NAME {
            let mut names = extension.vector(2)?;
            names.number(1)?;
            let Octets(name) = names.vector(2)?;
            return Some(String::from_utf8_lossy(name).into_owned());
        }
    }
}

fn server_name(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    trial.ask_for_tls();
    let mut connection = trial.connected_bare()?;
    let mut record = Vec::new();
    loop {
        match connection.next() {
            Got::Undecodable { octets, .. } => record.extend_from_slice(&octets),
            Got::Header(header) => {
                return Err(Stop::SetUp(format!("the client does not begin TLS, but sends {:?}", header.encode())));
            }
            got => return Err(Stop::SetUp(format!("the client does not begin TLS, but {got}"))),
        }
        let wanted = Octets(record.get(3..).unwrap_or_default()).number(2).unwrap_or(usize::MAX);
        if record.len() >= wanted.saturating_add(5) {
            break;
        }
    }
    match host_name(&record) {
        Some(name) if name == "localhost" => Ok(Outcome::pass()),
        Some(name) => Ok(Outcome::fail(format!("the server_name is {name:?}"))),
        None => Ok(Outcome::fail("the ClientHello has no server_name")),
    }
}

fn untrusted(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    trial.ask_for_tls();
    let mut connection = match trial.connected_untrusted()? {
        Ok(connection) => connection,
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            return Ok(Outcome::fail("the client neither goes on nor ends the handshake"));
        }
        Err(error) => return Ok(Outcome::pass_with(error.to_string())),
    };
    // In TLS 1.3 the server's handshake may be over before the client has looked at the certificate.
    match connection.next() {
        got if got.is_end() => Ok(Outcome::pass()),
        Got::Header(_) => Ok(Outcome::fail("the client trusts a certificate that no authority has signed")),
        got => Ok(Outcome::fail(format!("expected the end of the stream, got {got}"))),
    }
}

fn with_tls(trial: &ClientTrial<'_>) -> Result<(), Stop> {
    if trial.has_tls() {
        Ok(())
    } else {
        Err(Outcome::skip("the tool has no certificate that the client trusts: --tls-cert and --tls-key").into())
    }
}

fn header_inside(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    with_tls(trial)?;
    let mut connection = trial.connected()?;
    let header = connection.expect_any_header()?;
    match header.encode() {
        [_, _, _, _, 0 | 3, 1, 0, 0] => Ok(Outcome::pass()),
        other => Ok(Outcome::fail(format!("the header is {other:?}"))),
    }
}

fn closed_at_once(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    with_tls(trial)?;
    let mut accepted = trial.opened()?;
    accepted.connection.send(0, amqp1_script::frames::close());
    accepted.connection.finish();
    accepted.connection.expect_gone()?;
    Ok(Outcome::pass())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_is_found() {
        let name = b"\0\0\0\x0e\0\x0c\0\0\x09localhost";
        let other = b"\0\x0a\0\x02\0\0";
        let extensions = [&other[..], name].concat();
        let length = |octets: usize| u16::try_from(octets).expect("short").to_be_bytes();
        let hello = [&[3, 3][..], &[7; 32], b"\0\0\x02\x13\x01\x01\0", &length(extensions.len()), &extensions].concat();
        let handshake = [&[1, 0][..], &length(hello.len()), &hello].concat();
        let record = [&[0x16, 3, 1][..], &length(handshake.len()), &handshake].concat();
        assert_eq!(host_name(&record).as_deref(), Some("localhost"));
        assert_eq!(host_name(&record[..record.len() - 1]), None);
        assert_eq!(host_name(b"AMQP\x00\x01\x00\x00"), None);
    }
}
