use crate::support::{
    KEY, builder, device_builder, hub, multiplexed, multiplexed_builder, next_event, service, soon, string, telemetry,
};
use iothub::{CloudMessage, DeviceClient, ErrorKind, ModuleClient, Telemetry};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn devices_and_modules_of_one_connection_work_side_by_side() {
    let hub = hub(3).await;
    let connection = multiplexed(&hub).await;
    let adding = (0..3).map(|number| connection.add_device(device_builder(&hub, &format!("d{number}"))));
    let mut devices = Vec::new();
    for adding in adding {
        devices.push(soon("a device", adding).await.expect("accepted"));
    }
    let module = ModuleClient::builder().connection_string(&hub.module_connection_string("d0", "m").expect("a module"));
    let module = soon("a module", connection.add_module(module.expect("a string"))).await.expect("accepted");
    soon("an outcome", module.send(Telemetry::new("m"))).await.expect("accepted");
    let service = service(&hub).await;
    for device in &devices {
        let id = device.device_id();
        soon("an outcome", device.send(Telemetry::new(id.to_owned()))).await.expect("accepted");
        let mut messages = soon("a link", device.cloud_to_device()).await.expect("attached");
        soon("an outcome", service.send(id, CloudMessage::new(id.to_owned()))).await.expect("accepted");
        let message = soon("a message", messages.next()).await.expect("a message").expect("not detached");
        assert_eq!(&message.body()[..], id.as_bytes());
        message.complete().expect("the link is there");
        let twin = soon("the links", device.twin()).await.expect("attached");
        soon("an answer", twin.update_reported(json!({"id": id}))).await.expect("reported");
        assert_eq!(soon("an answer", twin.get()).await.expect("read").reported.get(&["id"]), Some(&json!(id)));
    }
    let mut events = telemetry(&hub).await;
    for expected in ["m", "d0", "d1", "d2"] {
        assert_eq!(&next_event(&mut events).await.body()[..], expected.as_bytes());
    }
    soon("the end", connection.close()).await.expect("a clean close");
    assert!(connection.is_closed());
    soon("an outcome", devices[0].send(Telemetry::new("x"))).await.expect_err("the connection is closed");
}

#[tokio::test]
async fn what_fails_for_one_device_leaves_the_others_as_they_are() {
    let hub = hub(5).await;
    let connection = multiplexed(&hub).await;
    let mut devices = Vec::new();
    for number in 0..4 {
        let adding = connection.add_device(device_builder(&hub, &format!("d{number}")));
        let device = soon("a device", adding).await.expect("accepted");
        soon("a link", device.prepare_to_send()).await.expect("attached");
        devices.push(device);
    }
    let sends = async |device: &DeviceClient| soon("an outcome", device.send(Telemetry::new("x"))).await;

    // A wrong key.
    let wrong = string(&hub, "d4").replace(KEY, "d3Jvbmcga2V5");
    let wrong = DeviceClient::builder().connection_string(&wrong).expect("a connection string");
    let error = soon("an answer", connection.add_device(wrong)).await.expect_err("a wrong key");
    assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
    for device in &devices {
        sends(device).await.expect("accepted");
    }

    // Deleted, and disabled.
    assert!(hub.remove_device("d1") && hub.set_device_enabled("d2", false));
    for gone in [1, 2] {
        let error = soon("the end of the link", async {
            loop {
                if let Err(error) = sends(&devices[gone]).await {
                    break error;
                }
            }
        });
        let error = error.await;
        assert!(matches!(error.kind(), ErrorKind::DeviceNotFound | ErrorKind::Unauthorized), "{error}");
    }
    // Removed by its client.
    soon("the end", devices[3].close()).await.expect("a clean close");
    sends(&devices[3]).await.expect_err("closed");
    sends(&devices[0]).await.expect("accepted");

    // Others come, and one comes back, while the first goes on.
    let again = soon("a device", connection.add_device(device_builder(&hub, "d3"))).await.expect("accepted");
    let last = soon("a device", connection.add_device(device_builder(&hub, "d4"))).await.expect("accepted");
    for device in [&devices[0], &again, &last] {
        sends(device).await.expect("accepted");
    }
}

#[tokio::test]
async fn a_device_of_another_hub_or_with_a_certificate_is_refused() {
    let (hub, other) = (hub(1).await, hub(1).await);
    let connection = multiplexed(&hub).await;
    let error = connection.add_device(device_builder(&other, "d0")).await.expect_err("another hub");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    let host = format!("localhost:{}", hub.local_addr().port());
    let certificate = DeviceClient::builder().identity(&host, "d0").expect("names").client_certificate("c", "k");
    let error = connection.add_device(certificate).await.expect_err("a certificate");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}

#[tokio::test]
async fn short_lived_tokens_of_many_devices_are_renewed_in_time() {
    let hub = builder(20).start().await.expect("a hub");
    let connection = soon("a connection", multiplexed_builder(&hub).connect()).await.expect("accepted");
    let mut devices = Vec::new();
    for number in 0..20 {
        let builder = device_builder(&hub, &format!("d{number}")).token_lifetime(Duration::from_secs(5));
        devices.push(soon("a device", connection.add_device(builder)).await.expect("accepted"));
    }
    // Longer than any of the first tokens lives.
    let end = tokio::time::Instant::now() + Duration::from_secs(9);
    while tokio::time::Instant::now() < end {
        for device in &devices {
            soon("an outcome", device.send(Telemetry::new("still here"))).await.expect("accepted");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_thousand_devices_have_all_their_links_on_one_connection() {
    let hub = hub(1000).await;
    let connection = multiplexed(&hub).await;
    let mut adding = tokio::task::JoinSet::new();
    for number in 0..1000 {
        let (connection, device) = (connection.clone(), device_builder(&hub, &format!("d{number}")));
        adding.spawn(async move {
            let device = connection.add_device(device).await?;
            let links =
                tokio::try_join!(device.prepare_to_send(), device.cloud_to_device(), device.methods(), device.twin())?;
            device.send(Telemetry::new("on")).await?;
            Ok::<_, iothub::Error>((device, links))
        });
    }
    let devices: Vec<_> = soon("all devices", adding.join_all()).await;
    assert!(devices.iter().all(Result::is_ok), "{:?}", devices.iter().find_map(|device| device.as_ref().err()));
    let mut events = telemetry(&hub).await;
    for _ in 0..1000 {
        assert_eq!(&next_event(&mut events).await.body()[..], b"on");
    }
    soon("the end", connection.close()).await.expect("a clean close");
}
