use crate::support::{builder, next_event, soon, telemetry};
use iothub::{DeviceClient, ErrorKind, Telemetry};
use iothub_emulator::{Emulator, hub::DeviceSpec};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use serde_json::json;
use sha2::{Digest, Sha256};

fn parameters(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters
}

fn with_device(spec: &str) -> iothub_emulator::EmulatorBuilder {
    builder(0).device_spec(spec.parse::<DeviceSpec>().expect("a device"))
}

async fn connect(hub: &Emulator, device: &str, certificate: &str, key: &str) -> DeviceClient {
    let string = format!("HostName=localhost:{};DeviceId={device};x509=true", hub.local_addr().port());
    let builder = DeviceClient::builder().connection_string(&string).expect("a connection string");
    let builder = builder.client_certificate(certificate, key).ca_pem(hub.ca_pem()).expect("a certificate");
    soon("a connection", builder.connect()).await.expect("the handshake takes any certificate")
}

#[tokio::test]
async fn a_device_shows_a_certificate_that_is_known_by_its_thumbprint() {
    let key = KeyPair::generate().expect("a key");
    let certificate = parameters("any name").self_signed(&key).expect("a certificate");
    let thumbprint: String = Sha256::digest(certificate.der()).iter().map(|octet| format!("{octet:02x}")).collect();
    let hub = with_device(&format!("by-thumbprint=x509:{thumbprint}")).start().await.expect("a hub");
    let client = connect(&hub, "by-thumbprint", &certificate.pem(), &key.serialize_pem()).await;
    soon("an outcome", client.send(Telemetry::new("21"))).await.expect("accepted");
    let event = next_event(&mut telemetry(&hub).await).await;
    assert_eq!((&event.body()[..], event.device_id()), (&b"21"[..], Some("by-thumbprint")));
    let twin = soon("the links", client.twin()).await.expect("attached");
    soon("an answer", twin.update_reported(json!({"a": 1}))).await.expect("reported");
    let _methods = soon("the links", client.methods()).await.expect("attached");

    let foreign = KeyPair::generate().expect("a key");
    let other = parameters("any name").self_signed(&foreign).expect("a certificate");
    let client = connect(&hub, "by-thumbprint", &other.pem(), &foreign.serialize_pem()).await;
    let error = soon("an answer", client.send(Telemetry::new("x"))).await.expect_err("another certificate");
    assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
}

#[tokio::test]
async fn a_device_shows_a_certificate_of_an_authority_with_its_id() {
    let mut authority = parameters("an authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().expect("a key");
    let ca = authority.self_signed(&authority_key).expect("a certificate").pem();
    let issuer = Issuer::new(authority, authority_key);
    let hub = with_device("d#1=x509:ca").device_ca_pem(ca).start().await.expect("a hub");
    let key = KeyPair::generate().expect("a key");
    for (name, is_accepted) in [("d#1", true), ("d#2", false)] {
        let certificate = parameters(name).signed_by(&key, &issuer).expect("a certificate").pem();
        let client = connect(&hub, "d#1", &certificate, &key.serialize_pem()).await;
        let sent = soon("an answer", client.send(Telemetry::new("21"))).await;
        assert_eq!(sent.map_err(|error| error.kind()), if is_accepted { Ok(()) } else { Err(ErrorKind::Unauthorized) });
    }
}
