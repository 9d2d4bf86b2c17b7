//! Tokens that the official SDKs made, with the keys they made them with.

use amqp1_auth::UnixSeconds;
use amqp1_auth::sas::{PercentEncoding, SasError, SasToken, SharedAccessKey};

const VECTORS: &str = include_str!("data/sas_tokens.tsv");
const SERVICE_KEY: &str = "bG9jYWwtc2VydmljZS1wb2xpY3kta2V5LTAxMjM0NTY=";
const DEVICE_KEY: &str = "bG9jYWwtZGV2aWNlLXByaW1hcnkta2V5LTAxMjM0NTY=";

struct Vector {
    key: SharedAccessKey,
    is_raw: bool,
    sender: &'static str,
    token: SasToken,
}

fn vectors() -> Vec<Vector> {
    let vectors: Vec<Vector> = VECTORS
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let mut columns = line.split('\t');
            let mut column = || columns.next().expect("four columns");
            let (whose, form, sender, text) = (column(), column(), column(), column());
            let key = match whose {
                "service" => SERVICE_KEY,
                "device" => DEVICE_KEY,
                other => panic!("{other}: no such key"),
            };
            Vector {
                key: SharedAccessKey::new(key).expect("a text"),
                is_raw: form == "text",
                sender,
                token: SasToken::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")),
            }
        })
        .collect();
    assert!(vectors.len() >= 18, "the table was cut short");
    vectors
}

fn in_time(token: &SasToken) -> UnixSeconds {
    UnixSeconds::new(token.expiry().as_u64() - 1)
}

#[test]
fn every_captured_token_verifies_with_its_key_used_its_way_and_not_the_other() {
    for Vector { key, is_raw, sender, token } in vectors() {
        let (right, wrong) = match (key.decoded().expect("base64"), key.raw()) {
            (decoded, raw) if is_raw => (raw, decoded),
            (decoded, raw) => (decoded, raw),
        };
        let now = in_time(&token);
        assert_eq!(token.verify(&right, now), Ok(()), "{sender}");
        assert_eq!(token.verify(&wrong, now), Err(SasError::BadSignature), "{sender}");
        assert_eq!(key.verify(&token, now), Ok(()), "{sender}: as a hub verifies it");
        let expiry = token.expiry();
        assert_eq!(key.verify(&token, expiry), Err(SasError::Expired { expiry, now: expiry }), "{sender}");
    }
}

#[test]
fn every_captured_token_can_be_made_again() {
    for Vector { key, is_raw, sender, token } in vectors() {
        let key = if is_raw { key.raw() } else { key.decoded().expect("base64") };
        let made = key.sign(token.resource(), PercentEncoding::QuotePlus, token.expiry(), token.policy());
        let fields = |text: &str| {
            let mut fields: Vec<_> = text.split('&').map(|field| field.replace("%3d", "%3D")).collect();
            fields[0] = fields[0].replace("SharedAccessSignature ", "");
            fields.sort();
            fields
        };
        assert_eq!(fields(made.as_str()), fields(token.as_str()), "{sender}");
    }
}

#[test]
fn captured_tokens_name_what_they_are_for() {
    let vectors = vectors();
    let resource =
        |sender: &str| vectors.iter().rfind(|vector| vector.sender == sender).map(|vector| vector.token.resource());
    assert_eq!(resource("device, Node"), Some("localhost/devices/device1"));
    assert_eq!(resource("service, Node"), Some("localhost"));
    assert_eq!(
        resource("PLAIN and redirect, uamqp"),
        Some("amqps://localhost:5671/myhub/ConsumerGroups/$Default/Partitions/0")
    );
    let device = vectors.iter().find(|vector| vector.sender == "device, Node").expect("a device's token");
    assert_eq!(device.token.policy(), None);
    assert!(
        vectors.iter().filter(|vector| vector.sender != "device, Node").all(|v| v.token.policy() == Some("service"))
    );
}
