//! Part 5, §5.3.3: the bodies of SASL frames.

use crate::{
    support::{both_ways, read, refused, refused_as, shown, symbols, written},
    table::descriptors,
};
use amqp1_codec::{
    DecodeErrorKind as Kind, EncodeStyle, Symbol,
    sasl::{SaslBody, SaslChallenge, SaslCode, SaslInit, SaslMechanisms, SaslOutcome, SaslResponse, Secret},
};

fn secret(octets: &'static [u8]) -> Secret {
    Secret(octets.into())
}

/// S-5.3.1-4: the five bodies, by number and by name, and no others.
#[test]
fn bodies_are_told_by_number_and_by_name() {
    let plain = Symbol::from_static("PLAIN");
    let bodies = [
        (
            0x40,
            "sasl-mechanisms",
            "c0 08 01 a3 05 'PLAIN'",
            SaslBody::Mechanisms(SaslMechanisms { sasl_server_mechanisms: plain.clone().into() }),
        ),
        (
            0x41,
            "sasl-init",
            "c0 08 01 a3 05 'PLAIN'",
            SaslBody::Init(SaslInit { mechanism: plain, ..SaslInit::default() }),
        ),
        (0x42, "sasl-challenge", "c0 03 01 a0 00", SaslBody::Challenge(SaslChallenge::default())),
        (0x43, "sasl-response", "c0 03 01 a0 00", SaslBody::Response(SaslResponse::default())),
        (0x44, "sasl-outcome", "c0 03 01 50 00", SaslBody::Outcome(SaslOutcome::default())),
    ];
    for (code, name, list, body) in bodies {
        for descriptor in descriptors(code, name) {
            assert_eq!(read::<SaslBody>(&format!("{} {list}", shown(&descriptor))), body, "{name}");
        }
        let compact = shown(&written(&body, EncodeStyle::Compact));
        assert_eq!(compact, shown(&crate::support::hex(&format!("00 53 {code:02x} {list}"))), "{name}");
        assert_eq!(body.name(), name);
    }
    for text in ["00 53 3f 45", "00 53 45 45", "00 53 10 45", "00 44 45", "00 a3 09 'sasl-init' 45"] {
        refused::<SaslBody>(text, Kind::UnexpectedDescriptor, 0);
    }
}

