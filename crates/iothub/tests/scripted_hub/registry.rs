use crate::{
    https::{Answer, HttpsHub, ok, proxy},
    support::{KEY, pki, soon},
};
use amqp1::auth::{
    UnixSeconds,
    sas::{SasKey, SasToken},
};
use futures_util::StreamExt;
use iothub::{
    Delivered, ErrorKind, RegistryClient,
    registry::{
        Authentication, BulkOperation, Device, DirectMethod, ETag, IfMatch, Module, RegistryClientBuilder, Twin,
        TwinUpdate,
    },
};
use serde_json::{Value, json};
use std::time::Duration;

fn builder(hub: &HttpsHub) -> RegistryClientBuilder {
    let builder = RegistryClient::builder().connection_string(&HttpsHub::string()).expect("a connection string");
    builder.ca_pem(&pki().ca).expect("a certificate").https_port(hub.port)
}

fn client(hub: &HttpsHub) -> RegistryClient {
    builder(hub).build().expect("a client")
}

fn refusal(status: u16, message: &str) -> Answer {
    Answer::Status(
        status,
        &[],
        json!({"Message": message, "ExceptionMessage": "Tracking ID:t1-TimeStamp:x"}).to_string(),
    )
}

const DEVICE: &str = r#"{"deviceId":"d#1","generationId":"638","etag":"Nzg=","connectionState":"Disconnected",
    "status":"disabled","statusReason":null,"lastActivityTime":"0001-01-01T00:00:00Z","cloudToDeviceMessageCount":3,
    "authentication":{"symmetricKey":{"primaryKey":"cA==","secondaryKey":"cw=="},"x509Thumbprint":
    {"primaryThumbprint":null,"secondaryThumbprint":null},"type":"sas"},"capabilities":{"iotEdge":false}}"#;

#[tokio::test]
async fn a_device_is_created_read_changed_and_deleted() {
    let gone = Answer::Status(204, &[], String::new());
    let mut hub = HttpsHub::start([ok(DEVICE), ok(DEVICE), ok(DEVICE), gone]).await;
    let client = client(&hub);
    let device = soon("an answer", client.create_device(&Device::new("d#1"))).await.expect("created");
    let request = hub.next().await;
    assert_eq!(request.line, "PUT /devices/d%231?api-version=2021-04-12");
    assert_eq!(request.header("if-match"), None);
    let empty = json!({"primaryKey": null, "secondaryKey": null});
    assert_eq!(
        request.json(),
        json!({"deviceId": "d#1", "status": "enabled", "capabilities": {"iotEdge": false},
               "authentication": {"type": "sas", "symmetricKey": empty}})
    );
    let token = SasToken::parse(request.header("authorization").expect("a token")).expect("a token");
    assert_eq!((token.resource(), token.policy()), ("localhost", Some("iothubowner")));
    token.verify(&SasKey::from_base64(KEY).expect("base64"), UnixSeconds::new(0)).expect("signed");

    assert_eq!((device.etag.as_ref().map(ETag::as_str), device.last_activity), (Some("Nzg="), None));
    let key = device.authentication.primary_key().expect("a key");
    let string = client.connection_string(&device, key);
    assert_eq!(string, "HostName=localhost:5671;DeviceId=d#1;SharedAccessKey=cA==");
    assert!(!format!("{device:?}").contains("cA=="));

    let read = soon("an answer", client.device("d#1")).await.expect("read");
    assert_eq!((hub.next().await.line.as_str(), &read), ("GET /devices/d%231?api-version=2021-04-12", &device));
    let changed = device.clone().authentication(Authentication::CertificateAuthority);
    soon("an answer", client.update_device(&changed, &device.etag.clone().expect("an ETag"))).await.expect("changed");
    let request = hub.next().await;
    assert_eq!(request.header("if-match"), Some("\"Nzg=\""));
    assert_eq!(request.json()["authentication"], json!({"type": "certificateAuthority"}));
    soon("an answer", client.delete_device("d#1", IfMatch::Any)).await.expect("deleted");
    let request = hub.next().await;
    assert_eq!(
        (request.line.as_str(), request.header("if-match")),
        ("DELETE /devices/d%231?api-version=2021-04-12", Some("\"*\""))
    );
    assert!(hub.is_done());
}

