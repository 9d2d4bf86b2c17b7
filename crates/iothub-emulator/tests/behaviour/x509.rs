//! Devices that authenticate by certificates.

use std::sync::Arc;

use crate::support::*;
use amqp1::{Client, Connection, Error, ErrorKind, Session, tls::TlsClient};
use iothub_emulator::hub::{DeviceSpec, EventPosition, IdentityId, IdentitySpec, ModuleId, UnixMillis};
use iothub_emulator::{Emulator, EmulatorBuilder, ManualClock};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use sha1::{Digest, Sha1};
use sha2::Sha256;
use tokio_rustls::rustls::client::ResolvesClientCert;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SignatureScheme, SupportedProtocolVersion};

/// As `openssl x509 -req` makes it without extensions.
const VERSION_1: &str = "-----BEGIN CERTIFICATE-----
MIIBGDCBvwIUGAGc0mTWqGSBBzWRo3FBRdJH9GMwCgYIKoZIzj0EAwIwDjEMMAoG
A1UEAwwDb2xkMCAXDTI2MTEyOTA1MjY0NVoYDzIxMjYxMTA1MDUyNjQ1WjAOMQww
CgYDVQQDDANvbGQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQnJXfLxy4nJxrw
lCq6m1NUoHzkUxCOzqtWrSILW5nxkVVjKyMqG7ucC36iZ7wNlPOnGTwVMhvNZ1ED
USGgzr63MAoGCCqGSM49BAMCA0gAMEUCIH2kZ8yUyRHzmN1mPyKvAwpZFz+sk2Jb
rHdLB5RbtQzkAiEAvrSpiVFplweAqtKc9HEqH8JvW4YWHSOB3wPOsFSolGA=
-----END CERTIFICATE-----
";
const VERSION_1_KEY: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgDSmpnWnczl7DJGn9
A5uhnQWyKYFfqhmcaud3I3jOglOhRANCAAQnJXfLxy4nJxrwlCq6m1NUoHzkUxCO
zqtWrSILW5nxkVVjKyMqG7ucC36iZ7wNlPOnGTwVMhvNZ1EDUSGgzr63
-----END PRIVATE KEY-----
";

/// A certificate with its key, both as PEM.
struct Identity {
    certificate: String,
    key: String,
}

impl Identity {
    /// A self-signed certificate that is valid for the seconds around [`NOW`].
    fn self_signed(name: &str, from: i64, until: i64) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = parameters(name, from, until).self_signed(&key).unwrap();
        Self { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()
    }

    fn sha1(&self) -> String {
        Sha1::digest(self.der()).iter().map(|octet| format!("{octet:02x}")).collect()
    }

    fn sha256(&self) -> String {
        Sha256::digest(self.der()).iter().map(|octet| format!("{octet:02X}")).collect()
    }
}

fn parameters(name: &str, from: i64, until: i64) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    let at = |seconds: i64| {
        let since = core::time::Duration::from_secs(NOW.checked_add_signed(seconds).unwrap());
        rcgen::date_time_ymd(1970, 1, 1) + since
    };
    (parameters.not_before, parameters.not_after) = (at(from), at(until));
    parameters
}

/// An authority for devices.
struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut parameters = parameters("an authority", -100, 100_000);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap().pem();
        Self { certificate, issuer: Issuer::new(parameters, key) }
    }

    fn issue(&self, name: &str, from: i64, until: i64) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = parameters(name, from, until).signed_by(&key, &self.issuer).unwrap();
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

fn builder() -> (EmulatorBuilder, ManualClock) {
    let clock = ManualClock::new(UnixMillis(NOW * 1000));
    let builder = Emulator::builder().device("b", OTHER_KEY).policy("device", OTHER_KEY).clock(clock.clone());
    (builder, clock)
}

fn with_device(builder: EmulatorBuilder, text: &str) -> EmulatorBuilder {
    builder.device_spec(text.parse::<DeviceSpec>().unwrap())
}

