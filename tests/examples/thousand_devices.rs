//! Measures how long a thousand devices take to be on one connection, each with all of its links: telemetry, messages, the
//! two of methods and the two of the twin. Client and emulator are in one process, over TLS on loopback.
//!
//! ```text
//! cargo run --release -p amqp1-tests --example thousand_devices [-- DEVICES]
//! ```

use iothub::{DeviceClient, MultiplexedConnection, Telemetry};
use iothub_emulator::Emulator;
use std::{error::Error, sync::Arc, time::Instant};
use tokio::task::JoinSet;

const KEY: &str = "c2VjcmV0LWtleS1vZi10aGUtdGhlcm1vc3RhdA==";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let count: usize = std::env::args().nth(1).map_or(Ok(1000), |count| count.parse())?;
    let mut hub = Emulator::builder();
    for number in 0..count {
        hub = hub.device(&format!("d{number}"), KEY);
    }
    let hub = hub.start().await?;
    let string = |number: usize| hub.device_connection_string(&format!("d{number}")).unwrap_or_default();

    let start = Instant::now();
    let builder = MultiplexedConnection::builder().host_of(&string(0))?.ca_pem(hub.ca_pem())?;
    let connection = Arc::new(builder.connect().await?);
    let mut adding = JoinSet::new();
    for number in 0..count {
        let (device, connection) = (DeviceClient::builder().connection_string(&string(number))?, connection.clone());
        adding.spawn(async move {
            let device = connection.add_device(device).await?;
            let links =
                tokio::try_join!(device.prepare_to_send(), device.cloud_to_device(), device.methods(), device.twin(),)?;
            Ok::<_, iothub::Error>((device, links))
        });
    }
    let devices = adding.join_all().await.into_iter().collect::<Result<Vec<_>, _>>()?;
    println!("{} devices with 6 links each: {:.2} s", devices.len(), start.elapsed().as_secs_f64());

    let start = Instant::now();
    let mut receipts = Vec::new();
    for (device, _) in &devices {
        receipts.push(device.begin_send(Telemetry::new("on")).await?);
    }
    for receipt in receipts {
        receipt.await?;
    }
    println!("one telemetry message of each: {:.2} s", start.elapsed().as_secs_f64());
    connection.close().await?;
    hub.shutdown().await;
    Ok(())
}