#[tokio::test]
async fn modules_have_routes_below_their_device() {
    let module = json!({"moduleId": "m", "deviceId": "d", "managedBy": "me", "etag": "E",
                        "authentication": {"type": "none"}});
    let mut hub = HttpsHub::start([ok(&module), ok(json!([module])), refusal(404, "ErrorCode:ModuleNotFound;m")]).await;
    let client = client(&hub);
    let created = soon("an answer", client.create_module(&Module::new("d", "m"))).await.expect("created");
    assert_eq!((created.managed_by.as_deref(), &created.authentication), (Some("me"), &Authentication::None));
    assert_eq!(hub.next().await.line, "PUT /devices/d/modules/m?api-version=2021-04-12");
    assert_eq!(soon("an answer", client.modules("d")).await.expect("a list"), [created]);
    assert_eq!(hub.next().await.line, "GET /devices/d/modules?api-version=2021-04-12");
    let error = soon("an answer", client.module("d", "m")).await.expect_err("gone");
    assert_eq!(error.kind(), ErrorKind::ModuleNotFound, "{error}");
}

#[tokio::test]
async fn ids_that_would_lead_elsewhere_are_refused() {
    let hub = HttpsHub::start([]).await;
    let client = client(&hub);
    for id in ["", ".", ".."] {
        let error = client.delete_device(id, IfMatch::Any).await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{id:?}");
        assert!(client.twin(("d", id)).await.is_err(), "{id:?}");
    }
}

#[tokio::test]
async fn twins_are_read_patched_and_replaced() {
    let twin = json!({"deviceId": "d", "etag": "AAAAAAAAAAI=", "version": 3,
                      "properties": {"desired": {"a": 1, "$version": 2}, "reported": {"$version": 1}}});
    let mut hub = HttpsHub::start([ok(&twin), ok(&twin), ok(&twin)]).await;
    let client = client(&hub);
    let read = soon("an answer", client.twin("d")).await.expect("read");
    assert_eq!((hub.next().await.line.as_str(), read.version), ("GET /twins/d?api-version=2021-04-12", 3));
    let update = TwinUpdate::new().desired("a", 1).remove_tag("b");
    soon("an answer", client.patch_twin(("d", "m"), &update, read.etag.clone())).await.expect("patched");
    let request = hub.next().await;
    assert_eq!(request.line, "PATCH /twins/d/modules/m?api-version=2021-04-12");
    assert_eq!(request.header("if-match"), Some("\"AAAAAAAAAAI=\""));
    assert_eq!(request.json(), json!({"tags": {"b": null}, "properties": {"desired": {"a": 1}}}));
    soon("an answer", client.replace_twin("d", &update, IfMatch::Any)).await.expect("replaced");
    let request = hub.next().await;
    assert_eq!(
        (request.line.as_str(), request.header("if-match")),
        ("PUT /twins/d?api-version=2021-04-12", Some("\"*\""))
    );
}

