//! What the tests of this crate share. Each uses a part of it.
#![allow(dead_code, unreachable_pub)]

pub mod https;
pub mod replay;

use amqp1::auth::UnixSeconds;
use amqp1::auth::cbs::{PutToken, Reply};
use amqp1::auth::sas::{PercentEncoding, SasKey};
use amqp1::auth::sasl::{ClientMechanism, Mssbcbs, Plain};
use amqp1::{
    Client, Connection, Credit, Delivery, Error, Message, MessageBuilder, Outcome, Receiver, Sender, Session,
    message::{EncodeStyle, MessageId, Properties},
    tls::TlsClient,
};
use iothub_emulator::hub::{Settings, UnixMillis};
use iothub_emulator::{Emulator, ManualClock};

pub const SERVICE_KEY: &str = "c2VydmljZSBrZXk=";
pub const DEVICE_KEY: &str = "ZGV2aWNlIGtleQ==";
/// Devices `a` and `b` have keys of their own.
pub const OTHER_KEY: &str = "YW5vdGhlciBkZXZpY2Uga2V5";

pub const OWNER_KEY: &str = "b3duZXIga2V5";
pub const READER_KEY: &str = "cmVhZGVyIGtleQ==";
pub const WRITER_KEY: &str = "d3JpdGVyIGtleQ==";
/// Module `m` of device `a` has a key of its own.
pub const MODULE_KEY: &str = "bW9kdWxlIGtleQ==";

/// What every test's clock shows at first: seconds since 1970.
pub const NOW: u64 = 1_800_000_000;

pub const HOUR: u64 = 3600;

/// A hub called `localhost` with devices `a` and `b` and module `m` of `a`, at [`NOW`].
pub async fn hub() -> (Emulator, ManualClock) {
    hub_with(|_| {}).await
}

pub async fn hub_with(settings: impl FnOnce(&mut Settings)) -> (Emulator, ManualClock) {
    let clock = ManualClock::new(UnixMillis(NOW * 1000));
    let hub = Emulator::builder()
        .device("a", DEVICE_KEY)
        .device("b", OTHER_KEY)
        .module("a", "m", MODULE_KEY)
        .policy("service", SERVICE_KEY)
        .policy("device", OTHER_KEY)
        .policy("iothubowner", OWNER_KEY)
        .policy("registryRead", READER_KEY)
        .policy("registryReadWrite", WRITER_KEY)
        .clock(clock.clone())
        .settings(settings)
        .start();
    (hub.await.unwrap(), clock)
}

/// A token for `resource`, good for so many seconds from [`NOW`].
pub fn token(key: &str, resource: &str, seconds: u64, policy: Option<&str>) -> String {
    let key = SasKey::from_base64(key).unwrap();
    key.sign(resource, PercentEncoding::Component, UnixSeconds::new(NOW + seconds), policy).into_secret_text()
}

pub fn service_token() -> String {
    token(SERVICE_KEY, "localhost", HOUR, Some("service"))
}

/// With every right.
pub fn owner_token() -> String {
    token(OWNER_KEY, "localhost", HOUR, Some("iothubowner"))
}

pub fn device_token(id: &str) -> String {
    let key = if id == "a" { DEVICE_KEY } else { OTHER_KEY };
    token(key, &format!("localhost/devices/{id}"), HOUR, None)
}

/// Connects over TLS, verified, with this mechanism.
pub async fn connect(hub: &Emulator, mechanism: impl ClientMechanism + 'static) -> Result<Connection, Error> {
    let address = hub.local_addr();
    Client::builder(format!("amqps://localhost:{}", address.port()))
        .dial(address.ip().to_string(), address.port())
        .tls(TlsClient::with_ca_pem(hub.ca_pem().as_bytes()).unwrap())
        .sasl(mechanism)
        .connect()
        .await
}

pub async fn plain(hub: &Emulator, user: &str, password: String) -> Result<Connection, Error> {
    connect(hub, Plain::new(user, password).unwrap()).await
}

/// The service, by SASL PLAIN.
pub async fn service(hub: &Emulator) -> Session {
    plain(hub, "service@sas.root.localhost", service_token()).await.unwrap().begin().await.unwrap()
}

/// A device, by SASL PLAIN.
pub async fn device(hub: &Emulator, id: &str) -> Session {
    plain(hub, &format!("{id}@sas.localhost"), device_token(id)).await.unwrap().begin().await.unwrap()
}

/// A session on which tokens can be put.
pub struct Cbs {
    pub session: Session,
    requests: Sender,
    answers: Receiver,
    last: u64,
}

impl Cbs {
    pub async fn open(hub: &Emulator) -> Self {
        Self::on(&connect(hub, Mssbcbs::default()).await.unwrap()).await
    }

    pub async fn on(connection: &Connection) -> Self {
        let session = connection.begin().await.unwrap();
        let requests = session.sender("$cbs").attach().await.unwrap();
        let answers = session.receiver("$cbs").attach().await.unwrap();
        Self { session, requests, answers, last: 0 }
    }

    pub async fn put(&mut self, token: String) -> Reply {
        self.last += 1;
        let id = MessageId::Ulong(self.last);
        let request = PutToken::sas("what it is for", token).encode(&id, EncodeStyle::Compact);
        self.requests.send(request).await.unwrap().into_result().unwrap();
        let delivery = self.answers.recv().await.unwrap().unwrap();
        let reply = Reply::parse(delivery.message()).unwrap();
        assert!(reply.answers(&id), "{reply:?}");
        delivery.accept().unwrap();
        reply
    }
}

pub fn devicebound(id: &str) -> String {
    format!("/devices/{id}/messages/devicebound")
}

pub fn events(id: &str) -> String {
    format!("/devices/{id}/messages/events")
}

/// A message to a device that asks for full feedback.
pub fn c2d(device: &str, id: &str) -> MessageBuilder {
    let to = Some(devicebound(device).into());
    let properties = Properties { to, message_id: Some(id.into()), ..Properties::default() };
    Message::builder().properties(properties).application_property("iothub-ack", "full").data(id.to_owned())
}

pub async fn next(receiver: &mut Receiver) -> Delivery {
    let next = tokio::time::timeout(core::time::Duration::from_secs(20), receiver.recv()).await;
    next.expect("a delivery in time").unwrap().expect("a link that lives")
}

/// Whether the hub has nothing for this receiver: asked with a drain, which brings what the hub has.
pub async fn has_nothing(receiver: &mut Receiver) -> bool {
    receiver.drain().await.unwrap();
    let nothing = receiver.try_recv().is_err();
    receiver.set_credit(Credit::Window(10)).unwrap();
    nothing
}

pub fn body(delivery: &Delivery) -> String {
    String::from_utf8(delivery.message().data().unwrap().to_vec()).unwrap()
}

pub fn rejection(outcome: Outcome) -> String {
    match outcome {
        Outcome::Rejected(Some(error)) => error.condition.as_str().into(),
        other => panic!("not rejected: {other:?}"),
    }
}

/// The condition of the error that an attach has failed with.
pub fn refusal<T: core::fmt::Debug>(result: Result<T, Error>) -> String {
    let error = result.unwrap_err();
    error.condition().unwrap_or_else(|| panic!("no condition: {error}")).as_str().into()
}
