//! What `iothub emulator` says when it is ready: where it is, whom to trust, and a connection string for each client.

use crate::output::Output;
use iothub_emulator::Emulator;
use serde_json::{Value, json};
use std::{fmt::Write as _, net::SocketAddr};

/// The policies whose connection strings are shown, and what they are for. `service` reads telemetry as well, over AMQP and
/// at the Event-Hubs-compatible endpoint.
const POLICIES: [(&str, &str); 3] = [
    ("service", "telemetry, messages, twins, methods and queries"),
    ("iothubowner", "everything"),
    ("registryReadWrite", "devices and modules"),
];

pub(crate) fn announce(hub: &Emulator, amqps_port: u16, output: &Output) {
    let (identities, partitions) = hub.with_hub(|hub, _| {
        let identities: Vec<_> = hub.identities().map(|identity| identity.id().clone()).collect();
        (identities, hub.settings().partitions)
    });
    let ca = hub.ca_path().map(|path| path.display().to_string()).unwrap_or_default();
    let policies: Vec<(&str, &str, String)> = POLICIES
        .into_iter()
        .filter_map(|(name, purpose)| Some((name, purpose, hub.policy_connection_string(name)?)))
        .collect();
    let event_hubs = hub.event_hubs_connection_string();

    let mut story =
        format!("An IoT hub named {} listens on {} (AMQP over TLS).\n", hub.hostname(), list(hub.local_addrs()));
    let mut line = |text: String| {
        story.push_str(&text);
        story.push('\n');
    };
    line(format!("HTTPS (REST, and AMQP over WebSockets) on {}.", list(hub.https_addrs())));
    if let Some(note) = hub.https_note() {
        line(note.to_owned());
    }
    if !hub.amqp_addrs().is_empty() {
        line(format!("Plain AMQP, without TLS, on {}.", list(hub.amqp_addrs())));
    }
    let port = hub.local_addr().port();
    if port != amqps_port {
        line(format!(
            "The official IoT Hub SDKs use no other port than {amqps_port} for AMQP. Those of Event Hubs take the custom \
             endpoint address sb://{}:{port}.",
            hub.hostname()
        ));
    }
    line(format!("Certificate authority: {ca}"));
    for (name, purpose, string) in &policies {
        line(format!("Service, policy {name} ({purpose}): {string}"));
    }
    let https: Vec<(&str, String)> =
        policies.iter().filter_map(|(name, ..)| Some((*name, hub.https_connection_string(name)?))).collect();
    for ((name, string), (.., amqp)) in https.iter().zip(&policies) {
        // Where one string does not do for both ports.
        if string != amqp {
            line(format!("Service over HTTPS, for Python, policy {name}: {string}"));
        }
    }
    line(format!("Event Hubs, policy service (telemetry): {event_hubs}"));

    let (mut devices, mut modules) = (Vec::new(), Vec::new());
    for id in &identities {
        let (device, module) = (id.device.as_str(), id.module.as_ref().map(|module| module.as_str()));
        let string = match module {
            None => hub.device_connection_string(device),
            Some(module) => hub.module_connection_string(device, module),
        };
        let Some(string) = string else { continue };
        let what = match module {
            None => format!("Device {device}"),
            Some(module) => format!("Module {device}/{module}"),
        };
        line(format!("{what}: {string}"));
        // Where one string does not do for all SDKs.
        let java = hub.java_device_connection_string(device, module).filter(|java| *java != string);
        if let Some(java) = &java {
            line(format!("{what}, for Java, whose SDK refuses a host name without a dot: {java}"));
        }
        let mut entry = json!({"id": device, "connection_string": string});
        if let Some(java) = java {
            entry["java_connection_string"] = java.into();
        }
        match module {
            None => devices.push(entry),
            Some(module) => {
                entry["module"] = module.into();
                modules.push(entry);
            }
        }
    }
    let _ = write!(story, "Ctrl-C ends it.");

    let service = hub.service_connection_string();
    let strings: serde_json::Map<String, Value> =
        policies.into_iter().map(|(name, _, string)| (name.to_owned(), string.into())).collect();
    let https: serde_json::Map<String, Value> =
        https.into_iter().map(|(name, string)| (name.to_owned(), string.into())).collect();
    output.say(
        &story,
        &json!({
            "event": "ready",
            "hostname": hub.hostname(),
            "amqps": hub.local_addr().to_string(),
            "amqps_all": hub.local_addrs().iter().map(SocketAddr::to_string).collect::<Vec<_>>(),
            "amqp": hub.amqp_addr().map(|address| address.to_string()),
            "https": hub.https_addr().to_string(),
            "https_note": hub.https_note(),
            "ca": ca,
            "partitions": partitions,
            "service_connection_string": service,
            "event_hubs_connection_string": event_hubs,
            "policies": strings,
            "https_policies": https,
            "devices": devices,
            "modules": modules,
        }),
    );
}

fn list(addresses: &[SocketAddr]) -> String {
    let addresses: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
    addresses.join(", ")
}