#[tokio::test]
async fn a_query_is_a_stream_over_pages() {
    let page = |headers, ids: &[&str]| {
        let rows: Vec<Value> = ids.iter().map(|id| json!({"deviceId": id})).collect();
        Answer::Status(200, headers, Value::from(rows).to_string())
    };
    let mut hub = HttpsHub::start([
        page(&[("x-ms-continuation", "c1"), ("x-ms-item-type", "Twin")], &["a", "b"]),
        page(&[("x-ms-continuation", "c2"), ("x-ms-item-type", "Twin")], &[]),
        page(&[("x-ms-item-type", "Twin")], &["c"]),
    ])
    .await;
    let client = client(&hub);
    let mut twins = client.query::<Twin>("SELECT * FROM devices").page_size(2);
    let first = soon("a row", twins.next()).await.expect("a row").expect("not the end");
    assert_eq!((first.device_id.as_str(), twins.continuation(), twins.item_type()), ("a", Some("c1"), Some("Twin")));
    let request = hub.next().await;
    assert_eq!(
        (request.line.as_str(), request.json()),
        ("POST /devices/query?api-version=2021-04-12", json!({"query": "SELECT * FROM devices"}))
    );
    assert_eq!((request.header("x-ms-max-item-count"), request.header("x-ms-continuation")), (Some("2"), None));
    let rest: Vec<_> = soon("the rest", StreamExt::collect::<Vec<_>>(twins)).await;
    let rest: Vec<_> = rest.into_iter().map(|twin| twin.expect("a row").device_id).collect();
    assert_eq!(rest, ["b", "c"]);
    for continuation in ["c1", "c2"] {
        assert_eq!(hub.next().await.header("x-ms-continuation"), Some(continuation));
    }
    assert!(hub.is_done());
}

#[tokio::test]
async fn a_page_that_could_not_be_fetched_is_fetched_by_the_next_call_and_bad_rows_cost_themselves_alone() {
    let mut hub =
        HttpsHub::start([refusal(400, "ErrorCode:ArgumentInvalid;no"), ok(json!([{"n": 1}, {"n": "x"}, {"n": 3}]))])
            .await;
    #[derive(serde::Deserialize)]
    struct Row {
        n: i32,
    }
    let mut rows = client(&hub).query::<Row>("SELECT n FROM devices");
    assert_eq!(soon("an answer", rows.next()).await.map(drop).expect_err("refused").kind(), ErrorKind::InvalidArgument);
    assert_eq!(soon("a row", rows.next()).await.expect("a row").expect("not the end").n, 1);
    assert_eq!(soon("a row", rows.next()).await.map(drop).expect_err("a bad row").kind(), ErrorKind::Protocol);
    assert_eq!(soon("a row", rows.next()).await.expect("a row").expect("not the end").n, 3);
    assert!(soon("the end", rows.next()).await.expect("the end").is_none());
    hub.next().await;
    hub.next().await;
    assert!(hub.is_done());
}

#[tokio::test]
async fn a_stream_ends_with_a_page_that_cannot_be_fetched() {
    let mut hub = HttpsHub::start([refusal(400, "ErrorCode:ArgumentInvalid;no")]).await;
    let rows = client(&hub).query::<Value>("SELECT * FROM devices");
    let rows: Vec<_> = soon("the end", StreamExt::collect::<Vec<_>>(rows)).await;
    assert!(matches!(&rows[..], [Err(error)] if error.kind() == ErrorKind::InvalidArgument), "{rows:?}");
    hub.next().await;
    assert!(hub.is_done());
}