/// S-5.3.3.1-1, Y-1.4-3, Y-1.4-4: mechanisms are one symbol or an array, and never none.
#[test]
fn there_is_at_least_one_mechanism() {
    let of = |names: &[&'static str]| SaslMechanisms { sasl_server_mechanisms: symbols(names).into() };
    both_ways(
        of(&["A"]),
        "00 53 40 c0 04 01 a3 01 'A'",
        "00 53 40 c0 04 01 a3 01 'A'",
        &[
            "00 53 40 c0 07 01 e0 04 01 a3 01 'A'",
            "00 53 40 c0 10 01 f0 0000000a 00000001 b3 00000001 'A'",
            "00 80 0000000000000040 d0 00000007 00000001 a3 01 'A'",
        ],
    );
    let two = "00 53 40 c0 09 01 e0 06 02 a3 01 'A' 01 'B'";
    both_ways(of(&["A", "B"]), two, two, &[]);
    for none in ["45", "c0 01 00", "c0 02 01 40", "c0 05 01 e0 02 00 a3", "c0 0b 01 f0 00000005 00000000 b3"] {
        refused_as::<SaslMechanisms>(&format!("00 53 40 {none}"), Kind::MissingField(0));
        refused_as::<SaslBody>(&format!("00 53 40 {none}"), Kind::MissingField(0));
    }
    refused_as::<SaslMechanisms>("00 53 40 c0 07 01 c0 04 01 a3 01 'A'", Kind::UnexpectedFormatCode(0xc0));
    refused_as::<SaslMechanisms>("00 53 40 c0 04 01 a1 01 'A'", Kind::UnexpectedFormatCode(0xa1));
    // An array of no elements without a constructor is no array.
    refused_as::<SaslMechanisms>("00 53 40 c0 04 01 e0 01 00", Kind::Truncated);
}

/// S-5.3.3.2-1: an init names its mechanism.
#[test]
fn an_init_has_a_mechanism() {
    let init = SaslInit {
        mechanism: Symbol::from_static("PLAIN"),
        initial_response: Some(secret(b"\0u\0p")),
        hostname: Some("h".into()),
    };
    let octets = "00 53 41 c0 11 03 a3 05 'PLAIN' a0 04 00 'u' 00 'p' a1 01 'h'";
    both_ways(init, octets, octets, &["00 53 41 c0 14 03 a3 05 'PLAIN' b0 00000004 00 'u' 00 'p' a1 01 'h'"]);
    refused::<SaslInit>("00 53 41 45", Kind::MissingField(0), 4);
    refused_as::<SaslInit>("00 53 41 c0 02 01 40", Kind::MissingField(0));
    refused::<SaslInit>("00 53 41 c0 04 01 a1 01 'A'", Kind::UnexpectedFormatCode(0xa1), 6);
}

/// S-5.3.3.2-3: no initial response, by null or by absence, is not an empty one.
#[test]
fn no_initial_response_differs_from_an_empty_one() {
    let init = |response: Option<Secret>| SaslInit {
        mechanism: Symbol::from_static("EXTERNAL"),
        initial_response: response,
        hostname: None,
    };
    both_ways(
        init(None),
        "00 53 41 c0 0b 01 a3 08 'EXTERNAL'",
        "00 53 41 c0 0d 03 a3 08 'EXTERNAL' 40 40",
        &["00 53 41 c0 0c 02 a3 08 'EXTERNAL' 40"],
    );
    both_ways(
        init(Some(secret(b""))),
        "00 53 41 c0 0d 02 a3 08 'EXTERNAL' a0 00",
        "00 53 41 c0 0e 03 a3 08 'EXTERNAL' a0 00 40",
        &["00 53 41 c0 10 02 a3 08 'EXTERNAL' b0 00000000"],
    );
    assert_ne!(init(None), init(Some(secret(b""))));
}

/// S-5.3.3.3-1: challenges and responses are mandatory, and may be empty.
#[test]
fn challenges_and_responses_may_be_empty() {
    both_ways(
        SaslChallenge { challenge: secret(b"") },
        "00 53 42 c0 03 01 a0 00",
        "00 53 42 c0 03 01 a0 00",
        &["00 53 42 c0 06 01 b0 00000000"],
    );
    both_ways(
        SaslChallenge { challenge: secret(b"r=1") },
        "00 53 42 c0 06 01 a0 03 'r=1'",
        "00 53 42 c0 06 01 a0 03 'r=1'",
        &[],
    );
    both_ways(SaslResponse { response: secret(b"") }, "00 53 43 c0 03 01 a0 00", "00 53 43 c0 03 01 a0 00", &[]);
    both_ways(
        SaslResponse { response: secret(b"\xff") },
        "00 53 43 c0 04 01 a0 01 ff",
        "00 53 43 c0 04 01 a0 01 ff",
        &[],
    );
    for none in ["45", "c0 01 00", "c0 02 01 40", "d0 00000005 00000001 40"] {
        refused_as::<SaslChallenge>(&format!("00 53 42 {none}"), Kind::MissingField(0));
        refused_as::<SaslResponse>(&format!("00 53 43 {none}"), Kind::MissingField(0));
    }
    refused::<SaslChallenge>("00 53 42 c0 03 01 a1 00", Kind::UnexpectedFormatCode(0xa1), 6);
    refused::<SaslResponse>("00 53 43 c0 03 01 a3 00", Kind::UnexpectedFormatCode(0xa3), 6);
    assert_eq!(format!("{:?}", secret(b"hunter2")), "<7 octets>", "what may be secret is not shown");
}

/// S-5.3.3.5-1, S-5.3.3.6-1: an outcome's code is one of five ubytes.
#[test]
fn outcomes_have_one_of_five_codes() {
    for (code, number) in
        [(SaslCode::Ok, 0), (SaslCode::Auth, 1), (SaslCode::Sys, 2), (SaslCode::SysPerm, 3), (SaslCode::SysTemp, 4)]
    {
        assert_eq!(code.number(), number);
        let compact = format!("00 53 44 c0 03 01 50 {number:02x}");
        let full = format!("00 53 44 c0 04 02 50 {number:02x} 40");
        both_ways(SaslOutcome { code, additional_data: None }, &compact, &full, &[]);
    }
    let data = SaslOutcome { code: SaslCode::Ok, additional_data: Some(secret(b"v=")) };
    both_ways(data, "00 53 44 c0 07 02 50 00 a0 02 'v='", "00 53 44 c0 07 02 50 00 a0 02 'v='", &[]);
    for number in 5..=255u8 {
        refused_as::<SaslOutcome>(&format!("00 53 44 c0 03 01 50 {number:02x}"), Kind::InvalidValue);
    }
    refused::<SaslOutcome>("00 53 44 45", Kind::MissingField(0), 4);
    refused::<SaslOutcome>("00 53 44 c0 02 01 43", Kind::UnexpectedFormatCode(0x43), 6);
}
