use crate::support::{device, device_builder, hub, module, multiplexed, registry, soon};
use iothub::{ErrorKind, MethodAnswer, MethodHandlers, registry::DirectMethod};
use serde_json::json;
use std::{sync::Arc, time::Duration};

#[tokio::test]
async fn a_service_calls_and_a_device_answers_with_a_status_and_a_payload() {
    let hub = hub(1).await;
    let (client, registry) = (device(&hub, "d0").await, registry(&hub));
    let mut methods = soon("the links", client.methods()).await.expect("attached");
    let call = DirectMethod::new("reboot").payload(json!({"delay": 5}));
    let (response, ()) = tokio::join!(soon("an answer", registry.invoke_method("d0", &call)), async {
        let call = soon("a call", methods.next()).await.expect("a call").expect("not detached");
        assert_eq!((call.name(), call.json::<serde_json::Value>().expect("JSON")), ("reboot", json!({"delay": 5})));
        call.answer(MethodAnswer::new(404).payload(json!({"why": "busy"}))).await.expect("sent");
    });
    let response = response.expect("an answer");
    assert_eq!((response.status, response.payload), (404, json!({"why": "busy"})));

    // Dropped.
    let call = DirectMethod::new("drop");
    let (response, ()) = tokio::join!(soon("an answer", registry.invoke_method("d0", &call)), async {
        drop(soon("a call", methods.next()).await.expect("a call"));
    });
    assert_eq!(response.expect("an answer").status, 500);

    methods.close().await.expect("a clean close");
    let error = soon("an answer", registry.invoke_method("d0", &call)).await.expect_err("it listens no more");
    assert_eq!(error.kind(), ErrorKind::DeviceNotOnline, "{error}");
}

#[tokio::test]
async fn several_calls_are_in_flight_at_a_device_and_its_module() {
    let hub = hub(1).await;
    let registry = Arc::new(registry(&hub));
    let (client, of_module) = (device(&hub, "d0").await, module(&hub).await);
    let together = Arc::new(tokio::sync::Barrier::new(10));
    let handlers = MethodHandlers::new().timeout(Duration::from_secs(20)).on("double", move |request| {
        let together = together.clone();
        async move {
            together.wait().await;
            MethodAnswer::new(200).payload(2 * request.json::<u32>().unwrap_or_default())
        }
    });
    let serving = soon("the links", client.methods()).await.expect("attached").serve(handlers.clone());
    let serving = tokio::spawn(serving);
    let of_module = soon("the links", of_module.methods()).await.expect("attached").serve(handlers);
    let of_module = tokio::spawn(of_module);
    let calls: Vec<_> = (0..10u32)
        .map(|number| {
            let registry = registry.clone();
            tokio::spawn(async move {
                let method = DirectMethod::new("double").payload(number);
                match number % 2 {
                    0 => registry.invoke_method("d0", &method).await,
                    _ => registry.invoke_method(("d0", "m"), &method).await,
                }
            })
        })
        .collect();
    for (number, call) in calls.into_iter().enumerate() {
        let response = soon("an answer", call).await.expect("no panic").expect("an answer");
        assert_eq!((response.status, response.payload), (200, json!(2 * number)));
    }
    let unknown = soon("an answer", registry.invoke_method("d0", &DirectMethod::new("else"))).await;
    assert_eq!(unknown.expect("an answer").status, 501);
    serving.abort();
    of_module.abort();
}

#[tokio::test]
async fn a_method_of_a_device_on_a_shared_connection_is_its_own() {
    let hub = hub(2).await;
    let registry = registry(&hub);
    let connection = multiplexed(&hub).await;
    let mut serving = Vec::new();
    for id in ["d0", "d1"] {
        let client = soon("a device", connection.add_device(device_builder(&hub, id))).await.expect("accepted");
        let handlers = MethodHandlers::new().on("who", move |_| async move { MethodAnswer::new(200).payload(id) });
        let methods = soon("the links", client.methods()).await.expect("attached");
        serving.push((tokio::spawn(methods.serve(handlers)), client));
    }
    for id in ["d1", "d0"] {
        let response = soon("an answer", registry.invoke_method(id, &DirectMethod::new("who"))).await;
        assert_eq!(response.expect("an answer").payload, json!(id));
    }
    for (task, _client) in serving {
        task.abort();
    }
}

#[tokio::test]
async fn an_answer_counts_that_was_sent_before_the_methods_were_dropped() {
    let hub = hub(1).await;
    let (client, registry) = (device(&hub, "d0").await, registry(&hub));
    for _ in 0..10 {
        let mut methods = soon("the links", client.methods()).await.expect("attached");
        let answering = async move {
            let call = methods.next().await.expect("readable").expect("not the end");
            call.answer(MethodAnswer::new(204)).await.expect("sent");
        };
        let method = DirectMethod::new("once").connect_timeout(Duration::from_secs(20));
        let (answer, ()) = soon("both", async { tokio::join!(registry.invoke_method("d0", &method), answering) }).await;
        assert_eq!(answer.expect("answered").status, 204);
    }
}
