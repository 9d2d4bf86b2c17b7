//! A back end that meets one device: it looks it up, changes its twin, calls a method, sends a message and waits for
//! feedback, while it reads telemetry. It ends when each of these has happened.
//!
//! ```text
//! IOTHUB_CONNECTION_STRING='HostName=…;SharedAccessKeyName=iothubowner;SharedAccessKey=…' \
//!   cargo run -p iothub --example back_end DEVICE
//! ```
//!
//! The other end of it is the example `device_worker`; a device that is not there is created, and its connection string
//! printed. For a hub on your own machine, name its certificate authority as well, and its HTTPS port if that is not 443:
//! `IOTHUB_CA=…/ca.pem IOTHUB_HTTPS_PORT=8443`.

use iothub::{
    Ack, CloudMessage, ErrorKind, EventConsumer, EventPosition, EventProcessor, RegistryClient, ServiceClient,
    processor::MemoryCheckpointStore,
    registry::{Device, DirectMethod, IfMatch, TwinUpdate},
};
use serde_json::json;
use std::{error::Error, time::Duration};
use tokio::sync::mpsc;

/// How long the device may take to come.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let device = std::env::args().nth(1).ok_or("which device? name its id")?;
    let string = std::env::var("IOTHUB_CONNECTION_STRING")
        .map_err(|_| "set IOTHUB_CONNECTION_STRING to the connection string of a policy with all rights")?;
    let mut registry = RegistryClient::builder().connection_string(&string)?;
    let mut service = ServiceClient::builder().connection_string(&string)?;
    let mut consumer = EventConsumer::builder().connection_string(&string)?;
    if let Ok(path) = std::env::var("IOTHUB_CA") {
        registry = registry.ca_file(&path)?;
        service = service.ca_file(&path)?;
        consumer = consumer.ca_file(&path)?;
    }
    if let Ok(port) = std::env::var("IOTHUB_HTTPS_PORT") {
        registry = registry.https_port(port.parse()?);
    }
    let registry = registry.build()?;
    let service = service.connect().await?;

    find(&registry, &device).await?;
    // From now on. A store that survives, such as FileCheckpointStore, goes on where the last run has stopped.
    let processor = EventProcessor::builder(consumer, MemoryCheckpointStore::new());
    let processor = processor.start_position(EventPosition::Latest).start().await?;
    let (tell, mut told) = mpsc::unbounded_channel();
    let processing = tokio::spawn(process(processor, tell));

    call(&registry, &device).await?;
    configure(&registry, &device).await?;
    message(&service, &device).await?;
    loop {
        let (from, text) = told.recv().await.ok_or("the telemetry has ended")?;
        println!("telemetry of {from}: {text}");
        if from == device {
            break;
        }
    }
    processing.abort();
    service.close().await?;
    Ok(())
}

async fn find(registry: &RegistryClient, id: &str) -> Result<(), iothub::Error> {
    match registry.device(id).await {
        Ok(device) => println!("{id} is {:?}", device.status),
        Err(error) if error.kind() == ErrorKind::DeviceNotFound => {
            let device = registry.create_device(&Device::new(id)).await?;
            println!("{id} is new");
            if let Some(key) = device.authentication.primary_key() {
                println!("its connection string: {}", registry.connection_string(id, key));
            }
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Reads each partition in a task of its own, and tells of each event who sent it and what.
async fn process(mut processor: EventProcessor, tell: mpsc::UnboundedSender<(String, String)>) {
    loop {
        match processor.next_partition().await {
            Ok(Some(mut partition)) => {
                let tell = tell.clone();
                tokio::spawn(async move {
                    loop {
                        let event = match partition.next().await {
                            Ok(Some(event)) => event,
                            Ok(None) => break,
                            // The processor gives the partition again.
                            Err(error) => break eprintln!("{error}"),
                        };
                        match &event {
                            Ok(event) => {
                                let text = String::from_utf8_lossy(event.body()).into_owned();
                                if tell.send((event.device_id().unwrap_or_default().to_owned(), text)).is_err() {
                                    break;
                                }
                            }
                            // The checkpoint passes it: otherwise the partition would stop here.
                            Err(undecodable) => eprintln!("{undecodable}: {} octets", undecodable.octets().len()),
                        }
                        if let Err(error) = partition.checkpoint(&event).await {
                            eprintln!("{error}");
                        }
                    }
                });
            }
            Ok(None) => return,
            // It is tried again by the processor itself.
            Err(error) => eprintln!("{error}"),
        }
    }
}

async fn call(registry: &RegistryClient, device: &str) -> Result<(), iothub::Error> {
    let method = DirectMethod::new("reboot").payload(json!({"delay": 3})).connect_timeout(PATIENCE);
    let answer = registry.invoke_method(device, &method).await?;
    println!("reboot: {} {}", answer.status, answer.payload);
    Ok(())
}

/// Changes what the device should do, and waits until the device says that it does.
async fn configure(registry: &RegistryClient, device: &str) -> Result<(), Box<dyn Error>> {
    let update = TwinUpdate::new().tag("seen", true).desired("interval", 5);
    let wanted = registry.patch_twin(device, &update, IfMatch::Any).await?.desired.get(&["interval"]).cloned();
    let reported = async {
        loop {
            let twin = registry.twin(device).await?;
            if twin.reported.get(&["interval"]) == wanted.as_ref() {
                return Ok::<_, iothub::Error>(twin);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let twin =
        tokio::time::timeout(PATIENCE, reported).await.map_err(|_| "the device did not report the interval")??;
    println!("twin: version {} of the reported properties has the interval", twin.reported.version());
    Ok(())
}

async fn message(service: &ServiceClient, device: &str) -> Result<(), Box<dyn Error>> {
    let mut feedback = service.feedback().await?;
    let id = format!("greeting-{}", std::process::id());
    service.send(device, CloudMessage::new("hello").message_id(&id).ack(Ack::Full)).await?;
    loop {
        let batch = feedback.next().await?.ok_or("the hub has ended the feedback")?;
        let status = batch.records().iter().find(|record| record.original_message_id == id).map(|record| record.status);
        batch.complete()?;
        if let Some(status) = status {
            println!("feedback: {status:?}");
            return Ok(());
        }
    }
}