#[tokio::test]
async fn a_query_that_does_not_advance_is_given_up() {
    let again = || Answer::Status(200, &[("x-ms-continuation", "c1")], "[]".to_owned());
    let hub = HttpsHub::start([again(), again()]).await;
    let error = soon("an answer", client(&hub).query::<Value>("SELECT * FROM devices").next()).await;
    assert_eq!(error.expect_err("it would never end").kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn what_the_hub_says_to_do_again_is_done_again_after_a_pause() {
    let busy = || Answer::Status(429, &[("retry-after", "0")], "{}".to_owned());
    let mut hub =
        HttpsHub::start([busy(), Answer::Cut, refusal(503, "ErrorCode:ServiceUnavailable;x"), ok(DEVICE)]).await;
    soon("an answer", client(&hub).device("d#1")).await.expect("read after all");
    for _ in 0..4 {
        assert!(hub.next().await.line.starts_with("GET "));
    }
    assert!(hub.is_done());
}

#[tokio::test]
async fn what_may_have_been_done_is_not_done_twice() {
    let condition = || IfMatch::from(ETag::new("E"));
    for route in 0..5 {
        let mut hub = HttpsHub::start([Answer::Cut]).await;
        let client = client(&hub);
        let error = match route {
            0 => client.create_device(&Device::new("d")).await.map(drop),
            1 => client.patch_twin("d", &TwinUpdate::new(), condition()).await.map(drop),
            2 => client.delete_device("d", IfMatch::Any).await,
            3 => client.purge_messages("d").await.map(drop),
            _ => client.invoke_method("d", &DirectMethod::new("m")).await.map(drop),
        };
        let error = error.expect_err("cut");
        assert_eq!(
            (error.kind(), error.delivered()),
            (ErrorKind::ConnectionLost, Delivered::Unknown),
            "{route}: {error}"
        );
        assert!(error.is_retriable(), "the caller may decide to");
        hub.next().await;
        assert!(hub.is_done(), "{route}");
    }
}

/// Not even where the hub has certainly not done it.
#[tokio::test]
async fn methods_are_not_repeated() {
    let busy = Answer::Status(503, &[], String::new());
    let mut hub = HttpsHub::start([busy]).await;
    let error = soon("an answer", client(&hub).invoke_method("d", &DirectMethod::new("m"))).await.expect_err("busy");
    assert_eq!((error.kind(), error.delivered()), (ErrorKind::ServiceUnavailable, Delivered::No));
    hub.next().await;
    assert!(hub.is_done());
}

#[tokio::test]
async fn repetitions_are_bounded_by_number_and_by_time() {
    let busy = || Answer::Status(503, &[], String::new());
    let mut hub = HttpsHub::start([busy(), busy(), busy()]).await;
    let twice = builder(&hub).retries(2).build().expect("a client");
    assert!(soon("an answer", twice.device("d")).await.is_err());
    for _ in 0..3 {
        hub.next().await;
    }
    assert!(hub.is_done());

    // The hub asks for more time than there is.
    let mut hub = HttpsHub::start([Answer::Status(429, &[("retry-after", "3600")], String::new())]).await;
    let error = soon("an answer", client(&hub).device("d")).await.expect_err("busy");
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Throttled, Some(Duration::from_secs(3600))));
    hub.next().await;
    assert!(hub.is_done());
}

#[tokio::test]
async fn a_hub_that_does_not_answer_is_given_up() {
    let hub = HttpsHub::start([Answer::Silence]).await;
    let client = builder(&hub).operation_timeout(Duration::from_millis(200)).build().expect("a client");
    let error = soon("an answer", client.device("d")).await.expect_err("silence");
    assert_eq!((error.kind(), error.delivered()), (ErrorKind::Timeout, Delivered::Unknown), "{error}");
}

