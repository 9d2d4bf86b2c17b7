use alloc::string::{String, ToString};
use std::format;

use super::*;

const KEY: &str = "bG9jYWwtZGV2aWNlLXByaW1hcnkta2V5LTAxMjM0NTY=";
const EXPIRY: UnixSeconds = UnixSeconds::new(1_795_377_253);
/// 32 octets of zero.
const SIG: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA%3D";

fn key() -> SasKey {
    SasKey::from_base64(KEY).expect("base64")
}

fn parse(text: &str) -> Result<SasToken, SasError> {
    SasToken::parse(text)
}

fn before(expiry: UnixSeconds) -> UnixSeconds {
    UnixSeconds::new(expiry.as_u64() - 1)
}

/// Signs `sr` and `se` as they are, and puts the token together in the order given.
fn assemble(order: &[&str], sr: &str, se: &str, encode_sig: fn(&str) -> String) -> String {
    let sig = encode_sig(&STANDARD.encode(key().mac(sr, se).finalize().into_bytes()));
    let fields: Vec<String> = order
        .iter()
        .map(|field| match *field {
            "sr" => format!("sr={sr}"),
            "sig" => format!("sig={sig}"),
            "se" => format!("se={se}"),
            other => format!("skn={other}"),
        })
        .collect();
    format!("{PREFIX}{}", fields.join("&"))
}

#[test]
fn a_signed_token_reads_back_as_what_was_signed() {
    for encoding in [
        PercentEncoding::Component,
        PercentEncoding::ComponentStrict,
        PercentEncoding::Form,
        PercentEncoding::LowerHex,
        PercentEncoding::Path,
        PercentEncoding::QuotePlus,
        PercentEncoding::Verbatim,
    ] {
        let resource = "hub.example/devices/d-1_.+!'()*@$:,=#?/modules/m";
        let token = key().sign(resource, encoding, EXPIRY, Some("a policy"));
        let read = parse(token.as_str()).expect("our own token");
        for token in [&token, &read] {
            assert_eq!(token.resource(), resource, "{encoding:?}");
            assert_eq!(token.encoded_resource(), encoding.encode(resource));
            assert_eq!(token.expiry(), EXPIRY);
            assert_eq!(token.policy(), Some("a policy"));
            assert_eq!(token.verify(&key(), before(EXPIRY)), Ok(()));
        }
    }
}

#[test]
fn the_encoding_styles_of_the_official_sdks_all_verify() {
    let keep: fn(&str) -> String = |sig| sig.to_string();
    let component: fn(&str) -> String = |sig| PercentEncoding::Component.encode(sig);
    let path: fn(&str) -> String = |sig| PercentEncoding::Path.encode(sig);
    let lower: fn(&str) -> String = |sig| PercentEncoding::LowerHex.encode(sig);
    for (producer, order, sr, encode_sig) in [
        ("service on Node", ["sr", "sig", "service", "se"].as_slice(), "hub.example", component),
        ("service on Node, with port", &["sr", "sig", "service", "se"], "hub.example:5671", component),
        ("device on Node", &["sr", "sig", "se"], "hub.example%2Fdevices%2Fd%281%29%2a", component),
        ("service on Python", &["sr", "sig", "se", "service"], "hub.example", path),
        ("REST on Python", &["sr", "sig", "se", "service"], "hub.example%2Fdevices%2Fd", component),
        ("C#", &["sr", "sig", "se", "service"], "hub.example%2Fdevices%2Fd(1)%7E", component),
        ("C", &["sr", "sig", "se", ""], "hub.example%2fdevices%2fd", lower),
        ("documentation samples", &["sig", "se", "service", "sr"], "hub.example%2fdevices%2fd", component),
        ("Event Hubs", &["sr", "sig", "se", "service"], "sb%3A%2F%2Fhub.example%2Fhub%2F%24management", component),
        ("not encoded at all", &["se", "sr", "sig"], "hub.example/devices/d", keep),
    ] {
        let text = assemble(order, sr, "1795377253", encode_sig);
        let token = parse(&text).unwrap_or_else(|error| panic!("{producer}: {error}"));
        assert_eq!(token.encoded_resource(), sr, "{producer}");
        assert_eq!(token.verify(&key(), before(EXPIRY)), Ok(()), "{producer}");
        assert_eq!(token.policy().is_some(), order.contains(&"service"), "{producer}");
        assert_eq!(token.as_str(), text, "{producer}");
    }
}

#[test]
fn the_resource_is_verified_as_transmitted_not_as_decoded() {
    let text = assemble(&["sr", "sig", "se"], "hub.example%2fdevices%2fd", "1795377253", |sig| {
        PercentEncoding::Component.encode(sig)
    });
    for other in ["hub.example%2Fdevices%2Fd", "hub.example/devices/d"] {
        let token = parse(&text.replace("hub.example%2fdevices%2fd", other)).expect("well-formed");
        assert_eq!(token.resource(), "hub.example/devices/d");
        assert_eq!(token.verify(&key(), before(EXPIRY)), Err(SasError::BadSignature), "{other}");
    }
}

#[test]
fn the_expiry_is_verified_as_transmitted() {
    let text = assemble(&["sr", "sig", "se"], "hub", "0001795377253", |sig| PercentEncoding::Component.encode(sig));
    let token = parse(&text).expect("leading zeros are digits");
    assert_eq!(token.expiry(), EXPIRY);
    assert_eq!(token.verify(&key(), before(EXPIRY)), Ok(()));
    let later = parse(&text.replace("0001795377253", "1795377254")).expect("well-formed");
    assert_eq!(later.verify(&key(), before(EXPIRY)), Err(SasError::BadSignature));
}

