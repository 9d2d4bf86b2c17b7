//! Telemetry of one device, for a tool that counts instructions: `telemetry EVENTS TOGETHER`.
//!
//! ```sh
//! python3 benches/telemetry.py
//! python3 benches/telemetry.py --against COMMIT
//! ```
//!
//! The device and the emulator are in this process, on one thread, over TCP without TLS. `TOGETHER` events are in flight;
//! each is accepted. What counts happens within the function `measured`.

use std::collections::VecDeque;
use std::error::Error;
use std::time::SystemTime;

use amqp1::auth::UnixSeconds;
use amqp1::auth::cbs::PutToken;
use amqp1::auth::sas::{PercentEncoding, SasKey};
use amqp1::{
    Client, Message, Receipt, Sender, Session,
    message::{EncodeStyle, EncodedMessage, MessageId},
};
use iothub_emulator::Emulator;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const KEY: &str = "ZGV2aWNlIGtleQ==";
const RESOURCE: &str = "localhost/devices/dev1";
/// What is sent before anything counts: queues grow to their size.
const WARM_UP: usize = 500;

#[inline(never)]
fn measured(work: &mut dyn FnMut() -> Outcome<()>) -> Outcome<()> {
    work()
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<usize>());
    let events = arguments.next().transpose()?.unwrap_or(2000);
    let together = arguments.next().transpose()?.unwrap_or(50);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let hub =
        Emulator::builder().device("dev1", KEY).listen("127.0.0.1:0".parse()?).amqp_listen("127.0.0.1:0".parse()?);
    let hub = runtime.block_on(hub.start())?;
    let address = hub.amqp_addr().ok_or("plain AMQP is not served")?;
    let (connection, telemetry) = runtime.block_on(async {
        let client = Client::builder(format!("amqp://localhost:{}", address.port()));
        let connection = client.dial(address.ip().to_string(), address.port()).connect().await?;
        let session = connection.begin().await?;
        authorize(&session).await?;
        let telemetry = session.sender("/devices/dev1/messages/events").attach().await?;
        Ok::<_, Box<dyn Error + Send + Sync>>((connection, telemetry))
    })?;
    let message = Message::builder().application_property("kind", "reading").data(r#"{"temperature":21.5}"#).build();
    runtime.block_on(send(&telemetry, &message, WARM_UP, together))?;
    measured(&mut || runtime.block_on(send(&telemetry, &message, events, together)))?;
    println!("{events} events, {together} together");
    runtime.block_on(async {
        connection.close().await?;
        hub.shutdown().await;
        Ok(())
    })
}

async fn authorize(session: &Session) -> Outcome<()> {
    let requests = session.sender("$cbs").attach().await?;
    let mut answers = session.receiver("$cbs").attach().await?;
    let soon = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs() + 3600;
    let token = SasKey::from_base64(KEY)?.sign(RESOURCE, PercentEncoding::Component, UnixSeconds::new(soon), None);
    let put = PutToken::sas(RESOURCE, token.into_secret_text());
    requests.send(put.encode(&MessageId::Ulong(1), EncodeStyle::Compact)).await?.into_result()?;
    answers.recv().await?.ok_or("no answer to the token")?.accept()?;
    Ok(())
}

async fn send(telemetry: &Sender, message: &EncodedMessage, events: usize, together: usize) -> Outcome<()> {
    let mut in_flight: VecDeque<Receipt> = VecDeque::with_capacity(together);
    for _ in 0..events {
        if in_flight.len() == together
            && let Some(receipt) = in_flight.pop_front()
        {
            receipt.await?.into_result()?;
        }
        in_flight.push_back(telemetry.reserve().await?.send(message.clone())?);
    }
    for receipt in in_flight {
        receipt.await?.into_result()?;
    }
    Ok(())
}