#[tokio::test]
async fn methods_have_a_status_and_a_payload_or_a_reason() {
    let offline = r#"{"Message":"{\"errorCode\":404103,\"message\":\"Timed out waiting for device to connect.\"}","ExceptionMessage":""}"#;
    let mut hub = HttpsHub::start([
        ok(r#"{"status":500,"payload":{"done":false}}"#),
        Answer::Status(404, &[("iothub-errorcode", "DeviceNotOnline")], offline.to_owned()),
        refusal(504, "ErrorCode:GatewayTimeout;x"),
    ])
    .await;
    let client = client(&hub);
    let method = DirectMethod::new("reboot").payload(json!([1])).connect_timeout(Duration::from_secs(7));
    let response = soon("an answer", client.invoke_method(("d", "m"), &method)).await.expect("the device answered");
    assert_eq!((response.status, &response.payload), (500, &json!({"done": false})));
    let request = hub.next().await;
    assert_eq!(request.line, "POST /twins/d/modules/m/methods?api-version=2021-04-12");
    assert_eq!(request.json()["connectTimeoutInSeconds"], 7);
    let error = soon("an answer", client.invoke_method("d", &method)).await.expect_err("offline");
    assert_eq!(
        (error.kind(), error.http().and_then(|answer| answer.code)),
        (ErrorKind::DeviceNotOnline, Some(404_103))
    );
    let error = soon("an answer", client.invoke_method("d", &method)).await.expect_err("no answer");
    assert_eq!((error.kind(), error.delivered()), (ErrorKind::Timeout, Delivered::Unknown));
}

#[tokio::test]
async fn a_bulk_request_that_was_done_in_part_says_what_was_not() {
    let partly = json!({"isSuccessful": false, "errors": [{"deviceId": "b", "errorCode": 404001}], "warnings": []});
    let hub = HttpsHub::start([
        Answer::Status(400, &[], partly.to_string()),
        refusal(400, "ErrorCode:DeviceDefinedMultipleTimes;b"),
    ])
    .await;
    let client = client(&hub);
    let operations = [BulkOperation::create(Device::new("a")), BulkOperation::delete("b")];
    let result = soon("an answer", client.bulk(&operations)).await.expect("done in part");
    assert!(!result.is_successful && result.errors.len() == 1, "{result:?}");
    let error = soon("an answer", client.bulk(&operations)).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(client.bulk(&vec![BulkOperation::delete("x"); 101]).await.is_err());
}

#[tokio::test]
async fn counts_and_purges_are_read() {
    let hub = HttpsHub::start([
        ok(r#"{"totalDeviceCount":3,"enabledDeviceCount":2,"disabledDeviceCount":1}"#),
        ok(r#"{"connectedDeviceCount":1}"#),
        ok(r#"{"deviceId":"d","moduleId":null,"totalMessagesPurged":7}"#),
        ok(format!("[{DEVICE}]")),
    ])
    .await;
    let client = client(&hub);
    let statistics = soon("an answer", client.registry_statistics()).await.expect("read");
    assert_eq!((statistics.total, statistics.enabled, statistics.disabled), (3, 2, 1));
    assert_eq!(soon("an answer", client.service_statistics()).await.expect("read").connected, 1);
    assert_eq!(soon("an answer", client.purge_messages("d")).await.expect("purged").purged, 7);
    assert_eq!(soon("an answer", client.devices(10)).await.expect("read").len(), 1);
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_and_a_closed_port_have_their_kinds() {
    let hub = HttpsHub::start([]).await;
    let other = crate::support::new_pki();
    let untrusting = builder(&hub).ca_pem(other.ca).expect("a certificate").build().expect("a client");
    let error = soon("an answer", untrusting.device("d")).await.expect_err("not trusted");
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    assert!(error.to_string().contains("not trusted"), "{error}");

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    drop(listener);
    let closed = builder(&hub).https_port(port).retries(0).build().expect("a client");
    let error = soon("an answer", closed.device("d")).await.expect_err("nothing listens");
    assert_eq!((error.kind(), error.delivered()), (ErrorKind::Connect, Delivered::No), "{error}");
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_the_token() {
    let mut hub = HttpsHub::start([Answer::Status(307, &[("location", "https://localhost/x")], String::new())]).await;
    let error = soon("an answer", client(&hub).device("d")).await.expect_err("redirected");
    assert_eq!(error.kind(), ErrorKind::Redirect);
    hub.next().await;
    assert!(hub.is_done());
}

#[tokio::test]
async fn a_proxy_that_is_asked_for_is_gone_through_and_sees_no_token() {
    let hub = HttpsHub::start([ok(DEVICE)]).await;
    let (port, mut asked) = proxy(hub.port).await;
    // A host behind the proxy: here it would not be reached.
    let client = builder(&hub).https_port(7).proxy(format!("http://127.0.0.1:{port}")).build().expect("a client");
    soon("an answer", client.device("d#1")).await.expect("read");
    assert_eq!(soon("a request", asked.recv()).await.as_deref(), Some("CONNECT localhost:7"));
}
