use crate::support::{builder, next_event, registry, service, soon, telemetry};
use iothub::{CloudMessage, DeviceClient, ErrorKind, MethodAnswer, ModuleClient, Telemetry, registry::DirectMethod};
use iothub_emulator::{
    Emulator,
    hub::{AuthenticationSpec, DeviceSpec},
};
use rcgen::{BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use serde_json::json;
use sha2::{Digest, Sha256};

fn parameters(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters
}

fn thumbprint(certificate: &Certificate) -> String {
    Sha256::digest(certificate.der()).iter().map(|octet| format!("{octet:02x}")).collect()
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
    let thumbprint = thumbprint(&certificate);
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

async fn connect_module(hub: &Emulator, device: &str, certificate: &str, key: &str) -> ModuleClient {
    let string = format!("HostName=localhost:{};DeviceId={device};ModuleId=m;x509=true", hub.local_addr().port());
    let builder = ModuleClient::builder().connection_string(&string).expect("a connection string");
    let builder = builder.client_certificate(certificate, key).ca_pem(hub.ca_pem()).expect("a certificate");
    soon("a connection", builder.connect()).await.expect("the handshake takes any certificate")
}

/// A device with a key, whose module has a certificate that is known by its thumbprint: everything works with it.
#[tokio::test]
async fn a_module_does_everything_with_a_certificate() {
    let key = KeyPair::generate().expect("a key");
    let certificate = parameters("any name").self_signed(&key).expect("a certificate");
    let mut device = format!("d1={}", crate::support::KEY).parse::<DeviceSpec>().expect("a device");
    let own = format!("x=x509:{}", thumbprint(&certificate)).parse::<DeviceSpec>().expect("a device").authentication;
    assert!(matches!(own, AuthenticationSpec::SelfSigned { .. }));
    device.modules.push(("m".parse().expect("an id"), own));
    let hub = builder(0).device_spec(device).start().await.expect("a hub");
    assert!(hub.module_connection_string("d1", "m").expect("a module").ends_with("x509=true"));
    let (service, registry) = (service(&hub).await, registry(&hub));
    let client = connect_module(&hub, "d1", &certificate.pem(), &key.serialize_pem()).await;
    soon("an outcome", client.send(Telemetry::new("21").output_name("out"))).await.expect("accepted");
    let event = next_event(&mut telemetry(&hub).await).await;
    assert_eq!((&event.body()[..], event.device_id(), event.module_id()), (&b"21"[..], Some("d1"), Some("m")));
    let method = event.auth_method().expect("a method");
    assert_eq!((&*method.scope, &*method.kind), ("module", "x509"));

    let twin = soon("the links", client.twin()).await.expect("attached");
    soon("an answer", twin.update_reported(json!({"a": 1}))).await.expect("reported");
    let read = soon("an answer", registry.twin(("d1", "m"))).await.expect("read");
    assert_eq!(read.reported.get(&["a"]), Some(&json!(1)));

    let mut messages = soon("a link", client.cloud_to_device()).await.expect("attached");
    soon("an outcome", service.send_to_module("d1", "m", CloudMessage::new("hello"))).await.expect("accepted");
    let message = soon("a message", messages.next()).await.expect("readable").expect("not the end");
    assert_eq!(&message.body()[..], b"hello");
    message.complete().expect("the link is there");

    let mut methods = soon("the links", client.methods()).await.expect("attached");
    let answering = tokio::spawn(async move {
        let call = methods.next().await.expect("readable").expect("not the end");
        call.answer(MethodAnswer::new(204)).await.expect("sent");
    });
    let answer = soon("an answer", registry.invoke_method(("d1", "m"), &DirectMethod::new("x"))).await;
    assert_eq!(answer.expect("answered").status, 204);
    answering.await.expect("no panic");
    client.close().await.expect("a clean close");

    let foreign = KeyPair::generate().expect("a key");
    let other = parameters("any name").self_signed(&foreign).expect("a certificate");
    let client = connect_module(&hub, "d1", &other.pem(), &foreign.serialize_pem()).await;
    let error = soon("an answer", client.send(Telemetry::new("x"))).await.expect_err("another certificate");
    assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
    // The module's certificate is not its device's.
    let client = connect(&hub, "d1", &certificate.pem(), &key.serialize_pem()).await;
    let error = soon("an answer", client.send(Telemetry::new("x"))).await.expect_err("the device has a key");
    assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
}

#[tokio::test]
async fn a_module_shows_a_certificate_of_an_authority_with_both_ids() {
    let mut authority = parameters("an authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().expect("a key");
    let ca = authority.self_signed(&authority_key).expect("a certificate").pem();
    let issuer = Issuer::new(authority, authority_key);
    let mut device = "d1=x509:ca".parse::<DeviceSpec>().expect("a device");
    device.modules.push(("m".parse().expect("an id"), AuthenticationSpec::CertificateAuthority));
    let hub = builder(0).device_spec(device).device_ca_pem(ca).start().await.expect("a hub");
    let key = KeyPair::generate().expect("a key");
    for (name, is_accepted) in [("d1/m", true), ("d1", false), ("d1/n", false), ("m", false)] {
        let certificate = parameters(name).signed_by(&key, &issuer).expect("a certificate").pem();
        let client = connect_module(&hub, "d1", &certificate, &key.serialize_pem()).await;
        let sent = soon("an answer", client.send(Telemetry::new("21"))).await;
        let expected = if is_accepted { Ok(()) } else { Err(ErrorKind::Unauthorized) };
        assert_eq!(sent.map_err(|error| error.kind()), expected, "{name}");
    }
}
