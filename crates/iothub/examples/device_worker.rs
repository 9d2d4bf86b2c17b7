//! A device that sends telemetry, settles messages, answers direct methods, and does what its twin says.
//!
//! ```text
//! IOTHUB_DEVICE_CONNECTION_STRING='HostName=…;DeviceId=…;SharedAccessKey=…' cargo run -p iothub --example device_worker
//! ```
//!
//! For a hub on your own machine, name its certificate authority as well: `IOTHUB_CA=…/ca.pem`.

use iothub::{DeviceClient, MethodAnswer, MethodHandlers, Telemetry};
use serde_json::json;
use std::{error::Error, sync::Arc, time::Duration};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let string = std::env::var("IOTHUB_DEVICE_CONNECTION_STRING")
        .map_err(|_| "set IOTHUB_DEVICE_CONNECTION_STRING to the connection string of a device")?;
    let mut builder = DeviceClient::builder().connection_string(&string)?;
    if let Ok(path) = std::env::var("IOTHUB_CA") {
        builder = builder.ca_file(path)?;
    }
    let device = Arc::new(builder.connect().await?);
    println!("{} is connected; Ctrl-C ends it.", device.device_id());

    // Each part runs until the connection ends; the first one that does says why.
    tokio::select! {
        ended = send_telemetry(&device) => ended?,
        ended = receive_messages(&device) => ended?,
        ended = answer_methods(&device) => ended?,
        ended = follow_twin(&device) => ended?,
        _ = tokio::signal::ctrl_c() => {}
    }
    // What was settled last is written by this.
    device.close().await?;
    Ok(())
}

async fn send_telemetry(device: &DeviceClient) -> Result<(), iothub::Error> {
    for reading in 1u64.. {
        let body = json!({"reading": reading}).to_string();
        device.send(Telemetry::new(body).content_type("application/json").content_encoding("utf-8")).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

async fn receive_messages(device: &DeviceClient) -> Result<(), iothub::Error> {
    let mut messages = device.cloud_to_device().await?;
    while let Some(message) = messages.next().await? {
        println!("message: {}", String::from_utf8_lossy(message.body()));
        message.complete()?;
    }
    Ok(())
}

async fn answer_methods(device: &DeviceClient) -> Result<(), iothub::Error> {
    let handlers = MethodHandlers::new().timeout(Duration::from_secs(10)).on("reboot", |request| async move {
        match request.json::<serde_json::Value>() {
            Ok(payload) => {
                println!("reboot: {payload}");
                MethodAnswer::new(200).payload(json!({"rebooting": true}))
            }
            Err(error) => MethodAnswer::new(400).payload(error.to_string()),
        }
    });
    device.methods().await?.serve(handlers).await
}

async fn follow_twin(device: &DeviceClient) -> Result<(), iothub::Error> {
    let twin = device.twin().await?;
    let mut changes = twin.watch_desired().await?;
    while let Some(change) = changes.next().await? {
        println!("desired properties, version {}: {:?}", change.version(), change.properties().values());
        if let Some(interval) = change.properties().get(&["interval"]) {
            twin.update_reported(json!({"interval": interval})).await?;
        }
    }
    Ok(())
}