/// Connects with a certificate and without SASL, as the SDKs do.
async fn connect_as(hub: &Emulator, identity: &Identity) -> Connection {
    let tls = TlsClient::with_ca_pem(hub.ca_pem().as_bytes()).unwrap();
    let tls = tls.client_certificate(identity.certificate.as_bytes(), identity.key.as_bytes()).unwrap();
    connect_over(hub, tls).await.unwrap()
}

async fn connect_over(hub: &Emulator, tls: TlsClient) -> Result<Connection, Error> {
    let address = hub.local_addr();
    Client::builder(format!("amqps://localhost:{}", address.port()))
        .dial(address.ip().to_string(), address.port())
        .tls(tls)
        .connect()
        .await
}

async fn session_as(hub: &Emulator, identity: &Identity) -> Session {
    connect_as(hub, identity).await.begin().await.unwrap()
}

/// Why a link is refused: the description of the error.
async fn reason(session: &Session, address: &str) -> String {
    let error = session.sender(address).attach().await.unwrap_err();
    assert_eq!(error.condition().unwrap().as_str(), "amqp:unauthorized-access", "{error}");
    error.to_string()
}

#[tokio::test]
async fn a_self_signed_certificate_is_matched_by_either_hash_of_either_thumbprint() {
    let identity = Identity::self_signed("whatever", -10, 1000);
    let other = "0".repeat(40);
    let (sha1, sha256) = (identity.sha1(), identity.sha256());
    let (mut builder, _clock) = builder();
    for device in [
        format!("first=x509:{sha1}"),
        format!("second=x509:{sha256}"),
        format!("third=x509:{other},{sha1}"),
        format!("fourth=x509:{other},{sha256}"),
    ] {
        builder = with_device(builder, &device);
    }
    let hub = builder.start().await.unwrap();
    for device in ["first", "second", "third", "fourth"] {
        let session = session_as(&hub, &identity).await;
        let sender = session.sender(events(device)).attach().await.unwrap();
        sender.send("21").await.unwrap().into_result().unwrap();
        session.receiver(devicebound(device)).attach().await.unwrap();
        let method = hub.with_hub(|hub, _| {
            let id = device.parse().unwrap();
            let mut cursor = hub.cursor(hub.partition_of(&id), EventPosition::Start).unwrap();
            let events = hub.read(&mut cursor, 100);
            events.iter().find(|event| event.origin.device == id).unwrap().origin.auth_method.clone()
        });
        assert_eq!(&*method, r#"{"scope":"device","type":"x509","issuer":"external","acceptingIpFilterRule":null}"#);
        let expected = format!("HostName=localhost:{};DeviceId={device};x509=true", hub.local_addr().port());
        assert_eq!(hub.device_connection_string(device), Some(expected));
    }
}

#[tokio::test]
async fn certificates_that_do_not_fit_are_refused_with_the_reason() {
    let own = Identity::self_signed("a", -10, 1000);
    let foreign = Identity::self_signed("a", -10, 1000);
    let old = Identity::self_signed("a", -1000, -10);
    let early = Identity::self_signed("a", 10, 1000);
    let (mut builder, _clock) = builder();
    for (device, identity) in [("a", &own), ("old", &old), ("early", &early)] {
        builder = with_device(builder, &format!("{device}=x509:{}", identity.sha1()));
    }
    let hub = builder.start().await.unwrap();
    let sha1 = own.sha1().to_uppercase();
    for (identity, device, parts) in [
        (&foreign, "a", vec!["does not match", own.sha1().leak(), foreign.sha256().leak()]),
        (&old, "old", vec!["has expired", "2027-01-15T07:59:50"]),
        (&early, "early", vec!["is not valid yet", "2027-01-15T08:00:10"]),
        (&own, "b", vec!["b authenticates by sas"]),
        (&own, "nobody", vec!["nobody is not registered"]),
    ] {
        let text = reason(&session_as(&hub, identity).await, &events(device)).await;
        for part in parts {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
    let service = reason(&session_as(&hub, &own).await, "/messages/devicebound").await;
    assert!(service.contains("its own device or module only"), "{service}");
    assert_eq!(sha1.len(), 40);
}

#[tokio::test]
async fn a_connection_with_a_certificate_serves_one_identity() {
    let identity = Identity::self_signed("both", -10, 1000);
    let (builder, _clock) = builder();
    let builder = with_device(builder, &format!("one=x509:{}", identity.sha1()));
    let hub = with_device(builder, &format!("two=x509:{}", identity.sha1())).start().await.unwrap();
    let session = session_as(&hub, &identity).await;
    let _first = session.sender(events("one")).attach().await.unwrap();
    let text = reason(&session, &events("two")).await;
    assert!(text.contains("serves one by its client certificate") && text.contains("two needs"), "{text}");
    session.sender(events("one")).attach().await.unwrap();
    session_as(&hub, &identity).await.sender(events("two")).attach().await.unwrap();
}

#[tokio::test]
async fn an_authority_issues_certificates_for_devices_and_modules_by_their_ids() {
    let (authority, unknown) = (Authority::new(), Authority::new());
    let (builder, _clock) = builder();
    let builder = with_device(builder, "dev1=x509:ca").device_ca_pem(&authority.certificate);
    let hub = with_device(builder, "dev2=x509:ca").start().await.unwrap();
    let module = IdentityId::of_module("dev1".parse().unwrap(), ModuleId::new("m").unwrap());
    hub.with_hub(|hub, now| {
        let authentication = Some(iothub_emulator::hub::AuthenticationSpec::CertificateAuthority);
        hub.create_identity(now, IdentitySpec { authentication, ..IdentitySpec::new(module) }).map(drop)
    })
    .unwrap();

    let dev1 = authority.issue("dev1", -10, 1000);
    session_as(&hub, &dev1).await.sender(events("dev1")).attach().await.unwrap();
    let of_module = authority.issue("dev1/m", -10, 1000);
    let address = "/devices/dev1/modules/m/messages/events";
    session_as(&hub, &of_module).await.sender(address).attach().await.unwrap();

    for (identity, address, part) in [
        (&dev1, events("dev2"), "is for dev1, not for dev2"),
        (&dev1, address.to_owned(), "is for dev1, not for dev1/m"),
        (&authority.issue("DEV1", -10, 1000), events("dev1"), "is for DEV1, not for dev1"),
        (&authority.issue("dev1", -1000, -10), events("dev1"), "has expired"),
        (&authority.issue("dev1", 10, 1000), events("dev1"), "is not valid yet"),
        (&unknown.issue("dev1", -10, 1000), events("dev1"), "none of the hub's authorities has issued it"),
        (&Identity::self_signed("dev1", -10, 1000), events("dev1"), "none of the hub's authorities has issued it"),
    ] {
        let text = reason(&session_as(&hub, identity).await, &address).await;
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[tokio::test]
async fn a_registered_certificate_takes_no_tokens_and_any_other_does_no_harm() {
    let identity = Identity::self_signed("a", -10, 1000);
    let (builder, _clock) = builder();
    let hub = with_device(builder, &format!("a=x509:{}", identity.sha256())).start().await.unwrap();
    let mut cbs = Cbs::on(&connect_as(&hub, &identity).await).await;
    let reply = cbs.put(device_token("b")).await;
    assert_eq!(reply.status_code, 401);
    let text = reply.status_description.unwrap();
    assert!(text.contains("authenticated by its client certificate"), "{text}");
    cbs.session.sender(events("a")).attach().await.unwrap();

    let unrelated = Identity::self_signed("unrelated", -10, 1000);
    let mut cbs = Cbs::on(&connect_as(&hub, &unrelated).await).await;
    cbs.put(device_token("b")).await.outcome().unwrap();
    cbs.session.sender(events("b")).attach().await.unwrap();
    assert_eq!(refusal(cbs.session.sender(events("a")).attach().await), "amqp:unauthorized-access");
}

#[tokio::test]
async fn links_end_when_the_certificate_expires_or_is_not_registered_any_more() {
    let identity = Identity::self_signed("a", -10, 1000);
    let (builder, clock) = builder();
    let hub = with_device(builder, &format!("a=x509:{}", identity.sha1())).start().await.unwrap();
    let session = session_as(&hub, &identity).await;
    let sender = session.sender(events("a")).attach().await.unwrap();
    clock.advance(core::time::Duration::from_secs(1000));
    sender.send("the last second").await.unwrap().into_result().unwrap();
    clock.advance(core::time::Duration::from_secs(1));
    let detached = sender.detached().await;
    assert!(format!("{detached:?}").contains("has expired"), "{detached:?}");
}

/// Shows a certificate with any key.
#[derive(Debug)]
struct Shown(Arc<CertifiedKey>);

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn showing(hub: &Emulator, certificate: &str, key: &str, version: &'static SupportedProtocolVersion) -> TlsClient {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(hub.ca_pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let key = provider.key_provider.load_private_key(PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap();
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let shown = Shown(Arc::new(CertifiedKey::new(vec![certificate], key)));
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
    let config = builder.with_root_certificates(roots).with_client_cert_resolver(Arc::new(shown));
    TlsClient::from_config(Arc::new(config))
}

#[tokio::test]
async fn a_certificate_without_its_key_is_refused_in_the_handshake() {
    let (identity, thief) = (Identity::self_signed("a", -10, 1000), Identity::self_signed("a", -10, 1000));
    let (builder, _clock) = builder();
    let hub = with_device(builder, &format!("a=x509:{}", identity.sha1())).start().await.unwrap();
    for version in [&TLS12, &TLS13] {
        for certificate in [&identity.certificate, VERSION_1] {
            let stolen = showing(&hub, certificate, &thief.key, version);
            let error = connect_over(&hub, stolen).await.unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Tls | ErrorKind::TransportLost), "{version:?}: {error}");
        }
        let own = showing(&hub, &identity.certificate, &identity.key, version);
        let session = connect_over(&hub, own).await.unwrap().begin().await.unwrap();
        session.sender(events("a")).attach().await.unwrap();
    }
}

#[tokio::test]
async fn a_certificate_of_x509_version_1_is_matched_by_its_thumbprint() {
    let identity = Identity { certificate: VERSION_1.into(), key: VERSION_1_KEY.into() };
    let (builder, _clock) = builder();
    let builder = with_device(builder, &format!("old=x509:{}", identity.sha1()));
    let hub = with_device(builder, "of-authority=x509:ca").device_ca_pem(Authority::new().certificate).start().await;
    let hub = hub.unwrap();
    for version in [&TLS12, &TLS13] {
        let tls = showing(&hub, VERSION_1, VERSION_1_KEY, version);
        let session = connect_over(&hub, tls.clone()).await.unwrap().begin().await.unwrap();
        session.sender(events("old")).attach().await.unwrap();
        let session = connect_over(&hub, tls).await.unwrap().begin().await.unwrap();
        let text = reason(&session, &events("of-authority")).await;
        assert!(text.contains("X.509 version 1"), "{text}");
    }
}

#[tokio::test]
async fn an_authority_that_cannot_be_read_stops_the_start() {
    for builder in [Emulator::builder().device_ca_pem("rubbish"), Emulator::builder().device_ca_file("/none/ca.pem")] {
        let error = builder.start().await.unwrap_err();
        assert!(matches!(error, iothub_emulator::StartError::DeviceCa(_)), "{error}");
    }
}