#[test]
fn a_token_is_good_until_its_expiry_and_not_at_it() {
    let token = key().sign("hub", PercentEncoding::Verbatim, EXPIRY, None);
    assert_eq!(token.verify(&key(), before(EXPIRY)), Ok(()));
    assert_eq!(token.verify(&key(), EXPIRY), Err(SasError::Expired { expiry: EXPIRY, now: EXPIRY }));
}

#[test]
fn a_forged_token_is_a_bad_signature_even_when_expired() {
    let other = SasKey::from_raw_text("another key").expect("a text");
    let token = other.sign("hub", PercentEncoding::Verbatim, EXPIRY, None);
    assert_eq!(token.verify(&key(), before(EXPIRY)), Err(SasError::BadSignature));
    assert_eq!(token.verify(&key(), EXPIRY), Err(SasError::BadSignature));
}

#[test]
fn a_signature_cut_short_does_not_verify() {
    let token = parse(&format!("{PREFIX}sr=hub&sig=AAAA&se=1795377253")).expect("well-formed");
    assert_eq!(token.verify(&key(), before(EXPIRY)), Err(SasError::BadSignature));
}

#[test]
fn each_fault_of_a_token_has_its_name() {
    for (fields, expected) in [
        ("sig=SIG&se=1", SasError::MissingField { field: "sr" }),
        ("sr=&sig=SIG&se=1", SasError::MissingField { field: "sr" }),
        ("sr=h&se=1", SasError::MissingField { field: "sig" }),
        ("sr=h&sig=&se=1", SasError::MissingField { field: "sig" }),
        ("sr=h&sig=SIG", SasError::MissingField { field: "se" }),
        ("sr=h&sig=SIG&se=", SasError::MissingField { field: "se" }),
        ("sr=h&sr=h&sig=SIG&se=1", SasError::DuplicateField { field: "sr" }),
        ("sr=h&sig=SIG&sig=SIG&se=1", SasError::DuplicateField { field: "sig" }),
        ("sr=h&sig=SIG&se=1&se=1", SasError::DuplicateField { field: "se" }),
        ("sr=h&sig=SIG&se=1&skn=a&skn=", SasError::DuplicateField { field: "skn" }),
        ("sr=h%2&sig=SIG&se=1", SasError::InvalidPercentEncoding { field: "sr" }),
        ("sr=h&sig=%GG&se=1", SasError::InvalidPercentEncoding { field: "sig" }),
        ("sr=h&sig=SIG&se=1&skn=%FF", SasError::InvalidPercentEncoding { field: "skn" }),
        ("sr=h&sig=*&se=1", SasError::InvalidBase64 { field: "sig" }),
        ("sr=h&sig=AAA&se=1", SasError::InvalidBase64 { field: "sig" }),
        ("sr=h&sig=SIG&se=soon", SasError::InvalidExpiry),
        ("sr=h&sig=SIG&se=+1", SasError::InvalidExpiry),
        ("sr=h&sig=SIG&se=-1", SasError::InvalidExpiry),
        ("sr=h&sig=SIG&se=18446744073709551616", SasError::InvalidExpiry),
        ("sr=h&sig=SIG&se=1&", SasError::MalformedField),
        ("sr=h&sig=SIG&se=1&skn", SasError::MalformedField),
        ("", SasError::MalformedField),
        ("sr=h&sig=SIG&se=1 ", SasError::InvalidCharacter),
        ("sr=h\n&sig=SIG&se=1", SasError::InvalidCharacter),
        ("sr=hå&sig=SIG&se=1", SasError::InvalidCharacter),
    ] {
        let text = format!("{PREFIX}{}", fields.replace("SIG", SIG));
        assert_eq!(parse(&text).expect_err(fields), expected, "{fields}");
    }
    for text in ["", "Bearer abc", "SharedAccessSignature", "sharedaccesssignature sr=h", " SharedAccessSignature sr=h"]
    {
        assert_eq!(parse(text).expect_err(text), SasError::MissingPrefix, "{text}");
    }
    let long = format!("{PREFIX}sr={}", "a".repeat(MAX_TOKEN));
    assert_eq!(parse(&long).expect_err("too long"), SasError::TooLong { max: MAX_TOKEN });
}

#[test]
fn unknown_fields_are_passed_over() {
    let token = parse(&format!("{PREFIX}x=1&sr=h&sig={SIG}&se=1&y=")).expect("well-formed");
    assert_eq!(token.resource(), "h");
}

#[test]
fn neither_debug_nor_display_shows_the_signature() {
    let token = key().sign("hub.example/devices/d", PercentEncoding::Component, EXPIRY, Some("service"));
    let sig = token.as_str().split("sig=").nth(1).and_then(|rest| rest.split('&').next()).expect("a signature");
    for text in [format!("{token:?}"), format!("{token:#?}"), token.to_string()] {
        assert!(text.contains("service") && text.contains("1795377253"), "{text}");
        assert!(!text.contains(sig), "{text}");
        assert!(!text.contains(&sig[..8]), "{text}");
    }
    let text = token.as_str().to_string();
    assert_eq!(token.into_secret_text(), text);
}
