//! SASL frames and who may send them (§5.2, §5.3, §5.3.1).

use super::support::{LOGIN, OK, asked, fatal_after_init, fatal_first, frame, gives_up, mechanisms_body, opens};
use crate::{
    case::{Case, Check},
    client::{ClientTrial, Scenario},
    judge::tolerable,
    verdict::{Outcome, Stop},
};
use amqp1_codec::{frame::ProtocolHeader, sasl::SaslInit};
use amqp1_script::Got;

/// A case that sends octets after which the client must end the connection.
const FATAL: Case = Case { wants: "the end of the stream, and no AMQP header", twin: Some(&LOGIN), ..Case::CLIENT };

const fn send(check: fn(&mut ClientTrial<'_>) -> Result<Outcome, Stop>) -> Check {
    Check::Client(Scenario::Send, check)
}

pub(super) const CASES: &[Case] = &[
    Case {
        id: "S-5.2-1",
        rule: "A client that did not ask for TLS does not go on where the server's header names TLS (§5.2.1, §2.2).",
        sends: "the header AMQP 2 1 0 0 in answer to the client's header",
        wants: "the end of the stream, or a TLS handshake; no frame",
        twin: Some(&LOGIN),
        check: send(tls_header),
        ..Case::CLIENT
    },
    Case {
        id: "S-5.3-1/init",
        rule: "The SASL client is the peer that made the connection, so a server sends no sasl-init (§5.3.2).",
        sends: "sasl-init",
        check: send(|trial| fatal_first(trial, b"\0\0\0\x19\x02\x01\0\0\0\x53\x41\xc0\x0c\x01\xa3\x09ANONYMOUS")),
        ..FATAL
    },
    Case {
        id: "S-5.3-1/response",
        rule: "A server sends no sasl-response (§5.3.2).",
        sends: "sasl-response, after the client's sasl-init",
        check: send(|trial| fatal_after_init(trial, b"\0\0\0\x13\x02\x01\0\0\0\x53\x43\xc0\x06\x01\xa0\x03abc")),
        ..FATAL
    },
    Case {
        id: "S-5.3-2",
        rule: "The SASL layer begins with the header of protocol id 3 and version 1.0.0 (§5.3).",
        sends: "nothing",
        wants: "the header AMQP 3 1 0 0, and sasl-init after the mechanisms",
        check: send(header),
        ..Case::CLIENT
    },
    Case {
        id: "S-5.3-2/amqp-header",
        rule: "A client that asks for SASL does not go on in a layer that it did not ask for (§2.2, §5.3).",
        sends: "the AMQP header in answer to the SASL header",
        check: send(amqp_header),
        ..FATAL
    },
    Case {
        id: "S-5.3.1-1/octets-6-and-7",
        rule: "Octets 6 and 7 of a SASL frame have no meaning (§5.3.1).",
        sends: "sasl-mechanisms whose octets 6 and 7 are be ef",
        wants: "sasl-init, and the open after the outcome",
        twin: Some(&LOGIN),
        check: send(|trial| framed(trial, 2, [0xbe, 0xef])),
        ..Case::CLIENT
    },
    Case {
        id: "S-5.3.1-1/extended-header",
        rule: "The extended header of a SASL frame has no meaning (§5.3.1).",
        sends: "sasl-mechanisms with doff 3",
        wants: "sasl-init, and the open after the outcome",
        twin: Some(&LOGIN),
        check: send(|trial| framed(trial, 3, [0, 0])),
        ..Case::CLIENT
    },
    Case {
        id: "S-5.3.1-1/doff-1",
        rule: "A doff below 2 is malformed (§2.3.1).",
        sends: "sasl-mechanisms with doff 1",
        check: send(|trial| fatal_first(trial, &frame(1, 1, [0, 0], mechanisms_body()))),
        ..FATAL
    },
    Case {
        id: "S-5.3.1-2/of-peer",
        rule: "A SASL frame has at most 512 octets (§5.3.1).",
        sends: "ANONYMOUS and PLAIN",
        wants: "a sasl-init frame of up to 512 octets",
        twin: Some(&LOGIN),
        check: send(small_frames),
        ..Case::CLIENT
    },
    Case {
        id: "S-5.3.1-2/512",
        rule: "A SASL frame may have 512 octets (§5.3.1).",
        sends: "sasl-mechanisms in a frame of 512 octets, with names that do not exist besides ANONYMOUS and PLAIN",
        wants: "sasl-init, and the open after the outcome",
        twin: Some(&LOGIN),
        check: send(mechanisms_of_512),
        ..Case::CLIENT
    },
    Case {
        id: "S-5.3.1-2/513",
        rule: "A SASL frame has at most 512 octets (§5.3.1).",
        sends: "sasl-mechanisms in a frame of 513 octets",
        check: send(|trial| Ok(tolerable(fatal_first(trial, &sized(513))?, trial.is_strict()))),
        ..FATAL
    },
    Case {
        id: "S-5.3.1-3",
        rule: "An empty SASL frame is an error from which there is no recovery (§5.3.1).",
        sends: "a SASL frame without a body, then good mechanisms",
        check: send(|trial| {
            let mechanisms = frame(2, 1, [0, 0], mechanisms_body());
            fatal_first(trial, &[b"\0\0\0\x08\x02\x01\0\0", &mechanisms[..]].concat())
        }),
        ..FATAL
    },
    Case {
        id: "S-5.3.1-4/amqp-frame",
        rule: "Only SASL frames are sent in the SASL layer (§5.3.1).",
        sends: "an open in an AMQP frame",
        check: send(|trial| fatal_first(trial, b"\0\0\0\x11\x02\0\0\0\0\x53\x10\xc0\x04\x01\xa1\x01c")),
        ..FATAL
    },
    Case {
        id: "S-5.3.1-4/amqp-body",
        rule: "The body of a SASL frame is one of the SASL performatives (§5.3.1).",
        sends: "an open in a SASL frame",
        check: send(|trial| fatal_first(trial, b"\0\0\0\x11\x02\x01\0\0\0\x53\x10\xc0\x04\x01\xa1\x01c")),
        ..FATAL
    },
    Case {
        id: "S-5.3.1-4/two-bodies",
        rule: "A SASL frame has exactly one body (§5.3.1).",
        sends: "two sasl-mechanisms in one frame",
        check: send(|trial| fatal_first(trial, &frame(2, 1, [0, 0], &[mechanisms_body(), mechanisms_body()].concat()))),
        ..FATAL
    },
];

fn tls_header(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = trial.connected()?;
    connection.expect_any_header().map_err(|unexpected| Stop::set_up(&unexpected))?;
    connection.raw(b"AMQP\x02\x01\x00\x00");
    match connection.next() {
        got if got.is_end() => Ok(Outcome::pass()),
        // The first octets of a TLS record are no frame.
        Got::Undecodable { octets, .. } if octets.first() == Some(&0x16) => Ok(Outcome::pass_with("a TLS handshake")),
        got => Ok(Outcome::fail(format!("expected the end of the stream, got {got}"))),
    }
}

fn header(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = trial.connected()?;
    let header = connection.expect_any_header()?;
    if header == ProtocolHeader::AMQP {
        return Err(Stop::SetUp(String::from("the client does not use SASL")));
    }
    if header != ProtocolHeader::SASL {
        return Ok(Outcome::fail(format!("the header is {:?}", header.encode())));
    }
    connection.header(ProtocolHeader::SASL);
    connection.raw(super::support::MECHANISMS);
    connection.expect::<SaslInit>()?;
    Ok(Outcome::pass())
}

fn amqp_header(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = trial.connected()?;
    let header = connection.expect_any_header().map_err(|unexpected| Stop::set_up(&unexpected))?;
    if header != ProtocolHeader::SASL {
        return Err(Stop::SetUp(String::from("the client does not use SASL")));
    }
    connection.header(ProtocolHeader::AMQP);
    Ok(gives_up(&mut connection))
}

fn framed(trial: &mut ClientTrial<'_>, doff: u8, ignored: [u8; 2]) -> Result<Outcome, Stop> {
    let mut connection = asked(trial)?;
    connection.raw(frame(doff, 1, ignored, mechanisms_body()));
    connection.expect::<SaslInit>()?;
    connection.raw(OK);
    opens(&mut connection)
}

fn small_frames(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = asked(trial)?;
    connection.set_max_frame_size(512);
    connection.raw(super::support::MECHANISMS);
    match connection.next() {
        Got::Sasl(body) if body.name() == "sasl-init" => {}
        got => return Ok(Outcome::fail(format!("expected sasl-init, got {got}"))),
    }
    connection.raw(OK);
    opens(&mut connection)
}

/// `sasl-mechanisms` of this many octets: `list32`, an `array32` of `sym8`, ANONYMOUS, PLAIN, and filling names.
fn sized(size: usize) -> Vec<u8> {
    let mut names = b"\x09ANONYMOUS\x05PLAIN".to_vec();
    let mut count = 2u8;
    // Frame header 8, descriptor 3, list 1 + 4 + 4, array 1 + 4 + 4 + 1.
    let wanted = size.saturating_sub(30);
    while names.len() < wanted {
        // A name has up to 20 octets and one for its length; no rest of one octet may be left.
        let left = wanted.saturating_sub(names.len());
        let length = if left > 22 {
            20
        } else if left == 22 {
            19
        } else {
            left.saturating_sub(1)
        };
        names.push(u8::try_from(length).unwrap_or(u8::MAX));
        names.extend(std::iter::repeat_n(b'X', length));
        count = count.saturating_add(1);
    }
    let octets = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    let array = [&[0xf0][..], &octets(names.len().saturating_add(5)), &[0, 0, 0, count, 0xa3], &names].concat();
    let list = [&b"\0\x53\x40\xd0"[..], &octets(array.len().saturating_add(4)), &[0, 0, 0, 1], &array].concat();
    frame(2, 1, [0, 0], &list)
}

fn mechanisms_of_512(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = asked(trial)?;
    connection.raw(sized(512));
    connection.expect::<SaslInit>()?;
    connection.raw(OK);
    opens(&mut connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_the_size_that_they_say() {
        for size in [512, 513] {
            let frame = sized(size);
            assert_eq!(frame.len(), size);
            let mut splitter = amqp1_script::Splitter::new(u32::MAX);
            splitter.feed(&frame);
            assert!(matches!(splitter.next(), Some(Got::Sasl(_))), "the frame of {size} octets is well-formed");
        }
    }

    #[test]
    fn mechanisms_are_well_formed() {
        for octets in [super::super::support::MECHANISMS, OK] {
            let mut splitter = amqp1_script::Splitter::new(512);
            splitter.feed(octets);
            assert!(matches!(splitter.next(), Some(Got::Sasl(_))));
            assert_eq!(splitter.unfinished(), 0);
        }
    }
}
